"""A plan as a table: its facts, its scores by step and slot, ties and warnings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import StringIO

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from mireorder.information.significance import LEVEL
from mireorder.ordering.greedy import Tie
from mireorder.ordering.record import PlanRecord
from mireorder.serialise import printable

_MOST_SHOWN = 100  # slots of an order
MOST_SLOTS = 12  # columns of the score table; a plan with more shows the chosen score of each step
UNBOUNDED = 100_000  # columns of a console that is no terminal
COLD, HOT = (247, 251, 255), (8, 81, 156)


def plan_view(plan: PlanRecord, sha256: bool = True) -> RenderableType:
    """A plan: its facts, its scores by step and slot, ties and warnings. No name is cut short."""
    facts = plan_facts(plan) + ([("plan", plan.sha256)] if sha256 else [])
    parts: list[RenderableType] = [Text.assemble((f"{name:13}", "bold"), value) for name, value in facts]
    if plan.scores:
        parts += ["", _Scores(plan)]
    parts += [Text(tie_text(plan, tie), style="cyan") for tie in plan.ties]
    parts += [Text(f"warning: {printable(warning)}", style="yellow") for warning in plan.warnings]
    return Group(*parts)


def bundle_view(in_words: str, members: Mapping[str, PlanRecord]) -> RenderableType:
    """How the group of a row is known, and the plan of each group."""
    parts: list[RenderableType] = [Text(in_words)]
    for group, plan in members.items():
        parts += ["", Text(f"group {printable(group)}", style="bold"), plan_view(plan)]
    return Group(*parts)


def plan_facts(plan: PlanRecord) -> list[tuple[str, str | Text]]:
    """What the order is and rests on, each with its name; a fact without one belongs to that before it."""
    rejected = f", {plan.rejected:,} set aside" if plan.rejected else ""
    return [
        *_ordered(plan),
        ("policy", f"{plan.policy}{f' of {_criterion(plan)}' if plan.by_scores else ''}, kind {plan.kind}"),
        ("counted", f"{plan.rows:,} rows{rejected}"),
        ("stability", _steadiness(plan)),
        *_estimators(plan),
        *_costs(plan),
    ]


def _criterion(plan: PlanRecord) -> str:
    return printable(f"{plan.criterion['name']} ({plan.estimator})")


def _ordered(plan: PlanRecord) -> Iterator[tuple[str, str | Text]]:
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


@dataclass(frozen=True)
class _Scores:
    """The scores by step and slot; by step alone where there are many slots, or the console is too narrow for that."""

    plan: PlanRecord

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if len(self.plan.units) <= MOST_SLOTS:
            table = scores_by_slot(self.plan)
            if Measurement.get(console, options.update(max_width=UNBOUNDED), table).maximum <= options.max_width:
                yield table
                return
        yield scores_by_step(self.plan)


def scores_by_slot(plan: PlanRecord) -> Table:
    """A row per step, a column per slot; below, what is known of each slot with nothing emitted."""
    table = _table(plan, "step and slot", "* emitted at this step")
    table.add_column("step", justify="right", no_wrap=True)
    table.add_column("emits", no_wrap=True)
    for name in _cells(plan):
        table.add_column(name, justify="right", no_wrap=True)
    _add_kept_columns(table, plan)
    top, names = _highest(plan), _cells(plan)
    for step, chosen in enumerate(plan.permutation):
        cells = (_cell(score, top, slot == chosen) for slot, score in enumerate(plan.scores[step]))
        table.add_row(str(step), names[chosen], *cells, *_kept(plan, step))
    table.add_section()
    if plan.stability.probe is None:  # held-out scores have no others beside them, and all rest on the same rows
        other, besides = _besides(plan)
        at_first = ("" if score is None else f"{score:.3f} " for score in next(iter(besides), []))
        table.add_row("0", other, *at_first)
        for name, values in ("p", plan.significance.p_values), ("q", plan.significance.q_values):
            if values:
                table.add_row("0", name, *(_tested(plan, slot, values) for slot in range(len(plan.units))))
        table.add_row("0", "eff. support", *(f"{cells:,.0f}" for cells in plan.significance.effective_support))
    return table


def scores_by_step(plan: PlanRecord) -> Table:
    """A row per step: the score of the slot that is emitted, and what is known of it."""
    table, q_values, (other, besides) = _table(plan, "step"), plan.significance.q_values, _besides(plan)
    table.add_column("step", justify="right", no_wrap=True)
    table.add_column("emits", overflow="fold", min_width=8)
    for name in ("score", other, "noise", *(["q at step 0"] if q_values else [])):
        table.add_column(name, justify="right", no_wrap=True)
    _add_kept_columns(table, plan)
    top, names = _highest(plan), _cells(plan)
    for step, chosen in enumerate(plan.permutation):
        cells = [_cell(plan.scores[step][chosen], top, False)]
        cells += [Text(f"{besides[step][chosen]:.3f}"), Text(f"{plan.noise[step][chosen]:.4f}")]
        cells += [_tested(plan, chosen, q_values)] if q_values else []
        table.add_row(str(step), names[chosen], *cells, *_kept(plan, step))
    return table


def _cells(plan: PlanRecord) -> list[str]:
    """The names of the units as cells of a table."""
    return [printable(name) for name in plan.units]


def _table(plan: PlanRecord, by: str, *signs: str) -> Table:
    """An empty table of scores, with what they are and what its marks mean."""
    unit = "as a share of the slot's entropy" if plan.criterion.get("normalised") else "in bits"
    legend = "; ".join([*signs, *_legend(plan)])
    title = f"score of {_criterion(plan)} {unit}, by {by}"
    return Table(title=title, title_justify="left", caption=legend, caption_justify="left")


def _add_kept_columns(table: Table, plan: PlanRecord) -> None:
    if plan.stability.resamples:
        table.add_column("kept", justify="right", no_wrap=True)
        table.add_column("or else", overflow="fold", min_width=8)


def _besides(plan: PlanRecord) -> tuple[str, list[list[float | None]]]:
    """The scores that stand beside those that decided, and what they are."""
    if plan.estimator == "plug-in":
        return "corrected", plan.scores_corrected
    return "plug-in", plan.scores_plug_in


def _highest(plan: PlanRecord) -> float:
    return max((score for row in plan.scores for score in row if score is not None), default=0.0) or 1.0


def _legend(plan: PlanRecord) -> Iterator[str]:
    """What the marks and the last columns mean, as far as they are there."""
    if plan.significance.within_noise:
        yield f"~ within noise: shuffled targets score as high (q > {LEVEL})"
    if plan.stability.resamples:
        yield f"kept: share of {_resampled(plan)} with this slot at this step"


def _resampled(plan: PlanRecord) -> str:
    """What the shares of the stability are shares of: each resample is ordered once by each estimator."""
    resamples, estimators = plan.stability.resamples, len(plan.stability.same_by_estimator or {})
    if estimators == 1:
        return f"the orders of {resamples:,} resamples"
    return f"{resamples * estimators:,} orders ({resamples:,} resamples by {estimators} estimators)"


def _tested(plan: PlanRecord, slot: int, values: list[float]) -> Text:
    """A p- or q-value, marked where the slot is within noise."""
    noise = slot in plan.significance.within_noise
    return Text(f"{values[slot]:.3f}{'~' if noise else ''}", "yellow" if noise else "")


def _kept(plan: PlanRecord, step: int) -> list[Text]:
    """How often resampled orders have the plan's slot at this step, and which other slot they have most often."""
    if not plan.stability.resamples:
        return []
    shares, chosen = (plan.stability.frequency or [])[step], plan.permutation[step]
    kept = Text(f"{shares[chosen]:.0%}", "yellow" if shares[chosen] < 0.5 else "")
    others = [slot for slot in range(len(shares)) if slot != chosen and shares[slot]]
    other = max(others, key=lambda slot: shares[slot], default=None)
    return [kept, Text("" if other is None else f"{plan.named([other])} {shares[other]:.0%}")]


