"""Which order should this data be learnt in? Scores rank the orders; short trainings of the user's model decide.

Scores fail on different data, so two of different kinds name orders in turn: what a network can use, and what is
counted. These orders and the natural one are trained for half of the steps, the better half of them to the end
(`mireorder.evaluate.halving`). Each run is the beginning of the training that follows, with its schedule, and is paused
and taken up again, not begun anew.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from mireorder.errors import InputError
from mireorder.evaluate.compare import Setup, content_of, origin_of, prepare, refuse_rows, settled
from mireorder.evaluate.halving import FEWEST, SHARES, Reached, halving, lead, rungs
from mireorder.evaluate.held_out import JobData, split_rows, write_job_data
from mireorder.evaluate.results_folder import ResultsFolder, working
from mireorder.evaluate.statistics import Interval
from mireorder.evaluate.worker import Job, ResultRow, run_all
from mireorder.files import WORK
from mireorder.fitting.asked import complete
from mireorder.information.criteria import CRITERIA
from mireorder.information.criteria.criterion import Measure
from mireorder.information.criteria.usable import Usable
from mireorder.ordering.best import cost_of, ranked
from mireorder.ordering.order import Order, made
from mireorder.reading import Reading
from mireorder.storage import require_local

if TYPE_CHECKING:
    from mireorder.cutting import Cutter
    from mireorder.cutting.targets import Targets
    from mireorder.fitting.counts import Counts, Tally
    from mireorder.information.criteria import Criterion
    from mireorder.ordering.plan import Plan

FILE, STATES = "search.json", "states"
PLAIN = "plain"
COUNTED = ("pairwise", "presence")
"""Criteria besides `Usable`: of numbers, and of words where the sources hold none."""


@dataclass(frozen=True)
class Contender:
    """An order that was trained.

    Attributes:
        name: its slots by step, ``3-2-1-0``, or ``plain``.
        permutation: slots by step.
        costs: criterion -> bits of an answer; of one that has no costs, less the area under its cumulative scores.
        reached: what it reached, rung by rung.
    """

    name: str
    permutation: tuple[int, ...]
    costs: Mapping[str, float]
    reached: tuple[Reached, ...]

    def as_dict(self) -> dict[str, Any]:
        """For the plan."""
        steps = [
            {"step": at.step, "exact_match": round(at.exact_match, 6), "bits": round(at.bits, 6)} for at in self.reached
        ]
        costs = {name: round(bits, 6) for name, bits in self.costs.items()}
        return {"permutation": list(self.permutation), "costs": costs, "reached": steps}


@dataclass(frozen=True)
class Search:
    """What a search found, and where it lies.

    Attributes:
        folder: the plan, ``results.parquet``, ``search.json`` and the finished ``runs/``.
        plan: of the order that was chosen, with the search as its evidence.
        contenders: the best first: those that were trained furthest stand before the others.
        lead: of the chosen order over the natural one, in exact match, at the last step that both were trained to, with
            a 95% bootstrap interval over the held-out rows.
        chosen: its name. The natural order is kept where the lead of the best is noise.
        scoring_seconds: that the scores took.
        rows: of all runs that were measured.
    """

    folder: Path
    plan: Plan
    contenders: list[Contender]
    lead: Interval
    chosen: str
    scoring_seconds: float
    rows: list[ResultRow]

    @property
    def evidence(self) -> dict[str, Any]:
        """What the plan keeps of the search: model, steps, seeds, budget, trainings spent, and what orders reached."""
        return self.plan.stability.search or {}


def search(
    data: Any,
    out: str | Path,
    *,
    reading: Reading,
    cutter: Cutter | str,
    budget: float = 2.0,
    setup: Setup | None = None,
    criteria: Sequence[Criterion | str] = (),
    progress: Callable[[ResultRow], None] | None = None,
    **options: Any,
) -> Search:
    """Find the order that a model learns best, within a budget.

    The plan is fitted on the train split alone; without a test or validation split, a tenth of it is held out.

    Args:
        data: what ``mireorder.fit`` takes.
        out: folder for the plan and the results: new, empty, or of the same search, of which only what is missing is
            run; its budget may have been another.
        reading: which columns are source and target.
        cutter: a cutter or its name.
        budget: in trainings of the model by the setup; what scores cost is not in it.
        setup: one model, seeds, steps. Run ``s`` has the same initial weights and row order under every order.
        criteria: that name orders in turn, by rank, or their names; by default `Usable` and the first of `COUNTED`.
        progress: called with every row as it is measured.
        **options: what else ``mireorder.count`` takes.

    Returns:
        The search; its plan is written.

    Raises:
        InputError: the budget is below one training, a criterion is named twice, or rows can't be read or cut.
        MireorderError: what ``fit`` and ``apply`` raise; there is no such model; ``out`` holds something else.
    """
    from mireorder.stages import plan_of

    out, setup = require_local(out), settled(setup or Setup(seeds=1))
    cutter = complete(cutter, data, reading)
    _refuse(setup, budget, cutter, criteria)
    options, as_given = {"between": reading.separator or " ", **options, "cutter": cutter}, reading
    split, reading = split_rows(data, reading)
    begun = time.monotonic()
    with working(out, "search"):
        try:
            counts, tallies = _counted(split, criteria, reading=reading, **options)
        except InputError:
            refuse_rows(data, as_given, cutter)
            raise
        orders, costs = _named(counts.targets, tallies, most=int(budget / (SHARES[0] * setup.seeds)) + 1)
        seconds = time.monotonic() - begun
        runs, contenders = _trained(split, orders, costs, budget, out, setup, progress, reading=reading, **options)
        chosen, led = best_or_natural(contenders)
        plan = plan_of(counts, Order(permutation=chosen.permutation, resamples=0))
        stability = replace(plan.stability, search=_evidence(setup, budget, contenders))
        plan = replace(plan, reading=as_given, stability=stability)
        plan.save(out)
        shutil.rmtree(out / STATES, ignore_errors=True)
        runs.results.write_results([{k: v for k, v in row.items() if k not in ("right", "bits")} for row in runs.rows])
    return Search(out, plan, contenders, led, chosen.name, seconds, runs.rows)


def _refuse(setup: Setup, budget: float, cutter: Cutter, criteria: Sequence[Criterion | str]) -> None:
    """Raise InputError for what can be known before networks are trained for scores."""
    if len(setup.models) > 1:
        raise InputError("a search is of one model", remedy="search for each by itself")
    rungs(budget, FEWEST, setup.seeds)
    if _budget(setup).steps < round(1 / SHARES[0]):
        problem = f"{_budget(setup).steps} steps can't be parted"
        raise InputError(problem, remedy="train for 2 or more, better thousands")
    if cutter.of_ids:
        raise InputError("orders of tokens can't be searched", remedy="take units that are text")
    names = [made(criterion, CRITERIA, "criterion").name for criterion in criteria]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"criterion {name} is named twice", remedy="name it once")


def _counted(data: Any, criteria: Sequence[Criterion | str], **options: Any) -> tuple[Counts, list[Tally]]:
    """Counts of the first criterion, and what was counted for each."""
    from mireorder.stages import count

    if criteria:
        every = [count(data, criterion=criterion, tie_breaker=None, **options) for criterion in criteria]
        return every[0], [counts.first for counts in every]
    for second in COUNTED:
        counts = count(data, criterion=Usable(), tie_breaker=second, **options)
        if counts.second and counts.second.problem is None:
            return replace(counts, second=None), [counts.first, counts.second]
    return replace(counts, second=None), [counts.first]


def _trained(
    split: Any,
    orders: Mapping[str, tuple[int, ...]],
    costs: Mapping[str, Mapping[str, float]],
    budget: float,
    out: Path,
    setup: Setup,
    progress: Callable[[ResultRow], None] | None,
    **options: Any,
) -> tuple[_Runs, list[Contender]]:
    """The orders that were trained, the best first."""
    steps = rungs(budget, len(orders), setup.seeds)
    entered = [PLAIN, *(name for name in orders if name != PLAIN)][: steps[0].orders]
    asked = {name: Order(criterion=None, permutation=orders[name]) for name in entered}
    prepared = prepare(split, asked, **options)
    files = write_job_data(prepared, out / WORK, setup.models[0])
    content = content_of({PLAIN: prepared[PLAIN]}, {setup.models[0]: {PLAIN: files[PLAIN]}}, setup)
    runs = _Runs(ResultsFolder(out, content, FILE), prepared, files, setup, progress)
    names, reached = halving(entered, steps, runs.train)
    return runs, [Contender(name, orders[name], costs[name], tuple(reached[name])) for name in names]


def best_or_natural(contenders: Sequence[Contender]) -> tuple[Contender, Interval]:
    """The order to take: the best, but the natural one where the lead over it is noise.

    Args:
        contenders: the best first, the natural order among them.

    Returns:
        The order, and its lead over the natural one at the last step that both were trained to.
    """
    best, plain = contenders[0], next(one for one in contenders if one.name == PLAIN)
    last = min(len(best.reached), len(plain.reached)) - 1
    led = lead(best.reached[last], plain.reached[last])
    if led.low <= 0:
        return plain, Interval(0.0, 0.0, 0.0)
    return best, led


def _named(
    targets: Targets, tallies: Sequence[Tally], most: int
) -> tuple[dict[str, tuple[int, ...]], dict[str, dict[str, float]]]:
    """The orders by name, as the criteria name them in turn, and the natural one; and what each costs by criterion.

    Args:
        targets: how they are cut.
        tallies: of each criterion.
        most: orders that each of them names, at most.
    """
    slots = len(targets.cutter.slots)
    costs = {
        tally.criterion.name: partial(
            _early, tally.measure(targets.radices), Order(criterion=tally.criterion).decisive(tally.criterion)
        )
        for tally in tallies
    }
    lists = [ranked(slots, of, most) for of in costs.values()] if slots > 1 else []
    natural = tuple(range(slots))
    in_turn = [tuple(order) for turn in zip_longest(*lists) for order in turn if order]
    orders = {PLAIN if order == natural else "-".join(map(str, order)): order for order in [*in_turn, natural]}
    return orders, {
        name: {criterion: cost_of(order, of) for criterion, of in costs.items()} for name, order in orders.items()
    }


def _early(measure: Measure, estimator: str, sets: Sequence[Sequence[int]]) -> Any:
    """Costs that rank orders, by sets and slots. Where information adds up to the same in all, early bits count more.

    The sum over the steps is less the area under the cumulative curve (`mireorder.evaluate.orders.area`).
    """
    found = measure.costs(sets, estimator)
    if type(measure).costs is not Measure.costs:
        return found
    slots = found.shape[1]
    return found * [[(slots - len(emitted)) / slots] for emitted in sets]


def _budget(setup: Setup) -> Any:
    assert setup.budget  # noqa: S101 (it is settled)
    return setup.budget


def _evidence(setup: Setup, budget: float, contenders: Sequence[Contender]) -> dict[str, Any]:
    """What the plan keeps of the search."""
    steps = _budget(setup).steps
    return {
        "model": setup.models[0],
        "steps": steps,
        "batch_size": _budget(setup).batch_size,
        "seeds": setup.seeds,
        "held_out": len(contenders[0].reached[0].right),
        "budget": budget,
        "trainings": round(sum(one.reached[-1].step for one in contenders) * setup.seeds / steps, 6),
        "orders": [one.as_dict() for one in contenders],
    }


@dataclass
class _Runs:
    """Trains orders of one search, and keeps what they reach."""

    results: ResultsFolder
    prepared: Mapping[str, tuple[Plan, Any]]
    files: Mapping[str, JobData]
    setup: Setup
    progress: Callable[[ResultRow], None] | None

    def __post_init__(self) -> None:
        self.rows: list[ResultRow] = []

    def train(self, names: Sequence[str], share: float) -> dict[str, Reached]:
        """Train orders to a share of the steps, or take over what is finished."""
        jobs = {name: [self._job(name, seed, share) for seed in range(self.setup.seeds)] for name in names}
        waiting = [job for of in jobs.values() for job in of if not self.results.is_finished(job)]
        run_all(waiting, self.setup.workers, self.progress, self.results.finish, self.results.folder / WORK)
        reached = {}
        for name, of in jobs.items():
            rows = [self.results.rows(job) for job in of]
            ends = [of_seed[-1] for of_seed in rows]
            self.rows += [row for of_seed in rows for row in of_seed]
            right = np.array([row["right"] for row in ends], np.float64).mean(0)
            reached[name] = Reached(ends[0]["step"], right, fmean(fmean(row["bits"]) for row in ends))
        return reached

    def _job(self, name: str, seed: int, share: float) -> Job:
        model, budget, file = self.setup.models[0], _budget(self.setup), self.files[name]
        states = self.results.folder.resolve() / STATES
        return Job(
            arm=name,
            model=model,
            seed=seed,
            match="steps",
            data=str(file.folder),
            budget=asdict(budget),
            eval_every=-(-budget.steps // self.setup.evaluations),
            origin=origin_of(self.prepared[name][0], file.dataset),
            lora=self.setup.lora,
            until=int(budget.steps * share),
            state=str(states / f"{name}-{seed}"),
        )
