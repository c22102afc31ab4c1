"""The two sentences the whole library says: `fit` a plan to a dataset, `apply` it to a dataset."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mireorder.cutting import CUTTERS, Cutter, Digits, Labels
from mireorder.cutting.rows import Progress
from mireorder.dataset.folder import load, write_folder
from mireorder.dataset.reader import Shard, label_names, open_shards
from mireorder.dataset.reading import Reading
from mireorder.dataset.reorder import Reordering, reorder
from mireorder.dataset.writer import FORMS, in_memory
from mireorder.engine.passes import Passes
from mireorder.errors import InputError
from mireorder.information.criteria import CRITERIA, Criterion, Measure, Scores
from mireorder.information.estimators import ESTIMATORS
from mireorder.information.significance import significance
from mireorder.ordering.plan import Plan, describe_cutter, permutations_by_length
from mireorder.ordering.policies import BLIND, POLICIES, order
from mireorder.ordering.stability import Stability, stability

T = TypeVar("T")


def fit(
    data: Any,
    *,
    reading: Reading,
    cutter: Cutter | str,
    criterion: Criterion | str = "joint",
    policy: str = "max",
    estimator: str = "plug-in",
    tie_breaker: str | None = "subset",
    between: str | None = None,
    shuffles: int | None = None,
    resamples: int | None = None,
    seed: int = 0,
    reject: bool = False,
    memory: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Find the order of a dataset's targets: read, cut, count, measure, order.

    The plan is the same, bit for bit, for any number of shards and workers and any order of the shards.

    Args:
        data: whatever `open_shards` reads; of several splits, ``train`` is counted.
        reading: which columns are source and target.
        cutter: a cutter or its name (`CUTTERS`).
        criterion: a criterion or its name (`CRITERIA`).
        policy: name in `POLICIES`.
        estimator: ``plug-in`` or ``miller-madow``; whose scores decide.
        tie_breaker: criterion that decides between scores that tie; None takes the lowest slot.
        between: text between source and target; None takes the separator of line files, else a space.
        shuffles: shuffled targets that each score is tested against; None draws enough to tell all slots from noise,
            0 tests none.
        resamples: bootstrap resamples of the counts that show how sure the order is; None draws up to 100, 0 none.
        seed: of random orders, shuffles and resamples.
        reject: leave rows out that can't be cut, and count them, instead of refusing the input.
        memory: bytes that counts may take before they go to disk; None sets no bound.
        workers: threads; None takes one a core.
        progress: called with the number of rows read, after each batch; the data is read twice or more.

    Raises:
        InputError: the input can't be read, a row can't be cut, or a name is unknown.
    """
    chosen = _one_of(policy, POLICIES, "policy")
    _one_of(estimator, ESTIMATORS, "estimator")
    for what, number in ("shuffles", shuffles), ("resamples", resamples):
        if number is not None and number < 0:
            raise InputError(f"{number} {what} can't be drawn", remedy="take 0 for none, or leave it out")
    criterion = _made(criterion, CRITERIA, "criterion")
    breaker = None if tie_breaker in (None, criterion.name) else _made(str(tie_breaker), CRITERIA, "criterion")
    open_cutter = complete(cutter, data, reading, policy)
    shards = _to_count(open_shards(data, reading))
    passes = Passes(shards, open_cutter, criterion, reject, memory, workers, progress)
    second = _TieBreaker(replace(passes, criterion=breaker)) if breaker else None
    measure, settled = passes.measure, passes.cutter
    found = order(
        chosen,
        len(settled.slots),
        measure.scores,
        second.scores if second else None,
        tie_breaker=breaker.name if breaker else "",
        estimator=estimator,
        seed=seed,
    )
    tested = significance(measure, shuffles, seed)
    steady = Stability()
    if policy not in BLIND:
        other = second.measure if second else None
        steady = stability(found.permutation, chosen, measure, other, resamples=resamples, seed=seed, workers=workers)
    return Plan(
        library=f"mireorder {version('mireorder')}",
        reading=asdict(reading) | {k: list(v) for k, v in asdict(reading).items() if isinstance(v, tuple)},
        between=between if between is not None else reading.separator or " ",
        cutter=describe_cutter(settled),
        criterion=_described(criterion),
        estimator=estimator,
        tie_breaker=breaker.name if breaker else None,
        policy=policy,
        kind=settled.kind,
        seed=seed,
        units=list(settled.slots),
        permutation=found.permutation,
        permutations=permutations_by_length(settled, found.permutation),
        scores=[_rounded(s.by(estimator)) for s in found.scores],
        scores_plug_in=[_rounded(s.plug_in) for s in found.scores],
        scores_corrected=[_rounded(s.corrected) for s in found.scores],
        noise=[_rounded(s.noise) for s in found.scores],
        support=[s.support.tolist() for s in found.scores],
        significance=tested.as_dict(),
        stability=steady.as_dict(),
        ties=[asdict(tie) | {"slots": list(tie.slots)} for tie in found.ties],
        warnings=measure.warnings
        + (second.warnings if second else [])
        + tested.warnings(settled.slots)
        + steady.warnings,
        rows=passes.counted.rows,
        rejected=passes.counted.rejected,
        source_fingerprint=f"{passes.counted.fingerprint:016x}",
    )


