"""Which order does a model learn best? The same model, rows, seeds and budget, once per policy."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from mireorder.dataset.reading import Reading
from mireorder.errors import MireorderError
from mireorder.evaluate.held_out import split_rows, write_job_data
from mireorder.evaluate.runs import Job, Row, run_all
from mireorder.files import require_empty

if TYPE_CHECKING:
    from mireorder.cutting import Cutter
    from mireorder.ordering.plan import Plan
    from mireorder.sft.budget import Budget


@dataclass(frozen=True)
class Setup:
    """How policies are compared.

    Attributes:
        model: a preset (trained from scratch), a model folder or a hub id.
        seeds: runs per policy; run ``s`` has the same initial weights and row order under every policy.
        budget: steps, batch size and learning rate of each run; its seed is not used. None takes 2,000 steps.
        evaluations: how often each run is measured, evenly spread, the last time at its end.
        workers: processes at a time; None takes one per core.
        keep_models: keep the first seed's model of each policy, under ``models/`` in the output folder.
    """

    model: str = "tiny"
    seeds: int = 2
    budget: Budget | None = None
    evaluations: int = 20
    workers: int | None = None
    keep_models: bool = False

    def __post_init__(self) -> None:
        if self.seeds < 1 or self.evaluations < 1:
            raise MireorderError(f"seeds ({self.seeds}) and evaluations ({self.evaluations}) must be at least 1")


@dataclass(frozen=True)
class Outcome:
    """What one policy reached at the end of its runs.

    Attributes:
        policy: its name.
        exact_match: of the restored held-out answers, one value per seed.
        loss: mean training loss over the last stretch, over all seeds.
    """

    policy: str
    exact_match: tuple[float, ...]
    loss: float

    @property
    def mean(self) -> float:
        """Mean exact match over the seeds."""
        return fmean(self.exact_match)


@dataclass(frozen=True)
class Comparison:
    """What a comparison found, and where it lies.

    Attributes:
        folder: ``results.parquet``, ``README.md``, ``accuracy.png`` if matplotlib is there, ``models/`` if
            kept.
        rows: one per policy, seed and evaluated step: policy, seed, step, exact_match, loss, and more.
        outcomes: one per policy, in the order given.
        train_rows: rows each run learnt from.
        held_out_rows: rows it was measured on.
        picture: ``accuracy.png``, or None.
    """

    folder: Path
    rows: list[Row] = field(repr=False)
    outcomes: list[Outcome]
    train_rows: int
    held_out_rows: int
    picture: Path | None


def compare(
    data: Any,
    policies: Sequence[str],
    out: str | Path,
    setup: Setup | None = None,
    *,
    reading: Reading,
    cutter: Cutter | str,
    progress: Callable[[Row], None] | None = None,
    **fit_options: Any,
) -> Comparison:
    """Fit and apply each policy to the same data, train the same model on each, and measure.

    The plans see the train split alone; where the data has no test or validation split, a tenth of it is held
    out first. Every policy gets the same slots: digits are padded in plain order too, so that nothing but the
    order differs.

    Args:
        data: what ``mireorder.fit`` takes.
        policies: names of two or more policies.
        out: new or empty folder for the results.
        setup: model, seeds, budget.
        reading: which columns are source and target.
        cutter: a cutter or its name.
        progress: called with every row as it is measured.
        **fit_options: what else ``mireorder.fit`` takes: criterion, estimator ...

    Returns:
        The comparison.

    Raises:
        MireorderError: what ``fit`` and ``apply`` raise; fewer than two policies; ``out`` is not empty.
    """
    from mireorder.cutting import Tokens
    from mireorder.stages import apply, complete, fit

    _refuse(policies, Path(out))
    options = {"between": reading.separator or " ", **fit_options, "cutter": complete(cutter, data, reading)}
    if isinstance(options["cutter"], Tokens):
        raise MireorderError("orders are compared in text form, which tokens do not have; compare those of words")
    data, reading = split_rows(data, reading)
    prepared = {}
    for policy in policies:
        plan = fit(data, policy=policy, reading=reading, **options)
        prepared[policy] = (plan, apply(data, plan, form="text"))
    return compare_prepared(prepared, out, setup, progress=progress)


def compare_prepared(
    prepared: Mapping[str, tuple[Plan, Any]],
    out: str | Path,
    setup: Setup | None = None,
    *,
    progress: Callable[[Row], None] | None = None,
) -> Comparison:
    """Train the same model on datasets that are already reordered, and measure.

    Args:
        prepared: per policy, its plan and a text-form ``DatasetDict``; the rows and their order are the
            same in all.
        out: new or empty folder for the results.
        setup: model, seeds, budget.
        progress: called with every row as it is measured.

    Returns:
        The comparison. Its numbers depend on the data and the setup, not on the number of workers.

    Raises:
        MireorderError: fewer than two policies, different rows, a failed run, or ``out`` is not empty.
    """
    out, setup = Path(out), setup or Setup()
    _refuse(list(prepared), out)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mireorder-") as scratch:
        learnt, measured = write_job_data(prepared, Path(scratch), setup.model)
        jobs = _jobs(list(prepared), Path(scratch), out, setup)
        rows = run_all(jobs, Path(scratch), setup.workers, progress)
    outcomes = [_outcome(policy, rows) for policy in prepared]
    picture = _draw(rows, out / "accuracy.png")
    comparison = Comparison(out, rows, outcomes, learnt, measured, picture)
    _write(comparison, setup)
    return comparison


def _refuse(policies: Sequence[str], out: Path) -> None:
    if len(policies) < 2 or len(set(policies)) < len(policies):
        raise MireorderError(f"a comparison needs two or more different policies, not {', '.join(policies) or 'none'}")
    require_empty(out)


def _jobs(policies: Sequence[str], scratch: Path, out: Path, setup: Setup) -> list[Job]:
    from mireorder.sft.budget import Budget

    budget = setup.budget or Budget(steps=2000)
    return [
        Job(
            policy=policy,
            seed=seed,
            model=setup.model,
            data=str(scratch / policy),
            budget=asdict(budget),
            eval_every=max(1, budget.steps // setup.evaluations),
            save=str((out / "models" / policy).resolve()) if setup.keep_models and seed == 0 else None,
        )
        for seed in range(setup.seeds)  # seed by seed, so that the policies of a seed run side by side
        for policy in policies
    ]


def _outcome(policy: str, rows: Sequence[Row]) -> Outcome:
    last = [row for row in rows if row["policy"] == policy and row["step"] == row["steps"]]
    return Outcome(policy, tuple(row["exact_match"] for row in last), fmean(row["loss"] for row in last))


def _draw(rows: Sequence[Row], path: Path) -> Path | None:
    from mireorder.report.figures import accuracy_curves

    if find_spec("matplotlib") is None:  # the numbers are worth having without their picture
        return None
    accuracy_curves(rows, path)
    return path


def _write(comparison: Comparison, setup: Setup) -> None:
    import polars as pl

    flat = [row | {"verdicts": json.dumps(row["verdicts"])} for row in comparison.rows]
    pl.DataFrame(flat, infer_schema_length=None).write_parquet(comparison.folder / "results.parquet")
    lines = [
        "# Comparison of orders",
        "",
        f"Model `{setup.model}`, {setup.seeds} seed(s) per policy, {comparison.train_rows:,} rows to learn "
        f"from, exact match of restored answers on {comparison.held_out_rows:,} held-out rows. Within a "
        "seed, every policy has the same initial weights and row order.",
        "",
        "| policy | exact match | lowest | highest | training loss |",
        "|---|---|---|---|---|",
    ]
    for outcome in comparison.outcomes:
        low, high = min(outcome.exact_match), max(outcome.exact_match)
        lines.append(f"| {outcome.policy} | {outcome.mean:.1%} | {low:.1%} | {high:.1%} | {outcome.loss:.3f} |")
    if comparison.picture is not None:
        lines += ["", "![accuracy over steps](accuracy.png)"]
    lines += ["", "`results.parquet` has one row per policy, seed and evaluated step."]
    (comparison.folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
