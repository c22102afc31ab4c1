"""What the command line shows: plans and checks as tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mireorder.dataset.check import LAWS, Checked
from mireorder.information.significance import LEVEL
from mireorder.ordering.greedy import Tie
from mireorder.ordering.plan import Plan
from mireorder.ordering.policies import POLICIES

_MOST_SHOWN = 100  # slots of an order
_MOST_SLOTS = 12  # columns of the score table; a plan with more shows the chosen score of each step
_COLD, _HOT = (247, 251, 255), (8, 81, 156)


def plan_view(plan: Plan, sha256: bool = True) -> RenderableType:
    """A plan: its facts, its scores by step and slot, ties and warnings."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold")
    facts.add_column()
    rejected = f", {plan.rejected:,} set aside" if plan.rejected else ""
    for line in _ordered(plan):
        facts.add_row(*line)
    scored = f" of {plan.criterion['name']} ({plan.estimator})" if plan.scores else ""
    facts.add_row("policy", f"{plan.policy}{scored}, kind {plan.kind}")
    facts.add_row("counted", f"{plan.rows:,} rows{rejected}")
    facts.add_row("stability", _steadiness(plan))
    for line in _estimators(plan):
        facts.add_row(*line)
    if sha256:
        facts.add_row("plan", plan.sha256)
    parts: list[RenderableType] = [facts]
    if plan.scores:
        parts += ["", _scores(plan)]
    parts += [_tie(plan, tie) for tie in plan.ties]
    parts += [Text(f"warning: {warning}", style="yellow") for warning in plan.warnings]
    return Group(*parts)


def _ordered(plan: Plan) -> Iterator[tuple[str, RenderableType]]:
    yield "order", Text(plan.in_words, style="bold green")
    if plan.copying is not None and plan.copying.costs is not None:
        costs = plan.copying.costs
        copied = f"{costs.with_copies:,} of {costs.parts:,} have copies"
        yield "cost", f"{costs.share:.1%} of the {plan.cutter.name} that are emitted are copies; {copied}"
        return
    yield "permutation", f"[{', '.join(_first(map(str, plan.permutation)))}]"
    for part in plan.mix:
        order = ", ".join(_first(map(str, part.permutation)))
        yield "mix", f"weight {part.weight:g}: {part.policy}, [{order}]"


def _first(names: Iterable[str]) -> list[str]:
    """The first names, and how many more there are."""
    shown = list(names)
    more = len(shown) - _MOST_SHOWN
    return shown if more <= 0 else [*shown[:_MOST_SHOWN], f"... and {more:,} more"]


def _scores(plan: Plan) -> Table:
    wide = len(plan.units) > _MOST_SLOTS
    unit = "as a share of the slot's entropy" if plan.criterion.get("normalised") else "in bits"
    table = Table(title=f"score {unit}, by step" + ("" if wide else " and slot"), title_justify="left")
    table.caption, table.caption_justify = _legend(plan, wide), "left"
    q_values = plan.significance.q_values
    table.add_column("step", justify="right")
    table.add_column("emits")
    other, besides = (
        ("corrected", plan.scores_corrected) if plan.estimator == "plug-in" else ("plug-in", plan.scores_plug_in)
    )
    slots = [] if wide else range(len(plan.units))
    for slot in slots:
        table.add_column(plan.units[slot], justify="right")
    if wide:
        for name in ("score", other, "noise", *(["q at step 0"] if q_values else [])):
            table.add_column(name, justify="right")
    if plan.stability.resamples:
        table.add_column("kept", justify="right")
        table.add_column("or else", no_wrap=True)
    top = max((s for row in plan.scores for s in row if s is not None), default=0.0) or 1.0
    for step, chosen in enumerate(plan.permutation):
        scores = plan.scores[step]
        cells = [_cell(scores[slot], top, slot == chosen) for slot in slots]
        if wide:
            numbers = f"{besides[step][chosen]:.3f}", f"{plan.noise[step][chosen]:.4f}"
            cells = [_cell(scores[chosen], top, False), *map(Text, numbers)]
            cells += [_tested(plan, chosen, q_values)] if q_values else []
        table.add_row(str(step), plan.units[chosen], *cells, *_kept(plan, step))
    if not wide:
        table.add_section()
        at_first = ("" if score is None else f"{score:.3f} " for score in next(iter(besides), []))
        table.add_row("", f"{other} at step 0", *at_first)
        for name, values in ("p at step 0", plan.significance.p_values), ("q at step 0", q_values):
            if values:
                table.add_row("", name, *(_tested(plan, slot, values) for slot in slots))
        table.add_row("", "eff. support", *(f"{cells:,.0f}" for cells in plan.significance.effective_support))
    return table


