"""Figures, drawn without a display: accuracy over steps, and the scores behind an order."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from mireorder.report.style import COLOURS, FAINT, INK, framed, grid, new_figure, save_figure


def accuracy_curves(
    results: Sequence[Mapping[str, Any]], path: str | Path, title: str | None = None, width: float = 7.2
) -> None:
    """Draw exact match over training steps: per arm the mean, and of few arms every seed and the span between them.

    Args:
        results: rows with ``arm``, ``seed``, ``step`` and ``exact_match`` (0 to 1).
        path: of the PNG.
        title: above the axes; by default it says what is drawn.
        width: in inches, at least; long names take more.

    Raises:
        MireorderError: matplotlib is missing.
    """
    arms = list(dict.fromkeys(row["arm"] for row in results))
    height = max(4.2, 0.27 * len(arms) + 1)  # a label needs a quarter of an inch
    figure = new_figure(max(width, width - 2.2 + 0.1 * max(map(len, arms))), height)
    axes = figure.add_subplot()
    few = len(arms) <= 8  # of more, seeds would hide the means
    ends: list[tuple[float, str, Any]] = []
    last = max(row["step"] for row in results)
    for arm, colour in zip(arms, _colours(len(arms)), strict=True):
        step, end = _curves(axes, [row for row in results if row["arm"] == arm], colour, few)
        stopped = f" at step {step:,}" if step < last else ""
        if stopped:
            axes.plot([step], [end], "o", color=colour)
        ends.append((end, f"{arm}  {end:.1f}%{stopped}", colour))
    top = min(100, 1.12 * max(100 * row["exact_match"] for row in results) + 2)
    _label_ends(axes, ends, last, top, 0.3 / height * top)
    seeds = len({row["seed"] for row in results})
    spread = f"mean of {seeds} seeds{', each seed thin' if few else ''}" if seeds > 1 else "one seed"
    axes.set_title(title or "Held-out answers that are right", loc="left", fontsize=12, fontweight="bold", pad=22)
    above = {"xycoords": "axes fraction", "xytext": (0, 7), "textcoords": "offset points"}
    axes.annotate(f"restored to natural order, {spread}", (0, 1), fontsize=9, color=FAINT, **above)
    axes.set_xlabel("training steps")
    axes.set_ylabel("exact match (%)")
    axes.set_xlim(0, last)
    axes.set_ylim(0, top)
    axes.locator_params(axis="x", integer=True)
    axes.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
    grid(axes, "y")
    framed(axes, ("left", "bottom"))
    save_figure(figure, path)


def score_heatmap(
    scores: Sequence[Sequence[float | None]],
    slot_names: Sequence[str],
    permutation: Sequence[int],
    path: str | Path,
    title: str | None = None,
) -> None:
    """Draw what a policy saw when it chose: a criterion's score of every slot at every step.

    Args:
        scores: ``scores[step][slot]`` in bits; None or NaN where the slot was already emitted.
        slot_names: of the natural target, first to last.
        permutation: ``permutation[step] = slot``; the chosen cell of each step is outlined.
        path: of the PNG.
        title: above the axes.

    Raises:
        MireorderError: matplotlib is missing.
    """
    steps, slots = len(permutation), len(slot_names)
    cells = np.full((steps, slots), np.nan)
    for step, row in enumerate(scores[:steps]):
        cells[step, : len(row)] = [np.nan if score is None else score for score in row]
        cells[step, list(permutation[:step])] = np.nan
    cell = max(0.36, min(0.8, 9 / max(slots, 1)))
    figure = new_figure(max(4.6, slots * cell * 1.25 + 2.4), max(2.6, steps * cell + 1.9))
    axes = figure.add_subplot()
    top = float(np.nanmax(cells)) if np.isfinite(cells).any() else 1.0
    low = min(0.0, float(np.nanmin(cells))) if np.isfinite(cells).any() else 0.0
    image = axes.imshow(cells, cmap="Blues", vmin=low, vmax=max(top, 1e-9) * 1.15, aspect="auto")
    if slots <= 30:  # beyond, numbers would be too small to read
        _write_cells(axes, cells, permutation, low + 0.62 * (top - low))
    _outline(axes, permutation)
    slanted = slots > 8 or max(map(len, map(str, slot_names)), default=0) > 12
    names = [str(name) for name in slot_names]
    axes.set_xticks(range(slots), names, rotation=45 if slanted else 0, parse_math=False)
    if slanted:
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("left")
    axes.set_yticks(range(steps), [str(step) for step in range(steps)])
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("slot of the natural target")
    axes.set_ylabel("step")
    axes.tick_params(length=0)
    if title:
        axes.set_title(title, loc="left", fontsize=12, fontweight="bold", pad=12)
    bar = figure.colorbar(image, ax=axes, fraction=0.035, pad=0.03)
    bar.set_label("bits")
    bar.outline.set_visible(False)
    framed(axes, ())
    save_figure(figure, path)


def _curves(axes: Any, rows: Sequence[Mapping[str, Any]], colour: Any, seeds: bool) -> tuple[int, float]:
    """Draw the mean over the seeds, and if asked the seeds and their span. Returns step and mean at its end."""
    runs: dict[int, dict[int, float]] = {}
    for row in rows:
        runs.setdefault(row["seed"], {})[row["step"]] = 100 * row["exact_match"]
    steps = sorted(set.intersection(*(set(run) for run in runs.values())))
    values = [[run[step] for run in runs.values()] for step in steps]
    mean = [fmean(at_step) for at_step in values]
    if seeds and len(runs) > 1:
        low, high = [min(at_step) for at_step in values], [max(at_step) for at_step in values]
        axes.fill_between(steps, low, high, color=colour, alpha=0.13, linewidth=0)
        for run in runs.values():
            axes.plot(steps, [run[step] for step in steps], color=colour, alpha=0.45, linewidth=0.8)
    axes.plot(steps, mean, color=colour, linewidth=2.4, solid_capstyle="round")
    return steps[-1], mean[-1]


def _colours(count: int) -> list[Any]:
    from matplotlib import colormaps

    return COLOURS[:count] if count <= len(COLOURS) else list(colormaps["turbo"](np.linspace(0.05, 0.95, count)))


def _label_ends(axes: Any, ends: Sequence[tuple[float, str, Any]], last: float, top: float, gap: float) -> None:
    """Write labels at the ends of the lines instead of a legend, pushed apart where lines end close together."""
    ordered = sorted(ends, key=lambda end: end[:2])
    places: list[float] = []
    for value, _, _ in ordered:  # up from the lowest, then down again from the top of the axes
        places.append(max(value, places[-1] + gap) if places else value)
    for number in reversed(range(len(places))):
        places[number] = min(places[number], top - gap * (len(places) - 1 - number))
    for place, (_, label, colour) in zip(places, ordered, strict=True):
        axes.annotate(
            label,
            (last, place),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=10,
            fontweight="bold",
            annotation_clip=False,
        )


def _write_cells(axes: Any, cells: Any, permutation: Sequence[int], dark: float) -> None:
    for (step, slot), score in np.ndenumerate(cells):
        if np.isfinite(score):
            axes.text(
                slot,
                step,
                f"{score:.2f}",
                ha="center",
                va="center",
                fontsize=10 if cells.shape[1] <= 12 else 7,
                color="white" if score > dark else INK,
                fontweight="bold" if slot == permutation[step] else "normal",
            )


def _outline(axes: Any, permutation: Sequence[int]) -> None:
    from matplotlib.patches import Rectangle

    for step, slot in enumerate(permutation):
        frame = Rectangle((slot - 0.5, step - 0.5), 1, 1, fill=False, edgecolor=COLOURS[1], linewidth=2.4)
        frame.set_clip_on(False)
        axes.add_patch(frame)
