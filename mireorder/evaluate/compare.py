"""Which order does a model learn best? The same model, rows, seeds and budget, once per order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mireorder.errors import InputError, MireorderError, OutputError
from mireorder.evaluate.held_out import JobData, split_rows, write_job_data
from mireorder.evaluate.outcomes import Outcome, arms_of, outcomes_of
from mireorder.evaluate.results_folder import ResultsFolder, code_version, read_results, working
from mireorder.evaluate.worker import Job, ResultRow, run_all
from mireorder.networks import NTP
from mireorder.ordering.order import Order
from mireorder.ordering.policies import policy_of
from mireorder.reading import Reading
from mireorder.storage import require_local

if TYPE_CHECKING:
    from mireorder.cutting import Cutter
    from mireorder.information.criteria import Criterion
    from mireorder.ordering.plan import Plan
    from mireorder.training.budget import Budget

STEPS, MARKED = 2000, "-marked"
ORDER = re.compile(r"\d+(-\d+)+")  # slots by step


@dataclass(frozen=True)
class Setup:
    """How orders are compared.

    Attributes:
        models: presets (trained from scratch), model folders or hub ids; every arm is trained on each.
        seeds: runs per arm and model; run ``s`` has the same initial weights and row order under every arm.
        budget: steps, batch size and learning rate of each run; its seed is not used. None takes 2,000 steps.
        evaluations: how often each run is measured at most, evenly spread, the last time at its end.
        workers: processes at a time; None takes one per core, on GPUs four per card, or one if a model is not a preset.
        keep_models: keep the first seed's model of each arm, under ``models/`` in the output folder.
        lora: train LoRA adapters instead of all weights; not of presets.
        objectives: what models are trained to predict (names in `OBJECTIVES`); every order is learnt by each. An arm is
            called as its order, and behind ``@`` as its objective if that is not ntp: ``plain@top``.
    """

    models: tuple[str, ...] = ("tiny",)
    seeds: int = 2
    budget: Budget | None = None
    evaluations: int = 20
    workers: int | None = None
    keep_models: bool = False
    lora: bool = False
    objectives: tuple[str, ...] = (NTP,)

    def __post_init__(self) -> None:
        for what in ("seeds", "evaluations", "workers"):
            number = getattr(self, what)
            if number is not None and number < 1:
                raise MireorderError(f"{what} must be at least 1, not {number}")
        for what, names in ("models", self.models), ("objectives", self.objectives):
            if not names or len(set(names)) < len(names):
                raise MireorderError(f"{what} are named once each, at least one, not {', '.join(names) or 'none'}")

    def arms(self, orders: Iterable[str]) -> dict[str, tuple[str, str]]:
        """Name of each arm -> its order and its objective."""
        return arms_of(orders, self.objectives)

    @property
    def model_names(self) -> dict[str, str]:
        """What the files of each model are called: '' for a single one, else as its folder, numbered if two agree."""
        if len(self.models) == 1:
            return {self.models[0]: ""}
        names = [Path(model).resolve().name for model in self.models]
        if len(set(names)) < len(names):
            names = [f"{number}-{name}" for number, name in enumerate(names)]
        return dict(zip(self.models, names, strict=True))


@dataclass(frozen=True)
class Comparison:
    """What a comparison found, and where it lies.

    Attributes:
        folder: ``results.parquet``, ``comparison.json``, the finished ``runs/``, the orders' ``plans/``, ``models/`` if
            kept.
        setup: how the orders were compared; its budget is never None.
        rows: one per run and evaluated step: arm, model, seed, match, step, exact_match, loss, and more
            (`mireorder.evaluate.worker.run`).
        outcomes: one per model and arm, in the order given.
        train_rows: rows each run learnt from.
        held_out_rows: rows it was measured on.
        plans: of the orders.
    """

    folder: Path
    setup: Setup
    rows: list[ResultRow] = field(repr=False)
    outcomes: list[Outcome]
    train_rows: int
    held_out_rows: int
    plans: dict[str, Plan] = field(repr=False)

    @classmethod
    def load(cls, folder: str | Path) -> Comparison:
        """Read a finished comparison.

        Args:
            folder: that `compare` wrote.

        Raises:
            OutputError: it holds no comparison, or one that was not finished or can't be read.
            PlanError: a plan in it can't be read.
        """
        from mireorder.ordering.plan import Plan
        from mireorder.training.budget import Budget

        content, rows = read_results(Path(folder))
        try:
            budget, counted = Budget(**content["budget"]), content["rows"]
            models, seeds = ({row[name]: None for row in rows} for name in ("model", "seed"))
            objectives = tuple(content.get("objectives", [NTP]))
            setup = Setup(
                tuple(models), len(seeds), budget, content["evaluations"], lora=content["lora"], objectives=objectives
            )
            outcomes, sizes = outcomes_of(rows), (int(counted["learnt"]), int(counted["held out"]))
            orders = dict.fromkeys(outcome.order.partition(":")[0] for outcome in outcomes)
        except (KeyError, TypeError, ValueError, IndexError, MireorderError) as error:
            raise OutputError(
                f"{folder}: not a readable comparison ({error!r}); run 'mireorder compare' again"
            ) from None
        plans = {name: Plan.load(Path(folder, "plans", name)) for name in orders}
        return cls(Path(folder), setup, rows, outcomes, *sizes, plans)


def compare(
    data: Any,
    orders: Mapping[str, Order],
    out: str | Path,
    setup: Setup | None = None,
    *,
    reading: Reading,
    cutter: Cutter | str,
    progress: Callable[[ResultRow], None] | None = None,
    **fit_options: Any,
) -> Comparison:
    """Fit and apply each policy to the same data, train the same model on each, and measure.

    The plans see the train split alone; where the data has no test or validation split, a tenth of it is held
    out first. Every arm gets the same slots: digits are padded in plain order too, so that nothing but the
    order differs.

    Args:
        data: what ``mireorder.fit`` takes.
        orders: name of an arm -> what is asked of its order, as `arms` gives them.
        out: folder for the results, new, empty, or of the same comparison, of which only what is missing is run.
        setup: models, seeds, budget.
        reading: which columns are source and target.
        cutter: a cutter or its name.
        progress: called with every row as it is measured.
        **fit_options: what else ``mireorder.fit`` takes.

    Returns:
        The comparison.

    Raises:
        MireorderError: what ``fit`` and ``apply`` raise; fewer than two arms; there is no such model; ``out`` holds
            something else.
    """
    from mireorder.fitting.asked import complete

    setup = settled(setup or Setup())
    _refuse_arms(setup.arms(orders))
    options = {"between": reading.separator or " ", **fit_options, "cutter": complete(cutter, data, reading)}
    if options["cutter"].of_ids:
        raise MireorderError("orders are compared in text form, which tokens do not have; compare those of words")
    split, reading_split = split_rows(data, reading)
    try:
        prepared = prepare(split, orders, reading=reading_split, **options)
    except InputError:
        refuse_rows(data, reading, options["cutter"])
        raise
    return compare_prepared(prepared, out, setup, progress=progress)


def refuse_rows(data: Any, reading: Reading, cutter: Cutter) -> None:
    """Raise InputError if a row can't be cut, with its place in the data as it was given."""
    from mireorder.stages import fit

    try:
        fit(data, reading=reading, cutter=cutter, order=Order("plain", None))
    except InputError as error:
        if error.row is None:
            raise
        problem, _, _ = error.problem.partition(";")  # behind it stands what `fit` offers: to set rows aside
        raise InputError(problem, shard=error.shard, row=error.row, remedy="fix it, or leave the row out") from None


