"""The two sentences the whole library says: `fit` a plan to a dataset, `apply` it to a dataset.

The first has a pause in it: what is counted can be kept (`count`, `count_like`), and planned from later (`plan_of`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mireorder.cutting import Cutter
from mireorder.dataset.card import carried_card
from mireorder.dataset.folder import load, write_folder
from mireorder.dataset.forms import FORMS, Form
from mireorder.dataset.groups import kept_of
from mireorder.dataset.reader import Shard, open_shards
from mireorder.dataset.reorder import Reordering, reorder_split
from mireorder.dataset.splits import copied_split, to_count
from mireorder.dataset.writer import in_memory, schema
from mireorder.engine import engine_of
from mireorder.engine.base import Engine
from mireorder.engine.local import Local
from mireorder.errors import InputError
from mireorder.fitting.asked import between_of, completed, reading_of
from mireorder.fitting.copies import with_copies
from mireorder.fitting.counts import Counts
from mireorder.fitting.planning import TieBreaker, plan_from
from mireorder.fitting.scan import Scan
from mireorder.fitting.tally import count_alike, count_for, count_later, count_rows
from mireorder.fitting.tokens import ids_of, loaded, with_tokens
from mireorder.information.criteria import CRITERIA, Criterion
from mireorder.ordering.bundle import AnyPlan
from mireorder.ordering.copying.policies import Copying
from mireorder.ordering.order import Order, made, order_of
from mireorder.ordering.plan import Plan
from mireorder.reading import Reading
from mireorder.serialise import one_of
from mireorder.storage import place
from mireorder.tables import imported
from mireorder.threads import Progress


def fit(
    data: Any,
    *,
    source: str | Sequence[str] | None = None,
    target: str | Sequence[str] | None = None,
    separator: str | None = None,
    reading: Reading | None = None,
    cutter: Cutter | str,
    order: Order | Copying | str = "max",
    between: str | None = None,
    tokenizer: Any = None,
    reject: bool = False,
    max_rejected: int | None = None,
    memory: int | None = None,
    workers: int | None = None,
    engine: Engine | str = "local",
    progress: Progress | None = None,
    kept: str | Path | None = None,
) -> Plan:
    """Find the order of a dataset's targets: read, cut, count, measure, order.

    The plan is the same, bit for bit, for any number of shards and workers and any order of the shards.

    Args:
        data: whatever `open_shards` reads; of several splits, ``train`` is counted.
        source: the column that the model reads; several are joined with a line end.
        target: the column to emit; several are binary label columns.
        separator: for lines of text, what stands between source and target at its first occurrence.
        reading: in place of these three, for those who need more.
        cutter: a cutter or its name (`CUTTERS`).
        order: what is asked of the order; a policy's name stands for ``Order(policy)``.
        between: text between source and target; None takes the separator of line files, else a space.
        tokenizer: a transformers tokenizer, its folder, or its hub id: its tokens are the units of cutter `tokens`. Of
            all others, the plan's warnings say which are not one token each, as the first 10,000 rows show.
        reject: leave rows out that can't be cut, and count them, instead of refusing the input.
        max_rejected: the most rows that may be left out; None sets no bound.
        memory: bytes that counts may take before they go to disk; None sets no bound.
        workers: threads, or of engine ``dask`` processes; None takes one a core.
        engine: where the work is done: ``local``; ``dask``, by processes started for it; or a `Dask` that runs.
        progress: called with the number of rows read, after each batch; the data is read twice or more.
        kept: folder for counts of more than 4 MB of files, from which a run that was killed resumes; None keeps none.

    Raises:
        InputError: the input can't be read, a row can't be cut, or a name is unknown.

    Example:
        >>> from mireorder import Order, fit
        >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
        >>> plan = fit(rows, source="question", target="answer", cutter="digits", order=Order(criterion="pairwise"))
        >>> plan.permutation, plan.in_words
        ([0, 1], '10^1 10^0')
    """
    reading, asked = reading_of(source, target, separator, reading), order_of(order)
    cutter = completed(cutter, shards := open_shards(data, reading), reading, moves=asked.moves)
    between, tokenizer = between_of(between, reading), loaded(tokenizer)
    prepare = ids_of(tokenizer, between) if cutter.of_ids else None
    scan = Scan(to_count(shards), reject, memory, Local(), None, prepare, max_rejected)
    with engine_of(engine, workers) as where:
        plan = where.lead(partial(_planned_by, scan, cutter, asked, reading, between, _absolute(kept)), progress)
    return plan if tokenizer is None else with_tokens(plan, scan.shards, tokenizer)


def _planned_by(
    scan: Scan,
    cutter: Cutter,
    asked: Order,
    reading: Reading,
    between: str,
    kept: Path | None,
    engine: Engine,
    progress: Progress | None,
) -> Plan:
    """`planned`, led by an engine."""
    return planned(replace(scan, engine=engine, progress=progress), cutter, asked, reading, between, kept)


def count(
    data: Any,
    *,
    source: str | Sequence[str] | None = None,
    target: str | Sequence[str] | None = None,
    separator: str | None = None,
    reading: Reading | None = None,
    cutter: Cutter | str,
    criterion: Criterion | str = "joint",
    tie_breaker: str | None = "subset",
    between: str | None = None,
    reject: bool = False,
    max_rejected: int | None = None,
    memory: int | None = None,
    workers: int | None = None,
    engine: Engine | str = "local",
    progress: Progress | None = None,
    kept: str | Path | None = None,
    out: str | Path | None = None,
) -> Counts:
    """Count what `fit` would look at, to be saved, merged and planned from: read, cut, count.

    The tie-breaker is counted too: whether scores tie shows only when they are known. Digits are padded, as they must
    be to be moved; count with ``Digits("left")`` what is to stay in plain order.

    The arguments are those of `fit`, and ``out``, a new or empty folder: counts are saved to it from where they were
    merged, which of engine ``dask`` is one of its workers, and what is returned has no tables (`Counts.load` has them).

    Raises:
        InputError: the input can't be read, a row can't be cut, or a name is unknown.

    Example:
        >>> from mireorder import Digits, count, count_like, plan_of
        >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
        >>> monday = count(rows[:1000], source="question", target="answer", cutter=Digits(width=2))
        >>> tuesday = count_like(rows[1000:], monday)
        >>> plan_of(monday.merge(tuesday)).rows
        1600
    """
    reading = reading_of(source, target, separator, reading)
    first = made(criterion, CRITERIA, "criterion")
    breaker = None if tie_breaker in (None, first.name) else made(str(tie_breaker), CRITERIA, "criterion")
    shards = open_shards(data, reading)
    cutter = completed(cutter, shards, reading)
    if cutter.of_ids:
        raise InputError("ids are counted by fit alone", remedy="pass --cutter=words, or fit with a tokenizer")
    between = between_of(between, reading)
    shards, criteria = to_count(shards), [first, breaker] if breaker else [first]
    scan = Scan(shards, reject, memory, Local(), max_rejected=max_rejected)
    how: dict[str, Any] = {"criteria": criteria, "reading": reading, "between": between, "kept": _part(kept, "counts")}
    work = partial(count_for, cutter=cutter, **how)
    with engine_of(engine, workers) as where:
        return where.lead(partial(_counted_by, scan, work, _absolute(out)), progress)


def count_like(
    data: Any,
    like: Counts,
    *,
    reject: bool = False,
    max_rejected: int | None = None,
    memory: int | None = None,
    workers: int | None = None,
    engine: Engine | str = "local",
    progress: Progress | None = None,
    kept: str | Path | None = None,
    out: str | Path | None = None,
) -> Counts:
    """Count more rows as others were counted, so that both can be merged: nothing is settled anew.

    Args:
        data: whatever `open_shards` reads, in columns of the same names.
        like: counts whose cutter, criteria, words, templates and values are taken over.
        reject: leave rows out that can't be cut, or that these don't cover, and count them.
        max_rejected: the most rows that may be left out; None sets no bound.
        memory: bytes that counts may take before they go to disk; None sets no bound.
        workers: threads, or of engine ``dask`` processes; None takes one a core.
        engine: where the work is done: ``local``; ``dask``, by processes started for it; or a `Dask` that runs.
        progress: called with the number of rows read, after each batch.
        kept: as of `fit`.
        out: as of `count`.

    Raises:
        InputError: the input can't be read, or a row can't be cut or is not covered (an unknown value or label, a
            longer number).
    """
    shards = to_count(open_shards(data, like.reading))
    scan = Scan(shards, reject, memory, Local(), max_rejected=max_rejected)
    work = partial(count_alike, like=like, kept=_part(kept, "counts"))
    with engine_of(engine, workers) as where:
        return where.lead(partial(_counted_by, scan, work, _absolute(out)), progress)


def _counted_by(
    scan: Scan, count: Callable[[Scan], Counts], out: Path | None, engine: Engine, progress: Progress | None
) -> Counts:
    """What is counted, led by an engine; where it is saved, without tables."""
    counts = count(replace(scan, engine=engine, progress=progress))
    if out is None:
        return counts
    counts.save(out)
    return counts.without_tables()


def _absolute(path: str | Path | None) -> Path | None:
    """A path as it is known to workers that stand in another folder."""
    return None if path is None else Path(path).absolute()


def _part(kept: str | Path | None, name: str) -> Path | None:
    """A folder in that of kept counts."""
    return None if kept is None else Path(kept, name).absolute()


def plan_of(counts: Counts, order: Order | str = "max", *, workers: int | None = None) -> Plan:
    """The plan of counts: measure, order. It is the plan that `fit` would make of their rows, byte for byte.

    Args:
        counts: from `count`; they have their own criterion and tie-breaker.
        order: what is asked of the order; its criterion and tie-breaker are not looked at.
        workers: threads; None takes one a core.

    Raises:
        InputError: the counts don't say what the policy needs to know.

    Example:
        >>> from mireorder import count, plan_of
        >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
        >>> counts = count(rows, source="question", target="answer", cutter="digits", criterion="pairwise")
        >>> plan_of(counts, "min").permutation
        [1, 0]
    """
    asked = order_of(order)
    if asked.copying is not None:
        raise InputError("counts say nothing of the words that copies are chosen by", remedy="fit from the data")
    asked.require(counts.first.criterion)
    tally = counts.second
    second = TieBreaker(tally.criterion, lambda: tally, counts.targets.radices) if tally else None
    return plan_from(counts, second, asked, workers)


def apply(
    data: Any,
    plan: AnyPlan,
    *,
    form: str = "text",
    tokenizer: Any = None,
    reserve: bool = False,
    max_tokens: int | None = None,
    stochastok: float | None = None,
    copies: int = 1,
    out: str | Path | None = None,
    returned: bool = True,
    file_format: str = "arrow",
    shard_size: int | None = None,
    reading: Reading | None = None,
    keep_columns: bool = True,
    reject: bool = False,
    max_rejected: int | None = None,
    workers: int | None = None,
    engine: Engine | str = "local",
    progress: Progress | None = None,
) -> Any:
    """Reorder the targets of a dataset by a plan: read, cut, permute, glue, write. Gives a `datasets.DatasetDict`.

    Args:
        data: whatever `open_shards` reads; every split is reordered.
        plan: from `fit` or `fit_by`.
        form: ``text`` (`prompt`, `completion`), ``token`` (`input_ids`, `labels`) or ``teacherless`` (the same).
        tokenizer: for token form: a transformers tokenizer, its folder or hub id; of cutter `tokens`, that of the plan.
        reserve: for token form: make each mark that the plan writes one token, of a tokenizer saved beside the data.
        max_tokens: for token form: the most a row may have, end included. A longer one is refused, or set aside.
        stochastok: for token form: share of tokens that are split at random in two that read the same; published: 0.1.
        copies: times that ``train``, or the only split, is written, each with draws of its own: of orders, of splits.
        out: folder or URL to write to; None keeps the dataset in memory. An interrupted run resumes.
        returned: load what was written, of a URL streamed, else give None; Parquet goes to the cache of `datasets`.
        file_format: of the files in it: ``arrow``, or ``parquet``.
        shard_size: bytes of input for each of them. None parts files of over 256 MB, and joins small ones to 64 MB.
        reading: where the columns have other names than those the plan was fitted on.
        keep_columns: write the other columns of the input, too, as they are, but for those that make source and target.
        reject: set rows aside that can't be cut or encoded (in ``rejected/``, with the reason) instead of refusing.
        max_rejected: the most rows that may be set aside, of all splits; None sets no bound.
        workers: threads, or of engine ``dask`` processes; None takes one a core.
        engine: where shards are written, as of `fit`.
        progress: called with the number of rows written, after each batch.

    Raises:
        InputError: the input can't be read, or a row does not fit the plan.
        PlanError, OutputError: units are ids of another tokenizer, or the form is text; the folder holds other things.

    Example:
        >>> from mireorder import apply, fit
        >>> rows = [{"q": f"{a}+1=", "a": f"{a + 1:02}"} for a in range(40)]
        >>> apply(rows, fit(rows, source="q", target="a", cutter="digits", order="reverse"))["train"]["completion"][0]
        ' 10'
    """
    shards = open_shards(data, reading or plan.reading)
    written = _form(form, plan, tokenizer, reserve, max_tokens, stochastok)
    reordering = _reordering(plan, written, shards, keep_columns, copies, reject, max_rejected, progress)
    return _emitted(reordering, shards, out, engine_of(engine, workers), file_format, shard_size, data, returned)


def _form(name: str, plan: AnyPlan, tokenizer: Any, reserve: bool, max_tokens: int | None, split: float | None) -> Form:
    form: Form = one_of(name, FORMS, "form").made(plan, tokenizer, reserve, max_tokens)
    splitting = "mireorder.dataset.forms.stochastok:SplitTokenForm"
    return form if split is None else imported(splitting).of(form, plan, split)


def _emitted(
    reordering: Reordering,
    shards: list[Shard],
    out: str | Path | None,
    engine: Engine,
    file_format: str,
    shard_size: int | None,
    data: Any,
    returned: bool,
) -> Any:
    """The reordered dataset, in its folder or in memory."""
    if out is None:
        return _in_memory(reordering, shards, engine, file_format)
    with engine:
        write_folder(reordering, shards, place(out), engine, file_format, carried_card(data), shard_size)
    return load(place(out)) if returned else None


def _reordering(
    plan: AnyPlan,
    written: Form,
    shards: list[Shard],
    keep_columns: bool,
    copies: int,
    reject: bool,
    max_rejected: int | None,
    progress: Progress | None,
) -> Reordering:
    """How the shards are reordered."""
    kept = kept_of(((shard.name, shard.others()) for shard in shards), plan, keep_columns)
    copied = copied_split(shards, plan, written, copies)
    return Reordering(plan, written, reject, progress, kept, copies, copied, max_rejected=max_rejected)


def planned(
    scan: Scan, cutter: Cutter, asked: Order, reading: Reading, between: str, kept: str | Path | None = None
) -> Plan:
    """The plan of what is counted of the rows."""
    criterion, breaker = asked.criteria(cutter)
    if criterion is None:
        counts = count_rows(scan, cutter, reading, between)
    else:
        counts = count_for(scan, cutter, [criterion], reading, between, _part(kept, "counts"))
    later = None
    if breaker:
        tally = partial(count_later, scan, counts, breaker, _part(kept, "ties"))  # when the first scores tie
        later = TieBreaker(breaker, tally, counts.targets.radices)
    plan = plan_from(counts, later, asked, scan.engine.threads)
    return with_copies(plan, asked.copying, asked.association, scan) if asked.copying else plan


def _in_memory(reordering: Reordering, shards: Sequence[Shard], engine: Engine, file_format: str) -> Any:
    """The reordered dataset, without a folder."""
    if file_format != "arrow" or not isinstance(engine, Local):
        what = f"{file_format} files are written" if file_format != "arrow" else "rows are brought back from workers"
        raise InputError(f"no {what} without a folder", remedy="pass out")
    splits: dict[str, list[Shard]] = {}
    for shard in shards:
        splits.setdefault(shard.split, []).append(shard)
    bad: list[str] = []
    reordered = {split: reorder_split(reordering, split, of, engine.threads, bad) for split, of in splits.items()}
    return in_memory(schema(reordering.form, reordering.plan, reordering.kept), reordered)
