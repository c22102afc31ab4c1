"""The dataset card: README.md, whose YAML names the files of each split and says what the input's card said."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mireorder.dataset.forms import Form
from mireorder.errors import HubError
from mireorder.hub import HUB_ID, hub_repository
from mireorder.ordering.bundle import AnyPlan, Bundle
from mireorder.ordering.plan import Plan
from mireorder.storage import is_local, is_path, place, reaching

FILE = "README.md"
PAPER = "https://arxiv.org/abs/2511.00198"
TAG = "mireorder"
CARRIED = (
    *("license", "license_name", "license_link", "language", "multilinguality", "language_creators"),
    *("annotations_creators", "pretty_name", "source_datasets", "task_categories", "task_ids", "tags"),
)
"""What a card says of rows in any order: carried over from the input's card, if it has one."""
_SIZES = (
    *("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M"),
    *("100M<n<1B", "1B<n<10B", "10B<n<100B", "100B<n<1T", "n>1T"),
)
MOST_YAML = 1 << 20  # characters: the reader takes seconds for as many
_BREAKS = re.compile("[\x85\u2028\u2029]")  # which end a line for some readers of the YAML, and not for others


def card(
    plan: AnyPlan,
    form: Form,
    rows: Mapping[str, int],
    digest: str,
    kept: Sequence[str] = (),
    carried: Mapping[str, Any] | None = None,
    suffix: str = ".arrow",
) -> str:
    """Markdown of the card.

    Args:
        plan: the rows were reordered with.
        form: that rows are written in.
        rows: split -> number of rows.
        digest: hash of the files. The cache of ``load_dataset`` goes by what the card of a folder says, not by its
            files: without it, rows of an earlier folder of the same name would be loaded.
        kept: the columns of the input that stay.
        carried: what the input's card says (`carried_card`).
        suffix: of the files.
    """
    data = dict(carried or {})
    data["tags"] = with_tag(data)
    data |= of_files(rows, digest, suffix)
    kind, said, options = restoring(plan)
    load = "load_from_disk" if suffix == ".arrow" else "load_dataset"
    return f"""---
{yaml_text(data)}---

# A reordered dataset

The targets of this dataset stand in another order than the natural one, so that a decoder learns them in it
([mireorder]({PAPER})). `mireorder.json` is the plan that made the order and undoes it.

{facts(plan, rows)}

Columns: {form.about}; `permutation` (step to slot), `row_id` (shard and row of the input), `target` (natural).
{kept_columns(kept)}
```python
from datasets import {load}
from mireorder import {kind}

dataset = {load}("this/folder")
plan = {kind}.load("this/folder")
plan.restore("what a model emitted"{said}).text
```

Without mireorder, `restore.py` does the same with nothing but Python:

```sh
python this/folder/restore.py {options}< emitted.txt > natural.txt
```
"""


def of_files(rows: Mapping[str, int], digest: str, suffix: str) -> dict[str, Any]:
    """What the YAML says of the files: all but what cards say of rows in any order."""
    files = [{"split": split, "path": f"{split}/data-*{suffix}"} for split in rows]
    config = {"config_name": "default", "description": f"xxh3 {digest}", "data_files": files}
    return {"size_categories": [size_category(sum(rows.values()))], "configs": [config]}


def facts(plan: AnyPlan, rows: Mapping[str, int]) -> str:
    """What the order is and how many rows have it, as a list: in tables, texts of the data could end a cell."""
    counted = ", ".join(f"{code(split)} {count:,}" for split, count in rows.items())
    if isinstance(plan, Bundle):
        orders = [f"- route: {plan.route.kind}", f"- rows of no group: {plan.other}"]
        for group, member in plan.members.items():
            how = f"policy {_policy(member)}, kind {member.kind}, order {code(member.in_words)}"
            orders.append(f"- group {code(group)}: {how}")
    else:
        orders = [f"- policy: {_policy(plan)}", f"- kind: {plan.kind}"]
        orders.append(f"- order of a full target: {code(plan.in_words)}")
    return "\n".join([*orders, f"- rows: {counted}", f"- plan: `{plan.sha256}`"])