def arms(policies: Sequence[str], criteria: Sequence[Criterion | str] = ("auto",), **asked: Any) -> dict[str, Order]:
    """Name every policy under every criterion; a policy that looks at no scores stands once, under none.

    Args:
        policies: their names as `mireorder.fit` knows them, or an order itself, slots by step: ``2-1-3-0``.
            ``max-marked`` is ``max`` with markers of slots.
        criteria: criteria or their names. Policies that need one of their own take that.
        **asked: what else is asked of each `Order`; an estimator only of those that look at scores.

    Returns:
        Name of the arm -> its order. Of one criterion arms are named as the policies, of several as in ``joint-max``.

    Raises:
        MireorderError: two arms have one name, or policy ``explicit`` is named in place of its order.

    Example:
        >>> list(arms(["plain", "max"], ["joint", "pairwise"]))
        ['plain', 'joint-max', 'pairwise-max']
    """
    found: dict[str, Order] = {}
    for named in policies:
        policy, permutation = named.removesuffix(MARKED), None
        if ORDER.fullmatch(policy):
            policy, permutation = "explicit", [int(slot) for slot in policy.split("-")]
        elif policy == "explicit":
            raise InputError("policy explicit names no order", remedy="write the order itself instead, such as 2-1-3-0")
        row = policy_of(policy)
        own: Sequence[Criterion | str] = ["none"] if not row.choose else ["auto"] if row.criterion else criteria
        for criterion in own:
            of = criterion if isinstance(criterion, str) else criterion.name
            name = f"{of}-{named}" if own is criteria and len(criteria) > 1 else named
            if name in found:
                raise MireorderError(f"{name} is named twice; a comparison needs different policies and criteria")
            choices = asked if row.choose else {what: value for what, value in asked.items() if what != "estimator"}
            marked = named.endswith(MARKED)
            found[name] = Order(policy, criterion, permutation=permutation, markers=marked, **choices)
    return found


