"""Is it worth it? Train two orders, and read the results: means, intervals, curves.

Run it: python examples/read_comparison.py FOLDER   (1 to 2 minutes on 2 cores)
"""

import sys
from pathlib import Path

import polars as pl

from mireorder import Reading
from mireorder.evaluate.compare import Setup, arms, compare
from mireorder.training.budget import Budget

folder = Path(sys.argv[1])
rows = [{"q": f"{a}+{b}=", "a": str(a + b)} for a in range(50) for b in range(50)]
setup = Setup(models=("tiny",), seeds=2, budget=Budget(steps=300, batch_size=64), evaluations=5)
comparison = compare(
    rows, arms(["plain", "reverse"]), folder / "comparison", setup, reading=Reading(("q",), ("a",)), cutter="digits"
)

for outcome in comparison.outcomes:
    lead = outcome.lead_over_first
    led = "" if lead is None else f", {100 * lead.value:+.1f} points ({100 * lead.low:+.1f} to {100 * lead.high:+.1f})"
    print(f"{outcome.arm}: {outcome.mean:.1%} of the answers are right{led}")

curves = pl.read_parquet(folder / "comparison" / "results.parquet")  # one row per run and evaluated step
print(curves.group_by("arm", "step").agg(pl.col("exact_match").mean()).sort("arm", "step"))
