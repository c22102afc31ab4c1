"""What many runs came to: their pages and pictures in one folder, and a table of all orders on all tasks.

Run it: ``python -m pipelines.collect runs/ --out pipelines/results/``.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from mireorder.errors import InputError
from mireorder.evaluate.outcomes import Outcome, outcomes_of
from mireorder.evaluate.statistics import Interval
from mireorder.files import write_text
from mireorder.report.comparison import markdown_table
from pipelines.common import OUT, main_of

ORDERS = ["plain", "reverse", "random"] + [
    f"{criterion}-{policy}" for criterion in ("joint", "pairwise", "subset") for policy in ("max", "min")
]
PICTURE = re.compile(r"\]\(([\w/.-]+\.png)\)")


def main(
    runs: Annotated[Path, typer.Argument(help="folder that holds the pipelines' folders")],
    out: Annotated[Path, typer.Option(help="folder for the pages and their pictures")],
) -> None:
    """Collect the pages of the pipelines' folders, and print a table of what every order of digits reached."""
    folders = [folder for folder in sorted(runs.iterdir()) if (folder / "README.md").is_file()]
    if not folders:
        raise InputError("holds no folder of a pipeline", shard=str(runs), remedy="run a pipeline with --out in it")
    out.mkdir(parents=True, exist_ok=True)
    compared: dict[str, list[Outcome]] = {}
    for folder in folders:
        _copy_page(folder, out)
        results = folder / "comparison" / "results.parquet"
        if (folder / "plans").is_dir() and results.is_file():
            compared[folder.name] = outcomes_of(pl.read_parquet(results).to_dicts())
    if compared:
        OUT.print("\n".join(by_order(compared)), markup=False, soft_wrap=True)


def by_order(compared: Mapping[str, Sequence[Outcome]]) -> list[str]:
    """A Markdown table: a line a task and model, a column an order; the mean exact match over the seeds, its interval.

    Orders that came out the same stand under each of their names.
    """
    lines: dict[tuple[str, str], dict[str, Interval]] = {}
    for task, outcomes in compared.items():
        for outcome in outcomes:
            of = lines.setdefault((task, outcome.model), {})
            of |= dict.fromkeys(outcome.arm.split("+"), outcome.interval)
    models, named = {model for _, model in lines}, dict.fromkeys(name for of in lines.values() for name in of)
    orders = [name for name in ORDERS if name in named] + [name for name in named if name not in ORDERS]
    head = ["task", *(["model"] if len(models) > 1 else []), *orders]
    rows = [
        [f"[{task}]({task}.md)", *([model] if len(models) > 1 else []), *(_cell(of.get(name)) for name in orders)]
        for (task, model), of in lines.items()
    ]
    return markdown_table(head, rows)


def _cell(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{interval.value:.1%} ({100 * interval.low:.0f} to {100 * interval.high:.0f})"


def _copy_page(folder: Path, out: Path) -> None:
    """A run's README as ``{run}.md``, its pictures as ``{run}-{picture}``; its command as run from beside it."""
    page = (folder / "README.md").read_text(encoding="utf-8").replace(f" {folder}", f" {folder.name}")
    for picture in dict.fromkeys(PICTURE.findall(page)):
        name = f"{folder.name}-{Path(picture).name}"
        shutil.copyfile(folder / picture, out / name)
        page = page.replace(f"]({picture})", f"]({name})")
    write_text(out / f"{folder.name}.md", page)


if __name__ == "__main__":
    main_of(main)
