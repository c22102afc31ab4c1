"""Every kind, from rows to a dataset and back, by text and by token ids; and what can't come back is never written."""

import csv
import json
import re
from dataclasses import replace

import pytest
from datasets import Dataset

from mireorder import InputError, Labels, Plan, Reading, apply, check, count, fit, plan_of
from mireorder.cli import main
from mireorder.networks import IGNORED
from mireorder.ordering.copying.policies import Copying, Lead, Lookahead
from mireorder.ordering.order import Order
from mireorder.ordering.schedule import mixed
from mireorder.tokenizing.reserved import reserve
from mireorder.tokenizing.tokens import load_tokenizer, restore_ids

READING = Reading(source=("q",), target=("a",))
VOCABULARIES = ["gpt2", pytest.param("qwen2.5", marks=pytest.mark.slow)]
QUIET = {"shuffles": 0, "resamples": 0}


@pytest.fixture(scope="module")
def products():
    pairs = [(a, b) for a in range(25) for b in range(25)]
    return Dataset.from_dict({"q": [f"{a}*{b}=" for a, b in pairs], "a": [str(a * b) for a, b in pairs]})


@pytest.fixture(scope="module")
def emotions(real):
    names = (real / "goemotions" / "labels.txt").read_text("utf-8").split("\n")
    with (real / "goemotions" / "dev.tsv").open(encoding="utf-8", newline="") as file:
        rows = [row[:2] for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)][:400]
    texts, labels = zip(*rows, strict=True)
    return Dataset.from_dict({"q": texts, "a": [", ".join(names[int(i)] for i in ids.split(",")) for ids in labels]})


@pytest.fixture(scope="module")
def summaries(real):
    rows = [json.loads(line) for line in (real / "scitldr" / "dev.jsonl").read_text("utf-8").splitlines()]
    sources, targets = [" ".join(row["source"]) for row in rows], [" ".join(row["target"]) for row in rows]
    return Dataset.from_dict({"q": sources, "a": targets})


KINDS = {
    "explicit": ("products", "digits", {"permutation": [1, 0, 2], "criterion": None}),
    "causal": ("products", "digits", {"policy": "causal-max"}),
    "causal, least first": ("products", "digits", {"policy": "causal-min"}),
    "shuffled digits": ("products", "digits", {"policy": "shuffle", "markers": "⟨{}⟩", "criterion": None}),
    "frequent labels": ("emotions", "labels", {"policy": "frequency", "criterion": None}),
    "rare labels": ("emotions", "labels", {"policy": "rare", "criterion": None}),
    "hardest labels": ("emotions", "labels", {"policy": "hardest"}),
    "easiest labels": ("emotions", "labels", {"policy": "easiest"}),
    "labels by graph": ("emotions", "labels", {"policy": "graph"}),
    "counted labels": ("emotions", Labels(counted=True), {"policy": "graph"}),
    "shuffled words": ("summaries", "words", {"policy": "shuffle", "markers": "<{}>"}),
    "leads": ("summaries", "words", {"policy": "lead"}),
    "bare leads": ("summaries", "words", {"policy": Copying(Lead(2), marks=False)}),
    "spans ahead": ("summaries", "words", {"policy": "lookahead"}),
    "bare spans ahead": ("summaries", "words", {"policy": Copying(Lookahead(3), by_sentence=False, marks=False)}),
}


@pytest.fixture(scope="module", params=KINDS, ids=KINDS)
def planned(request):
    name, cutter, options = KINDS[request.param]
    data = request.getfixturevalue(name)
    return data, fit(data, reading=READING, cutter=cutter, order=Order(**QUIET | options))


def test_text_comes_back(planned, tmp_path):
    data, plan = planned
    rows = apply(data, plan, reject=plan.kind == "lead", out=tmp_path / "d")["train"]
    checked = check(tmp_path / "d")
    assert checked.ok, checked.failures
    assert checked.passed["restored"] == checked.passed["moved"] == len(rows)
    in_two = sum("\n" in target for target in data["a"])  # bare copies need the line feed for themselves
    assert len(data) - len(rows) <= (in_two if plan.kind == "lead" and not plan.marks else 0)
    loaded = Plan.load(tmp_path / "d")
    assert loaded == plan
    found = loaded.restore_all(rows["completion"], rows["prompt"])
    assert found.texts == rows["target"] and found.incomplete == []
    assert len({tuple(order) for order in rows["permutation"]}) > 1 or plan.kind == "fixed"


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_ids_come_back(planned, vocabulary, real, tmp_path):
    data, plan = planned
    folder = real / "tokenizers" / vocabulary
    rows = apply(data, plan, form="token", tokenizer=folder, reject=True, out=tmp_path / "d")["train"]
    checked = check(tmp_path / "d")
    assert checked.ok, checked.failures
    assert checked.passed["restored"] == len(rows) > 0.97 * len(data)
    tokenizer = load_tokenizer(folder)
    for row in rows.select(range(0, len(rows), 17)):
        ids = [label for label in row["labels"] if label != IGNORED]
        prompt = tokenizer.decode([i for i, label in zip(row["input_ids"], row["labels"], strict=True) if label < 0])
        assert restore_ids(ids, tokenizer, plan, prompt=prompt)[1].text == row["target"]


def test_reserved_marks_are_one_token_each(planned, real, tmp_path):
    data, plan = planned
    if not plan.marks:
        pytest.skip("this plan writes no marks")
    folder = real / "tokenizers" / "gpt2"
    rows = apply(
        data, plan, form="token", tokenizer=folder, reserve=True, max_tokens=4000, reject=True, out=tmp_path / "d"
    )["train"]
    assert check(tmp_path / "d").ok
    tokenizer = load_tokenizer(tmp_path / "d" / "tokenizer")
    ids = tokenizer.convert_tokens_to_ids(plan.marks)
    assert len(tokenizer) - len(load_tokenizer(folder)) == len(set(ids)) == len(plan.marks)
    assert reserve(tokenizer, plan) is tokenizer
    marks = sum(len(set(ids) & {token}) for row in rows for token in row["labels"])
    units = sum(len(row["permutation"]) for row in rows)
    assert marks == units if plan.kind == "marked" else marks > 0


