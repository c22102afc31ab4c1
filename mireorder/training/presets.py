"""Models to train: small shapes from scratch, and pretrained ones from a folder or the hub."""

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mireorder.errors import MireorderError
from mireorder.networks import Shape

PRESETS: dict[str, Shape] = {
    "tiny": Shape(layers=2, heads=4, width=64),
    "nano": Shape(layers=3, heads=3, width=48),  # minGPT's gpt-nano, -micro and -mini
    "micro": Shape(layers=4, heads=4, width=128),
    "mini": Shape(layers=6, heads=6, width=192),
    "gpt2-small": Shape(layers=12, heads=12, width=768),  # 124 million weights with GPT-2's vocabulary
}


def refuse_unknown(name: str) -> None:
    """Raise MireorderError if a name is not a preset, no folder, and no model of the hub; torch is not loaded for it.

    Ids of the hub are ``owner/name``, and loading tells whether there is such a model. Few have no owner, such as
    ``gpt2``: any other name is looked up here, since it may be a preset that is misspelt.
    """
    if name in PRESETS or "/" in name or Path(name).exists():
        return
    from huggingface_hub import model_info, try_to_load_from_cache

    try:
        is_there = isinstance(try_to_load_from_cache(name, "config.json"), str) or bool(model_info(name, timeout=10))
    except Exception:  # whatever the network and the hub raise
        is_there = False
    if not is_there:
        near = get_close_matches(name, PRESETS, 1)
        raise MireorderError(
            f"there is no model {name!r}, here or on the hub; {f'did you mean {near[0]!r}? ' if near else ''}name a "
            f"preset ({', '.join(PRESETS)}), a model folder, or a hub id such as owner/name"
        )


def refuse_dropout(name: str, dropout: float) -> None:
    """Raise MireorderError if a model that is not made here is to drop out otherwise than it was made to."""
    if dropout and name not in PRESETS:
        raise MireorderError(f"dropout is set for presets ({', '.join(PRESETS)}); {name} has its own, in its config")


