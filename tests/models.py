"""Random models of the architectures that are tuned, as models of the hub would lie in a folder."""


def tiny(kind, tokenizer, folder, width=8):
    """A Qwen2 or Llama of one layer; the folder it lies in, with its tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    config, model = {"qwen2": (Qwen2Config, Qwen2ForCausalLM), "llama": (LlamaConfig, LlamaForCausalLM)}[kind]
    torch.manual_seed(0)
    shape = {"hidden_size": width, "intermediate_size": width, "num_hidden_layers": 1, "max_position_embeddings": 512}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "tie_word_embeddings": True}
    size = len(tokenizer) + (271 if kind == "qwen2" else 0)  # Qwen2.5 has more embeddings than its tokenizer tokens
    ends = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    model(config(vocab_size=size, **shape, **heads, **ends)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
