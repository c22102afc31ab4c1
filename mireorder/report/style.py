"""How all figures look: their colours, their frames, their grids."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from mireorder.errors import InputError, MireorderError

# Okabe and Ito's palette, distinguishable with any colour vision; black and yellow left out.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"]
INK, FAINT = "#222222", "#8a8a8a"
PICTURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".eps", ".ps", ".svgz")
"""Suffixes of the formats that figures can be written in."""


def require_picture(path: str | Path) -> None:
    """Raise InputError unless a figure can be written to a file of this name."""
    if Path(path).suffix.lower() not in PICTURES:
        raise InputError("no picture's format", shard=str(path), remedy=f"end its name in one of {', '.join(PICTURES)}")


def new_figure(width: float, height: float) -> Any:
    """A white figure, its size in inches. Raises MireorderError if matplotlib is missing."""
    try:
        from matplotlib.figure import Figure  # the object API: no pyplot, no display, no global state
    except ImportError as error:
        raise MireorderError("figures need matplotlib; pip install 'mireorder[report]'") from error
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def framed(axes: Any, sides: Collection[str]) -> None:
    """Leave only these sides of the frame: ``left``, ``right``, ``top``, ``bottom``."""
    for side, spine in axes.spines.items():
        spine.set_visible(side in sides)
        spine.set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=10)


def grid(axes: Any, axis: str) -> None:
    """Draw faint lines behind everything at the ticks of an axis, ``x`` or ``y``."""
    axes.grid(axis=axis, color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)


def save_figure(figure: Any, path: str | Path) -> None:
    """Write a figure, in the format of its suffix. Raises InputError if that is none of `PICTURES`."""
    require_picture(path)
    figure.savefig(str(path), dpi=150)
