"""Prompts and completions to ``input_ids`` and ``labels``: cut once, loss on the completion, one EOS last."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self
from unicodedata import normalize

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.arrays import list_array, list_offsets
from mireorder.cutting.batches import Prepare
from mireorder.cutting.tokens import with_ids
from mireorder.errors import InputError, MireorderError
from mireorder.jit import kernel
from mireorder.ordering.bundle import AnyPlan, Bundle
from mireorder.ordering.plan import Plan
from mireorder.restoring.restorer import split_between
from mireorder.restoring.units import Restored
from mireorder.storage import fetched, is_local, place, put
from mireorder.tokenizing.ids import bare_ids, decode, flat, opening
from mireorder.tokenizing.light import load_light

MOST_QUOTED = 60

# Byte-level BPE as its authors published it, without a tokenizer.json: (vocabulary, merges).
_BPE_FILES = [("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt")]


def load_tokenizer(path_or_id: str | Path) -> Any:
    """Load a tokenizer from a folder, a ``tokenizer.json`` file or the hub; remote code is never run.

    Args:
        path_or_id: a folder that ``save_pretrained`` wrote, a folder with a ``tokenizer.json`` or with
            GPT-2's vocabulary and merges files, such a JSON file itself, or a hub id.

    Returns:
        A transformers tokenizer; where transformers is not installed, a `LightTokenizer` of a ``tokenizer.json``.

    Raises:
        MireorderError: nothing there can be read as a tokenizer.
    """
    if not is_local(place(path_or_id)):
        with fetched(place(path_or_id)) as here:
            return load_tokenizer(here)
    if find_spec("transformers") is None:
        return load_light(path_or_id)
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


def save_beside(tokenizer: Any, folder: Path) -> None:
    """Save a tokenizer beside the ids it made, as ``tokenizer/``, whole or not at all; one that is there stays."""
    if not is_local(folder):
        with tempfile.TemporaryDirectory(prefix="mireorder-") as here:
            tokenizer.save_pretrained(here)
            put(Path(here), folder / "tokenizer")
        return
    part = folder / ".tokenizer.part"
    if not (folder / "tokenizer").exists():
        shutil.rmtree(part, ignore_errors=True)
        tokenizer.save_pretrained(str(part))
        part.rename(folder / "tokenizer")


def fingerprint(tokenizer: Any) -> str:
    """Hash what decides how text becomes ids, so that ids cut by one tokenizer never meet another's model.

    Args:
        tokenizer: a transformers tokenizer.

    Returns:
        SHA-256 of the tokenizer's JSON and its EOS token. Padding and truncation are left out:
        they are settings of the moment, and loading or calling a tokenizer changes them.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:  # a tokenizer written in Python
        described = json.dumps([type(tokenizer).__name__, tokenizer.get_vocab()], sort_keys=True)
    else:
        described = backend.to_str()
        described = described[described.index('"added_tokens"') :]  # version, truncation and padding come before
    return hashlib.sha256(f"{described}{tokenizer.eos_token}".encode("utf-8", "surrogatepass")).hexdigest()


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
    start = opening(tokenizer)
    return [start + ids for some in bare_ids(prompts, tokenizer) for ids in some]


def encode(
    prompts: Sequence[str], completions: Sequence[str], tokenizer: Any, first_row: int = 0
) -> tuple[list[list[int]], list[list[int]]]:
    """`Encoder.encode` as Python lists, of rows that can all be used.

    Args:
        prompts: what the model reads.
        completions: what it must emit, one per prompt.
        tokenizer: a transformers tokenizer that has an EOS token.
        first_row: the number of the first of them, for error messages.

    Raises:
        MireorderError: the tokenizer has no EOS.
        InputError: a row can't be used.
    """
    texts = (pa.array(column, pa.string()) for column in (prompts, completions))
    input_ids, labels, problems = Encoder.of(tokenizer).encode(*texts)
    if problems:
        row = min(problems)
        raise InputError(problems[row], row=first_row + row)
    return input_ids.to_pylist(), labels.to_pylist()


