"""The two sentences the whole library says: `fit` a plan to a dataset, `apply` it to a dataset.

The first has a pause in it: what is counted can be kept (`count`, `count_like`), and planned from later (`plan_of`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mireorder.cutting import CUTTERS, Cutter, Digits, Labels, Tokens
from mireorder.cutting.batches import Prepare, Progress
from mireorder.cutting.positional import Positional
from mireorder.cutting.tokens import with_ids
from mireorder.dataset.folder import load, write_folder
from mireorder.dataset.reader import Shard, label_names, open_shards
from mireorder.dataset.reorder import Reordering, reorder
from mireorder.dataset.writer import FORMS, in_memory, schema
from mireorder.errors import InputError, PlanError
from mireorder.fitting.copies import with_copies
from mireorder.fitting.counts import Counts
from mireorder.fitting.planning import NEEDED, Choices, TieBreaker, one_of, plan_from
from mireorder.fitting.scan import Scan
from mireorder.fitting.tally import count_for, count_later, count_rows
from mireorder.information.association import Associating
from mireorder.information.criteria import CRITERIA, Criterion
from mireorder.ordering.copying.marks import Leads
from mireorder.ordering.copying.policies import AHEAD, Copying
from mireorder.ordering.plan import Plan
from mireorder.ordering.policies import BLIND
from mireorder.reading import Reading
from mireorder.restoring.restorer import split_between

T = TypeVar("T")


def fit(
    data: Any,
    *,
    reading: Reading,
    cutter: Cutter | str,
    criterion: Criterion | Associating | str | None = "auto",
    policy: str | Copying = "max",
    permutation: Sequence[int] | None = None,
    markers: str | None = None,
    estimator: str = "plug-in",
    tie_breaker: str | None = "subset",
    between: str | None = None,
    tokenizer: Any = None,
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
        criterion: a criterion or its name (`CRITERIA`); None or ``none`` counts rows alone, which is all that a policy
            needs that looks at no scores (`BLIND`). ``auto`` takes the one that the policy needs, none for blind
            policies on text, else ``joint``. Policy ``lead`` has one of its own, `Associating`.
        policy: name in `POLICIES`, `BLIND` or `ON_AVERAGE`, or what is copied ahead (`Copying`).
        permutation: the order itself, ``permutation[step] = slot``, for policy ``explicit``.
        markers: write every unit behind a marker of its slot, such as ``⟨{}⟩``, so that any order can be undone; of
            policies that copy, what their copies look like.
        estimator: whose scores decide: a name in `ENTROPIES`; of criterion bigram, ``plug-in`` or ``cross-fitted``. The
            tie-breaker's do too, by plug-in if it has no such estimator.
        tie_breaker: criterion that decides between scores that tie; None takes the lowest slot.
        between: text between source and target; None takes the separator of line files, else a space.
        tokenizer: for cutter `tokens`: a transformers tokenizer, its folder, or its hub id.
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
    copying = _copying(policy)
    if copying is not None:
        policy, markers = copying.policy.name, _marks(copying, markers)
    choices = Choices(str(policy), permutation, markers, estimator, shuffles, resamples, seed)
    cutter = _made(cutter, CUTTERS, "cutter")
    association = criterion if isinstance(criterion, Associating) else None
    if isinstance(criterion, Associating):
        criterion = None
    elif criterion == "auto":
        blind = copying is not None or (policy in BLIND and isinstance(cutter, Positional))
        criterion = NEEDED.get(choices.policy, "none" if blind else "joint")
    criterion, breaker = (None, None) if criterion in (None, "none") else _criteria(criterion, tie_breaker)
    choices.require(criterion)
    cutter = complete(cutter, data, reading, moves=choices.policy != "plain" or markers is not None)
    between = between if between is not None else reading.separator or " "
    prepare, tokenizer_hash = _tokenized(tokenizer, cutter, between)
    scan = Scan(_to_count(open_shards(data, reading)), reject, memory, workers, progress, prepare)
    second = None
    if criterion is None:
        counts = count_rows(scan, cutter, reading, between)
    else:
        counts = count_for(scan, cutter, [criterion], reading, between)
    if breaker:
        second = TieBreaker(breaker, partial(count_later, scan, counts.targets, breaker), counts.targets.radices)
    plan = plan_from(counts, second, choices, workers)
    if copying is not None:
        plan = with_copies(plan, copying, association, scan)
    return replace(plan, tokenizer=tokenizer_hash)


def count(
    data: Any,
    *,
    reading: Reading,
    cutter: Cutter | str,
    criterion: Criterion | str = "joint",
    tie_breaker: str | None = "subset",
    between: str | None = None,
    reject: bool = False,
    memory: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Counts:
    """Count what `fit` would look at, to be saved, merged and planned from: read, cut, count.

    The tie-breaker is counted too: whether scores tie shows only when they are known. Digits are padded, as they must
    be to be moved; count with ``Digits("left")`` what is to stay in plain order.

    The arguments are those of `fit`.

    Raises:
        InputError: the input can't be read, a row can't be cut, or a name is unknown.
    """
    criterion, breaker = _criteria(criterion, tie_breaker)
    cutter = complete(cutter, data, reading)
    if isinstance(cutter, Tokens):
        raise InputError("tokens are counted by fit alone", remedy="pass --cutter words, or fit with a tokenizer")
    between = between if between is not None else reading.separator or " "
    scan = Scan(_to_count(open_shards(data, reading)), reject, memory, workers, progress)
    return count_for(scan, cutter, [criterion, breaker] if breaker else [criterion], reading, between)


def count_like(
    data: Any,
    like: Counts,
    *,
    reject: bool = False,
    memory: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Counts:
    """Count more rows as others were counted, so that both can be merged: nothing is settled anew.

    Args:
        data: whatever `open_shards` reads, in columns of the same names.
        like: counts whose cutter, criteria, words, templates and values are taken over.
        reject: leave rows out that can't be cut, or that these don't cover, and count them.
        memory: bytes that counts may take before they go to disk; None sets no bound.
        workers: threads; None takes one a core.
        progress: called with the number of rows read, after each batch.

    Raises:
        InputError: the input can't be read, or a row can't be cut or is not covered (an unknown value or label, a
            longer number).
    """
    scan = Scan(_to_count(open_shards(data, like.reading)), reject, memory, workers, progress)
    first, second = like.first, like.second
    assert first.sources is not None  # noqa: S101 (there are no counts without)
    counted = scan.count(like.targets, first.criterion, first.sources, like.misfits)
    if second and second.sources:
        second = replace(second, table=scan.count(like.targets, second.criterion, second.sources, like.misfits).table)
    return replace(
        like,
        first=replace(first, table=counted.table),
        second=second,
        rows=counted.rows,
        rejected=counted.rejected,
        present=tuple(counted.present.tolist()),
        fingerprint=counted.fingerprint,
        place="new counts",
    )


def plan_of(
    counts: Counts,
    *,
    policy: str = "max",
    permutation: Sequence[int] | None = None,
    markers: str | None = None,
    estimator: str = "plug-in",
    shuffles: int | None = None,
    resamples: int | None = None,
    seed: int = 0,
    workers: int | None = None,
) -> Plan:
    """The plan of counts: measure, order. It is the plan that `fit` would make of their rows, byte for byte.

    The other arguments are those of `fit`.

    Raises:
        InputError: a name is unknown.
    """
    if _copying(policy) is not None:
        raise InputError("counts say nothing of the words that copies are chosen by", remedy="fit from the data")
    choices = Choices(policy, permutation, markers, estimator, shuffles, resamples, seed)
    choices.require(counts.first.criterion)
    tally = counts.second
    second = TieBreaker(tally.criterion, lambda: tally, counts.targets.radices) if tally else None
    return plan_from(counts, second, choices, workers)


def apply(
    data: Any,
    plan: Plan,
    *,
    form: str = "text",
    tokenizer: Any = None,
    reserve: bool = False,
    max_tokens: int | None = None,
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
        tokenizer: for token form: a transformers tokenizer, its folder, or its hub id. A plan of cutter `tokens` takes
            only token form, and only the tokenizer it was fitted with.
        reserve: for token form: make each mark that the plan writes one token, of a copy of the tokenizer that is saved
            beside the data.
        max_tokens: for token form: the most a row may have, prompt, completion and end together, so that no trainer
            has to cut it. A longer row is refused, or set aside; None sets no bound. In another order a row may have
            another number of tokens.
        out: folder to write to; None keeps the dataset in memory. An interrupted run is taken up again.
        reading: where the columns have other names than those the plan was fitted on.
        reject: set rows aside that can't be cut or encoded (in ``rejected/``, with the reason) instead of refusing.
        workers: threads; None takes one a core.
        progress: called with the number of rows written, after each batch.

    Returns:
        A `datasets.DatasetDict` with `permutation`, `row_id` and the natural `target` beside the form's columns.

    Raises:
        InputError: the input can't be read, or a row does not fit the plan.
        PlanError: the plan's units are ids of another tokenizer, or the form is text.
        OutputError: the folder holds something else.
    """
    one_of(form, FORMS, "form")
    shards = open_shards(data, reading or plan.read_by)
    if max_tokens is not None and (form != "token" or max_tokens < 1):
        problem = f"at most {max_tokens} tokens a row leave none" if form == "token" else "text form counts no tokens"
        raise InputError(problem, remedy="pass --max-tokens with --form token, 1 or more")
    encode, prepare, tokenizer_hash = None, None, None
    if form == "text" and plan.tokenizer is not None:
        raise PlanError("the plan's units are token ids, which have no text form; pass --form token --tokenizer ...")
    if form != "token" and (reserve or tokenizer is not None):
        what = "no tokens to reserve" if reserve else "no use for a tokenizer"
        raise InputError(f"text form has {what}", remedy="pass --form token --tokenizer ...")
    if form == "token":
        from mireorder.tokenizing import reserved, tokens

        if tokenizer is None:
            raise InputError("token form needs a tokenizer", remedy="pass --tokenizer, a folder or a hub id")
        tokenizer = tokens.load_tokenizer(tokenizer) if isinstance(tokenizer, str | Path) else tokenizer
        tokenizer = reserved.reserve(tokenizer, plan) if reserve else tokenizer
        encoder = tokens.Encoder.of(tokenizer)
        encode = encoder.encode
        if plan.tokenizer is not None:
            encode = encoder.join
            prepare, tokenizer_hash = _tokenized(tokenizer, plan.cut, plan.between)
            plan.require_tokenizer(str(tokenizer_hash))
    reordering = Reordering(plan, encode, reject, progress, max_tokens, prepare)
    if out is None:
        splits: dict[str, list[Any]] = {}
        for shard in shards:
            splits.setdefault(shard.split, []).extend(reorder(reordering, shard, workers).batches)
        return in_memory(schema(form, plan), splits)
    companion = None
    if form == "token":
        companion = partial(tokens.save_beside, tokenizer)
        tokenizer_hash = tokenizer_hash or tokens.fingerprint(tokenizer)
    write_folder(reordering, shards, Path(out), tokenizer_hash, workers, companion)
    return load(Path(out))


