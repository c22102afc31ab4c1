"""The report of a comparison: the numbers of its page, with curves, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from mireorder.report.charts import WIDTH, accuracies
from mireorder.report.comparison import (
    by_objective,
    objective_costs,
    orders,
    origins,
    outcome_tables,
    same_tokens,
    warned,
    what_was_done,
)
from mireorder.report.figures import accuracy_curves
from mireorder.report.inline import inline_svg
from mireorder.report.parts import Chart, Command, Notes, Paragraph, Part, Report, Section

if TYPE_CHECKING:
    from mireorder.evaluate.compare import Comparison
    from mireorder.evaluate.outcomes import Outcome


def comparison_report(comparison: Comparison) -> Report:
    """The page of a comparison: orders, curves, tables, accuracy by slot, what to do next.

    Args:
        comparison: what `mireorder.evaluate.compare` gave, or read.

    Raises:
        MireorderError: matplotlib is missing.
    """
    notes = [f"fit {note}" for note in warned(comparison.plans)]
    doubts = [Notes(notes, "doubt")] if notes else []
    table = objective_costs(comparison)
    costs = [table] if table else []
    sections = [
        Section("order", "Which order", [*_verdicts(comparison), orders(comparison.plans), *costs, *doubts]),
        *(_reached(comparison, number, model) for number, model in enumerate(comparison.setup.models)),
        Section("trust", "How sure it is", [Paragraph(what_was_done(comparison))]),
        Section("origins", "Where the numbers come from", [origins(comparison)]),
        Section("next", "What to do next", list(_next(comparison))),
    ]
    about = f"{comparison.folder}: {', '.join(comparison.plans)}; {_rows(comparison)}."
    return Report("Comparison of orders", about, sections)


def _rows(comparison: Comparison) -> str:
    return f"{comparison.train_rows:,} rows to learn from, {comparison.held_out_rows:,} held out"


def _of(comparison: Comparison, model: str) -> list[Outcome]:
    return [outcome for outcome in comparison.outcomes if outcome.model == model]


def _reached(comparison: Comparison, number: int, model: str) -> Section:
    """Curves and tables of a model."""
    outcomes = _of(comparison, model)
    rows = [row for row in comparison.rows if row["model"] == model and row["match"] == "steps"]
    curves = "Held-out answers that are right, over training steps."
    draw = partial(accuracy_curves, rows, width=WIDTH)
    parts: list[Part] = [Chart(inline_svg(draw, curves, f"curves{number}"), curves)]
    first, *others = outcome_tables(outcomes)
    table = by_objective(outcomes)
    parts += [*([table] if table else []), first, *([Paragraph(one)] if (one := same_tokens(outcomes)) else [])]
    by_slot = "Held-out answers that are right at the end, by slot."
    shares = {outcome.arm: list(enumerate(outcome.slot_accuracy)) for outcome in outcomes}
    draw_slots = partial(accuracies, shares, "slot of the natural order")
    if max(map(len, shares.values())) > 1:
        parts.append(Chart(inline_svg(draw_slots, by_slot, f"slots{number}"), by_slot))
    return Section(f"model{number}", f"What model {model} reached", [*parts, *others])


def _verdicts(comparison: Comparison) -> Iterator[Part]:
    """Whether an order leads the first beyond what the seeds can explain."""
    for model in comparison.setup.models:
        first, *others = _of(comparison, model)
        of = f"Model {model}: " if len(comparison.setup.models) > 1 else ""
        if comparison.setup.seeds < 2:
            yield Paragraph(f"{of}There was one seed, which says nothing of how seeds differ.")
            continue
        leading = [o.arm for o in others if o.lead_over_first and o.lead_over_first.low > 0]
        behind = [o.arm for o in others if o.lead_over_first and o.lead_over_first.high < 0]
        same = [o.arm for o in others if o.arm not in (*leading, *behind)]
        said = [(leading, "leads"), (behind, "is behind"), (same, "can't be distinguished from")]
        yield Notes([f"{of}{arm} {verb} {first.arm}." for arms, verb in said for arm in arms])


def _next(comparison: Comparison) -> Iterator[Part]:
    folder, seeds = str(comparison.folder), comparison.setup.seeds
    best = max(comparison.outcomes, key=lambda outcome: outcome.mean)
    lead = best.lead_over_first
    if seeds < 5:
        yield Paragraph(
            f"A seed can matter more than the order: run the same 'mireorder compare' with --seeds {max(5, seeds + 3)} "
            f"and --out {folder}; the runs that are finished are kept."
        )
    if lead is None or lead.low <= 0 or seeds < 2:
        yield Paragraph(f"No order leads {comparison.outcomes[0].arm} beyond doubt: the natural order is the safe one.")
    plan = str(comparison.folder / "plans" / best.order.partition(":")[0])
    yield Command(f"Look at the plan of {best.arm}, which reached most.", ["mireorder", "inspect", plan])
    yield Command(
        f"Write the dataset in the order of {best.arm}.",
        ["mireorder", "apply", "DATA", "--plan", plan, "--out", "rows/"],
    )