def _legend(plan: Plan, wide: bool) -> str:
    """What the marks and the last columns mean, as far as they are there."""
    signs = [] if wide else ["* emitted at this step"]
    if plan.significance.within_noise:
        signs.append(f"~ within noise: shuffled targets score as high (q > {LEVEL})")
    if plan.stability.resamples:
        signs.append("kept: share of the resampled orders with this slot at this step")
    return "; ".join(signs)


def _tested(plan: Plan, slot: int, values: list[float]) -> Text:
    """A p- or q-value, marked where the slot is within noise."""
    noise = slot in plan.significance.within_noise
    return Text(f"{values[slot]:.3f}{'~' if noise else ''}", "yellow" if noise else "")


def _kept(plan: Plan, step: int) -> list[Text]:
    """How often resamples have the plan's slot at this step, and which other slot comes next."""
    if not plan.stability.resamples:
        return []
    shares, chosen = (plan.stability.frequency or [])[step], plan.permutation[step]
    kept = Text(f"{shares[chosen]:.0%}", "yellow" if shares[chosen] < 0.5 else "")
    others = [slot for slot in range(len(shares)) if slot != chosen and shares[slot]]
    other = max(others, key=lambda slot: shares[slot], default=None)
    return [kept, Text("" if other is None else f"{plan.units[other]} {shares[other]:.0%}")]


def _steadiness(plan: Plan) -> str:
    """How often resamples have the plan's order."""
    found = plan.stability
    if not found.resamples:
        return "not looked at" if POLICIES[plan.policy].choose else "whatever the sample"
    shares = {name: f"{share:.0%}" for name, share in (found.same_by_estimator or {}).items()}
    alike = len(shares) > 2 and len(set(shares.values())) == 1
    by = f"with each of {len(shares)} estimators" if alike else ", ".join(map(" ".join, shares.items()))
    return f"{found.same:.0%} of the orders of {found.resamples} resamples are the same ({by})"


def _estimators(plan: Plan) -> list[tuple[str, str]]:
    """Which estimators order the counts as the plan does, and how the others do."""
    orders = plan.stability.order_by_estimator or {}
    by: dict[str, list[str]] = {}
    for name, found in orders.items():
        step = next(
            (i for i, slots in enumerate(zip(found, plan.permutation, strict=True)) if slots[0] != slots[1]), None
        )
        if step is None:
            by.setdefault("this order", []).append(name)
        elif len(found) > _MOST_SLOTS:
            by.setdefault(f"another from step {step} on", []).append(name)
        else:
            by.setdefault(" ".join(plan.units[slot] for slot in found), []).append(name)
    if len(orders) > 2 and list(by) == ["this order"]:
        return [("estimators", f"all {len(orders)} asked find this order")]
    lines = sorted(by.items(), key=lambda item: (item[0] != "this order", -len(item[1])))
    return [
        ("" if i else "estimators", f"{order}: {', '.join(sorted(names))}") for i, (order, names) in enumerate(lines)
    ]


def _cell(score: float | None, top: float, chosen: bool) -> Text:
    if score is None:
        return Text("")
    heat = min(max(score / top, 0.0), 1.0)
    red, green, blue = (round(c + (h - c) * heat) for c, h in zip(_COLD, _HOT, strict=True))
    ink = "white" if heat > 0.5 else "black"
    style = f"{'bold ' if chosen else ''}{ink} on rgb({red},{green},{blue})"
    return Text(f"{score:.3f}{'*' if chosen else ' '}", style=style)


def _tie(plan: Plan, tie: Tie) -> Text:
    names = ", ".join(plan.units[slot] for slot in tie.slots)
    return Text(f"tie at step {tie.step}: {names}; {plan.units[tie.chosen]} by {tie.broken_by}", style="cyan")


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


def consoles() -> tuple[Console, Console]:
    """Standard output and standard error."""
    return Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)