def _tokenized(tokenizer: Any, cutter: Cutter, between: str) -> tuple[Prepare | None, str | None]:
    """What gives the targets of a batch their ids, and the tokenizer's hash; None of both for cutters of text.

    Raises:
        InputError: there is no tokenizer where one is needed, or one where none is.
    """
    if not isinstance(cutter, Tokens):
        if tokenizer is not None:
            raise InputError(f"cutter {cutter.name} takes no tokenizer", remedy="leave it out, or pass --cutter tokens")
        return None, None
    if tokenizer is None:
        raise InputError("cutter tokens needs a tokenizer", remedy="pass --tokenizer, a folder or a hub id")
    from mireorder.tokenizing import tokens

    tokenizer = tokens.load_tokenizer(tokenizer) if isinstance(tokenizer, str | Path) else tokenizer
    encode = partial(tokens.encode_targets, tokenizer=tokenizer, start=split_between(between)[1])
    return partial(with_ids, encode=encode), tokens.fingerprint(tokenizer)


def _copying(policy: str | Copying) -> Copying | None:
    """What is copied ahead; None where units are moved."""
    if isinstance(policy, Copying):
        return policy
    return Copying(AHEAD[policy]()) if policy in AHEAD else None


def _marks(copying: Copying, markers: str | None) -> str | None:
    if not copying.marks and markers is not None:
        raise InputError("bare copies have no marks", remedy="leave out --markers, or --bare")
    return (markers or Leads().template) if copying.marks else None


