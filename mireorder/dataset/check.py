"""Check: prove on every row of a dataset that its order can be undone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from mireorder.cutting.cut import FixedCutter
from mireorder.cutting.rows import Progress
from mireorder.dataset import manifest
from mireorder.dataset.folder import load
from mireorder.errors import OutputError
from mireorder.files import file_sha256
from mireorder.ordering.permutation import invert, is_permutation
from mireorder.ordering.plan import Plan

MOST_FAILURES = 20
_BATCH_ROWS = 10_000
_IGNORED = -100
LAWS = {
    "files": "every file is there, with the SHA-256 and the plan of the manifest",
    "rows": "every split has the rows of the manifest, and no row_id twice",
    "permutation": "the permutation holds every slot once",
    "moved": "emitted units put back by the permutation give the natural target",
    "restored": "the completion alone, restored by the plan, gives the natural target byte for byte",
    "labels": "token form: -100 on the prompt, then the ids themselves, one EOS and last",
    "tokenizer": "token form: the tokenizer beside the data is the one that the plan's units come from",
}


@dataclass
class Checked:
    """What was checked.

    Attributes:
        folder: the dataset.
        form: ``text`` or ``token``.
        rows: split -> rows looked at.
        passed: law -> how often it was found to hold (see `LAWS`).
        failed: law -> how often it was broken.
        failures: the first breaches, with their rows.
    """

    folder: str
    form: str
    rows: dict[str, int] = field(default_factory=dict)
    passed: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every law held wherever it was looked at."""
        return not self.failed

    def note(self, law: str, place: str, problem: str | None) -> None:
        """Count a law as held (no problem) or broken."""
        if problem is None:
            self.passed[law] += 1
            return
        self.failed[law] += 1
        if len(self.failures) < MOST_FAILURES:
            self.failures.append(f"{place}: {problem}")


def check(folder: str | Path, progress: Progress | None = None) -> Checked:
    """Prove the laws of `LAWS` on every row of a reordered dataset.

    Args:
        folder: what `apply` wrote.
        progress: called with the number of rows checked, after each batch.

    Raises:
        OutputError: the folder holds no finished dataset.
        PlanError: it holds no readable plan.
    """
    path = Path(folder)
    plan, entries = Plan.load(path), manifest.read(path)
    if not entries:
        load(path)
        raise OutputError(f"{path}: has no {manifest.FILE}; write it again with 'mireorder apply'")
    checked = Checked(str(path), entries[0].form)
    if not _check_files(checked, path, plan, entries):
        return checked  # rows of damaged files can't be read, nor believed
    dataset = load(path)
    _check_sizes(checked, entries, {split: len(rows) for split, rows in dataset.items()})
    tokenizer = _tokenizer(checked, plan, path) if checked.form == "token" else None
    seen: set[str] = set()
    for split, rows in dataset.items():
        checked.rows[split] = len(rows)
        for batch in rows.iter(batch_size=_BATCH_ROWS):
            if plan.tokenizer is None:
                _check_rows(checked, plan, batch, _completions(batch, tokenizer))
            else:
                _check_ids(checked, plan, batch, tokenizer)
            if tokenizer is not None:
                _check_labels(checked, batch, tokenizer.eos_token_id)
            counts = Counter(batch["row_id"])
            twice = [row_id for row_id in counts if counts[row_id] > 1 or row_id in seen]
            seen.update(counts)
            checked.note("rows", split, f"row_id {twice[0]} stands twice" if twice else None)
            if progress:
                progress(len(batch["row_id"]))
    return checked


def _check_files(checked: Checked, folder: Path, plan: Plan, entries: Sequence[manifest.Entry]) -> bool:
    """Whether every file is whole."""
    wholly = True
    for entry in entries:
        path = folder / entry.output
        whole = path.exists() and file_sha256(path) == entry.output_sha256
        wholly &= whole
        same_plan = entry.plan_sha256 == plan.sha256
        problem = "was made by another plan" if whole and not same_plan else None
        if not whole:
            problem = "is altered; no rows were checked" if path.exists() else "is missing; no rows were checked"
        checked.note("files", entry.output, problem)
    return wholly


