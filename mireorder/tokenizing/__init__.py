"""Text to token ids and back: needs tokenizers or transformers, never torch."""
