"""Charts of a report, narrow enough for a telephone: a step, an order or a slot a row."""

from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

from mireorder.report.style import COLOURS, FAINT, INK, framed, grid, new_figure, save_figure

WIDTH = 4.6  # inches
MOST_NAME = 20  # characters of a name


def step_scores(
    scores: Sequence[Sequence[float | None]],
    noise: Sequence[Sequence[float | None]],
    slot_names: Sequence[str],
    permutation: Sequence[int],
    ties: Mapping[int, Sequence[int]],
    unit: str,
    path: str | Path,
) -> None:
    """Draw the scores that a policy chose from, a row for each step.

    The slot that is emitted has a bar of two standard errors either way. The slots left are rings, those that tie full.

    Args:
        scores: ``[step][slot]``; None where the slot was already emitted.
        noise: their standard errors, ``[step][slot]``.
        slot_names: of the natural target.
        permutation: ``permutation[step] = slot``.
        ties: step -> the slots that tie there.
        unit: of the scores.
        path: of the figure.

    Raises:
        MireorderError: matplotlib is missing.
    """
    figure = new_figure(WIDTH, 1.15 + 0.32 * len(permutation))
    axes = figure.add_subplot()
    for step, chosen in enumerate(permutation):
        for slot, score in enumerate(scores[step]):
            if score is None or slot == chosen:
                continue
            tied = slot in ties.get(step, ())
            face, edge = (COLOURS[1], COLOURS[1]) if tied else ("none", FAINT)
            axes.plot(score, step, "o", markersize=5, markerfacecolor=face, markeredgecolor=edge)
        score = scores[step][chosen]
        if score is not None:
            spread = 2 * (noise[step][chosen] or 0.0)
            style = {"color": COLOURS[0], "markersize": 7, "elinewidth": 1.6, "capsize": 3}
            axes.errorbar(score, step, xerr=spread, fmt="o", **style)
    axes.set_yticks(range(len(permutation)), [f"{step}  {_short(slot_names[s])}" for step, s in enumerate(permutation)])
    axes.set_ylabel("step and slot")
    _finish(axes, f"score ({unit})", len(permutation))
    axes.invert_yaxis()
    handles = [
        axes.plot([], [], "o", color=COLOURS[0], label="emitted, two standard errors either way")[0],
        axes.plot([], [], "o", color=COLOURS[1], label="ties with it")[0],
        axes.plot([], [], "o", markerfacecolor="none", markeredgecolor=FAINT, label="left for later")[0],
    ]
    shown = [handles[0], *([handles[1]] if ties else []), handles[2]]
    figure.legend(handles=shown, loc="outside upper left", frameon=False, fontsize=10, labelcolor=INK)
    save_figure(figure, path)


def order_leads(costs: Mapping[str, Mapping[str, Any]], path: str | Path) -> None:
    """Draw how many bits fewer than the natural order other orders cost, with their intervals.

    Args:
        costs: order -> ``lead``, ``low`` and ``high`` in bits.
        path: of the figure.

    Raises:
        MireorderError: matplotlib is missing.
    """
    figure = new_figure(WIDTH, 1 + 0.36 * len(costs))
    axes = figure.add_subplot()
    axes.axvline(0, color=FAINT, linewidth=1)
    for row, cost in enumerate(costs.values()):
        low, high = cost["lead"] - cost["low"], cost["high"] - cost["lead"]
        spread = [[max(low, 0.0)], [max(high, 0.0)]]  # of resamples, the lead itself may lie outside
        axes.errorbar(cost["lead"], row, xerr=spread, fmt="o", color=COLOURS[0], markersize=7, capsize=3)
    axes.set_yticks(range(len(costs)), list(costs))
    _finish(axes, "bits fewer than plain", len(costs))
    axes.invert_yaxis()
    save_figure(figure, path)


def accuracies(shares: Mapping[str, Sequence[tuple[int, float]]], along: str, path: str | Path) -> None:
    """Draw the share of answers that are right, a line for each order.

    Args:
        shares: order -> places (slots, or training steps), each with its share of 1; NaN where nothing was measured.
        along: what the places are.
        path: of the figure.

    Raises:
        MireorderError: matplotlib is missing.
    """
    figure = new_figure(WIDTH, 3.2 + 0.07 * len(shares))
    axes = figure.add_subplot()
    for number, (name, points) in enumerate(shares.items()):
        places, percent = [place for place, _ in points], [100 * share for _, share in points]
        form = "osD^v"[number % 5]
        axes.plot(places, percent, color=COLOURS[number % len(COLOURS)], marker=form, label=_short(name))
    axes.set_xlabel(along)
    axes.set_ylabel("right (%)")
    highest = max((100 * share for points in shares.values() for _, share in points if not isnan(share)), default=100)
    axes.set_ylim(0, min(102, 1.1 * highest + 2))
    axes.locator_params(axis="x", integer=True, nbins=6)
    grid(axes, "y")
    framed(axes, ("left", "bottom"))
    figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize=10, labelcolor=INK)
    save_figure(figure, path)


def _finish(axes: Any, label: str, rows: int) -> None:
    axes.set_xlabel(label)
    axes.locator_params(axis="x", nbins=5)
    axes.margins(x=0.06, y=min(0.2, 0.6 / max(rows, 1)))
    grid(axes, "x")
    framed(axes, ("bottom",))
    axes.tick_params(axis="y", length=0)


def _short(name: str) -> str:
    return name if len(name) <= MOST_NAME else f"{name[: MOST_NAME - 3]}..."
