"""The report of a plan, and of the dataset that it reordered: the words and numbers of `inspect`, and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.style import Style
from rich.table import Table
from rich.text import Text

from mireorder.dataset.shown import find_row, shown
from mireorder.ordering.plan import Plan
from mireorder.ordering.policies import POLICIES, named
from mireorder.ordering.summary import (
    COLD,
    HOT,
    MOST_SLOTS,
    plan_facts,
    scores_by_slot,
    scores_by_step,
    tie_text,
)
from mireorder.report.charts import accuracies, order_leads, step_scores
from mireorder.report.examples import cut, examples_of, slots_of
from mireorder.report.inline import inline_svg
from mireorder.report.parts import (
    Cell,
    Chain,
    Chart,
    Command,
    Examples,
    Facts,
    Grid,
    Notes,
    Paragraph,
    Part,
    Report,
    Section,
)
from mireorder.report.rows import row_facts, row_title
from mireorder.serialise import describe, printable

MOST_CHAIN, MOST_STEPS, MOST_DRAWN, MOST_LINE = 40, 200, 60, 1500
OF_COSTS, OF_SEARCH, OF_TRUST = ("costs", "probe"), ("search",), ("stability", "estimators")
_FLAGS = ("delimiter", "missing", "align", "width", "joiner", "language", "vocabulary", "pattern", "path")
"""Options of cutters that the command line has under the same name."""


def plan_report(plan: Plan, place: str, dataset: Path | None) -> Report:
    """What `inspect` says of a plan, with pictures, and rows of its dataset.

    Args:
        plan: the order.
        place: the plan's folder, file or hub id, as commands name it.
        dataset: the folder that `apply` wrote; None of a plan without rows.

    Raises:
        OutputError: the dataset is not finished.
        MireorderError: matplotlib is missing.
    """
    facts = _grouped(plan)
    of_costs, of_search, of_trust = (
        [fact for fact in facts if fact[0] in names] for names in (OF_COSTS, OF_SEARCH, OF_TRUST)
    )
    of_order = [fact for fact in facts if fact[0] not in (*OF_COSTS, *OF_SEARCH, *OF_TRUST)] + [("plan", [plan.sha256])]
    sections = [
        Section("order", "Which order", [*_chain(plan), Facts(of_order)]),
        Section("rows", "From natural to emitted order", _rows(plan, dataset)),
        *([Section("model", "A row as the model sees it", _as_read(plan, dataset))] if dataset else []),
        Section("why", "Why this order", list(_scores(plan))),
        *([Section("costs", "What orders cost", [*_leads(plan), Facts(of_costs)])] if of_costs else []),
        *([Section("search", "What trained orders reached", [_searched(plan), Facts(of_search)])] if of_search else []),
        Section("trust", "How sure it is, and where it degenerates", [Facts(of_trust), *_doubts(plan)]),
        Section("next", "What to do next", list(_next(plan, place, dataset))),
    ]
    of = "Plan" if dataset is None else "Dataset"
    about = f"{of} {place}: units are {plan.cutter.name}, policy {plan.policy}, kind {plan.kind}."
    return Report("The order of the targets", about, sections)


def _grouped(plan: Plan) -> list[tuple[str, list[str]]]:
    """The facts, with the lines that belong together."""
    found: list[tuple[str, list[str]]] = []
    for name, value in plan_facts(plan):
        text = value.plain if isinstance(value, Text) else value
        if name:
            found.append((name, [text]))
        else:
            found[-1][1].append(text)
    return found


def _chain(plan: Plan) -> list[Part]:
    """The units by step, where one order holds for all rows."""
    if plan.copying is not None or plan.mix or POLICIES[plan.policy].rows or not plan.permutation:
        return []
    shown = plan.permutation[:MOST_CHAIN]
    return [Chain([printable(plan.units[slot]) for slot in shown], len(plan.permutation) - len(shown))]


def _rows(plan: Plan, dataset: Path | None) -> list[Part]:
    found = slots_of(plan) if dataset is None else examples_of(dataset, plan)
    shown: list[Part] = [Examples(found)] if found else []
    if dataset is None:
        why = "A plan keeps no rows. The report of a dataset that it reordered shows some: see the last section."
        return [Paragraph(why), *shown]
    return shown or [Paragraph("No row has more than one unit, so there is nothing to move.")]


def _as_read(plan: Plan, dataset: Path) -> list[Part]:
    """The first row: its tokens in token form, what is learnt, and what comes back."""
    tokenizer = None
    if (dataset / "tokenizer").is_dir():
        from mireorder.tokenizing.tokens import load_tokenizer

        tokenizer = load_tokenizer(dataset / "tokenizer")
    row = shown(find_row(dataset, "0"), plan, tokenizer)
    facts = [(name, [cut(said.plain, MOST_LINE)]) for name, said in row_facts(row)]
    more = "" if row.tokens else " To see its tokens: 'mireorder show' with --tokenizer."
    return [Paragraph(f"{row_title(row)}.{more}"), Facts(facts)]


def _scores(plan: Plan) -> Iterator[Part]:
    """What the policy looked at."""
    about = POLICIES[plan.policy].about
    yield Paragraph(f"Policy {plan.policy}: {about}." if about else f"Policy {plan.policy}.")
    if not plan.scores:
        yield Paragraph("There are no scores: the policy looks at none.")
        return
    unit = "share of the slot's entropy" if plan.criterion.get("normalised") else "bits"
    if len(plan.units) <= MOST_DRAWN:
        ties = {tie.step: tie.slots for tie in plan.ties}
        names = [printable(name) for name in plan.units]
        draw = partial(step_scores, plan.scores, plan.noise, names, plan.permutation, ties, unit)
        says = "Scores of the slots at each step. The numbers stand in the table below."
        yield Chart(inline_svg(draw, says, "scores"), says)
    if len(plan.units) <= MOST_SLOTS:
        yield grid(scores_by_slot(plan), heads=2)
    table = grid(scores_by_step(plan), heads=2)
    yield Grid(table.title, table.head, table.rows[:MOST_STEPS], table.legend, 2, 2)
    if (more := len(table.rows) - MOST_STEPS) > 0:
        yield Paragraph(f"... and {more:,} more steps: mireorder inspect shows them.")
    if plan.ties:
        yield _some([tie_text(plan, tie) for tie in plan.ties], "ties")


def _some(notes: Sequence[str], what: str, look: str = "") -> Notes:
    more = len(notes) - MOST_STEPS
    return Notes([*notes[:MOST_STEPS], *([f"... and {more:,} more {what}"] if more > 0 else [])], look)


def _leads(plan: Plan) -> Iterator[Part]:
    if costs := plan.stability.costs:
        says = "How many bits fewer than the natural order each order costs, with 95% intervals."
        yield Chart(inline_svg(partial(order_leads, costs), says, "costs"), says)


def _searched(plan: Plan) -> Part:
    """What the orders of a search reached."""
    shares = {
        plan.named(order["permutation"]): [(at["step"], at["exact_match"]) for at in order["reached"]]
        for order in (plan.stability.search or {})["orders"]
    }
    says = "Held-out answers that are right after so many training steps, the mean over the seeds."
    return Chart(inline_svg(partial(accuracies, shares, "training steps"), says, "search"), says)


def _doubts(plan: Plan) -> Iterator[Part]:
    """What to know before trusting the order."""
    if plan.warnings:
        yield _some([f"warning: {printable(warning)}" for warning in plan.warnings], "warnings", "doubt")
    elif plan.scores:
        yield Paragraph("fit warned of nothing.")
    support = plan.significance.effective_support
    if plan.scores and support and plan.stability.probe is None:
        least = min(range(len(support)), key=lambda slot: plan.rows / max(support[slot], 1e-9))
        each = plan.rows / max(support[least], 1e-9)
        yield Paragraph(
            f"At step 0, the score of {plan.named([least])} rests on the fewest rows: {each:,.1f} for each cell of "
            f"its effective support ({support[least]:,.0f} cells, {plan.rows:,} rows)."
        )
    yield Paragraph(
        "A score says how much information there is, not that a model learns faster: only training shows that."
    )


def _next(plan: Plan, place: str, dataset: Path | None) -> Iterator[Part]:
    run = "mireorder"
    if dataset is None:
        yield Command("Write the dataset in this order.", [run, "apply", "DATA", "--plan", place, "--out", "rows/"])
        yield Command("See rows of it.", [run, "report", "rows/", "-o", "rows.html"])
    folder = "rows/" if dataset is None else place
    yield Command("Prove that every target comes back.", [run, "check", folder])
    if compared := _compare(plan):
        yield Command("Train the same model on the natural order and on this one, to see whether it helps.", compared)
    yield Command("Train a model on it.", [run, "train", folder, "--model", "tiny", "--out", "model/"])
    prompts = ["--prompts", "PROMPTS"] if plan.kind == "causal" else []
    yield Command("Put what a model emits back into natural order.", [run, "restore", place, *prompts])


def _compare(plan: Plan) -> list[str]:
    """The command that compares the order with the natural one; nothing where it can't be asked for there."""
    policy = plan.policy
    if policy == "explicit":
        policy = "-".join(map(str, plan.permutation))
    elif policy not in named() or policy == "plain" or plan.copying is not None:
        return []
    if plan.tokenizer is not None:
        return []
    words = ["mireorder", "compare", "DATA", *_reading(plan), "--cutter", plan.cutter.name, *_cutter(plan)]
    words += ["--policies", f"plain,{policy}{'-marked' if plan.kind == 'marked' else ''}"]
    words += ["--criterion", plan.criterion["name"]] if plan.by_scores else []
    return [*words, "--seeds", "3", "--out", "comparison/"]