def _steadiness(plan: PlanRecord) -> str:
    """How often resamples have the plan's order."""
    found = plan.stability
    if not found.resamples:
        return "not measured" if plan.by_scores else "the policy looks at no scores"
    shares = {name: f"{share:.0%}" for name, share in (found.same_by_estimator or {}).items()}
    if len(shares) == 1:
        return f"{found.same:.0%} of {_resampled(plan)} equal this one"
    alike = len(shares) > 2 and len(set(shares.values())) == 1
    by = ", by each estimator" if alike else f": {', '.join(map(' '.join, shares.items()))}"
    return f"{found.same:.0%} of {_resampled(plan)} equal this one{by}"


def _estimators(plan: PlanRecord) -> list[tuple[str, str]]:
    """Which estimators order the counts as the plan does, and how the others do."""
    orders = plan.stability.order_by_estimator or {}
    by: dict[str, list[str]] = {}
    for name, found in orders.items():
        step = next(
            (i for i, slots in enumerate(zip(found, plan.permutation, strict=True)) if slots[0] != slots[1]), None
        )
        if step is None:
            by.setdefault("this order", []).append(name)
        elif len(found) > MOST_SLOTS:
            by.setdefault(f"another from step {step} on", []).append(name)
        else:
            by.setdefault(plan.named(found), []).append(name)
    if len(orders) > 2 and list(by) == ["this order"]:
        return [("estimators", f"all {len(orders)} asked find this order")]
    if len(orders) == 1:
        return []
    lines = sorted(by.items(), key=lambda item: (item[0] != "this order", -len(item[1])))
    return [
        ("" if i else "estimators", f"{order}: {', '.join(sorted(names))}") for i, (order, names) in enumerate(lines)
    ]