def _check_sizes(checked: Checked, entries: Sequence[manifest.Entry], rows: dict[str, int]) -> None:
    for split in rows | {entry.split: 0 for entry in entries}:
        found, listed = rows.get(split, 0), sum(entry.rows for entry in entries if entry.split == split)
        problem = None if found == listed else f"has {found} rows, the manifest says {listed}"
        checked.note("rows", split, problem)


def _check_rows(checked: Checked, plan: Plan, batch: dict[str, Any], completions: Sequence[str]) -> None:
    rows = zip(batch["row_id"], completions, batch["permutation"], batch["target"], strict=True)
    for row_id, completion, permutation, target in rows:
        sound = is_permutation(permutation)
        checked.note("permutation", row_id, None if sound else f"{permutation} is no permutation")
        moved = _put_back(plan, completion, permutation) if sound else None
        checked.note("moved", row_id, None if moved == target else f"put back {moved!r}, the target is {target!r}")
        restored = plan.restore(completion)
        good = restored.verdict == "complete" and restored.text == target
        problem = f"{completion!r} restores to {restored.text!r} ({restored.verdict}), the target is {target!r}"
        checked.note("restored", row_id, None if good else problem)


def _put_back(plan: Plan, completion: str, permutation: Sequence[int]) -> str | None:
    """The natural target by the row's own permutation, or None if it does not fit the completion."""
    units = plan.cut.split(completion.removeprefix(plan.completion_start)).units
    if len(units) != len(permutation):
        return None
    natural = [""] * len(units)
    for unit, slot in zip(units, permutation, strict=True):
        natural[slot] = unit
    slots = cast(FixedCutter, plan.cut).present(len(units)) if plan.kind == "fixed" else range(len(units))
    return plan.cut.glue(slots, natural)


def _check_ids(checked: Checked, plan: Plan, batch: dict[str, Any], tokenizer: Any) -> None:
    """`_check_rows` for units that are ids: what comes back is decoded, and nothing is encoded again."""
    from mireorder.sft.tokens import restore_ids

    rows = zip(batch["row_id"], batch["labels"], batch["permutation"], batch["target"], strict=True)
    for row_id, labels, permutation, target in rows:
        emitted = [label for label in labels if label != _IGNORED]
        units, text = emitted[:-1], plan.completion_start + target
        sound = is_permutation(permutation)
        checked.note("permutation", row_id, None if sound else f"{permutation} is no permutation")
        moved = None
        if sound and len(permutation) == len(units):
            natural = [units[step] for step in invert(permutation)]
            moved = tokenizer.decode(natural, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        checked.note("moved", row_id, None if moved == text else f"put back {moved!r}, the target is {text!r}")
        _, restored = restore_ids(emitted, tokenizer, plan)
        good = restored.verdict == "complete" and restored.text == target
        problem = f"{units} restores to {restored.text!r} ({restored.verdict}), the target is {target!r}"
        checked.note("restored", row_id, None if good else problem)


def _tokenizer(checked: Checked, plan: Plan, folder: Path) -> Any:
    from mireorder.sft.tokens import fingerprint, load_tokenizer

    tokenizer = load_tokenizer(folder / "tokenizer")
    if plan.tokenizer is not None:
        same = fingerprint(tokenizer) == plan.tokenizer
        checked.note("tokenizer", str(folder / "tokenizer"), None if same else "is not the plan's")
    return tokenizer


def _completions(batch: dict[str, Any], tokenizer: Any) -> list[str]:
    """Completions as text; from the labels in token form, without the prompt and the EOS."""
    if tokenizer is None:
        return list(batch["completion"])
    ids = [[i for i in labels if i != _IGNORED][:-1] for labels in batch["labels"]]
    return list(tokenizer.batch_decode(ids, clean_up_tokenization_spaces=False))


def _check_labels(checked: Checked, batch: dict[str, Any], eos: int) -> None:
    for row_id, ids, labels in zip(batch["row_id"], batch["input_ids"], batch["labels"], strict=True):
        start = next((at for at, label in enumerate(labels) if label != _IGNORED), len(labels))
        problem = None
        if len(ids) != len(labels) or labels[start:] != ids[start:]:
            problem = "labels are not -100 on the prompt and the ids behind it"
        elif labels.count(eos) != 1 or labels[-1] != eos:
            problem = "the completion does not end with its only EOS"
        checked.note("labels", row_id, problem)
