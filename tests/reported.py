"""What the tests of reports show: products, labels with hostile names, a comparison whose numbers are made up."""

from pathlib import Path

from mireorder import Digits, Labels, Order, apply, fit
from mireorder.evaluate.compare import Comparison, Setup
from mireorder.evaluate.outcomes import outcomes_of
from mireorder.training.budget import Budget

PRODUCTS = [{"question": f"{a}*{b}=", "answer": str(a * b)} for a in range(10, 40) for b in range(10, 40)]
NAMES = (
    "<script>hacked = 1</script>",
    "[/bold] [red]x",
    "\u2066red\u200f",
    "</style><img src=x onerror='hacked = 1'>",
    "<!-- & &lt; ]]>",
    "$x^2$ \u202eleft",
    '" onfocus="hacked = 1" autofocus="',
    "日本語 👩",
)


def products(folder, policy="max", **asked):
    """A dataset of products in its folder, and its plan."""
    plan = fit(PRODUCTS, source="question", target="answer", cutter=Digits(), order=Order(policy, **asked))
    apply(PRODUCTS, plan, out=folder)
    return plan


def hostile(folder):
    """A dataset whose labels and prompts are mark-up, and its plan."""
    rows = [
        {"text": f"{NAMES[row % 8]}\nword{row % 8} </script>", "labels": [NAMES[row % 8], NAMES[(row + 3) % 8]]}
        for row in range(64)
    ]
    cutter = Labels(names=NAMES, joiner=" | ")
    order = Order("max", criterion="presence", shuffles=19, resamples=5)
    plan = fit(rows, source="text", target="labels", cutter=cutter, order=order)
    apply(rows, plan, out=folder)
    return plan


def comparison(folder=Path("comparison"), seeds=3):
    """Two orders, of which the second leads by 20 points."""
    plans = {
        name: fit(PRODUCTS, source="question", target="answer", cutter="digits", order=Order(name, shuffles=0))
        for name in ("plain", "max")
    }
    rows = [
        {"arm": arm, "model": "nano", "seed": seed, "match": "steps", "step": step, "steps": 20, "tokens": 900}
        | {"exact_match": (0.4 + 0.2 * (arm == "max") + 0.01 * seed) * step / 20, "loss": 1.5, "policy": arm}
        | {"slot_accuracy": [0.5, 0.25, 0.125, float("nan")], "step_accuracy": [0.5, 0.25, 0.125, 0.0, 1.0]}
        | {"criterion": "joint", "estimator": "plug-in", "plan": plan.sha256, "dataset": "d" * 64, "code": "abc"}
        for seed in range(seeds)
        for arm, plan in plans.items()
        for step in (10, 20)
    ]
    setup = Setup(models=("nano",), seeds=seeds, budget=Budget(20, 8))
    return Comparison(folder, setup, rows, outcomes_of(rows), 810, 90, plans)
