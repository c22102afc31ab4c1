"""Prompts and completions to ``input_ids`` and ``labels``: cut once, loss on the completion, one EOS last."""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

from mireorder.errors import InputError, MireorderError
from mireorder.ordering.plan import Plan
from mireorder.ordering.restore import Restored

IGNORED = -100
"""The label that a loss skips."""
MOST_QUOTED = 60

# Byte-level BPE as its authors published it, without a tokenizer.json: (vocabulary, merges).
_BPE_FILES = [("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt")]


def load_tokenizer(path_or_id: str | Path) -> Any:
    """Load a tokenizer from a folder, a ``tokenizer.json`` file or the hub; remote code is never run.

    Args:
        path_or_id: a folder that ``save_pretrained`` wrote, a folder with a ``tokenizer.json`` or with
            GPT-2's vocabulary and merges files, such a JSON file itself, or a hub id.

    Returns:
        A transformers tokenizer.

    Raises:
        MireorderError: nothing there can be read as a tokenizer.
    """
    from transformers import AutoTokenizer, GPT2Tokenizer, PreTrainedTokenizerFast

    path = Path(path_or_id)
    try:
        if path.is_file():
            return PreTrainedTokenizerFast(tokenizer_file=str(path))
        if path.is_dir() and not (path / "tokenizer.json").exists():
            for vocabulary, merges in _BPE_FILES:
                described = (path / "tokenizer_config.json").exists()
                if not described and (path / vocabulary).exists() and (path / merges).exists():
                    return GPT2Tokenizer(vocab=str(path / vocabulary), merges=str(path / merges))
        return AutoTokenizer.from_pretrained(str(path_or_id), trust_remote_code=False)
    except Exception as error:  # transformers raises anything from OSError to a bare Exception of its Rust half
        raise MireorderError(
            f"{path_or_id}: no tokenizer can be read here ({type(error).__name__}: {_first_line(error)}); "
            "name a folder with tokenizer.json, or a model id of the Hugging Face hub"
        ) from error