def _costs(plan: PlanRecord) -> Iterator[tuple[str, str]]:
    """What orders cost a small network, and how it was trained."""
    for row, (name, cost) in enumerate((plan.stability.costs or {}).items()):
        order = f": {plan.named(cost['permutation'])}" if len(cost["permutation"]) <= MOST_SLOTS else ""
        lead = "" if name == "plain" else f", {_against_plain(cost['lead'], cost['low'], cost['high'])}"
        yield "" if row else "costs", f"{name} {cost['bits']:.3f} bits{lead}{order}"
    if found := plan.stability.probe:
        steps = ", ".join(f"{steps:,}" for steps in found["steps"])
        trained = f"{found['probe']}, {len(found['steps'])} networks of {steps} steps"
        yield "probe", f"{trained} on {found['rows']:,} rows; each holds out a part, {found['held_out']:,} in all"
    if tried := plan.stability.search:
        told = f"{len(tried['orders'])} orders trained, {tried['trainings']:.2f} trainings of {tried['steps']:,} steps"
        yield "search", f"{told} in all, model {printable(tried['model'])}, {tried['held_out']:,} held-out rows"
        for order in tried["orders"]:
            reached = ", ".join(f"{at['exact_match']:.1%} at step {at['step']:,}" for at in order["reached"])
            yield "", f"{plan.named(order['permutation'])}: {reached}"


def _against_plain(lead: float, low: float, high: float) -> str:
    """Bits saved, or spent: the mean and its interval."""
    if not (lead or low or high):
        return "as many as plain"
    value, least, most, which = (lead, low, high, "less") if lead >= 0 else (-lead, -high, -low, "more")
    return f"{value:.3f} ({least:.3f} to {most:.3f}) {which} than plain"


def _cell(score: float | None, top: float, chosen: bool) -> Text:
    if score is None:
        return Text("")
    heat = min(max(score / top, 0.0), 1.0)
    red, green, blue = (round(c + (h - c) * heat) for c, h in zip(COLD, HOT, strict=True))
    ink = "white" if heat > 0.5 else "black"
    style = f"{'bold ' if chosen else ''}{ink} on rgb({red},{green},{blue})"
    return Text(f"{score:.3f}{'*' if chosen else ' '}", style=style)


def tie_text(plan: PlanRecord, tie: Tie) -> str:
    """Which slots tied, and what decided."""
    names, chosen = ", ".join(plan.named([slot]) for slot in tie.slots), plan.named([tie.chosen])
    return f"tie at step {tie.step}: {names}; {chosen} by {printable(tie.broken_by)}"


def plan_text(plan: PlanRecord, width: int) -> str:
    """`plan_view` as plain text of that many columns."""
    console = Console(file=StringIO(), width=width, color_system=None, highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        console.print(plan_view(plan))
    return captured.get()
