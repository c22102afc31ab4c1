"""The main job, on data made here: plan, dataset, comparison, model, restored answers, pictures.

Run it with `make demo`, or `python examples/demo.py FOLDER SEEDS` for more than one run of each order.
"""

import random
import shutil
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

import mireorder
from mireorder import Digits, Reading
from mireorder.ordering.summary import plan_view
from mireorder.report.comparison import comparison_view, write_report
from mireorder.report.figures import score_heatmap
from mireorder.report.tables import check_view

STEPS, BATCH_SIZE, EVALUATIONS = 5000, 64, 10
HELD_OUT_PAIRS = 500
MADE_HERE = ("data", "plan", "reordered", "comparison", "scores.png")


def write_products(folder: Path) -> dict[str, Path]:
    """All 10,000 products of two 2-digit numbers, split by unordered operand pairs: `12*34=0408`."""
    pairs = [(a, b) for a in range(100) for b in range(a, 100)]
    random.Random(0).shuffle(pairs)
    splits = {"test": pairs[:HELD_OUT_PAIRS], "train": pairs[HELD_OUT_PAIRS:]}
    folder.mkdir(parents=True)
    files = {}
    for split, own in splits.items():
        both = sorted({pair for a, b in own for pair in ((a, b), (b, a))})  # a pair is held out in both spellings
        files[split] = folder / f"{split}.txt"
        files[split].write_text("".join(f"{a:02}*{b:02}={a * b:04}\n" for a, b in both))
    return files


def main(folder: Path, seeds: int = 1) -> None:
    """Do it all, into the folder."""
    console, started = Console(highlight=False), time.monotonic()
    for name in MADE_HERE:  # an earlier demo's output, and nothing else
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    files = write_products(folder / "data")
    reading, cutter = Reading(separator="="), Digits(align="pad")

    console.rule("fit: which order?")
    plans = {policy: mireorder.fit(files, reading=reading, cutter=cutter, order=policy) for policy in ("plain", "max")}
    plans["max"].save(folder / "plan")
    score_heatmap(plans["max"].scores, plans["max"].units, plans["max"].permutation, folder / "scores.png", "joint")
    console.print(plan_view(plans["max"]))

    console.rule("apply and check: the reordered dataset")
    dataset = mireorder.apply(files, plans["max"], out=folder / "reordered")
    console.print(check_view(mireorder.check(folder / "reordered")))

    console.rule(f"compare: is it worth it? ({STEPS:,} steps of {BATCH_SIZE} rows for each order)")
    from mireorder.evaluate.compare import Setup, compare_prepared
    from mireorder.training.budget import Budget

    prepared = {"plain": (plans["plain"], mireorder.apply(files, plans["plain"])), "max": (plans["max"], dataset)}
    setup = Setup(seeds=seeds, budget=Budget(STEPS, BATCH_SIZE), evaluations=EVALUATIONS, keep_models=True)
    with Progress(console=console, transient=True) as bar:
        tasks = {policy: bar.add_task(policy, total=STEPS * seeds) for policy in prepared}
        every = STEPS // EVALUATIONS
        comparison = compare_prepared(
            prepared, folder / "comparison", setup, progress=lambda row: bar.advance(tasks[row["arm"]], every)
        )
    write_report(comparison)
    console.print(comparison_view(comparison))

    console.rule("generate and restore: five held-out products")
    from mireorder.training.generate import load_pipeline

    pipeline = load_pipeline(folder / "comparison" / "models" / "max")
    for row in random.Random(1).sample(list(dataset["test"]), 5):
        (answer,) = pipeline(row["prompt"])
        mark = "right" if answer["generated_text"] == row["target"] else f"wrong, it is {row['target']}"
        emitted, natural = answer["emitted_text"], answer["generated_text"]
        console.print(f"{row['prompt']}  the model wrote {emitted}, restored {natural}  ({mark})")

    console.rule(f"done in {time.monotonic() - started:.0f} s")
    for what, where in {
        "the plan": "plan/mireorder.json",
        "its scores, drawn": "scores.png",
        "the dataset": "reordered/",
        "the comparison": "comparison/README.md",
        "its curves": "comparison/accuracy.png",
        "the model": "comparison/models/max/",
    }.items():
        console.print(f"{what:18} {folder / where}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"), *map(int, sys.argv[2:3]))
