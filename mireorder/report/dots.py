"""A picture of metrics: a panel each, an order a line, a dot for every seed and a bar for their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from mireorder.report.figures import _COLOURS, _DPI, _figure, _plain


def dots(rows: Sequence[Mapping[str, Any]], metrics: Mapping[str, str], path: str | Path) -> None:
    """Draw metrics of several orders side by side.

    Args:
        rows: each with ``order``, ``seed`` and the metrics.
        metrics: name in the rows -> title of its panel; at least one.
        path: of the PNG.

    Raises:
        MireorderError: matplotlib is missing.
    """
    names = list(dict.fromkeys(row["order"] for row in rows))
    figure = _figure(1.6 + 2.6 * len(metrics), 1.3 + 0.4 * len(names))
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, (metric, title) in zip(panels, metrics.items(), strict=True):
        for place, name in enumerate(names):
            values = [row[metric] for row in rows if row["order"] == name]
            colour = _COLOURS[place % len(_COLOURS)]
            axes.plot(values, [place] * len(values), "o", color=colour, alpha=0.6, markersize=6, markeredgewidth=0)
            axes.plot([fmean(values)], [place], "|", color=colour, markersize=18, markeredgewidth=2.4)
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_yticks(range(len(names)), names)
        axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.margins(x=0.2, y=0.3)
        _plain(axes, ("bottom",))
    panels[0].invert_yaxis()
    figure.savefig(str(path), dpi=_DPI)
