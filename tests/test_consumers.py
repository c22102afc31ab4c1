"""Exports are loaded by their consumers' own loaders, and what these hand to the model is looked at.

`make test-consumers` installs the consumers where these tests find them, without what they depend on: a loader needs
little of it, and the rest is stood in for. Megatron's are not on PyPI, nor is OpenAI's: those are held against what
they publish.
"""

import importlib.util
import json
import os
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest.mock import MagicMock

import pytest
from datasets import load_dataset
from exported import KINDS, ROWS, assert_restored, dataset, empty_answers, tokenizer

from mireorder import export
from mireorder.exporting.targets import TARGETS
from mireorder.networks import IGNORED

pytest.importorskip("torch")
pytestmark = pytest.mark.slow
os.environ |= {
    "AXOLOTL_DO_NOT_TRACK": "1",
    "DISABLE_VERSION_CHECK": "1",  # of LLaMA-Factory, which pins what its loader does not need
    "DO_NOT_TRACK": "1",
    "UNSLOTH_DATASET_NUM_PROC": "none",
}


class StandIn(MetaPathFinder, Loader):
    """Modules that a loader imports and does not use."""

    def __init__(self, *names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if any(name == one or name.startswith(f"{one}.") for one in self.names):
            return ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        module = MagicMock(name=spec.name)
        module.__spec__, module.__path__, module.__name__ = spec, [], spec.name
        return module

    def exec_module(self, module):
        """Nothing."""


@pytest.fixture
def consumer():
    """Find a consumer, with modules that are stood in for; skip where it is not installed."""
    finders = []

    def found(name, *stand_ins):
        spec = importlib.util.find_spec(name)
        if spec is None:
            pytest.skip(f"{name} is not installed here (make test-consumers)")
        finders.append(StandIn(*stand_ins))
        sys.meta_path.insert(0, finders[-1])
        return spec

    yield found
    for finder in finders:
        sys.meta_path.remove(finder)


def learnt(labels):
    """What rows of labels have to be emitted, as text, up to the end, behind which a template may end its line."""
    end = tokenizer().eos_token
    texts = [tokenizer().decode([one for one in row if one != IGNORED]) for row in labels]
    assert all(text.rstrip().endswith(end) and text.count(end) == 1 for text in texts), texts
    return [text.partition(end)[0] for text in texts]


def read(ids):
    """Rows of ids as text."""
    return [tokenizer().decode(list(row)) for row in ids]


def loaded(folder, split="train"):
    """A split, as `datasets` opens it."""
    return load_dataset(str(folder), split=split, cache_dir=str(folder.parent / "cache"))


# Loaders: what a row must emit, of each row of a split, as far as the labels that the model gets say --------------


def trl(consumer, folder, split):
    from test_trainers import sft, tiny

    trainer = sft(loaded(folder, split), tokenizer(), tiny(tokenizer()), folder.parent / "model", max_length=None)
    return learnt([row["labels"] for row in trainer.train_dataset])


def transformers(consumer, folder, split):
    from test_trainers import tiny
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    collator, rows = DataCollatorForSeq2Seq(tokenizer()), loaded(folder, split)
    config = TrainingArguments(str(folder.parent / "model"), per_device_eval_batch_size=len(rows), report_to="none")
    trainer = Trainer(tiny(tokenizer()), config, collator, eval_dataset=rows)
    (batch,) = trainer.get_eval_dataloader()
    assert sorted(batch) == ["attention_mask", "input_ids", "labels"]
    return learnt(batch["labels"].tolist())


def axolotl_rows(consumer, split, *sources):
    """The rows that Axolotl makes of its `datasets:`, merged."""
    consumer("axolotl", "posthog")
    from axolotl.utils.data.sft import _load_and_process_single_dataset
    from axolotl.utils.data.shared import merge_datasets
    from axolotl.utils.dict import DictDefault

    config = DictDefault({"sequence_len": 512, "train_on_inputs": False, "seed": 0, "skip_prepare_dataset": False})
    made = [
        _load_and_process_single_dataset(DictDefault(source), config, tokenizer(), split, 0)[0] for source in sources
    ]
    return merge_datasets(made, config)


def of_ids(folder):
    return {"path": str(folder), "type": None}


def of_chats(folder):
    return {"path": str(folder), "type": "chat_template", "chat_template": "tokenizer_default"}


def axolotl(consumer, folder, split):
    rows = axolotl_rows(consumer, split, of_ids(folder))
    assert sorted(rows.column_names) == ["attention_mask", "input_ids", "labels"]
    return learnt(rows["labels"])


def axolotl_chat(consumer, folder, split):
    return learnt(axolotl_rows(consumer, split, of_chats(folder))["labels"])


def llama_factory(consumer, folder, split):
    consumer("llamafactory", "torchaudio")
    from llamafactory.data.loader import get_dataset
    from llamafactory.data.template import get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments, ModelArguments
    from transformers import Seq2SeqTrainingArguments

    data = DataArguments(template="default", dataset=split, dataset_dir=str(folder), overwrite_cache=True)
    model = ModelArguments(model_name_or_path="none", cache_dir=str(folder.parent / "cache"))
    training = Seq2SeqTrainingArguments(str(folder.parent / "model"), report_to="none")
    reader = tokenizer()
    template = get_template_and_fix_tokenizer(reader, data)
    return learnt(get_dataset(template, model, data, training, "sft", reader)["train_dataset"]["labels"])


def torchtune(consumer, folder, split):
    consumer("torchtune")
    from torchtune.datasets import instruct_dataset

    seen = []

    def keep(sample):
        """In place of a model's tokenizer."""
        seen.append(sample["messages"])
        return {"tokens": [], "mask": []}

    path, cache = str(folder / f"{split}.parquet"), str(folder.parent / "cache")
    rows = instruct_dataset(keep, source="parquet", data_files=path, cache_dir=cache)
    assert [rows[at]["labels"] for at in range(len(rows))] == [[]] * len(seen)
    assert all([(one.role, one.masked) for one in row] == [("user", True), ("assistant", False)] for row in seen)
    return [row[1].text_content for row in seen]


def litgpt(consumer, folder, split):
    consumer("litgpt")
    import torch
    from litgpt.data.json_data import JSON

    class Reader:
        """litgpt's own needs a checkpoint's folder."""

        def encode(self, text, bos=None, eos=False, max_length=-1, device=None):
            ids = tokenizer()(text, add_special_tokens=False)["input_ids"]
            return torch.tensor(ids + [tokenizer().eos_token_id] * eos, dtype=torch.int)

    data = JSON(folder, mask_prompt=True)
    data.connect(Reader(), batch_size=4)
    data.setup()
    rows = data.train_dataset if split == "train" else data.test_dataset
    return learnt([row["labels"].tolist() for row in rows])


def unsloth(consumer, folder, split):
    """Unsloth itself needs a GPU; this is the function that its trainer prepares rows with."""
    spec = consumer("unsloth_zoo")
    if "unsloth_zoo" not in sys.modules:  # whose own __init__ looks for a GPU
        package = sys.modules["unsloth_zoo"] = ModuleType("unsloth_zoo")
        package.__spec__, package.__path__ = spec, [str(Path(spec.origin).parent)]
    from unsloth_zoo.dataset_utils import sft_prepare_dataset

    args = SimpleNamespace(max_length=512, dataset_text_field="text", dataset_num_proc=None)
    rows = sft_prepare_dataset(SimpleNamespace(), loaded(folder, split), tokenizer(), args, False, None, split)
    return learnt(rows["labels"])


def skyrl(consumer, folder, split):
    """SkyRL 0.3 opens no file of ids: rows are given to its collator."""
    of_cluster = [f"skyrl.{name}" for name in ("tinker", "utils", "backends.backend", "train.config", "train.utils")]
    of_cluster += [f"skyrl.backends.skyrl_train.{name}" for name in ("workers", "utils")]
    consumer("skyrl", "ray", "jaxtyping", "skyrl.train.generators", *of_cluster)
    from skyrl.train.sft_trainer import collate_sft_batch

    batch = collate_sft_batch(loaded(folder, split).to_list(), tokenizer())
    last = batch["sequences"][:, -batch["loss_mask"].shape[1] :]
    return learnt(last.masked_fill(batch["loss_mask"] == 0, IGNORED).tolist())


def openai(consumer, folder, split):
    """The keys of messages in OpenAI's package, and the checks of its cookbook for chat files."""
    consumer("openai")
    from openai.types.chat import ChatCompletionAssistantMessageParam, ChatCompletionUserMessageParam

    found = [json.loads(line) for line in (folder / f"{split}.jsonl").read_text().splitlines()]
    assert all(list(row) == ["messages"] for row in found)
    for user, assistant in (row["messages"] for row in found):
        for message, kind in ((user, ChatCompletionUserMessageParam), (assistant, ChatCompletionAssistantMessageParam)):
            assert kind.__required_keys__ <= set(message) <= kind.__required_keys__ | kind.__optional_keys__
            assert message["content"] and isinstance(message["content"], str)
        assert (user["role"], assistant["role"]) == ("user", "assistant")
    return [row["messages"][1]["content"] for row in found]


def megatron_sft(consumer, folder, split):
    """The call by which SFTLowLevelDataset of Megatron-LM reads a file; that class is in no wheel."""
    path, cache = str(folder / f"{split}.jsonl"), str(folder.parent / "cache")
    rows = load_dataset("json", data_files=path, split="all", cache_dir=cache)["messages"]
    assert all([message["role"] for message in row] == ["user", "assistant"] for row in rows)
    return [row[1]["content"] for row in rows]


LOADERS = {
    "trl": trl,
    "trl-chat": trl,
    "trl-tokens": trl,
    "transformers": transformers,
    "axolotl": axolotl,
    "axolotl-chat": axolotl_chat,
    "llama-factory": llama_factory,
    "llama-factory-sharegpt": llama_factory,
    "unsloth": unsloth,
    "torchtune": torchtune,
    "litgpt": litgpt,
    "skyrl": skyrl,
    "openai": openai,
    "megatron-sft": megatron_sft,
}
HELD_ELSEWHERE = {"megatron", "loss-mask", "loss-weights"}
"""Read by scripts that are in no wheel, and by no trainer of PyPI: tests/test_exporting.py looks at their columns."""


def test_every_target_is_loaded():
    assert set(LOADERS) | HELD_ELSEWHERE == set(TARGETS)


@pytest.mark.filterwarnings("ignore::mireorder.errors.InputWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("to", LOADERS)
def test_what_a_loader_hands_to_the_model_gives_the_natural_answers_back(consumer, tmp_path, to, kind):
    cutter, order, rows = KINDS[kind]
    folder, plan = dataset(tmp_path / "in", TARGETS[to].form, rows, cutter, order)
    export(folder, to, tmp_path / "out")
    for split, given in rows.items():
        assert_restored(LOADERS[to](consumer, tmp_path / "out", split), plan, given)


def test_axolotl_concatenates_ids_with_what_it_has_cut_itself(consumer, tmp_path):
    for form, to in (("token", "axolotl"), ("text", "axolotl-chat")):
        export(dataset(tmp_path / form, form)[0], to, tmp_path / to)
    rows = axolotl_rows(consumer, "train", of_ids(tmp_path / "axolotl"), of_chats(tmp_path / "axolotl-chat"))
    assert len(rows) == 2 * len(ROWS["train"])


@pytest.mark.parametrize("to", ["trl", "trl-chat", "unsloth", "llama-factory", "llama-factory-sharegpt", "litgpt"])
def test_an_empty_answer_is_learnt_as_one(consumer, tmp_path, to):
    folder, plan = empty_answers(tmp_path / "in")
    export(folder, to, tmp_path / "out")
    if to == "litgpt":
        (tmp_path / "out" / "val.jsonl").write_bytes((tmp_path / "out" / "train.jsonl").read_bytes())
    found = LOADERS[to](consumer, tmp_path / "out", "train")
    assert [answer.removeprefix(plan.completion_start) for answer in found] == ["y x", "", "x"]


def test_axolotl_learns_nothing_of_an_empty_turn(consumer, tmp_path):
    """Why export refuses it."""
    folder, _ = empty_answers(tmp_path / "in")
    export(folder, "trl-chat", tmp_path / "out")
    rows = loaded(tmp_path / "out").map(
        lambda row: {"messages": row["prompt"] + row["completion"]}, remove_columns=["prompt", "completion"]
    )
    rows.to_parquet(tmp_path / "chats" / "train.parquet")
    labels = axolotl_rows(consumer, "train", of_chats(tmp_path / "chats"))["labels"]
    assert [set(row) == {IGNORED} for row in labels] == [False, True, False]
