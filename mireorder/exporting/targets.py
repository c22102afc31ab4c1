"""Targets: what each trainer reads. A new one is a row of the table.

Trainers that open files by `datasets` get Parquet, because its JSON reader takes a column of dates for times. Token
columns have the types that ``Dataset.map`` gives to rows that a tokenizer has cut, so both can be concatenated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mireorder.arrays import list_array, list_offsets
from mireorder.dataset.laws import Columns
from mireorder.errors import InputError
from mireorder.networks import IGNORED
from mireorder.ordering.bundle import AnyPlan
from mireorder.ordering.columns import as_answers

Make = Callable[[Columns, AnyPlan], Columns]
"""The target's columns, of some rows of the dataset."""
TEXT, IDS, FLAGS = pa.string(), pa.list_(pa.int32()), pa.list_(pa.int8())
TURNS = pa.list_(pa.struct({"role": TEXT, "content": TEXT}))
SHAREGPT_TURNS = pa.list_(pa.struct({"from": TEXT, "value": TEXT}))
TOKENS = {"input_ids": IDS, "attention_mask": FLAGS, "labels": pa.list_(pa.int64())}


@dataclass(frozen=True)
class Target:
    """What a trainer reads.

    Attributes:
        form: of the dataset it is made from, a name in `FORMS`.
        columns: name -> Arrow type.
        make: gives the columns.
        suffix: of the files, one a split: ``.parquet`` or ``.jsonl``.
        exact: whether other columns beside these are refused.
        templated: whether a template may be written around the answer that strips white space from its ends.
        filled: ``prompt``, ``answer`` or both, if a row in which it is empty is refused.
        named: split -> another name for its file.
        info: what `dataset_info.json` says of a file, None where there is no such file.
    """

    form: str
    columns: Mapping[str, pa.DataType]
    make: Make
    suffix: str = ".parquet"
    exact: bool = False
    templated: bool = False
    filled: tuple[str, ...] = ()
    named: Mapping[str, str] = field(default_factory=dict)
    info: Mapping[str, Any] | None = None


def answers(columns: Columns, plan: AnyPlan) -> pa.StringArray:
    """Completions without the white space that opens them, which a template's own opening makes needless.

    An answer that itself begins with this white space keeps it: otherwise its own would be taken for it.
    """
    return as_answers(columns["completion"], plan.completion_start)


def _kept(*names: str) -> Make:
    """Columns of the form as they are."""
    return lambda columns, plan: {name: columns[name] for name in names}


def _texts(prompt: str, answer: str, empty: str | None = None) -> Make:
    """Prompt and answer under other names, and a column of empty texts."""

    def make(columns: Columns, plan: AnyPlan) -> Columns:
        made = {prompt: columns["prompt"], answer: answers(columns, plan)}
        return made if empty is None else made | {empty: pa.array([""] * len(columns["prompt"]), TEXT)}

    return make


def _joined(columns: Columns, plan: AnyPlan) -> Columns:
    return {"text": pc.binary_join_element_wise(columns["prompt"], columns["completion"], "")}


def _turns(of: pa.DataType, texts: Iterable[tuple[str, pa.StringArray]]) -> pa.ListArray:
    """A list of turns a row: role and text of each."""
    roles, contents = zip(*texts, strict=True)
    rows, turns = len(contents[0]), len(roles)
    by_row = np.arange(rows * turns).reshape(turns, rows).T.ravel()
    both = [pa.array(roles * rows, TEXT), pa.concat_arrays(contents).take(pa.array(by_row))]
    return list_array(np.arange(rows + 1) * turns, pa.StructArray.from_arrays(both, fields=list(of.value_type)))


def _chat(name: str, of: pa.DataType = TURNS, user: str = "user", assistant: str = "assistant") -> Make:
    """One column of conversations."""
    return lambda columns, plan: {
        name: _turns(of, [(user, columns["prompt"]), (assistant, answers(columns, plan))]),
    }


def _two_chats(columns: Columns, plan: AnyPlan) -> Columns:
    """Prompt and completion as conversations of one turn."""
    completions = _turns(TURNS, [("assistant", answers(columns, plan))])
    return {"prompt": _turns(TURNS, [("user", columns["prompt"])]), "completion": completions}


def _tokens(columns: Columns, plan: AnyPlan) -> Columns:
    """The form's columns, and that all tokens are looked at."""
    ids = columns["input_ids"]
    return {"input_ids": ids, "attention_mask": _ones(list_offsets(ids)), "labels": columns["labels"]}


def _ones(offsets: Any) -> pa.ListArray:
    return list_array(offsets, pa.array(np.ones(offsets[-1], np.int8)))


def _loss_mask(columns: Columns, plan: AnyPlan) -> Columns:
    """1 on each token that is learnt, 0 on the others."""
    labels = columns["labels"]
    learnt = labels.flatten().to_numpy() != IGNORED
    return {"input_ids": columns["input_ids"], "loss_mask": list_array(list_offsets(labels), pa.array(learnt))}