def fingerprint(tokenizer: Any) -> str:
    """Hash what decides how text becomes ids, so that ids cut by one tokenizer never meet another's model.

    Args:
        tokenizer: a transformers tokenizer.

    Returns:
        SHA-256 of the tokenizer's canonical JSON and its EOS token. Padding and truncation are left out:
        they are settings of the moment, and loading or calling a tokenizer changes them.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:  # a tokenizer written in Python
        described = {"class": type(tokenizer).__name__, "vocabulary": tokenizer.get_vocab()}
    else:
        described = json.loads(backend.to_str()) | {"truncation": None, "padding": None}
    canonical = json.dumps([described, tokenizer.eos_token], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def eos_id(tokenizer: Any) -> int:
    """Give the id of the token that ends a completion.

    Args:
        tokenizer: a transformers tokenizer.

    Returns:
        Its EOS id.

    Raises:
        MireorderError: the tokenizer has none, so a model trained with it could never stop.
    """
    if tokenizer.eos_token_id is None:
        raise MireorderError(
            f"tokenizer {tokenizer.name_or_path or type(tokenizer).__name__!r} has no end-of-sequence token, "
            "so a model trained with it would never stop; set eos_token in its tokenizer_config.json"
        )
    return int(tokenizer.eos_token_id)


def encode_prompts(prompts: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """Encode prompts as they stand before a completion: BOS if the tokenizer has the habit, never an EOS.

    Args:
        prompts: the texts.
        tokenizer: a transformers tokenizer.

    Returns:
        One list of ids per prompt.
    """
    opening = _opening(tokenizer)
    return [opening + ids for ids in _bare(prompts, tokenizer)]


def encode(
    prompts: Sequence[str], completions: Sequence[str], tokenizer: Any, first_row: int = 0
) -> tuple[list[list[int]], list[list[int]]]:
    """Encode rows for a causal language model, with the loss on the completion only.

    The prompt and the completion are encoded apart and joined as ids, so no token spans the boundary and
    the model reads in training what it will be given when it generates.

    Args:
        prompts: what the model reads.
        completions: what it must emit, one per prompt.
        tokenizer: a transformers tokenizer that has an EOS token.
        first_row: the number of the first of them, for error messages.

    Returns:
        ``input_ids`` (prompt, completion, EOS) and ``labels`` (-100 on the prompt, the ids elsewhere).

    Raises:
        MireorderError: the tokenizer has no EOS.
        InputError: a row can't be used; see `encode_rows`.
    """
    input_ids, labels, problems = encode_rows(prompts, completions, tokenizer)
    if problems:
        row = min(problems)
        raise InputError(problems[row], row=first_row + row)
    return input_ids, labels


def encode_rows(
    prompts: Sequence[str], completions: Sequence[str], tokenizer: Any
) -> tuple[list[list[int]], list[list[int]], dict[int, str]]:
    """`encode`, and what is wrong with rows that can't be used.

    A row can't be used if its completion holds the end token as text, or if its ids don't decode to its completion:
    an unknown character, a tokenizer that normalises Unicode.

    Args:
        prompts: what the model reads.
        completions: what it must emit, one per prompt.
        tokenizer: a transformers tokenizer that has an EOS token.

    Returns:
        ``input_ids``, ``labels``, and row -> what is wrong and the remedy.

    Raises:
        MireorderError: the tokenizer has no EOS.
    """
    end, problems = eos_id(tokenizer), {}
    tails = _bare(completions, tokenizer)
    for row, (tail, text, back) in enumerate(zip(tails, completions, _decode(tails, tokenizer), strict=True)):
        if end in tail:
            problems[row] = (
                f"the completion {text[:MOST_QUOTED]!r} holds the end token {tokenizer.eos_token!r} itself; remove it "
                "from the target: it is added once, at the end"
            )
        elif back not in (
            text,
            text.removeprefix(" "),
        ):  # a SentencePiece opens words with a space, and drops the first
            problems[row] = _changed("completion", text, back)
    input_ids, labels, _ = join_rows(prompts, tails, tokenizer)
    return input_ids, labels, problems


def join_rows(
    prompts: Sequence[str], completions: Sequence[Sequence[int]], tokenizer: Any
) -> tuple[list[list[int]], list[list[int]], dict[int, str]]:
    """`encode_rows` of completions that are ids already, and stay as they are: `encode_targets` has looked at them.

    Args:
        prompts: what the model reads.
        completions: ids of what it must emit, one list per prompt.
        tokenizer: a transformers tokenizer that has an EOS token.

    Returns:
        ``input_ids``, ``labels``, and no problems.

    Raises:
        MireorderError: the tokenizer has no EOS.
    """
    end, heads = eos_id(tokenizer), encode_prompts(prompts, tokenizer)
    rows = list(zip(heads, completions, strict=True))
    input_ids = [[*head, *tail, end] for head, tail in rows]
    return input_ids, [[IGNORED] * len(head) + [*tail, end] for head, tail in rows], {}


def encode_targets(targets: Sequence[str], tokenizer: Any, start: str) -> tuple[list[list[int]], dict[int, str]]:
    """Cut targets into ids that give them back.

    Args:
        targets: the texts.
        tokenizer: a transformers tokenizer.
        start: the white space that opens a completion. A token may span it and the target's first characters, so
            both are encoded together, as in ordinary training.

    Returns:
        The ids of every completion, and the targets by their number whose ids are of no use: why, and the remedy.
        Some tokenizers normalise what they read (Qwen2.5's to NFC), and a special token as text would end the answer.
    """
    found, special, problems = _bare([start + text for text in targets], tokenizer), special_ids(tokenizer), {}
    for number, (text, ids, back) in enumerate(zip(targets, found, _decode(found, tokenizer), strict=True)):
        if not special.isdisjoint(ids):
            token = tokenizer.convert_ids_to_tokens(next(token for token in ids if token in special))
            problems[number] = f"the target holds the special token {token!r} as text; remove it or pass --reject"
        elif back.removeprefix(start) != text:
            problems[number] = _changed("target", text, back.removeprefix(start))
    return found, problems


def special_ids(tokenizer: Any) -> frozenset[int]:
    """The ids of tokens that are no text, such as the EOS."""
    added = {token for token, described in tokenizer.added_tokens_decoder.items() if described.special}
    return frozenset(added.union(tokenizer.all_special_ids))


def restore_ids(
    ids: Sequence[int], tokenizer: Any, plan: Plan, *, prompt: str | None = None, ends: Collection[int] | None = None
) -> tuple[str, Restored]:
    """Turn what a model emitted behind a prompt into the natural answer.

    Args:
        ids: the emitted tokens; what follows the first end is padding.
        tokenizer: the model's.
        plan: the model's.
        prompt: what it answers; kind ``causal`` needs it.
        ends: tokens that end an answer, such as a chat's end of turn; None takes the tokenizer's EOS.

    Returns:
        The text as it was emitted, and what it restores to. An answer that is whole but was never ended counts as
        cut short: more might have come.
    """
    ends = {eos_id(tokenizer)} if ends is None else ends
    ids = list(ids)
    stop = next((at for at, token in enumerate(ids) if token in ends), None)
    ids = ids[:stop]
    (text,) = _decode([ids], tokenizer)
    restored = plan.restore(text, prompt) if plan.tokenizer is None else _restore_units(ids, tokenizer, plan)
    if restored.verdict == "complete" and stop is None:
        problem = f"no end of the answer within {len(ids)} tokens"
        restored = replace(restored, verdict="cut short", problem=problem)
    return text, restored


def _restore_units(ids: Sequence[int], tokenizer: Any, plan: Plan) -> Restored:
    found = plan.restore_ids(ids)
    (text,) = _decode([found.ids], tokenizer)
    problem, special = found.problem, special_ids(tokenizer).intersection(ids)
    if problem is None and special:
        problem = f"the special token {tokenizer.convert_ids_to_tokens(min(special))!r} stands in the answer"
    # Decoders write U+FFFD for bytes that are no character; a token of that very character comes back as it is.
    if problem is None and "\ufffd" in text and _bare([text], tokenizer) != [found.ids]:
        problem = "the ids in natural order are bytes that make no text"
    verdict = "malformed" if problem else found.verdict
    return Restored(text.removeprefix(plan.completion_start), verdict, problem)


def _changed(what: str, text: str, back: str) -> str:
    at = next((at for at, (a, b) in enumerate(zip(text, back, strict=False)) if a != b), min(len(text), len(back)))
    text, back = text[max(at - MOST_QUOTED // 2, 0) :], back[max(at - MOST_QUOTED // 2, 0) :]
    alike = normalize("NFC", text) == normalize("NFC", back)
    quoted = [ascii(t) if alike else repr(t) for t in (text[:MOST_QUOTED], back[:MOST_QUOTED])]
    remedy = "write targets in Unicode form NFC" if alike else "mend the target"
    return (
        f"the tokenizer turns the {what} {quoted[0]} into {quoted[1]}, so the target could never be restored; "
        f"{remedy}, or take another tokenizer"
    )


def _decode(rows: Sequence[Sequence[int]], tokenizer: Any) -> list[str]:
    # Special tokens stay visible: a dropped <unk> would make a broken answer look whole.
    rows = [list(ids) for ids in rows]
    return list(tokenizer.batch_decode(rows, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")


def _bare(texts: Sequence[str], tokenizer: Any) -> list[list[int]]:
    if not texts:
        return []
    encoded = tokenizer(
        list(texts),
        add_special_tokens=False,
        padding=False,
        truncation=False,
        return_attention_mask=False,
        verbose=False,
    )
    return [list(ids) for ids in encoded["input_ids"]]


def _opening(tokenizer: Any) -> list[int]:
    # What the tokenizer puts before any text is what it adds before this one. Asking it for its BOS would
    # not do:
    # many have one and never write it.
    probe = "0"
    dressed = tokenizer(probe, verbose=False)["input_ids"]
    (bare,) = _bare([probe], tokenizer)
    starts = (at for at in range(len(dressed)) if dressed[at : at + len(bare)] == bare)
    return list(dressed[: next(starts, 0)]) if bare else []
