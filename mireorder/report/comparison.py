"""A comparison as a page and as a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from math import isnan, nan
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table

from mireorder.dataset.card import code
from mireorder.evaluate.outcomes import GOAL, Outcome
from mireorder.evaluate.statistics import Interval
from mireorder.files import write_text
from mireorder.networks import NTP
from mireorder.ordering.policies import POLICIES
from mireorder.report.parts import Cell, Grid

if TYPE_CHECKING:
    from mireorder.evaluate.compare import Comparison
    from mireorder.ordering.plan import Plan

NONE_RIGHT = "no answer is right yet, so there is nothing to compare: train longer, with more --steps"
_HASH = 64  # digits of a SHA-256, of which the first twelve are shown
_MOST_PLACES = 12  # slots or steps that a table shows
_MARKS = re.compile(r"[\\`|<\[\]*~]|(?<![^\W_])_|_(?![^\W_])|(?<=\w)://|&(?=#?\w+;)")


def write_report(comparison: Comparison) -> list[Path]:
    """Write the page of a comparison into its folder, ``README.md``, and the curves it shows.

    Args:
        comparison: what `mireorder.evaluate.compare` gave.

    Returns:
        The pictures, a PNG per model; none without matplotlib: the numbers are worth having without them.
    """
    pictures = _draw(comparison) if find_spec("matplotlib") else []
    write_text(comparison.folder / "README.md", comparison_page(comparison, pictures))
    return pictures


def _draw(comparison: Comparison) -> list[Path]:
    from mireorder.report.figures import accuracy_curves

    paths = []
    for model, name in comparison.setup.model_names.items():
        rows = [row for row in comparison.rows if row["model"] == model and row["match"] == "steps"]
        path = comparison.folder / (f"accuracy-{name}.png" if name else "accuracy.png")
        accuracy_curves(rows, path, f"Held-out answers that are right, model {model}" if name else None)
        paths.append(path)
    return paths


def comparison_page(comparison: Comparison, pictures: Sequence[Path]) -> str:
    """What was done, what came out, where every number comes from.

    Args:
        comparison: what `mireorder.evaluate.compare` gave.
        pictures: that the page shows, beside it.
    """
    lines = ["# Comparison of orders", "", what_was_done(comparison)]
    lines += ["", *_orders(comparison.plans)]
    if costs := objective_costs(comparison):
        lines += ["", *_markdown(costs)]
    for model in comparison.setup.models:
        lines += ["", f"## Model {code(model)}", "", *_tables([o for o in comparison.outcomes if o.model == model])]
    lines += [] if any(any(one.exact_match) for one in comparison.outcomes) else ["", in_markdown(NONE_RIGHT)]
    lines += [f"\n![accuracy over steps]({path.name})" for path in pictures]
    lines += ["", "## Where the numbers come from", "", *_markdown(origins(comparison))]
    lines += [
        "",
        "`results.parquet` has one row per run and evaluated step, with the plan's and the dataset's hash, the version "
        "of the code and the seed. `runs/` holds the same run by run: run the command again to fill in what is "
        "missing, with more seeds if you like.",
    ]
    return "\n".join(lines) + "\n"


def what_was_done(comparison: Comparison) -> str:
    """How the orders were compared, and what the numbers are."""
    setup, budget = comparison.setup, comparison.setup.budget
    assert budget  # noqa: S101 (it is settled)
    names = {"weight decay": budget.weight_decay, "dropout": budget.dropout}
    regularised = "".join(f"{name} {number:g}, " for name, number in names.items() if number)
    return (
        f"{setup.seeds} seed(s) per order, {budget.steps:,} steps of {budget.batch_size} rows, learning rate "
        f"{budget.learning_rate or 'by default'}, {regularised}{comparison.train_rows:,} rows to learn from, exact "
        f"match of restored answers on {comparison.held_out_rows:,} held-out rows (of more, about 1,000 are drawn). "
        "Within a seed, every order has the same initial weights and row order. In brackets, 95% bootstrap intervals "
        "over the seeds (of few seeds, too narrow). The lead over the first order is the mean difference to it, seed "
        "by seed, in points."
    )


def _orders(plans: Mapping[str, Plan]) -> list[str]:
    notes = [f"- `fit` {in_markdown(note)}" for note in warned(plans)]
    return [*_markdown(orders(plans)), *([""] if notes else []), *notes]


def orders(plans: Mapping[str, Plan]) -> Grid:
    """What the orders are."""
    rows = [[arm, _in_short(plan), str(len(plan.ties))] for arm, plan in plans.items()]
    return grid_of(
        "", ("order", "slots, as they are emitted (0 is the first of the natural order)", "ties"), rows, left=2
    )


def warned(plans: Mapping[str, Plan]) -> list[str]:
    """What `fit` warned of, and of which orders: what follows its name."""
    found: dict[str, list[str]] = {}
    for arm, plan in plans.items():
        for warning in plan.warnings:
            found.setdefault(warning, []).append(arm)
    return [f"warns of {', '.join(arms)}: {warning}" for warning, arms in found.items()]


def _in_short(plan: Plan) -> str:
    if plan.kind not in ("fixed", "set") or POLICIES[plan.policy].rows:
        return plan.in_words
    more = " ..." if len(plan.permutation) > _MOST_PLACES else ""
    return " ".join(map(str, plan.permutation[:_MOST_PLACES])) + more


def comparison_view(comparison: Comparison) -> RenderableType:
    """Exact match reached by each order."""
    title = f"exact match of restored answers, {comparison.held_out_rows:,} held-out rows"
    models = list(dict.fromkeys(outcome.model for outcome in comparison.outcomes))
    tables = []
    for model in models:
        table = Table(title=title + (f", model {model}" if len(models) > 1 else ""), title_justify="left")
        outcomes = [outcome for outcome in comparison.outcomes if outcome.model == model]
        longest = max(len(name) for outcome in outcomes for name in outcome.arm.split("+"))
        table.add_column(_HEAD[0], overflow="fold", min_width=min(longest + 2, 24))  # it names the row
        for number, name in enumerate(_HEAD[1:]):
            table.add_column(name, justify="right", no_wrap=number < 2)
        for outcome in outcomes:
            name, *cells = _cells(outcome)
            table.add_row(name.replace("+", " + "), *cells)  # so that several names wrap
        tables.append(table)
    return Group(*tables, *([] if any(any(one.exact_match) for one in comparison.outcomes) else [NONE_RIGHT]))


_HEAD = ("order", "exact match", "lead over the first", "each seed (%)", f"steps to {GOAL:.0%}")


def _cells(outcome: Outcome) -> list[str]:
    return [
        outcome.arm,
        _match(outcome),
        _lead(outcome.lead_over_first, outcome),
        " ".join(f"{100 * value:.1f}" for value in outcome.exact_match),
        _reached(outcome),
    ]


def _tables(outcomes: Sequence[Outcome]) -> list[str]:
    first, *others = outcome_tables(outcomes)
    lines = _markdown(first)
    if table := by_objective(outcomes):
        lines = [*_markdown(table), "", *lines]
    if one := same_tokens(outcomes):
        lines += ["", one]
    for table in others:
        lines += ["", f"{table.title}:", "", *_markdown(table)]
    return lines


def _markdown(table: Grid) -> list[str]:
    return markdown_table(table.head, [[in_markdown(cell.text) for cell in row] for row in table.rows])


def same_tokens(outcomes: Sequence[Outcome]) -> str:
    """Says so where all orders took the same number of tokens."""
    if len({outcome.tokens for outcome in outcomes}) > 1:
        return ""
    return f"Every order took the same number of tokens: {outcomes[0].tokens:,.0f} a run."


def outcome_tables(outcomes: Sequence[Outcome]) -> Iterator[Grid]:
    """What the orders reached on one model: exact match, the same by tokens, accuracy by slot and by token."""
    yield grid_of("exact match of restored answers", _HEAD, map(_cells, outcomes))
    if not same_tokens(outcomes):
        rows = [[o.arm, f"{o.tokens:,.0f}", f"{fmean(o.at_tokens):.1%}", _lead(o.lead_at_tokens, o)] for o in outcomes]
        title = "After the same number of tokens, that of the order with the shortest rows"
        yield grid_of(title, ("order", "tokens of all steps", "exact match", "lead over the first"), rows)
    for what, lists in (
        ("slot of the natural order (of answers that are whole)", [outcome.slot_accuracy for outcome in outcomes]),
        ("emitted token (of all answers, the end included)", [outcome.step_accuracy for outcome in outcomes]),
    ):
        places = min(_MOST_PLACES, max(map(len, lists)))
        rows = [
            [outcome.arm, *("" if isnan(value) else f"{value:.1%}" for value in _padded(values, places))]
            for outcome, values in zip(outcomes, lists, strict=True)
        ]
        yield grid_of(f"Right at the end, by {what}", ["order", *map(str, range(places))], rows)


def by_objective(outcomes: Sequence[Outcome]) -> Grid | None:
    """What each order reached under each objective, on one model; None where there is one objective."""
    objectives = list(dict.fromkeys(outcome.objective for outcome in outcomes))
    if len(objectives) < 2:
        return None
    found = {(outcome.order, outcome.objective): outcome for outcome in outcomes}
    orders = dict.fromkeys(outcome.order for outcome in outcomes)
    rows = [
        [order, *(_match(found[order, name]) if (order, name) in found else "" for name in objectives)]
        for order in orders
    ]
    return grid_of("exact match of restored answers, by order and objective", ["order", *objectives], rows)


def _match(outcome: Outcome) -> str:
    return f"{outcome.interval.value:.1%}" + _spread(outcome.interval, outcome, ".1f")


def objective_costs(comparison: Comparison) -> Grid | None:
    """What objectives cost, on the first order; None where ntp is the only one."""
    if comparison.setup.objectives == (NTP,):
        return None
    rows = {(row["model"], row["objective"]): row for row in reversed(comparison.rows)}
    cells = [
        [name, model, f"{row['parameters']:,}", f"{row['extra_parameters']:,}", f"{row['operations']:,}"]
        for (model, name), row in reversed(rows.items())
    ]
    head = ("objective", "model", "parameters", "and while it learns", "operations of a step")
    return grid_of("What the objectives cost, on the first order", head, cells, left=2)


def _padded(values: Sequence[float], places: int) -> list[float]:
    return [*values, *[nan] * places][:places]


def grid_of(title: str, head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> Grid:
    """A table of plain cells."""
    return Grid(title, head, [[Cell(text) for text in row] for row in rows], left=left)


def origins(comparison: Comparison) -> Grid:
    """Where the numbers come from."""
    rows = {(row["arm"], row["model"], row["code"]): row for row in comparison.rows}
    columns = ("policy", "criterion", "estimator", "model", "plan", "dataset", "code")
    shown = [[str(row[column]) for column in ("arm", *columns)] for row in rows.values()]
    cells = [[text[:12] if len(text) == _HASH else text for text in row] for row in shown]
    return grid_of("", ("order", *columns), cells, left=1 + len(columns))


def _reached(outcome: Outcome) -> str:
    if outcome.steps_to_goal is not None:
        return f"{outcome.steps_to_goal:,.0f}"
    return f"{sum(step is not None for step in outcome.reached)} of {len(outcome.reached)} runs"


def _lead(points: Interval | None, outcome: Outcome) -> str:
    """A difference in points of a hundred, and its interval."""
    return "" if points is None else f"{100 * points.value:+.1f}" + _spread(points, outcome, "+.1f")


def _spread(interval: Interval, outcome: Outcome, form: str) -> str:
    """The interval in points of a hundred; nothing of one seed, which says nothing of how seeds differ."""
    if len(outcome.exact_match) < 2:
        return ""
    return f" ({100 * interval.low:{form}} to {100 * interval.high:{form}})"


def in_markdown(text: str) -> str:
    """Text that may be of the data, as text of Markdown: no mark-up in it has an effect, and it stays in its cell."""
    shown = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return _MARKS.sub(lambda mark: "&lt;" if mark[0] == "<" else f"\\{mark[0]}", shown)


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table with a head."""
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]
