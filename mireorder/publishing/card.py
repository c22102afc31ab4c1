"""The card of a repository: a section for each plan, what its owner wrote around them, and YAML of all configurations.

Texts and names of the data stand in it as code or as JSON, where no mark-up has an effect.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mireorder.dataset.card import (
    CARRIED,
    PAPER,
    code,
    facts,
    kept_columns,
    read_card,
    restoring,
    size_category,
    with_tag,
)
from mireorder.dataset.card import yaml_text as written
from mireorder.ordering.bundle import AnyPlan, plans_of
from mireorder.publishing.shards import Configuration, data_files, info_of

NATURAL = "natural"
MOST_SHOWN = 400  # characters of a text of the example
_END = re.compile(r"^<!-- /mireorder .* -->\n", re.MULTILINE)
_MARKUP = re.compile(r"([!-/:-@\[-`{-~])")
_CITATION = f"""## Citation

The method is from "Training LLMs Beyond Next Token Prediction: Filling the Mutual Information Gap" ({PAPER}).

```bibtex
@misc{{arxiv251100198,
  title = {{Training LLMs Beyond Next Token Prediction: Filling the Mutual Information Gap}},
  eprint = {{2511.00198}},
  archivePrefix = {{arXiv}},
  url = {{{PAPER}}}
}}
```
"""


@dataclass(frozen=True)
class Section:
    """What a card says of a plan and its rows.

    Attributes:
        repository: ``owner/name``.
        plan: of the rows.
        ordered: the configuration in the plan's order.
        natural: the same rows in natural order.
        about: the columns of the form in words.
        is_token: whether rows are ids.
        kept: the columns of the input that stay.
        rejected: rows that were set aside.
        picture: path of the scores' picture in the repository, None of none.
    """

    repository: str
    plan: AnyPlan
    ordered: Configuration
    natural: Configuration
    about: str
    is_token: bool
    kept: tuple[str, ...]
    rejected: int
    picture: str | None


def repository_card(there: str | None, section: Section, carried: Mapping[str, Any], default: str) -> str:
    """The card with the section of a plan, in place of an older one of the same configuration.

    Args:
        there: the card so far; None for none.
        section: of the plan.
        carried: what the card of the dataset's folder says of its rows; what stands in the card so far comes first.
        default: the configuration that is loaded where none is named.
    """
    said, body = read_card(there) if there is not None else ({}, None)
    data = _metadata(said, section, carried, default)
    opening, closing = (f"<!-- {slash}mireorder {section.ordered.name} -->\n" for slash in ("", "/"))
    text = opening + _section(section) + closing
    if body is None or not body.strip():
        title = _MARKUP.sub(r"\\\1", data.get("pretty_name") or section.repository.partition("/")[2])
        return f"---\n{written(data)}---\n\n{_opening(title, section)}\n{text}\n{_CITATION}"
    old = re.search(rf"^{re.escape(opening)}.*?^{re.escape(closing)}", body, re.MULTILINE | re.DOTALL)
    ends = [found.end() for found in _END.finditer(body)]
    start, end = old.span() if old else (ends[-1], ends[-1]) if ends else (len(body), len(body))
    gap = "" if old else "\n" if ends else "\n\n"
    head = str(there).removesuffix(body) if data == said else f"---\n{written(data)}---\n"  # its comments stay
    return f"{head}{body[:start]}{gap}{text}{body[end:]}"


def default_of(there: str | None, config: str) -> str:
    """The configuration that a repository's card loads where none is named; this one where the card names none."""
    said, _ = read_card(there or "")
    named = [one.get("config_name") for one in configurations(said) if one.get("default")]
    return str(named[0]) if named else config