# --- what can't come back is not written -------------------------------------------------------------------------


def table(target, source="what?"):
    return Dataset.from_dict({"q": [source] * len(target), "a": target})


@pytest.mark.parametrize(
    ("good", "bad", "options", "problem"),
    [
        (["a b", "c"], "a <1> b", {"policy": "reverse", "markers": "<{}>", "criterion": None}, "opens a marker"),
        (["a b. c d.", "c"], "a ⟪b", {"policy": "lookahead"}, "marks a copy"),
        (["a b. c d.", "c"], "a\nb", {"policy": Copying(Lookahead(1), marks=False)}, "separates sentences"),
    ],
)
def test_a_row_that_can_not_come_back_is_refused_with_its_place_and_remedy(good, bad, options, problem, tmp_path):
    plan = fit(table([*good, "x y z"]), reading=READING, cutter="words", order=Order(**options))
    with pytest.raises(InputError, match=rf"row 2: .*{problem}.*reject=True"):
        apply(table([*good, bad]), plan, out=tmp_path / "d")
    assert not (tmp_path / "d").exists()
    apply(table([*good, bad]), plan, out=tmp_path / "d", reject=True)
    (refused,) = (tmp_path / "d" / "rejected").glob("*.jsonl")
    assert re.search(problem, json.loads(refused.read_text("utf-8"))["problem"])
    assert check(tmp_path / "d").ok


def test_whatever_the_plan_says_a_row_is_tried_before_it_is_written(products, tmp_path):
    plan = fit(products, reading=READING, cutter="digits", order=Order("causal-max", **QUIET))
    assert plan.row_evidence
    wrong = replace(plan, policy="causal-min")  # ordered and restored by it alike, so it still comes back
    apply(products, wrong, out=tmp_path / "d")
    assert check(tmp_path / "d").ok
    plan.save(tmp_path / "other")
    (tmp_path / "d" / "mireorder.json").write_text((tmp_path / "other" / "mireorder.json").read_text("utf-8"))
    checked = check(tmp_path / "d")
    assert not checked.ok and checked.failed["files"], "another plan than the one that wrote the rows"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"policy": "shuffle"}, "markers=True"),
        ({"policy": "causal-max", "cutter": "words"}, "pairwise|slots"),
        ({"policy": "lead"}, "cutter='words'"),
        ({"policy": "hardest", "criterion": "joint"}, "criterion='presence'"),
        ({"policy": "explicit"}, "policy explicit and a permutation contradict each other; pass one of them"),
        ({"policy": "max", "permutation": [1, 0, 2]}, "policy max and a permutation contradict each other"),
        ({"permutation": [0, 0]}, "not a permutation"),
        ({"permutation": [1, 0]}, "has 2 slots, targets have 3"),
        ({"policy": "max", "markers": "{}"}, "can't be distinguished"),
    ],
)
def test_orders_that_could_not_be_undone_are_refused_before_anything_is_written(options, problem, products):
    with pytest.raises(InputError, match=problem):
        cutter = options.pop("cutter", "digits")
        fit(products, reading=READING, cutter=cutter, order=Order(**options))


def test_counts_do_not_say_what_to_copy(products):
    counts = count(products, reading=READING, cutter="digits", criterion="pairwise", tie_breaker=None)
    order = Order("causal-min", tie_breaker=None, **QUIET)
    assert plan_of(counts, order) == fit(products, reading=READING, cutter="digits", order=order)
    with pytest.raises(InputError, match="fit from the data"):
        plan_of(counts, order="lead")


# --- schedules ----------------------------------------------------------------------------------------------------


def test_orders_are_annealed_on_the_command_line(products, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mul.txt").write_text("".join(f"{q}{a}\n" for q, a in zip(products["q"], products["a"], strict=True)))
    taken = ["mul.txt", "--split", "=", "--cutter", "digits", "--marked", "--shuffles", "0", "--resamples", "0"]

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        return ended.value.code

    for policy in ("shuffle", "plain"):
        run("fit", *taken, "--policy", policy, "--out", policy)
    capsys.readouterr()
    run("anneal", "shuffle", "plain", "--phases", "3", "--out", "phases", "--json")
    assert json.loads(capsys.readouterr().out) == {"plans": [f"phases/{phase}/mireorder.json" for phase in range(3)]}
    natural = []
    for phase in range(3):
        run("apply", "mul.txt", "--plan", f"phases/{phase}", "--out", f"d{phase}")
        assert check(f"d{phase}").ok
        rows = apply("mul.txt", Plan.load(f"phases/{phase}"))["train"]
        natural.append(sum(order == [0, 1, 2] for order in rows["permutation"]) / len(rows))
    assert natural[0] < 0.3 < natural[1] < 0.8 < natural[2] == 1
    capsys.readouterr()
    run("mix", "shuffle", "plain", "--weights", "1,3", "--out", "mixed", "--json")
    assert json.loads(capsys.readouterr().out) == {"plan": "mixed/mireorder.json"}
    assert Plan.load("mixed") == mixed([Plan.load("shuffle"), Plan.load("plain")], [1, 3])
    capsys.readouterr()
    assert run("mix", "shuffle", "plain", "--weights", "one,two", "--out", "other") == 2
    assert "a number for each plan" in capsys.readouterr().err