def prepare(
    data: Any, orders: Mapping[str, Order], *, reading: Reading, **fit_options: Any
) -> dict[str, tuple[Plan, Any]]:
    """Fit and apply a plan for every arm.

    Args:
        data: what ``mireorder.fit`` takes, with a split to learn from and one to measure on.
        orders: of the arms.
        reading: which columns are source and target.
        **fit_options: what else ``mireorder.fit`` takes.

    Returns:
        Per arm, its plan and a text-form ``DatasetDict``: what `compare_prepared` takes.
    """
    from mireorder.stages import apply, fit

    prepared = {}
    for name, order in orders.items():
        plan = fit(data, reading=reading, order=order, **fit_options)
        prepared[name] = (plan, apply(data, plan, form="text", keep_columns=False))
    return prepared


def compare_prepared(
    prepared: Mapping[str, tuple[Plan, Any]],
    out: str | Path,
    setup: Setup | None = None,
    *,
    progress: Callable[[ResultRow], None] | None = None,
) -> Comparison:
    """Train the same model on datasets that are already reordered, and measure.

    An arm whose rows cost more tokens than another's (markers, leads) is run twice: for as many steps as the others,
    and for as many tokens. An arm of policy ``shuffle`` with markers, of padded digits, learns other orders in each
    epoch, and is in the end also measured as it answers in the plain order, in reverse, by confidence, and in the best
    order of its held-out rows (that of each half is chosen on the other half): one training for all of them.

    Args:
        prepared: per arm, its plan and a text-form ``DatasetDict``; the rows and their order are the same in all. The
            first is what the others are compared to.
        out: folder for the results, new, empty, or of the same comparison: then finished runs are taken over. It may
            have had fewer seeds.
        setup: models, seeds, budget.
        progress: called with every row as it is measured.

    Returns:
        The comparison. Its numbers depend on the data and the setup, not on the number of workers (on a GPU but for the
        last digits).

    Raises:
        MireorderError: fewer than two arms, no such model, different rows, a failed run, or ``out`` holds something
            else; what has changed is named.
    """
    out, setup = require_local(out), settled(setup or Setup())
    _refuse_arms(setup.arms(prepared))
    with working(out, "compare") as scratch:
        assert setup.budget  # noqa: S101 (it is settled)
        seen = setup.budget.steps * setup.budget.batch_size
        data = {
            model: write_job_data(prepared, scratch / str(number), model, seen)
            for number, model in enumerate(setup.models)
        }
        results = ResultsFolder(out, content_of(prepared, data, setup))
        jobs = _jobs(prepared, data, out, setup)
        waiting = [job for job in jobs if not results.is_finished(job)]
        run_all(waiting, setup.workers, progress, results.finish, scratch)
        rows = [row for job in jobs for row in results.rows(job)]
        plans = {order: plan for order, (plan, _) in prepared.items()}
        for order, plan in plans.items():
            plan.save(out / "plans" / order)
        results.write_results(rows)
    first = next(iter(data[setup.models[0]].values()))
    return Comparison(out, setup, rows, outcomes_of(rows), first.train_rows, first.held_out_rows, plans)