@dataclass(frozen=True)
class Encoder:
    """A tokenizer ready for the rows of a causal language model; threads may share it.

    Attributes:
        tokenizer: a transformers tokenizer.
        opening: int32, what it puts before a prompt (BOS, or nothing).
        end: its EOS id.
    """

    tokenizer: Any
    opening: NDArray[np.int32]
    end: int

    @classmethod
    def of(cls, tokenizer: Any) -> Self:
        """Of a transformers tokenizer. Raises MireorderError if it has no EOS."""
        end = eos_id(tokenizer)
        return cls(tokenizer, np.array(opening(tokenizer), np.int32), end)

    def encode(
        self, prompts: pa.StringArray, completions: pa.StringArray
    ) -> tuple[pa.ListArray, pa.ListArray, dict[int, str]]:
        """Encode rows, with the loss on the completion only.

        The prompt and the completion are encoded apart and joined as ids, so no token spans the boundary and
        the model reads in training what it will be given when it generates.

        Args:
            prompts: what the model reads.
            completions: what it must emit, one per prompt.

        Returns:
            ``input_ids`` (prompt, completion, EOS) and ``labels`` (-100 on the prompt, the ids elsewhere), list<int32>;
            and row -> what is wrong and the remedy, for rows that can't be used: the completion holds the end token as
            text, or its ids don't decode to it (an unknown character, a tokenizer that normalises Unicode).
        """
        texts, back = completions.to_pylist(), list[str]()

        def read_back() -> Iterator[list[list[int]]]:
            for rows in bare_ids(texts, self.tokenizer):
                back.extend(decode(rows, self.tokenizer))
                yield rows

        offsets, ids = flat(read_back())
        early = np.searchsorted(offsets, np.flatnonzero(ids == self.end), "right") - 1
        problems = {row: self._holds_end(texts[row]) for row in early.tolist()}
        for row, (text, again) in enumerate(zip(texts, back, strict=True)):
            if text != again and text.removeprefix(" ") != again:  # a SentencePiece drops the first space
                problems.setdefault(row, _changed("completion", text, again))
        input_ids, labels, _ = self.join(prompts, list_array(offsets, pa.array(ids)))
        return input_ids, labels, problems

    def join(
        self, prompts: pa.StringArray, completions: pa.ListArray
    ) -> tuple[pa.ListArray, pa.ListArray, dict[int, str]]:
        """`encode` of completions that are ids already, and stay as they are: `encode_targets` has looked at them.

        Args:
            prompts: what the model reads.
            completions: ids of what it must emit, list<int32>, one list per prompt.

        Returns:
            ``input_ids``, ``labels``, and no problems.
        """
        head_offsets, heads = flat(bare_ids(prompts.to_pylist(), self.tokenizer))
        tail_offsets, tails = list_offsets(completions), completions.flatten().to_numpy()
        offsets = head_offsets + tail_offsets + np.arange(len(head_offsets)) * (len(self.opening) + 1)
        input_ids, labels = np.empty((2, offsets[-1]), np.int32)
        _lay_out(self.opening, head_offsets, heads, tail_offsets, tails, self.end, input_ids, labels)
        return list_array(offsets, pa.array(input_ids)), list_array(offsets, pa.array(labels)), {}

    def _holds_end(self, completion: str) -> str:
        return (
            f"the completion {completion[:MOST_QUOTED]!r} holds the end token {self.tokenizer.eos_token!r} itself; "
            "remove it from the target: it is added once, at the end"
        )


def encode_targets(targets: Sequence[str], tokenizer: Any, start: str) -> tuple[list[list[int]], dict[int, str]]:
    """Cut targets into ids that give them back.

    Args:
        targets: the texts.
        tokenizer: a transformers tokenizer.
        start: the white space that opens a completion. A token may span it and the target's first characters, so
            both are encoded together, as in ordinary training.

    Returns:
        The ids of every completion, and the targets by their number whose ids can't be used: why, and the remedy.
        Some tokenizers normalise what they read (Qwen2.5's to NFC), and a special token as text would end the answer.
    """
    found = [ids for some in bare_ids([start + text for text in targets], tokenizer) for ids in some]
    special, problems = special_ids(tokenizer), {}
    for number, (text, ids, back) in enumerate(zip(targets, found, decode(found, tokenizer), strict=True)):
        if not special.isdisjoint(ids):
            token = tokenizer.convert_ids_to_tokens(next(token for token in ids if token in special))
            problems[number] = f"the target holds the special token {token!r} as text; remove it or pass --reject"
        elif back.removeprefix(start) != text:
            problems[number] = _changed("target", text, back.removeprefix(start))
    return found, problems


def prepared(tokenizer: Any, between: str) -> Prepare:
    """What adds the ids of targets to a batch, for a cutter whose units are ids.

    Args:
        tokenizer: a transformers tokenizer.
        between: text between source and target.
    """
    encode = partial(encode_targets, tokenizer=tokenizer, start=split_between(between)[1])
    return partial(with_ids, encode=encode)


def special_ids(tokenizer: Any) -> frozenset[int]:
    """The ids of tokens that are not text, such as the EOS."""
    added = {token for token, described in tokenizer.added_tokens_decoder.items() if described.special}
    return frozenset(added.union(tokenizer.all_special_ids))