def apply(
    data: Any,
    plan: Plan,
    *,
    form: str = "text",
    tokenizer: Any = None,
    out: str | Path | None = None,
    reading: Reading | None = None,
    reject: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Any:
    """Reorder the targets of a dataset by a plan: read, cut, permute, glue, write.

    Args:
        data: whatever `open_shards` reads; every split is reordered.
        plan: from `fit`.
        form: ``text`` (`prompt`, `completion`) or ``token`` (`input_ids`, `labels`).
        tokenizer: for token form: a transformers tokenizer, its folder, or its hub id.
        out: folder to write to; None keeps the dataset in memory. An interrupted run is taken up again.
        reading: where the columns have other names than those the plan was fitted on.
        reject: set rows aside that can't be cut (in ``rejected/``, with the reason) instead of refusing.
        workers: threads; None takes one a core.
        progress: called with the number of rows written, after each batch.

    Returns:
        A `datasets.DatasetDict` with `permutation`, `row_id` and the natural `target` beside the form's columns.

    Raises:
        InputError: the input can't be read, or a row does not fit the plan.
        OutputError: the folder holds something else.
    """
    _one_of(form, FORMS, "form")
    shards = open_shards(data, reading or plan.read_by)
    encode, tokenizer_hash = None, None
    if form == "token":
        from mireorder.sft import tokens

        if tokenizer is None:
            raise InputError("token form needs a tokenizer", remedy="pass --tokenizer, a folder or a hub id")
        tokenizer = tokens.load_tokenizer(tokenizer) if isinstance(tokenizer, str | Path) else tokenizer
        encode, tokenizer_hash = partial(tokens.encode, tokenizer=tokenizer), tokens.fingerprint(tokenizer)
    reordering = Reordering(plan, encode, reject, progress)
    if out is None:
        splits: dict[str, list[Any]] = {}
        for shard in shards:
            splits.setdefault(shard.split, []).extend(reorder(reordering, shard).batches)
        return in_memory(form, splits)
    companion = partial(_save_tokenizer, tokenizer) if form == "token" else None
    write_folder(reordering, shards, Path(out), tokenizer_hash, workers, companion)
    return load(Path(out))


def _save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """The tokenizer beside the ids it made, whole or not at all."""
    part = folder / ".tokenizer.part"
    if not (folder / "tokenizer").exists():
        shutil.rmtree(part, ignore_errors=True)
        tokenizer.save_pretrained(str(part))
        part.rename(folder / "tokenizer")


class _TieBreaker:
    """The second criterion. It is counted when the first tie is met, and not at all without one."""

    def __init__(self, passes: Passes) -> None:
        self._passes, self._unfit, self.warnings = passes, False, list[str]()
        self.measure: Measure | None = None
        """Once it is counted."""

    def scores(self, emitted: Sequence[int]) -> Scores | None:
        """Its scores; None if it can't score these sources."""
        if self._unfit:
            return None
        try:
            self.measure = self._passes.measure
            return self.measure.scores(emitted)
        except InputError as error:
            self._unfit = True
            name = self._passes.criterion.name
            self.warnings.append(f"ties are broken by the lowest slot: {name} can't score this data ({error.problem})")
            return None


def complete(cutter: Cutter | str, data: Any, reading: Reading, policy: str) -> Cutter:
    """A cutter with the options that follow from input and policy: label names, no padding where nothing moves.

    Args:
        cutter: a cutter or its name.
        data: whatever `open_shards` reads.
        reading: which columns are source and target.
        policy: name in `POLICIES`.

    Raises:
        InputError: there is no such cutter, or the data can't be opened.
    """
    cutter = _made(cutter, CUTTERS, "cutter")
    if isinstance(cutter, Labels) and cutter.names is None:
        names = reading.target if len(reading.target) > 1 else label_names(data, reading)
        return replace(cutter, names=names) if names else cutter
    if isinstance(cutter, Digits) and cutter.align is None:
        # Padding gives every row the same slots to move. In plain order nothing moves: targets stay as they are.
        return replace(cutter, align="left" if policy == "plain" else "pad")
    return cutter


def _to_count(shards: list[Shard]) -> list[Shard]:
    """The shards of the split that is counted: the only one, or ``train``."""
    splits = {shard.split for shard in shards}
    if len(splits) == 1:
        return shards
    if "train" not in splits:
        raise InputError(
            f"there are several splits and none is called train: {', '.join(sorted(splits))}",
            remedy="name the one to count, as in train=FILE",
        )
    return [shard for shard in shards if shard.split == "train"]


def _one_of(name: str, known: Mapping[str, T], what: str) -> T:
    if name not in known:
        raise InputError(f"there is no {what} {name!r}", remedy=f"the {what} is one of {', '.join(known)}")
    return known[name]


def _made(given: T | str, known: Mapping[str, type[T]], what: str) -> T:
    return _one_of(given, known, what)() if isinstance(given, str) else given


def _described(criterion: Criterion) -> dict[str, Any]:
    return {"name": criterion.name} | asdict(criterion)  # type: ignore[call-overload]


def _rounded(values: NDArray[np.float64]) -> list[float | None]:
    """Scores for the plan: 12 decimals, None where there is none."""
    return [None if np.isnan(v) else round(float(v), 12) + 0.0 for v in values]
