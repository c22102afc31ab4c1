"""Small datasets that are published in tests, and what a hub then holds."""

from datasets import Dataset

from mireorder import Order, apply, fit
from mireorder.tokenizing.characters import character_tokenizer

ROWS = [{"q": f"{a}*{b}", "a": str(a * b), "level": {"of": [a, None]}} for a in range(24) for b in range(24)]
SPLITS = {"train": ROWS[:500], "dev": ROWS[500:]}
QUIET = {"shuffles": 0, "resamples": 0}


def planned(policy, criterion=None):
    return fit(ROWS, source="q", target="a", cutter="digits", order=Order(policy, criterion, **QUIET))


def written(root):
    """The folder of datasets: the same rows in three orders, and in one of them as ids."""
    for name, order in {
        "max": ("max", "joint"),
        "reverse": ("reverse", None),
        "causal": ("causal-max", "pairwise"),
    }.items():
        apply(SPLITS, planned(*order), out=root / name)
    tokenizer = character_tokenizer(["0123456789* "])
    apply(SPLITS, planned("reverse"), form="token", tokenizer=tokenizer, out=root / "token")
    return root


def published(hub, name="owner/name"):
    """The commits of a repository behind the first, and what the last holds."""
    there = hub.repository("datasets", name)
    return there.commits[1:], there.commits[-1].files


def rows_of(data):
    """Split -> rows as dicts, of datasets and streams."""
    return {split: rows.to_list() if isinstance(rows, Dataset) else list(rows) for split, rows in data.items()}