def restore_ids(
    ids: Sequence[int], tokenizer: Any, plan: AnyPlan, *, prompt: str | None = None, ends: Collection[int] | None = None
) -> tuple[str, Restored]:
    """`restore_all_ids` of one answer."""
    prompts = None if prompt is None else [prompt]
    (text,), (restored,) = restore_all_ids([ids], tokenizer, plan, prompts=prompts, ends=ends)
    return text, restored


def restore_all_ids(
    emitted: Sequence[Sequence[int]],
    tokenizer: Any,
    plan: AnyPlan,
    *,
    prompts: Sequence[str] | None = None,
    groups: Sequence[str | None] | None = None,
    ends: Collection[int] | None = None,
) -> tuple[list[str], list[Restored]]:
    """Turn what a model emitted behind prompts into natural answers.

    Args:
        emitted: the tokens of each answer; what follows the first end is padding.
        tokenizer: the model's.
        plan: the model's.
        prompts: what they answer; kind ``causal`` needs them.
        groups: of a bundle, their groups; None where prompts say them.
        ends: tokens that end an answer, such as a chat's end of turn; None takes the tokenizer's EOS.

    Returns:
        The texts as they were emitted, and what they restore to. An answer that is whole but was never ended counts as
        cut short: more might have come.
    """
    ends = {eos_id(tokenizer)} if ends is None else ends
    stops = [next((at for at, token in enumerate(ids) if token in ends), None) for ids in emitted]
    rows = [list(ids)[:stop] for ids, stop in zip(emitted, stops, strict=True)]
    texts = decode(rows, tokenizer)
    if isinstance(plan, Bundle):
        restored = list(plan.restore_all(texts, prompts, groups))
    elif plan.tokenizer is not None:
        restored = [_restore_units(ids, tokenizer, plan) for ids in rows]
    else:
        restored = list(plan.restore_all(texts, prompts))
    for row, (ids, stop) in enumerate(zip(rows, stops, strict=True)):
        if stop is None and restored[row].verdict == "complete":
            problem = f"no end of the answer within {len(ids)} tokens"
            restored[row] = replace(restored[row], verdict="cut short", problem=problem)
    return texts, restored


def _restore_units(ids: Sequence[int], tokenizer: Any, plan: Plan) -> Restored:
    found = plan.restore_ids(ids)
    (text,) = decode([found.ids], tokenizer)
    problem, special = found.problem, special_ids(tokenizer).intersection(ids)
    if problem is None and special:
        problem = f"the special token {tokenizer.convert_ids_to_tokens(min(special))!r} stands in the answer"
    # Decoders write U+FFFD for bytes that form no character; a token of that very character comes back as it is.
    if problem is None and "\ufffd" in text and list(bare_ids([text], tokenizer)) != [[found.ids]]:
        problem = "the ids in natural order are bytes that make no text"
    verdict = "malformed" if problem else found.verdict
    return Restored(text.removeprefix(plan.completion_start), verdict, problem)


def _changed(what: str, text: str, back: str) -> str:
    at = next((at for at, (a, b) in enumerate(zip(text, back, strict=False)) if a != b), min(len(text), len(back)))
    text, back = text[max(at - MOST_QUOTED // 2, 0) :], back[max(at - MOST_QUOTED // 2, 0) :]
    alike = normalize("NFC", text) == normalize("NFC", back)
    quoted = [ascii(t) if alike else repr(t) for t in (text[:MOST_QUOTED], back[:MOST_QUOTED])]
    remedy = "write targets in Unicode form NFC" if alike else "fix the target"
    return (
        f"the tokenizer turns the {what} {quoted[0]} into {quoted[1]}, so the target could never be restored; "
        f"{remedy}, or take another tokenizer"
    )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")


@kernel
def _lay_out(
    opening: NDArray[np.int32],
    head_offsets: NDArray[np.int64],
    heads: NDArray[np.int32],
    tail_offsets: NDArray[np.int64],
    tails: NDArray[np.int32],
    end: int,
    input_ids: NDArray[np.int32],
    labels: NDArray[np.int32],
) -> None:
    """Write opening, head, tail and end of every row; labels are `IGNORED` up to the tail."""
    to = 0
    for row in range(len(head_offsets) - 1):
        start = to
        for i in range(len(opening)):
            input_ids[to + i] = opening[i]
        to += len(opening)
        for at in range(head_offsets[row], head_offsets[row + 1]):
            input_ids[to] = heads[at]
            to += 1
        labels[start:to] = -100
        start = to
        for at in range(tail_offsets[row], tail_offsets[row + 1]):
            input_ids[to] = tails[at]
            to += 1
        input_ids[to] = end
        to += 1
        labels[start:to] = input_ids[start:to]
