"""What pipelines write of their results: tables, pictures and the folder's page."""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Mapping, Sequence, Sized
from pathlib import Path
from statistics import fmean
from typing import Any

from mireorder import Bundle, Plan
from mireorder.dataset.manifest import FILE as MANIFEST
from mireorder.evaluate.results_folder import code_version
from mireorder.evaluate.statistics import difference
from mireorder.files import write_text
from mireorder.report.comparison import markdown_table

FOLDER = {
    "`data/`": "the rows, as they were read and clipped",
    "`plans/`": "the plan of each order; orders that came out the same (`plain+max`) are trained once",
    "`datasets/`": "the reordered datasets, checked, in token form, each with its plan and tokenizer",
    "`models/`": "a model of each order and seed, with its plan: `mireorder generate` answers with it",
    "`metrics.parquet`, `figures/`": "all numbers, and pictures",
}
PICTURE = "figures/metrics.png"

MetricRow = dict[str, Any]
Columns = Mapping[str, tuple[str, str]]  # metric -> title and format
Part = str | Sequence[str]  # of a page: a paragraph, or the lines of a table


def write_metrics(folder: Path, rows: Sequence[MetricRow], figure: Columns) -> None:
    """All numbers, ``metrics.parquet``, and a picture of some of them.

    Args:
        folder: the pipeline's.
        rows: each with ``order`` and ``seed``.
        figure: metric -> title and format, of those in the picture.
    """
    import polars as pl

    from mireorder.report.dots import dots

    pl.DataFrame(list(rows), infer_schema_length=None).write_parquet(folder / "metrics.parquet")
    (folder / PICTURE).parent.mkdir(exist_ok=True)
    shown = _measured(rows, figure)
    titles = {metric: title for metric, (title, _) in shown.items()}
    shares = [metric for metric, (_, form) in shown.items() if form.endswith("%")]
    dots(rows, titles, folder / PICTURE, shares)


def results(rows: Sequence[MetricRow], columns: Columns) -> list[Part]:
    """The parts of a page that show the metrics: each order, how it differs from ``plain``, and the picture.

    Args:
        rows: each with ``order`` and ``seed``; the picture of them is written.
        columns: metric -> title and format.
    """
    parts: list[Part] = [table(rows, columns)]
    if len({row["seed"] for row in rows}) > 1:
        parts.insert(0, "The mean over the seeds; in brackets each seed, where they differ:")
    if apart := differences(rows, columns):
        parts += [
            "Differences between runs of one seed, those of percentages in points: their mean, and its 95% bootstrap "
            "interval over the seeds (of few seeds, too narrow). A column without a difference is left out.",
            apart,
        ]
    return [*parts, f"![every order and seed]({PICTURE})"]


def table(rows: Sequence[MetricRow], columns: Columns) -> list[str]:
    """A Markdown table with a line per order: the mean over the seeds, and each seed where they differ.

    Args:
        rows: each with ``order`` and ``seed``.
        columns: metric -> title and format.
    """
    shown = _measured(rows, columns)
    lines = []
    for name in dict.fromkeys(row["order"] for row in rows):
        cells = []
        for metric, (_, form) in shown.items():
            values = [row[metric] for row in rows if row["order"] == name]
            seeds = [format(value, form) for value in values]
            cells.append(f"{fmean(values):{form}}" + (f" ({', '.join(seeds)})" if len(set(seeds)) > 1 else ""))
        lines.append([name, *cells])
    return markdown_table(["order", *(title for title, _ in shown.values())], lines)