def configurations(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The configurations that the YAML of a card names."""
    found = said.get("configs")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _metadata(said: Mapping[str, Any], section: Section, carried: Mapping[str, Any], default: str) -> dict[str, Any]:
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCardData

    data = {name: carried[name] for name in CARRIED if name in carried} | dict(said)
    data["tags"] = with_tag(said, carried)
    data["size_categories"] = [size_category(sum(section.natural.rows.values()))]
    both = {one.name: one for one in (section.ordered, section.natural)}
    of_card = DatasetCardData(**data)
    is_default = {name: {"default": True} if name == default else {} for name in both}
    MetadataConfigs({name: {**data_files(one), **is_default[name]} for name, one in both.items()}).to_dataset_card_data(
        of_card
    )
    DatasetInfosDict({name: info_of(one) for name, one in both.items()}).to_dataset_card_data(of_card)
    found: dict[str, Any] = of_card.to_dict()  # type: ignore[no-untyped-call]
    return {name: found[name] for name in dict.fromkeys([*said, *found]) if name in found}


def _opening(title: str, section: Section) -> str:
    return f"""# {title}

The targets of these rows stand in another order than the natural one, so that a decoder learns to emit them in it
([paper]({PAPER})). Model, loss and trainer stay as they are, and what a model emits is
put back into natural order. Configuration `{NATURAL}` holds the same rows in natural order.
"""


def _section(section: Section) -> str:
    name = section.ordered.name
    picture = f"\n![Scores of each slot at each step]({section.picture})\n" if section.picture else ""
    kept = kept_columns(section.kept)
    return f"""## Configuration `{name}`

{facts(section.plan, section.ordered.rows)}

Columns: {section.about}; `permutation` (step to slot), `row_id` (shard and row of the input), `target` (natural).
{kept}{picture}
{_example(section)}
Load it:

```python
from datasets import load_dataset

rows = load_dataset("{section.repository}", "{name}")
```

{_training(section)}
{_restoring(section)}
Limits:

{_limits(section)}
"""


def _example(section: Section) -> str:
    """One row before and after. JSON has no line ends within texts, so that nothing in them ends the block."""
    before, after = section.natural.example, section.ordered.example
    if before is None or after is None:
        return ""
    columns = [name for name in after if name in ("prompt", "completion", "input_ids", "labels", "permutation")]
    shown = {"natural": {name: before[name] for name in ("prompt", "completion")}}
    shown["reordered"] = {name: after[name] for name in columns}
    rows = json.dumps({name: {key: _short(value) for key, value in row.items()} for name, row in shown.items()},
                      ensure_ascii=False, indent=1)  # fmt: skip
    return f"One row, before and after:\n\n```json\n{_printable(rows)}\n```\n"


def _short(value: Any) -> Any:
    most = MOST_SHOWN if isinstance(value, str) else MOST_SHOWN // 8
    if not isinstance(value, str | list) or len(value) <= most:
        return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else value
    rest = f"... ({len(value) - most:,} more)"
    return value[:most] + rest if isinstance(value, str) else f"[{', '.join(map(str, value[:most]))}, {rest}]"


def _printable(text: str) -> str:
    """JSON whose invisible characters are written out."""
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def _training(section: Section) -> str:
    name, repository = section.ordered.name, section.repository
    if section.is_token:
        return f"""Train on it with transformers' own `Trainer`, after `mireorder pull {repository}:{name} --out rows`:

```python
from transformers import AutoTokenizer, DataCollatorForSeq2Seq

tokenizer = AutoTokenizer.from_pretrained("rows/tokenizer")
collator = DataCollatorForSeq2Seq(tokenizer)
train = rows["train"].select_columns(["input_ids", "labels"])
```
"""
    return """Train on it with TRL, which needs no change:

```python
from trl import SFTConfig, SFTTrainer

train = rows["train"].select_columns(["prompt", "completion"])
config = SFTConfig("tuned", max_length=None)  # a cut row has lost the end of its answer
SFTTrainer("your/model", args=config, train_dataset=train).train()
```
"""


def _restoring(section: Section) -> str:
    name, repository, plan = section.ordered.name, section.repository, section.plan
    kind, said, options = restoring(plan)
    call = f'plan.restore("what the model emitted"{said}).text'
    if plan.tokenizer is not None:
        call = "plan.restore_ids([1, 2, 3]).ids  # the ids that the model emitted"
    without = f"""
Without mireorder, with nothing but Python:

```python
from huggingface_hub import snapshot_download

snapshot_download("{repository}", repo_type="dataset", allow_patterns="{name}/*", local_dir="rows")
```

```sh
python rows/{name}/restore.py {options}< emitted.txt > natural.txt
```
"""
    return f"""Put back into natural order what a model emits:

```python
from mireorder import {kind}

plan = {kind}.load("{repository}:{name}")
{call}
```
{"" if plan.tokenizer is not None else without}"""


def _limits(section: Section) -> str:
    plans = list(plans_of(section.plan))
    counted, chosen = sum(plan.rows for plan in plans), "order was" if len(plans) == 1 else "orders were"
    said = [
        f"The {chosen} chosen on {counted:,} rows. Whether a model learns more in it shows when it is trained: "
        f"compare with `{NATURAL}`."
    ]
    if section.rejected:
        said.append(f"{section.rejected:,} rows could not be reordered and are left out.")
    for plan in plans:
        if plan.ties:
            said.append(f"{len(plan.ties):,} choices were ties, broken by {plan.tie_breaker or 'the lowest slot'}.")
        said += map(code, plan.warnings)
    return "\n".join(f"- {one}" for one in said)