def complete(cutter: Cutter | str, data: Any, reading: Reading, *, moves: bool = True) -> Cutter:
    """A cutter with the options that follow from the input: label names, no padding where nothing moves.

    Args:
        cutter: a cutter or its name.
        data: whatever `open_shards` reads.
        reading: which columns are source and target.
        moves: whether units are moved, or marked.

    Raises:
        InputError: there is no such cutter, or the data can't be opened.
    """
    cutter = _made(cutter, CUTTERS, "cutter")
    if isinstance(cutter, Labels) and cutter.names is None:
        names = reading.target if len(reading.target) > 1 else label_names(data, reading)
        return replace(cutter, names=names) if names else cutter
    if isinstance(cutter, Digits) and cutter.align is None:
        # Padding gives every row the same slots to move. In plain order nothing moves: targets stay as they are.
        return replace(cutter, align="pad" if moves else "left")
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


def _criteria(criterion: Criterion | str, tie_breaker: str | None) -> tuple[Criterion, Criterion | None]:
    """Criterion and tie-breaker; None where that would be the same."""
    first = _made(criterion, CRITERIA, "criterion")
    return first, None if tie_breaker in (None, first.name) else _made(str(tie_breaker), CRITERIA, "criterion")


def _made(given: T | str, known: Mapping[str, type[T]], what: str) -> T:
    return one_of(given, known, what)() if isinstance(given, str) else given
