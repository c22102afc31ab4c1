"""Text with leads: WikiText-2 as a language model, XSum and SciTLDR as summaries."""
