"""Extras: each does its work where the packages of all others are missing; what is missing is said in one line."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

EXTRAS = {
    "train": {"torch", "transformers", "trl", "accelerate", "peft", "jinja2"},
    "transformers": {"transformers", "jinja2"},
    "report": {"matplotlib", "jinja2"},
    "sentences": {"sentencex"},
    "rouge": {"rouge_score"},
    "qlora": {"bitsandbytes"},
    "dask": {"dask", "distributed"},
    "cloud": {"s3fs", "upath"},
}
EVERY = frozenset().union(*EXTRAS.values())

HIDE = """
import sys
from importlib.machinery import PathFinder

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {hidden!r} else PathFinder.find_spec(name, path, target)

sys.meta_path[:] = [Hiding if finder is PathFinder else finder for finder in sys.meta_path]
"""
COMMANDS = """
import contextlib, io, json, sys
from mireorder.cli import main

def run(line):
    out, err = io.StringIO(), io.StringIO()
    status = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(line.split())
        except SystemExit as ended:
            status = ended.code or 0
    return [status, err.getvalue()]

def said(line):
    status, err = run(line)
    assert status == 0, (line, err)
"""


def python(code, folder, *, extra=None):
    """What an interpreter prints last, as JSON, with the packages of one extra alone, or of none."""
    hidden = EVERY - (EXTRAS[extra] if extra else set())
    command = [sys.executable, "-c", HIDE.format(hidden=set(hidden)) + COMMANDS + code]
    done = subprocess.run(command, cwd=folder, env=dict(os.environ), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def needs(extra):
    missing = [name for name in EXTRAS[extra] if find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{missing} is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Lines of sums, and a ``tokenizer.json`` with its config as transformers writes them."""
    from mireorder.tokenizing.characters import character_tokenizer

    path = tmp_path_factory.mktemp("extras")
    lines = [f"{a}+{b}={a + b}\n" for a in range(30) for b in range(30)]
    (path / "sums.txt").write_text("".join(lines))
    (path / "stories.txt").write_text("a story=It was. It is. So be it.\n" * 9)
    character_tokenizer([*lines, "⟨⟩"]).save_pretrained(path / "tokenizer")
    return path


# --- nothing but the core ----------------------------------------------------------------------------------------


def test_the_core_needs_no_extra(folder):
    code = """
import mireorder, mireorder.serving.served, mireorder.serving.stream, mireorder.tokenizing.tokens
for name in mireorder.__all__:
    getattr(mireorder, name)
said("--help")
said("fit sums.txt --split = --cutter digits --policy reverse --out core-plan")
said("apply sums.txt --plan core-plan --out core-text")
said("check core-text")
said("inspect core-plan")
sys.stdin = io.StringIO("31\\n80\\n")
said("restore core-plan")
plan = mireorder.Plan.load("core-plan")
assert mireorder.serving.served.restore_completion({"choices": [{"text": "31"}]}, plan)["choices"][0]["text"] == "13"
print(json.dumps(sorted(set(sys.modules) & %r)))
"""
    assert python(code % set(EVERY), folder) == []


@pytest.mark.slow
def test_token_form_needs_tokenizers_alone(folder):
    code = """
said("fit sums.txt --split = --cutter digits --policy reverse --out token-plan")
said("apply sums.txt --plan token-plan --out token-form --form token --tokenizer tokenizer")
said("check token-form")
said("fit sums.txt --split = --cutter digits --policy shuffle --marked --out marked-plan")
said("apply sums.txt --plan marked-plan --out reserved --form token --tokenizer tokenizer --reserve")
said("check reserved")
said("fit sums.txt --split = --cutter tokens --policy reverse --tokenizer tokenizer --out ids-plan")
said("apply sums.txt --plan ids-plan --out ids --form token --tokenizer tokenizer")
said("check ids")
from mireorder.tokenizing.tokens import load_tokenizer
print(json.dumps(type(load_tokenizer("ids/tokenizer")).__name__))
"""
    assert python(code, folder) == "LightTokenizer"
    same = """
from pathlib import Path
from mireorder.tokenizing.tokens import load_tokenizer, fingerprint
for name in ("token-form", "reserved", "ids"):
    said("check " + name)
names = ["tokenizer", "token-form/tokenizer", "reserved/tokenizer"]
print(json.dumps([fingerprint(load_tokenizer(name)) for name in names]))
"""
    light, full = (
        python(same, folder),
        python(same, folder, extra="transformers") if find_spec("transformers") else None,
    )
    assert light[0] == light[1] != light[2], "a hash names a tokenizer, whoever loads it"
    assert full in (None, light)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "train refused-text --model tiny --out model",
            "torch, transformers, trl; 'mireorder[train]'",
        ),
        ("generate model --prompts sums.txt", "'mireorder[train]'"),
        ("compare sums.txt --split = --cutter digits --policies plain --out results", "'mireorder[train]'"),
        ("fit stories.txt --split = --cutter sentences --policy reverse --out stories-plan", "'mireorder[sentences]'"),
        ("inspect scored-plan --png scores.png", "'mireorder[report]'"),
    ],
)
def test_what_is_missing_is_said_in_one_line(line, words, folder):
    scored = 'said("fit sums.txt --split = --cutter digits --criterion joint --policy max --out scored-plan")\n'
    code = f"print(json.dumps(run({line!r})))"
    status, said = python(scored * line.startswith("inspect") + code, folder)
    assert status == 2 and said.startswith("error: ") and said.count("\n") == 1, said
    for word in words.split("; "):
        assert word in said
    assert "pip install" in said