def _reading(plan: Plan) -> list[str]:
    reading = plan.reading
    if reading.separator is not None:
        return ["--split", reading.separator]
    target = ["--labels" if len(reading.target) > 1 else "--target", ",".join(reading.target)]
    columns = ["--columns", ",".join(reading.columns)] if reading.columns else []
    columns += ["--csv-delimiter", reading.delimiter] if reading.delimiter else []
    return [*columns, "--source", ",".join(reading.source), *target]


def _cutter(plan: Plan) -> list[str]:
    """The options that make the cutter again."""
    options, default = (
        describe(plan.cutter),
        {f.name: f.default for f in vars(type(plan.cutter))["__dataclass_fields__"].values()},
    )
    given = [name for name in _FLAGS if options.get(name) not in (None, default.get(name))]
    names = ["--names", "NAMES"] if options.get("names") and len(plan.reading.target) == 1 else []
    found = [word for name in given for word in (f"--{name}", _written(options[name]))]
    return found + (["--canonical"] if options.get("canonical") else []) + names


def _written(value: Any) -> str:
    """An option's value as it is passed; a path with points between its keys."""
    return ".".join(value) if isinstance(value, list | tuple) else str(value)


def grid(table: Table, heads: int = 1) -> Grid:
    """A table of the terminal as one of a page."""
    columns = [[_cell(cell) for cell in column.cells] for column in table.columns]
    head = [_cell(column.header).text for column in table.columns]
    title, legend = (_cell(text or "").text for text in (table.title, table.caption))
    return Grid(title, head, list(zip(*columns, strict=True)), legend, heads, heads)


def _cell(cell: Any) -> Cell:
    text = Text(cell) if isinstance(cell, str) else cell
    style = Style.parse(str(text.style))
    if style.bgcolor is not None:
        red = style.bgcolor.get_truecolor().red
        return Cell(text.plain.strip(), f"heat{round(10 * (COLD[0] - red) / (COLD[0] - HOT[0]))}")
    return Cell(text.plain.strip(), "doubt" if style.color is not None else "")