def settled(setup: Setup) -> Setup:
    """The setup, with a budget. Raises MireorderError if there is no such model or objective."""
    from mireorder.training.budget import Budget
    from mireorder.training.objectives import refuse_objectives
    from mireorder.training.presets import refuse_dropout, refuse_lora, refuse_unknown

    refuse_objectives(setup.objectives, setup.lora)
    for model in setup.models:
        refuse_unknown(model)
        refuse_dropout(model, setup.budget.dropout if setup.budget else 0.0)
        if setup.lora:
            refuse_lora(model)
    return setup if setup.budget else replace(setup, budget=Budget(steps=STEPS))


def _refuse_arms(names: Iterable[str]) -> None:
    if len(named := list(names)) < 2:
        raise MireorderError(
            f"a comparison needs two or more different policies or objectives, not {', '.join(named) or 'none'}"
        )


def content_of(
    prepared: Mapping[str, tuple[Plan, Any]], data: Mapping[str, Mapping[str, JobData]], setup: Setup
) -> dict[str, Any]:
    """Everything that decides a run's numbers, but its seed."""
    first = next(iter(data[setup.models[0]].values()))
    objectives = {} if setup.objectives == (NTP,) else {"objectives": list(setup.objectives)}
    return objectives | {
        "format": 1,
        "arms": {arm: _plan_content(plan) for arm, (plan, _) in prepared.items()},
        "data": {model: {arm: one.dataset for arm, one in of.items()} for model, of in data.items()},
        "rows": {"learnt": first.train_rows, "held out": first.held_out_rows},
        "budget": asdict(replace(setup.budget, seed=0)),  # type: ignore[type-var, arg-type]
        "evaluations": setup.evaluations,
        "lora": setup.lora,
    }


def _jobs(
    prepared: Mapping[str, tuple[Plan, Any]], data: Mapping[str, Mapping[str, JobData]], out: Path, setup: Setup
) -> list[Job]:
    budget = setup.budget
    assert budget  # noqa: S101 (it is settled)
    jobs, named = [], setup.model_names
    for seed in range(setup.seeds):  # seed by seed, so that the arms of a seed run side by side
        for model, (arm, (order, objective)) in product(setup.models, setup.arms(prepared).items()):
            one = data[model][order]
            saved = out.resolve() / "models" / named[model] / arm
            by_tokens = round(budget.steps * min(other.row_tokens for other in data[model].values()) / one.row_tokens)
            for match, steps in {"steps": budget.steps, "tokens": max(1, by_tokens)}.items():
                if match == "steps" or steps != budget.steps:
                    keep = setup.keep_models and seed == 0 and match == "steps"
                    job = Job(
                        arm=arm,
                        model=model,
                        seed=seed,
                        match=match,
                        data=str(one.folder),
                        budget=asdict(replace(budget, steps=steps)),
                        eval_every=-(-steps // setup.evaluations),
                        origin=origin_of(prepared[order][0], one.dataset),
                        save=str(saved) if keep else None,
                        lora=setup.lora,
                        objective=objective,
                    )
                    jobs.append(job)
    return jobs


def _plan_content(plan: Plan) -> dict[str, Any]:
    """A plan's hash, and in words what most often makes it another one."""
    named = {"policy": plan.policy, "criterion": plan.criterion, "estimator": plan.estimator}
    return named | {"rows": plan.source_fingerprint, "permutation": str(plan.permutation), "plan": plan.sha256}


def origin_of(plan: Plan, dataset: str) -> dict[str, str]:
    """What a run's numbers can be traced to."""
    return {
        "policy": plan.policy,
        "criterion": plan.criterion["name"],
        "estimator": plan.estimator,
        "plan": plan.sha256,
        "dataset": dataset,
        "code": code_version(),
    }
