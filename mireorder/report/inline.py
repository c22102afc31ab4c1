"""Figures as SVG that stands in a page: its text is text, and the page's style sheet gives it fonts and colours."""

from __future__ import annotations

import re
import tempfile
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mireorder.errors import MireorderError

_SVG, _XLINK = "http://www.w3.org/2000/svg", "{http://www.w3.org/1999/xlink}href"
_DROPPED = {f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"}
_FONT = re.compile(r"(?P<bold>bold|[6-9]00)?.*?(?P<size>[\d.]+)px")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def inline_svg(draw: Callable[[Path], None], says: str, name: str) -> Markup:
    """A figure as an element of a page.

    Styles become attributes, which a page may hold where its security policy allows no style but its own sheet, and
    which the sheet overrides: dark pages need other colours.

    Args:
        draw: draws it into a file of that name.
        says: what it shows, for those who don't see it.
        name: of the figure in its page: ids in it begin so.

    Raises:
        MireorderError: matplotlib is missing.
    """
    try:
        from matplotlib import rc_context
    except ImportError as error:
        raise MireorderError("figures need matplotlib; pip install 'mireorder[report]'") from error

    as_text = {"svg.fonttype": "none", "svg.hashsalt": name, "text.parse_math": False}
    with tempfile.TemporaryDirectory(prefix="mireorder-") as folder, rc_context(as_text), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the browser has other fonts
        path = Path(folder, "figure.svg")
        draw(path)
        root = ET.fromstring(path.read_bytes())  # noqa: S314 (drawn just now)
    _clean(root, name)
    for size in ("width", "height"):
        del root.attrib[size]
    root.attrib |= {"role": "img", "aria-label": says, "class": "chart"}
    ET.register_namespace("", _SVG)
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 (every text in it is escaped)


def _clean(element: Any, name: str) -> None:
    for child in list(element):
        if child.tag in _DROPPED:
            element.remove(child)
        else:
            _clean(child, name)
    attributes = dict(element.attrib)
    element.attrib.clear()
    for key, value in (attributes | _styles(attributes.pop("style", ""))).items():
        if key == "id":
            element.set(key, f"{name}-{value}")
        elif key == _XLINK:
            element.set("href", f"#{name}-{value.removeprefix('#')}")
        else:
            element.set(key, _REFERENCE.sub(rf"url(#{name}-\1)", value))


def _styles(style: str) -> dict[str, str]:
    """Declarations as attributes."""
    pairs = [pair.split(":", 1) for pair in style.split(";") if ":" in pair]
    found = {name.strip(): value.strip() for name, value in pairs}
    if font := _FONT.match(found.pop("font", "")):
        found |= {"font-size": font["size"]} | ({"font-weight": "bold"} if font["bold"] else {})
    found.pop("font-family", None)
    return found
