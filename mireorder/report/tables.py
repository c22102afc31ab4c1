"""What the command line shows: plans, checks and comparisons as tables."""

from __future__ import annotations

from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mireorder.dataset.check import LAWS, Checked
from mireorder.ordering.plan import Plan

_MOST_SLOTS = 12  # columns of the score table; a plan with more shows the chosen score of each step
_COLD, _HOT = (247, 251, 255), (8, 81, 156)


def plan_view(plan: Plan, sha256: bool = True) -> RenderableType:
    """A plan: its facts, its scores by step and slot, ties and warnings."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold")
    facts.add_column()
    order = " ".join(plan.units[slot] for slot in plan.permutation)
    rejected = f", {plan.rejected:,} set aside" if plan.rejected else ""
    facts.add_row("order", Text(order, style="bold green"))
    facts.add_row("permutation", str(plan.permutation))
    facts.add_row("policy", f"{plan.policy} of {plan.criterion['name']} ({plan.estimator}), kind {plan.kind}")
    facts.add_row("counted", f"{plan.rows:,} rows{rejected}")
    if sha256:
        facts.add_row("plan", plan.sha256)
    parts: list[RenderableType] = [facts, "", _scores(plan)]
    parts += [_tie(plan, tie) for tie in plan.ties]
    parts += [Text(f"warning: {warning}", style="yellow") for warning in plan.warnings]
    return Group(*parts)


def _scores(plan: Plan) -> Table:
    wide = len(plan.units) > _MOST_SLOTS
    p_values = plan.significance["p_values"]
    table = Table(title="score in bits, by step" + ("" if wide else " and slot"), title_justify="left")
    table.add_column("step", justify="right")
    table.add_column("emits")
    slots = [] if wide else range(len(plan.units))
    for slot in slots:
        table.add_column(plan.units[slot], justify="right")
    if wide:
        for name in ("score", "noise", "p at step 0"):
            table.add_column(name, justify="right")
    top = max((s for row in plan.scores for s in row if s is not None), default=0.0) or 1.0
    for step, chosen in enumerate(plan.permutation):
        scores = plan.scores[step]
        cells = [_cell(scores[slot], top, slot == chosen) for slot in slots]
        if wide:
            p = f"{p_values[chosen]:.3f}" if p_values else "-"
            cells = [_cell(scores[chosen], top, True), Text(f"{plan.noise[step][chosen]:.4f}"), Text(p)]
        table.add_row(str(step), plan.units[chosen], *cells)
    if p_values and not wide:
        table.add_section()
        table.add_row("", "p at step 0", *(f"{p:.3f}" for p in p_values))
    return table


def _cell(score: float | None, top: float, chosen: bool) -> Text:
    if score is None:
        return Text("")
    heat = min(max(score / top, 0.0), 1.0)
    red, green, blue = (round(c + (h - c) * heat) for c, h in zip(_COLD, _HOT, strict=True))
    ink = "white" if heat > 0.5 else "black"
    style = f"{'bold ' if chosen else ''}{ink} on rgb({red},{green},{blue})"
    return Text(f"{score:.3f}{'*' if chosen else ' '}", style=style)


def _tie(plan: Plan, tie: dict[str, Any]) -> Text:
    names = ", ".join(plan.units[slot] for slot in tie["slots"])
    return Text(f"tie at step {tie['step']}: {names}; {plan.units[tie['chosen']]} by {tie['broken_by']}", style="cyan")


def check_view(checked: Checked) -> RenderableType:
    """What was checked, how often, and what failed."""
    rows = ", ".join(f"{split} {count:,}" for split, count in checked.rows.items())
    table = Table(title=f"{checked.folder}: {checked.form} form, rows: {rows}", title_justify="left")
    table.add_column("law")
    table.add_column("held", justify="right")
    table.add_column("broken", justify="right")
    for law, text in LAWS.items():
        if law in checked.passed or law in checked.failed:
            broken = checked.failed[law]
            table.add_row(text, f"{checked.passed[law]:,}", Text(f"{broken:,}", style="red bold" if broken else ""))
    failures = [Text(failure, style="red") for failure in checked.failures]
    return Group(table, *failures)


def comparison_view(comparison: Any) -> Table:
    """Exact match reached by each policy."""
    table = Table(
        title=f"exact match of restored answers, {comparison.held_out_rows:,} held-out rows",
        title_justify="left",
    )
    for name, justify in [
        ("policy", "left"),
        ("mean", "right"),
        ("seeds", "left"),
        ("training loss", "right"),
    ]:
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for outcome in comparison.outcomes:
        seeds = " ".join(f"{value:.1%}" for value in outcome.exact_match)
        table.add_row(outcome.policy, f"{outcome.mean:.1%}", seeds, f"{outcome.loss:.3f}")
    return table


def consoles() -> tuple[Console, Console]:
    """Standard output and standard error."""
    return Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)
