"""Runs that can't be: numbers out of range and models that are nowhere are refused at once, before torch is loaded."""

import json
import math
import os
import subprocess
import sys

import pytest

pytest.importorskip("trl")

from mireorder.errors import MireorderError
from mireorder.training.budget import Budget
from mireorder.training.presets import PRESETS, refuse_unknown


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"batch_size": -3}, "batch size must be at least 1, not -3"),
        ({"warmup": 1.0}, "from 0 to below 1, not 1.0"),
        ({"learning_rate": 0.0}, "a number above 0, not 0.0"),
        ({"learning_rate": -1.0}, "a number above 0, not -1.0"),
        ({"learning_rate": math.nan}, "a number above 0, not nan"),
        ({"learning_rate": math.inf}, "a number above 0, not inf"),
        ({"weight_decay": -0.1}, "a number from 0, not -0.1"),
        ({"weight_decay": math.inf}, "a number from 0, not inf"),
        ({"dropout": 1.0}, "from 0 to below 1, not 1.0"),
        ({"dropout": math.nan}, "from 0 to below 1, not nan"),
        ({"seed": -1}, "from 0 to 4294967295, not -1"),
        ({"seed": 2**32}, "from 0 to 4294967295, not 4294967296"),
    ],
)
def test_numbers_that_no_run_can_have_are_named(wrong, said):
    with pytest.raises(MireorderError, match=said):
        Budget(**wrong)


def test_a_model_is_a_preset_a_folder_an_id_or_a_name_that_the_hub_knows(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("huggingface_hub.model_info", lambda name, **_: asked.append(name) or object())
    for name in (*PRESETS, str(tmp_path), "owner/name"):
        refuse_unknown(name)
    assert asked == []
    refuse_unknown("gpt2")
    assert asked == ["gpt2"]


@pytest.mark.parametrize(
    ("name", "meant"), [("nanoo", "did you mean 'nano'? "), ("Tiny", "did you mean 'tiny'? "), ("qq", "")]
)
def test_a_model_that_is_nowhere_is_refused_with_the_presets(name, meant, monkeypatch):
    def unreachable(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.model_info", unreachable)
    with pytest.raises(MireorderError) as refused:
        refuse_unknown(name)
    assert str(refused.value) == (
        f"there is no model {name!r}, here or on the hub; {meant}name a preset (tiny, nano, micro, mini, gpt2-small), "
        "a model folder, or a hub id such as owner/name"
    )


COMMANDS = {
    "train data --model nano --seed -1 --out new": "error: --seed -1 is below 0",
    "train data --model nano --learning-rate -1 --out new": "error: --learning-rate -1 is below 0",
    "train data --model nano --dropout 1 --out new": "error: dropout is a share, from 0 to below 1, not 1.0",
    "train data --model . --dropout 0.1 --out new": "error: dropout is set for presets (",
    "train data --model nano --learning-rate nan --out new": "error: the learning rate must be",
    "train data --model nanoo --out new": "did you mean 'nano'?",
    "generate model --prompts - --batch-size 0": "error: --batch-size 0 is below 1",
    "generate model --prompts - --max-new-tokens 0": "error: --max-new-tokens 0 is below 1",
    "compare x.txt --split = --cutter digits --policies plain,max --learning-rate inf --out new": "the learning rate",
    "compare x.txt --split = --cutter digits --policies plain,max --steps 0 --out new": "error: --steps 0 is below 1",
    "compare x.txt --split = --cutter digits --policies plain,max --model nanoo --out new": "did you mean 'nano'?",
}


def test_commands_refuse_them_before_torch_is_loaded(tmp_path):
    """In one process, for all of them: each is refused with exit status 2, and nothing heavy was loaded for it."""
    code = """
import contextlib, io, json, sys
from mireorder.cli import main
found = {}
for command in json.loads(sys.argv[1]):
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            main(command.split())
        except SystemExit as ended:
            found[command] = [ended.code, " ".join(said.getvalue().split())]
print(json.dumps([found, sorted({"torch", "trl", "accelerate", "peft"} & set(sys.modules))]))
"""
    command = [sys.executable, "-c", code, json.dumps(list(COMMANDS))]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=True)
    found, loaded = json.loads(done.stdout.splitlines()[-1])
    assert loaded == []
    for line, said in COMMANDS.items():
        assert found[line][0] == 2 and said in found[line][1] + done.stderr, (line, found[line], done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_a_pipeline_generates_no_fewer_than_one_of_anything(tmp_path):
    from mireorder.training.generate import answers, generate

    for wrong in ({"batch_size": 0}, {"max_new_tokens": -1}):
        with pytest.raises(MireorderError, match=f"must be at least 1, not {next(iter(wrong.values()))}"):
            next(generate(tmp_path / "nowhere", ["1"], **wrong))
        with pytest.raises(MireorderError, match="must be at least 1"):
            next(answers(None, ["1"], **wrong))
