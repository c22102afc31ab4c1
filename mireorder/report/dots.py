"""A picture of metrics: a panel each, an order a line, a dot for every seed and a bar for their mean."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from mireorder.report.style import COLOURS, framed, grid, new_figure, save_figure


def dots(
    rows: Sequence[Mapping[str, Any]], metrics: Mapping[str, str], path: str | Path, shares: Collection[str] = ()
) -> None:
    """Draw metrics of several orders side by side.

    Args:
        rows: each with ``order``, ``seed`` and the metrics.
        metrics: name in the rows -> title of its panel; at least one.
        path: of the PNG.
        shares: which of the metrics are shares of 1, to be shown as percentages.

    Raises:
        MireorderError: matplotlib is missing.
    """
    names = list(dict.fromkeys(row["order"] for row in rows))
    figure = new_figure(1.6 + 2.6 * len(metrics), 1.3 + 0.4 * len(names))
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, (metric, title) in zip(panels, metrics.items(), strict=True):
        for place, name in enumerate(names):
            values = [row[metric] * (100 if metric in shares else 1) for row in rows if row["order"] == name]
            colour = COLOURS[place % len(COLOURS)]
            drawn: dict[str, Any] = {"color": colour, "clip_on": False}
            axes.plot(values, [place] * len(values), "o", alpha=0.6, markersize=6, markeredgewidth=0, **drawn)
            axes.plot([fmean(values)], [place], "|", markersize=18, markeredgewidth=2.4, **drawn)
        axes.set_title(f"{title} (%)" if metric in shares else title, loc="left", fontsize=10)
        axes.set_yticks(range(len(names)), names)
        grid(axes, "x")
        axes.margins(x=0.2)
        axes.locator_params(axis="x", nbins=4)
        axes.ticklabel_format(axis="x", useOffset=False)
        left, right = axes.get_xlim()
        if metric in shares and right - left < 1:  # a tenth of a point looks like nothing
            axes.set_xlim((left + right - 1) / 2, (left + right + 1) / 2)
        if min(row[metric] for row in rows) >= 0:  # no margin beyond what can be
            axes.set_xlim(left=max(0.0, axes.get_xlim()[0]))
        framed(axes, ("bottom",))
    panels[0].set_ylim(len(names) - 0.4, -0.6)  # shared; the first on top
    save_figure(figure, path)
