"""A search as a page and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mireorder.dataset.card import code
from mireorder.files import write_text
from mireorder.report.comparison import NONE_RIGHT, in_markdown, markdown_table

if TYPE_CHECKING:
    from mireorder.evaluate.search import Contender, Search

PAGE, PICTURE = "README.md", "search.png"


def write_search(search: Search) -> None:
    """Write the page of a search into its folder, ``README.md``, and the curves it shows if matplotlib is there."""
    drawn = find_spec("matplotlib") is not None
    if drawn:
        from mireorder.report.figures import accuracy_curves

        title = f"Held-out answers that are right, {len(search.contenders)} orders"
        accuracy_curves(search.rows, search.folder / PICTURE, title)
    evidence = search.evidence
    lines = [
        "# Search for an order",
        "",
        f"Model {code(evidence['model'])}, {evidence['steps']:,} steps of {evidence['batch_size']} rows in a whole "
        f"training, {evidence['seeds']} seed(s) of each order, exact match of restored answers on "
        f"{evidence['held_out']:,} held-out rows. Within a seed, every order has the same initial weights and row "
        "order.",
        "",
        *markdown_table(_head(search), [list(map(in_markdown, _cells(search, one))) for one in search.contenders]),
        "",
        *(f"- {in_markdown(line)}" for line in _conclusions(search)),
        *(["", f"![accuracy over steps]({PICTURE})"] if drawn else []),
        "",
        "A criterion's column: what an answer costs by its scores, in bits, the sum over the order's steps; of a "
        "criterion that has no costs, less the area under its cumulative scores. Criteria name orders in turn, the "
        "cheapest first. Bits: what an answer costs the trained model, which breaks ties in exact match. "
        "`results.parquet` has a row for each run and step measured.",
    ]
    write_text(search.folder / PAGE, "\n".join(lines) + "\n")


def search_view(search: Search) -> RenderableType:
    """What each order reached, which was chosen, and what that cost."""
    evidence = search.evidence
    title = f"exact match of restored answers, {evidence['held_out']:,} held-out rows"
    table = Table(title=title, title_justify="left")
    for number, name in enumerate(_head(search)):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for one in search.contenders:
        table.add_row(*map(Text, _cells(search, one)), style="bold green" if one.name == search.chosen else "")
    return Group(table, *map(Text, _conclusions(search)))


def _steps(search: Search) -> list[int]:
    return sorted({at.step for one in search.contenders for at in one.reached})


def _head(search: Search) -> list[str]:
    return ["order", "units by step", *search.contenders[0].costs, *(f"step {s:,}" for s in _steps(search)), "bits"]


def _cells(search: Search, one: Contender) -> list[str]:
    by_step = {at.step: f"{at.exact_match:.1%}" for at in one.reached}
    shown = [by_step.get(step, "") for step in _steps(search)]
    name = one.name + (" *" if one.name == search.chosen else "")
    costs = [f"{bits:.3f}" for bits in one.costs.values()]
    return [name, search.plan.named(one.permutation), *costs, *shown, f"{one.reached[-1].bits:.3f}"]


def _conclusions(search: Search) -> Sequence[str]:
    evidence, criteria = search.evidence, " and ".join(search.contenders[0].costs)
    spent = (
        f"{len(search.contenders)} orders were trained, {evidence['trainings']:.2f} trainings in all of "
        f"{evidence['budget']:g} allowed; {criteria} took {search.scoring_seconds:.0f} s besides"
    )
    if not any(one.reached[-1].exact_match for one in search.contenders):
        return [f"* the natural order is kept: {NONE_RIGHT}", spent]
    if search.chosen == "plain":
        best = search.contenders[0]
        others = "" if best.name == "plain" else f", as the lead of {best.name} is noise"
        return [f"* the natural order is kept{others}", spent]
    led = search.lead
    points = f"{100 * led.value:+.1f} points ({100 * led.low:+.1f} to {100 * led.high:+.1f})"
    return [f"* {search.chosen} is chosen: {points} against plain at the last step that both were trained to", spent]