def _actions(columns: Columns, plan: AnyPlan) -> Columns:
    """The loss mask of the completion alone, and its length: the last tokens of a row."""
    offsets, learnt = list_offsets(columns["labels"]), columns["labels"].flatten().to_numpy() != IGNORED
    row = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    before = np.concatenate([[0], np.cumsum(learnt)])
    answer = before[1:] > before[offsets[row]]  # from the first token on that is learnt
    ends = np.concatenate([[0], np.cumsum(answer)])[offsets]
    tokens = _tokens(columns, plan)
    del tokens["labels"]
    mask = list_array(ends, pa.array(learnt[answer].astype(np.int8)))
    return tokens | {"num_actions": pa.array(np.diff(ends)), "loss_mask": mask}


def _weights(columns: Columns, plan: AnyPlan) -> Columns:
    """What each token counts in the loss: its weight, or 1 if it is learnt."""
    labels = columns["labels"]
    learnt = (labels.flatten().to_numpy() != IGNORED).astype(np.float32)
    if _has_weights(columns):
        learnt *= columns["weights"].flatten().to_numpy()
    return {"input_ids": columns["input_ids"], "loss_weights": list_array(list_offsets(labels), pa.array(learnt))}


def _has_weights(columns: Columns) -> bool:
    """Whether tokens have weights; a column of one number a row is the user's own."""
    return "weights" in columns and pa.types.is_list(columns["weights"].type)


def without_weightless(columns: Columns) -> Columns:
    """Labels of tokens that have weight 0 are -100, for trainers that take no weights.

    Raises:
        InputError: weights are not as many as tokens.
    """
    if "labels" not in columns or not _has_weights(columns):
        return columns
    labels = columns["labels"]
    if not np.array_equal(list_offsets(columns["weights"]), list_offsets(labels)):
        at = int(np.argmax(np.diff(list_offsets(columns["weights"])) != np.diff(list_offsets(labels))))
        shard, _, row = columns["row_id"][at].as_py().rpartition(":")
        remedy = "write them with 'mireorder weigh', or rename the column"
        raise InputError("weights are not as many as tokens", shard=shard, row=int(row), remedy=remedy)
    learnt = np.where(columns["weights"].flatten().to_numpy() > 0, labels.flatten().to_numpy(), IGNORED)
    made = list_array(list_offsets(labels), pa.array(learnt, labels.type.value_type))
    return dict(columns) | {"labels": made}


ALPACA = {"instruction": TEXT, "input": TEXT, "output": TEXT}
_PROMPT_COMPLETION = Target("text", {"prompt": TEXT, "completion": TEXT}, _kept("prompt", "completion"))

TARGETS: dict[str, Target] = {
    # TRL 1.7 to 1.16: labels are taken as they are; chats by their columns' names.
    "trl": _PROMPT_COMPLETION,
    "trl-chat": Target("text", {"prompt": TURNS, "completion": TURNS}, _two_chats, templated=True),
    "trl-tokens": Target("token", {"input_ids": IDS, "labels": TOKENS["labels"]}, _kept("input_ids", "labels")),
    "transformers": Target("token", TOKENS, _tokens),
    # Axolotl 0.19: a dataset with these three columns is not tokenized again; others reach its collator.
    "axolotl": Target("token", TOKENS, _tokens, exact=True),
    # Of a turn that is empty it learns nothing, not even the end.
    "axolotl-chat": Target("text", {"messages": TURNS}, _chat("messages"), templated=True, filled=("answer",)),
    # LLaMA-Factory 0.9.5: dataset_info.json names the files, and the columns where they are not its own.
    "llama-factory": Target("text", ALPACA, _texts("instruction", "output", "input"), info={"formatting": "alpaca"}),
    "llama-factory-sharegpt": Target(
        "text",
        {"conversations": SHAREGPT_TURNS},
        _chat("conversations", SHAREGPT_TURNS, "human", "gpt"),
        templated=True,
        info={"formatting": "sharegpt"},
    ),
    "unsloth": _PROMPT_COMPLETION,
    # torchtune 0.6.1: instruct_dataset; the tokenizer of Llama 3 strips white space.
    "torchtune": Target("text", {"input": TEXT, "output": TEXT}, _texts("input", "output"), templated=True),
    # Megatron-LM: tools/preprocess_data.py reads "text", with --sft the trainer itself reads "messages".
    "megatron": Target("text", {"text": TEXT}, _joined, ".jsonl"),
    "megatron-sft": Target("text", {"messages": TURNS}, _chat("messages"), ".jsonl", templated=True),
    # litgpt 0.5.13: --data JSON reads train.jsonl and val.jsonl of a folder.
    "litgpt": Target("text", ALPACA, _texts("instruction", "output", "input"), ".jsonl", named={"validation": "val"}),
    # SkyRL 0.3: its collator takes the loss mask of the last num_actions tokens.
    "skyrl": Target(
        "token",
        {"input_ids": IDS, "attention_mask": FLAGS, "num_actions": pa.int64(), "loss_mask": FLAGS},
        _actions,
    ),
    # Any trainer that multiplies each token's loss: what `mireorder weigh` found, or 1 on all that is learnt.
    "loss-weights": Target("token", {"input_ids": IDS, "loss_weights": pa.list_(pa.float32())}, _weights),
    "loss-mask": Target("token", {"input_ids": IDS, "loss_mask": FLAGS}, _loss_mask),
    # OpenAI's checks of chat files: no other keys, no message without content.
    "openai": Target(
        "text",
        {"messages": TURNS},
        _chat("messages"),
        ".jsonl",
        exact=True,
        templated=True,
        filled=("prompt", "answer"),
    ),
}
"""Name on the command line -> target."""