def differences(rows: Sequence[MetricRow], columns: Columns) -> list[str]:
    """A Markdown table of how each order differs from ``plain``, with the 95% bootstrap interval over the seeds.

    Args:
        rows: each with ``order`` and ``seed``.
        columns: metric -> title and format; a metric in which no run differs from plain's is left out.

    Returns:
        Its lines; none where there is one seed, no order named ``plain``, or no difference.
    """
    runs: dict[str, dict[int, MetricRow]] = {}
    for row in rows:
        runs.setdefault(row["order"], {})[row["seed"]] = row
    base = next((name for name in runs if "plain" in name.split("+")), None)
    if base is None or len(runs[base]) < 2:
        return []
    plain = runs.pop(base)
    pairs = {
        name: [(of[seed], plain[seed]) for seed in sorted(of)] for name, of in runs.items() if of.keys() == plain.keys()
    }
    shown = {
        metric: how
        for metric, how in _measured(rows, columns).items()
        if any(run[metric] != beside[metric] for of in pairs.values() for run, beside in of)
    }
    if not shown:
        return []
    lines = []
    for name, of in pairs.items():
        cells = []
        for metric, (_, form) in shown.items():
            found = difference(*zip(*((run[metric], beside[metric]) for run, beside in of), strict=True))
            scale, signed = (
                (100, "+.1f") if form.endswith("%") else (1, f"+{form}")
            )  # a share's difference is in points
            value, low, high = (format(scale * number, signed) for number in (found.value, found.low, found.high))
            cells.append(f"{value} ({low} to {high})")
        lines.append([name, *cells])
    return markdown_table([f"difference to {base}", *(title for title, _ in shown.values())], lines)


def origin(dataset: Path, plan: Plan | Bundle) -> dict[str, str]:
    """What a run's numbers can be traced to: SHA-256 of the plan and of the dataset's manifest, and the code."""
    manifest = hashlib.sha256((dataset / MANIFEST).read_bytes())
    return {"plan": plan.sha256, "dataset": manifest.hexdigest(), "code": code_version()}


def origins(rows: Sequence[MetricRow]) -> list[Part]:
    """The parts of a page that say where its numbers come from: rows with what `origin` gave."""
    found = {(row["order"], row["code"]): row for row in rows if row.get("plan")}
    cells = [[row["order"], row["plan"][:12], row["dataset"][:12], row["code"]] for row in found.values()]
    return [
        "Where the numbers come from: the plan, the dataset's manifest, which has the hashes of what was read and "
        "written, and the code (whole in `metrics.parquet`).",
        markdown_table(("order", "plan", "dataset", "code"), cells),
    ]


def _measured(rows: Sequence[MetricRow], columns: Columns) -> dict[str, tuple[str, str]]:
    """The columns that the rows have; some can't be had everywhere."""
    return {metric: how for metric, how in columns.items() if rows[0].get(metric) is not None}


def sizes(splits: Mapping[str, Sized]) -> str:
    """How many rows there are of each split, in words."""
    return f"{len(splits['train']):,} rows to learn from, {len(splits['test']):,} held out"


def again(pipeline: str) -> str:
    """The command that is running, to be written down."""
    return f"python -m pipelines.{pipeline} {shlex.join(sys.argv[1:])}"


def made_by(command: str, folder: Mapping[str, str]) -> list[Part]:
    """The parts of a page that say how the folder is made and what lies in it.

    Args:
        command: what makes it.
        folder: where -> what.
    """
    return [
        f"Made by `{command}`; run again, it resumes.",
        markdown_table(("where", "what"), list(folder.items())),
    ]


def compared(folder: Path) -> str:
    """The page of the comparison in that folder, one level deeper."""
    page = (folder / "comparison" / "README.md").read_text(encoding="utf-8")
    return page.replace("](accuracy", "](comparison/accuracy").replace("# ", "## ").rstrip("\n")


def write_page(folder: Path, title: str, parts: Sequence[Part]) -> str:
    """The folder's README.

    Args:
        folder: the pipeline's.
        title: its heading.
        parts: paragraphs, or the lines of a table; empty ones are left out.

    Returns:
        Its text.
    """
    lines = [f"# {title}", ""]
    for part in filter(None, parts):
        lines += [*([part] if isinstance(part, str) else part), ""]
    page = "\n".join(lines)
    write_text(folder / "README.md", page)
    return page
