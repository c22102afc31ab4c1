"""Rows of several tasks, and bundles of their plans, for the tests of bundles."""

import random

from mireorder import Labels, Order, fit_by

QUIET = {"shuffles": 0, "resamples": 0}
COLUMNS = {"source": "q", "target": "a"}
TEXTS = {"add": "sum ", "causal": "digits ", "mood": "mood "}
MEMBERS = {
    "add": {"cutter": "digits", "order": Order("reverse", None)},
    "causal": {"cutter": "digits", "order": Order("causal-max", **QUIET)},
    "mood": {"cutter": Labels(names=("joy", "fear", "calm")), "order": Order("reverse", None)},
}
MOODS = ("joy", "fear", "joy, calm", "none", "joy, fear, calm")


def rows_of_tasks():
    rows = [{"task": "add", "q": f"sum {a}+{b}", "a": str(a + b)} for a in range(12) for b in range(12)]
    rows += [{"task": "causal", "q": f"digits {a} {b}", "a": f"{a}{b}"} for a in range(1, 10) for b in range(10)]
    rows += [{"task": "mood", "q": f"mood {mood} {n}", "a": mood} for mood in MOODS for n in range(20)]
    random.Random(0).shuffle(rows)
    return rows


ROWS = rows_of_tasks()
NO_GROUP = [{"task": None, "q": "who is there?", "a": " me\nand you"}, {"task": "none", "q": "and?", "a": ""}]


def by_route(kind, other="refuse", rows=ROWS):
    """A bundle of each route, fitted on the rows."""
    by = TEXTS if kind == "prefix" else "task"
    return fit_by(rows, by, tag=kind == "tag", other=other, members=MEMBERS, **COLUMNS)


def columns_of(rows):
    return {name: [row[name] for row in rows] for name in rows[0]}


def told(bundle, rows):
    """The groups of rows, where the route needs them."""
    return [row["task"] for row in rows] if bundle.route.kind == "column" else None


def digits_of(orders, by="task", **how):
    """A bundle of plans of sums, by the order of each."""
    rows = [{"task": task, "q": f"{a}+{b}=", "a": str(a + b)} for task in orders for a in range(12) for b in range(12)]
    members = {task: {"order": Order(order, None)} for task, order in orders.items()}
    return fit_by(rows, by, members=members, cutter="digits", **COLUMNS, **how)
