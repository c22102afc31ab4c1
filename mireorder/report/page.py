"""One self-contained HTML page of a plan, dataset, search or comparison."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from mireorder.dataset import manifest
from mireorder.errors import InputError, MireorderError
from mireorder.evaluate.compare import Comparison
from mireorder.evaluate.results_folder import FILE as COMPARISON
from mireorder.files import write_text
from mireorder.ordering.plan import Plan
from mireorder.report.compared import comparison_report
from mireorder.report.parts import Report
from mireorder.report.plan import plan_report
from mireorder.serialise import printable_lines
from mireorder.storage import require_local

SUFFIXES = (".html", ".htm")
MOST_TEXT = 4000  # characters of a text
_HERE = Path(__file__).parent


def write_page(what: Plan | Comparison | str | Path, out: str | Path) -> Path:
    """Write a report: one HTML file that loads nothing, for browsers, telephones and paper.

    Args:
        what: a plan or a comparison; or the folder of one, of a dataset, a model or a search; or a
            plan's hub id.
        out: the file, which ends in .html. One that is there is replaced.

    Returns:
        The file.

    Raises:
        InputError: the file has no such name.
        PlanError: there is no plan, or it can't be read.
        OutputError: the dataset or the comparison is not finished, or can't be read.
        MireorderError: jinja2 or matplotlib is missing.

    Example:
        >>> import tempfile
        >>> from mireorder import fit
        >>> rows = [{"question": f"{a}+{b}=", "answer": str(a + b)} for a in range(40) for b in range(40)]
        >>> plan = fit(rows, source="question", target="answer", cutter="digits", order="reverse")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_page(plan, f"{folder}/report.html").name
        'report.html'
    """
    path = require_local(out)
    require_page(path)
    write_text(path, page(_report(what)))
    return path


def require_page(path: Path) -> None:
    """Raise InputError unless a page can be written to a file of this name."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError("no web page's name", shard=str(path), remedy="end it in .html")


def _report(what: Plan | Comparison | str | Path) -> Report:
    if isinstance(what, Comparison):
        return comparison_report(what)
    if isinstance(what, Plan):
        return plan_report(what, "PLAN", None)
    folder = Path(what)
    if (folder / COMPARISON).is_file():
        return comparison_report(Comparison.load(folder))
    dataset = folder if (folder / manifest.FILE).is_file() else None
    return plan_report(Plan.load(folder), str(what), dataset)


def page(report: Report) -> str:
    """The HTML of a report.

    Raises:
        MireorderError: jinja2 is missing.
    """
    try:
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise MireorderError("reports need jinja2; pip install 'mireorder[report]'") from error

    def finalize(value: Any) -> Any:
        return value if isinstance(value, Markup) else shown(str(value))

    template, style, script = (
        (_HERE / f"page.{suffix}").read_text(encoding="utf-8") for suffix in ("html", "css", "js")
    )
    environment = Environment(autoescape=True, finalize=finalize, undefined=StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    policy = {
        "default-src": "'none'",
        "style-src": _hash(style),
        "script-src": _hash(script),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return environment.from_string(template).render(
        report=report,
        policy=Markup("; ".join(f"{what} {allowed}" for what, allowed in policy.items())),  # noqa: S704 (nothing of
        style=Markup(style),  # noqa: S704 (the data is in these three)
        script=Markup(script),  # noqa: S704
    )


def shown(text: str) -> str:
    """A text of the data as a page holds it, before its mark-up is escaped: no control characters, not endless."""
    cut = text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}... ({len(text) - MOST_TEXT:,} more characters)"
    return printable_lines(cut)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