def _policy(plan: Plan) -> str:
    return plan.policy + (f" ({plan.criterion['name']}, {plan.estimator})" if plan.scores else "")


def restoring(plan: AnyPlan) -> tuple[str, str, str]:
    """How answers are restored: the class to load, what a call takes beside the answer, and options of the script."""
    if isinstance(plan, Bundle):
        by_column = plan.route.kind == "column"
        prompt, prompts = (', prompt="what it answers"', "--prompts prompts.txt ") if plan.reads_prompts else ("", "")
        group, groups = (', group="its group"', "--groups groups.txt ") if by_column else ("", "")
        return "Bundle", prompt + group, prompts + groups
    return "Plan", ', prompt="what it answers"' if plan.reads_prompts else "", ""


def kept_columns(names: Sequence[str]) -> str:
    """The columns of the input that stay, in a line; '' of none."""
    return f"Kept from the input: {', '.join(map(code, names))}.\n" if names else ""


def code(text: str) -> str:
    """Text of the data as code in a line of Markdown: no mark-up in it has an effect, as the quotes are longer."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    shown = " ".join(shown.split()) or " "
    quotes = "`" * (max(map(len, re.findall("`+", shown)), default=0) + 1)
    pad = " " if shown[0] == "`" or shown[-1] == "`" else ""
    return f"{quotes}{pad}{shown}{pad}{quotes}"


def with_tag(*cards: Mapping[str, Any]) -> list[str]:
    """The tags in the YAML of cards, and this library's."""
    found = [tags for card in cards if isinstance(tags := card.get("tags"), str | list)]
    return list(dict.fromkeys([*(tag for tags in found for tag in ([tags] if isinstance(tags, str) else tags)), TAG]))


def size_category(rows: int) -> str:
    """The hub's word for a number of rows."""
    return _SIZES[min(max(len(str(rows)) - 3, 0), len(_SIZES) - 1)]


def yaml_text(data: Mapping[str, Any]) -> str:
    """YAML that every reader cuts into the same lines."""
    import yaml

    text: str = yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True)
    return yaml.safe_dump(dict(data), sort_keys=False) if _BREAKS.search(text) else text


def read_card(text: str) -> tuple[dict[str, Any], str]:
    """The YAML of a card and what follows it; nothing of one that has none, or none that can be read."""
    import yaml
    from huggingface_hub.repocard import REGEX_YAML_BLOCK

    block = REGEX_YAML_BLOCK.search(text)
    if block is None:
        return {}, text
    try:
        data = yaml.safe_load(block[2]) if len(block[2]) <= MOST_YAML else None
    except (yaml.YAMLError, ValueError, RecursionError):
        data = None
    return data if isinstance(data, dict) else {}, text[block.end() :]


def carried_card(data: Any) -> dict[str, Any]:
    """What the card of an input says of its rows: of a folder, or of a dataset of the hub, which becomes their source.

    Args:
        data: whatever `open_shards` reads; of several inputs nothing is carried.

    Returns:
        Keys of `CARRIED`, as text or lists of texts; none where there is no card.
    """
    if isinstance(data, list | tuple) and len(data) == 1:
        return carried_card(data[0])
    if not isinstance(data, str) and not is_path(data):
        return {}
    path = place(data)
    hub_id = HUB_ID.fullmatch(path.as_posix()) if is_local(path) else None
    if hub_id is None or path.exists():
        return _carried(path / FILE)
    try:
        found = hub_repository(hub_id[1])[0].file(FILE)
    except HubError:  # the rows were found, in the cache at least
        found = None
    return (_carried(found) if found else {}) | {"source_datasets": [hub_id[1]]}


def _carried(path: Path) -> dict[str, Any]:
    with reaching(path):
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    said, _ = read_card(text)
    found = {name: _plain(said[name]) for name in CARRIED if name in said}
    return {name: value for name, value in found.items() if value}


def _plain(value: Any) -> str | list[str] | None:
    """Text in one line, or a list of such; None of anything else."""
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return [" ".join(one.split()) for one in value]
    return None