def test_what_is_missing_is_said_in_python_too(folder):
    code = """
from mireorder import MireorderError
from mireorder.evaluate.rouge import rouge
from mireorder.tokenizing.chat import render
from mireorder.tokenizing.tokens import load_tokenizer
def refusal(call, *arguments):
    try:
        call(*arguments)
    except MireorderError as error:
        return str(error)
def training():
    import mireorder.training.train
tokenizer = load_tokenizer("tokenizer")
calls = (training,), (render, [], "a", tokenizer), (load_tokenizer, "nowhere/at all"), (rouge, ["a"], [["a"]])
print(json.dumps([refusal(*call) for call in calls]))
"""
    training, chat, nowhere, scores = python(code, folder)
    assert scores.endswith("pip install 'mireorder[rouge]'")
    assert training.endswith("pip install 'mireorder[train]'")
    assert chat == "chat templates need transformers and jinja2; pip install 'mireorder[transformers]'"
    assert "nowhere/at all: no tokenizer.json can be read here" in nowhere and "mireorder[transformers]" in nowhere


# --- each extra alone --------------------------------------------------------------------------------------------


@pytest.mark.slow
@needs("train")
def test_training_needs_its_own_extra_alone(folder):
    code = """
said("fit sums.txt --split = --cutter digits --policy reverse --out train-plan")
said("apply sums.txt --plan train-plan --out train-data")
said("train train-data --model tiny --out train-model --steps 2 --batch-size 4")
from mireorder.training.generate import generate
from mireorder.training.presets import refuse_four_bit
answers = [answer["prompt"] for answer in generate("train-model", ["1+2="])]
try:
    refuse_four_bit()
except MireorderError as error:
    print(json.dumps([answers, str(error)]))
"""
    answers, four_bit = python("from mireorder import MireorderError" + code, folder, extra="train")
    assert answers == ["1+2="] and four_bit.endswith("pip install 'mireorder[qlora]'")


@needs("transformers")
def test_chats_need_transformers_alone(folder):
    code = """
from mireorder.tokenizing.chat import render
from mireorder.tokenizing.tokens import load_tokenizer
tokenizer = load_tokenizer("tokenizer")
tokenizer.chat_template = "{% for m in messages %}{{ m['role'] }}:{{ m['content'] }};{% endfor %}"
rendered = render([{"role": "user", "content": "1+2="}], "3", tokenizer)
print(json.dumps([type(tokenizer).__module__.partition(".")[0], rendered.prompt, rendered.end]))
"""
    assert python(code, folder, extra="transformers") == ["transformers", "user:1+2=;assistant:", ";"]


@needs("report")
def test_pictures_need_matplotlib_alone(folder):
    code = """
said("fit sums.txt --split = --cutter digits --criterion joint --policy max --out drawn-plan")
said("inspect drawn-plan --png drawn.png")
print(json.dumps(open("drawn.png", "rb").read(4).hex()))
"""
    assert python(code, folder, extra="report") == "89504e47"


@needs("sentences")
def test_sentences_need_sentencex_alone(folder):
    code = """
said("fit stories.txt --split = --cutter sentences --policy reverse --out sentences-plan")
said("apply stories.txt --plan sentences-plan --out sentences-data")
said("check sentences-data")
print(json.dumps(0))
"""
    assert python(code, folder, extra="sentences") == 0


@needs("rouge")
def test_rouge_needs_rouge_score_alone(folder):
    code = """
from mireorder.evaluate.rouge import rouge
print(json.dumps(rouge(["a b"], [["a b"]])["rouge1"]))
"""
    assert python(code, folder, extra="rouge") == 1
