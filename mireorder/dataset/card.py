"""The dataset card: README.md, whose YAML names the files of each split."""

from __future__ import annotations

from collections.abc import Sequence

from mireorder.dataset.forms import Form
from mireorder.ordering.plan import Plan
from mireorder.serialise import printable


def card(plan: Plan, form: Form, rows: dict[str, int], kept: Sequence[str] = ()) -> str:
    """Markdown of the card.

    Args:
        plan: the rows were reordered with.
        form: that rows are written in.
        rows: split -> number of rows.
        kept: the columns of the input that stay.
    """
    files = "\n".join(f"  - split: {split}\n    path: {split}/*.arrow" for split in rows)
    splits = "\n".join(f"| {split} | {count:,} |" for split, count in rows.items())
    policy = plan.policy + (f" ({plan.criterion['name']}, {plan.estimator})" if plan.scores else "")
    return f"""---
configs:
- config_name: default
  data_files:
{files}
tags:
- mireorder
---

# A reordered dataset

The targets of this dataset stand in another order than the natural one, so that a decoder learns them in it
([mireorder](https://arxiv.org/abs/2511.00198)). `mireorder.json` is the plan that made the order and undoes it.

| | |
|---|---|
| policy | {policy} |
| kind | {plan.kind} |
| order of a full target | {_code(plan.in_words)} |
| plan | `{plan.sha256}` |

| split | rows |
|---|---|
{splits}

Columns: {form.about}; `permutation` (step to slot), `row_id` (shard and row of the input), `target` (natural).
{_kept(kept)}
```python
from datasets import load_from_disk
from mireorder import Plan

dataset = load_from_disk("this/folder")
plan = Plan.load("this/folder")
plan.restore("what a model emitted").text
```

Without mireorder, `restore.py` does the same with nothing but Python:

```sh
python this/folder/restore.py < emitted.txt > natural.txt
```
"""


def _kept(names: Sequence[str]) -> str:
    return f"Kept from the input: {', '.join(map(_code, names))}.\n" if names else ""


def _code(text: str) -> str:
    """Text of the data as code in a cell of a table: names of labels may hold what ends a cell, a line or the code."""
    shown = printable(text).replace("`", "'").replace("|", "\\|")
    return f"`{shown}`"