def build(
    name: str, tokenizer: Any, positions: int, seed: int, vocabulary: int | None = None, dropout: float = 0.0
) -> Any:
    """Make a model with random weights.

    Args:
        name: one of ``PRESETS``.
        tokenizer: decides the vocabulary and the special tokens.
        positions: the longest row, prompt and completion together, in tokens.
        seed: the weights depend on it and on their shapes alone.
        vocabulary: tokens it has embeddings for; None takes all of the tokenizer's
            (`embed` adds what is missing).
        dropout: share of activations, embeddings and attention that is dropped while it learns.

    Returns:
        A ``GPT2LMHeadModel`` in float32.
    """
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    shape = PRESETS[name]
    config = GPT2Config(
        vocab_size=vocabulary or len(tokenizer),
        n_positions=positions,
        n_layer=shape.layers,
        n_head=shape.heads,
        n_embd=shape.width,
        activation_function="gelu_pytorch_tanh",  # GPT-2's gelu_new in one fused kernel
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=dropout,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(range(torch.cuda.device_count())):  # the caller's random state stays as it was
        torch.manual_seed(seed)
        return GPT2LMHeadModel(config)


def embed(model: Any, tokenizer: Any, seed: int) -> None:
    """Give a model an embedding for every token, those it lacks drawn around the mean of the others.

    Args:
        model: a transformers model; it is changed.
        tokenizer: what it is to read, from `reserve`.
        seed: of the draws.
    """
    import torch
    from transformers.utils import logging

    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            torch.manual_seed(seed)
            told, _ = logging.get_verbosity(), logging.set_verbosity_error()  # it would explain how they are drawn
            try:
                model.resize_token_embeddings(len(tokenizer))
            finally:
                logging.set_verbosity(told)
        _head_in_one_piece(model)  # it has a new one


@contextmanager
def no_bars() -> Iterator[None]:
    """Keep transformers from drawing its own progress bars."""
    from transformers.utils import logging

    drawn = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            logging.enable_progress_bar()


def halves() -> bool:
    """Whether models are tuned in bfloat16: on every GPU that computes in it."""
    import torch

    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


def frozen_halves() -> bool:
    """Whether frozen weights are kept in bfloat16: on every GPU and processor that computes in it."""
    import torch

    if torch.cuda.is_available():
        return halves()
    found: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # since torch 2.10
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def refuse_adapter(model: Any, name: str) -> None:
    """Raise MireorderError if a model is an adapter on another, which can answer but not be tuned on.

    Args:
        model: what `pretrained` gave.
        name: what it was loaded by.
    """
    if getattr(model, "_hf_peft_config_loaded", False):
        raise MireorderError(
            f"{name} is an adapter on another model, and tuning it would lose it; merge it into its base model first "
            "(peft: merge_and_unload), or name that"
        )


def lora_config() -> Any:
    """The adapter that is trained: LoRA (Hu et al. 2021) of rank 16 on all linear layers."""
    from peft import LoraConfig

    return LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")


def adapter(model: Any, seed: int) -> Any:
    """A model with a fresh adapter in the model's own precision, whose weights alone are trained.

    Args:
        model: what `pretrained` gave; it is changed.
        seed: of the adapter's weights.
    """
    import torch
    from peft import get_peft_model

    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        return get_peft_model(model, lora_config(), autocast_adapter_dtype=False)


def refuse_lora(model: str) -> None:
    """Raise MireorderError if a model is a preset: there is nothing an adapter could be put on."""
    if model in PRESETS:
        raise MireorderError(
            f"preset {model!r} starts from random weights, so an adapter alone is useless; train without LoRA"
        )


def refuse_four_bit() -> None:
    """Raise MireorderError unless bitsandbytes is here, which keeps weights in 4 bits."""
    if find_spec("bitsandbytes") is None:
        raise MireorderError(
            "QLoRA needs bitsandbytes, which this Python does not have; pip install 'mireorder[qlora]'"
        )


def _four_bits() -> dict[str, Any]:
    """QLoRA's own settings (Dettmers et al. 2023): NormalFloat, its constants quantised too, computing in bfloat16."""
    import torch
    from transformers import BitsAndBytesConfig

    refuse_four_bit()
    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"quantization_config": settings, "device_map": {"": 0 if torch.cuda.is_available() else "cpu"}}


def pretrained(path_or_id: str, *, half: bool = False, four_bit: bool = False) -> Any:
    """Load a causal language model, or an adapter folder on its base model; remote code is never run.

    Args:
        path_or_id: a local folder or a hub id.
        half: keep the weights in bfloat16 instead of float32. For frozen weights only: small updates vanish
            in it.
        four_bit: keep the weights in 4 bits. For frozen weights only.

    Returns:
        The model, in evaluation mode as transformers loads it.

    Raises:
        MireorderError: it is neither a preset nor a model that can be loaded, or 4 bits are not available here.
    """
    import torch
    from transformers import AutoModelForCausalLM

    how: dict[str, Any] = {"dtype": torch.bfloat16 if half or four_bit else torch.float32}
    if four_bit:
        how |= _four_bits()
    elif half and not torch.cuda.is_available():
        how["attn_implementation"] = "eager"  # torch's own attention is slow in bfloat16 on a processor
    try:
        with no_bars():
            model = AutoModelForCausalLM.from_pretrained(path_or_id, trust_remote_code=False, **how)
    except (OSError, ValueError) as error:
        where = "in this folder" if Path(path_or_id).exists() else "by this name, here or on the hub"
        raise MireorderError(
            f"{path_or_id}: no causal language model {where} ({str(error).splitlines()[0]}); name a model "
            f"folder, a hub id, or one of the presets: {', '.join(PRESETS)}"
        ) from error
    _head_in_one_piece(model)
    return model


def _head_in_one_piece(model: Any) -> None:
    """Let the head read states in one piece."""
    if (head := model.get_output_embeddings()) is not None:
        head.register_forward_pre_hook(_in_one_piece)


def _in_one_piece(_: Any, read: tuple[Any, ...]) -> tuple[Any, ...]:
    """States for the head: of a cut of a tensor torch would copy its frozen weights once for every row."""
    return read[0].contiguous(), *read[1:]
