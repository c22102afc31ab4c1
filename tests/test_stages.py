"""Fit and apply: the plan does not depend on how the rows are cut into files, and every order can be undone."""

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from mireorder import Digits, Fields, InputError, Labels, Reading, apply, check, fit
from mireorder.ordering.order import Order

SUMS = [(f"{a}+{b}", str(a + b)) for a in range(0, 60, 2) for b in range(0, 60, 3)]
MOODS = ["anger", "joy", "love", "fear"]
WORDS = {"anger": "hate", "joy": "great", "love": "heart", "fear": "dark"}


def comments(rows=300, seed=0):
    """(comment, labels) pairs whose words tell of the labels, most of the time."""
    draw = random.Random(seed)
    for _ in range(rows):
        moods = sorted(draw.sample(MOODS, draw.choice([1, 1, 2, 3])))
        words = [WORDS[mood] for mood in moods if draw.random() < 0.8] + draw.choices(["the", "cat", "sat"], k=3)
        yield " ".join(words), ",".join(moods)


def objects(rows=200, seed=0):
    """(sentence, JSON text) pairs with nested values, quotes, Unicode and a field that is often missing."""
    draw = random.Random(seed)
    for row in range(rows):
        city, price = draw.choice(["Łódź", 'the "old" town', "a, b}"]), draw.choice(["3.10", "1e3", "7"])
        note = ', "note": {"k": [1, 2, {"x": null}]}' if draw.random() < 0.4 else ""
        yield (
            f"ticket {row % 7} to {city}",
            f'{{"city": {json.dumps(city, ensure_ascii=False)}, "price": {price}{note}}}',
        )


SETUPS = {
    "digits, joint": (SUMS, Digits(), Order(criterion="joint")),
    "digits, pairwise, corrected": (SUMS, Digits(), Order(criterion="pairwise", estimator="miller-madow")),
    "digits from the right, min": (SUMS, Digits(align="right"), Order("min", "subset")),
    "labels, presence": (list(comments()), Labels(), Order(criterion="presence")),
    "fields, joint, random": (list(objects()), Fields(), Order("random", seed=3)),
}
READING = Reading(("q",), ("a",))


def jsonl(path, rows):
    path.write_text("".join(json.dumps({"q": q, "a": a}, ensure_ascii=False) + "\n" for q, a in rows))
    return str(path)


@pytest.mark.parametrize("name", SETUPS)
def test_the_plan_does_not_depend_on_shards_their_order_or_workers(tmp_path, name):
    rows, cutter, order = SETUPS[name]
    whole = fit(jsonl(tmp_path / "all.jsonl", rows), reading=READING, cutter=cutter, order=order, workers=1).to_json()
    for shards, workers in [(3, 2), (7, 4)]:
        parts = [jsonl(tmp_path / f"{shards}-{i}.jsonl", rows[i::shards]) for i in range(shards)]
        parts.append(jsonl(tmp_path / "empty.jsonl", []))
        random.Random(shards + workers).shuffle(parts)
        assert fit(parts, reading=READING, cutter=cutter, order=order, workers=workers).to_json() == whole


def some_plans():
    """SHA-256 of the plan of some setups."""
    found = {}
    for name in ("labels, presence", "fields, joint, random", "digits, joint"):
        rows, cutter, order = SETUPS[name]
        data = Dataset.from_dict({"q": [q for q, _ in rows], "a": [a for _, a in rows]})
        found[name] = fit(data, reading=READING, cutter=cutter, order=order).sha256
    return found


def test_the_plan_does_not_depend_on_the_process():
    """Nor on its hash seed: no order of a set or a dict shows."""
    code = "import json, test_stages; print(json.dumps(test_stages.some_plans()))"
    run = {"env": os.environ | {"PYTHONHASHSEED": "7"}, "cwd": Path(__file__).parent, "text": True}
    done = subprocess.run([sys.executable, "-c", code], **run, capture_output=True, check=True)
    assert json.loads(done.stdout) == some_plans()


def test_the_plan_does_not_depend_on_the_format(tmp_path):
    q, a = map(list, zip(*SUMS, strict=True))
    table = pa.table({"q": q, "a": a})
    pq.write_table(table, tmp_path / "d.parquet", row_group_size=100)
    feather.write_feather(table, str(tmp_path / "d.arrow"))
    jsonl(tmp_path / "d.jsonl", SUMS)
    (tmp_path / "d.csv").write_text("q,a\n" + "".join(f"{q},{a}\n" for q, a in SUMS))
    (tmp_path / "d.tsv").write_text("q\ta\n" + "".join(f"{q}\t{a}\n" for q, a in SUMS))
    (tmp_path / "d.txt").write_text("".join(f"{q}={a}\n" for q, a in SUMS))
    options = {"cutter": "digits", "between": "="}
    inputs = [str(tmp_path / f"d.{suffix}") for suffix in ("parquet", "arrow", "jsonl", "csv", "tsv")]
    plans = [fit(data, reading=READING, **options) for data in [*inputs, Dataset(table)]]
    assert len({plan.to_json() for plan in plans}) == 1
    lines = fit(str(tmp_path / "d.txt"), reading=Reading(separator="="), **options)
    assert lines.entries() | {"reading": 0} == plans[0].entries() | {"reading": 0}


def test_only_the_train_split_is_counted(tmp_path):
    train, test = jsonl(tmp_path / "a.jsonl", SUMS[::2]), jsonl(tmp_path / "b.jsonl", SUMS[1::2])
    alone = fit(train, reading=READING, cutter="digits")
    assert fit({"train": train, "test": test}, reading=READING, cutter="digits") == alone
    assert fit({"test": test}, reading=READING, cutter="digits") != alone
    with pytest.raises(InputError, match="several splits and none is called train: dev, test"):
        fit({"dev": train, "test": test}, reading=READING, cutter="digits")


def test_the_plain_policy_leaves_every_line_as_it_is(products):
    lines = products.read_text().splitlines()
    plan = fit(str(products), reading=Reading(separator="="), cutter="digits", order=Order("plain", shuffles=0))
    rows = apply(str(products), plan)["train"]
    assert [row["prompt"] + row["completion"] for row in rows] == lines
    assert rows["completion"][:] == rows["target"][:]


def apply_and_prove(data, plan, folder, rows):
    """Apply, check, and put the units back by hand: the laws again, without the library's own restore."""
    reordered = apply(data, plan, out=folder)["train"]
    checked = check(folder)
    assert checked.ok, checked.failures
    assert checked.rows == {"train": rows} and checked.passed["restored"] == rows
    assert len(set(reordered["row_id"])) == rows
    return reordered


@pytest.mark.parametrize("align", [None, "left", "right"])
@pytest.mark.parametrize("name", ["mul_2digit_train", "add_3digit_train", "add_3digit_test"])
def test_real_arithmetic(real, tmp_path, name, align):
    file = real / "arithmetic" / f"{name}.txt"
    lines = file.read_text().splitlines()
    plan = fit(str(file), reading=Reading(separator="="), cutter=Digits(align=align), order=Order(shuffles=0))
    rows = apply_and_prove(str(file), plan, tmp_path / "out", len(lines))
    assert plan.permutation != sorted(plan.permutation)
    width = len(plan.units) if align is None else 0
    for line, row in zip(lines, rows, strict=True):
        question, answer = line.split("=")
        assert (row["prompt"], row["target"]) == (question + "=", answer)
        back = sorted(zip(row["permutation"], row["completion"], strict=True))
        assert "".join(digit for _, digit in back) == answer.zfill(width)


@pytest.mark.slow
def test_real_goemotions(real, tmp_path):
    file, names = real / "goemotions" / "train.tsv", (real / "goemotions" / "labels.txt").read_text().split()
    reading = Reading(("text",), ("labels",), columns=("text", "labels", "id"))
    cutter = Labels(names=tuple(names))
    plan = fit(str(file), reading=reading, cutter=cutter, order=Order(criterion="presence", shuffles=0))
    rows = apply_and_prove(str(file), plan, tmp_path / "out", 43_410)
    place = [names[slot] for slot in plan.permutation].index
    with file.open(encoding="utf-8", newline="") as lines:  # its cells with quotes are quoted, all of them
        records = list(csv.reader(lines, delimiter="\t"))
    for (text, ids, _), row in zip(records, rows, strict=True):
        labels = [names[int(label)] for label in ids.split(",")]
        assert row["prompt"] == text
        assert row["completion"] == " " + ", ".join(sorted(labels, key=place))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "source", "labels", "count"),
    [
        (
            "jigsaw/toxic_comment.csv",
            ("comment_text",),
            ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"),
            23_928,
        ),
        (
            "paperabstract/paper_abstract_sample.csv",
            ("TITLE", "ABSTRACT"),
            (
                "Computer Science",
                "Physics",
                "Mathematics",
                "Statistics",
                "Quantitative Biology",
                "Quantitative Finance",
            ),
            4_000,
        ),
    ],
)
def test_real_binary_columns(real, tmp_path, file, source, labels, count):
    data = str(real / file)
    plan = fit(data, reading=Reading(source, labels), cutter="labels", order=Order(criterion="presence", shuffles=0))
    rows = apply_and_prove(data, plan, tmp_path / "out", count)
    order = [labels[slot] for slot in plan.permutation]
    assert plan.units == list(labels) and order != list(labels)
    oracle = Dataset.from_csv(data, cache_dir=str(tmp_path / "cache"))
    assert rows["prompt"][:] == ["\n".join(row[name] for name in source) for row in oracle]
    expected = [", ".join(name for name in order if row[name]) or "none" for row in oracle]
    assert [completion.removeprefix(" ") for completion in rows["completion"]] == expected


def test_sources_seen_once_each_are_warned_of_once(products):
    plan = fit(str(products), reading=Reading(separator="="), cutter="digits", order=Order(resamples=0))
    assert plan.significance.within_noise == [0, 1, 2, 3]  # a consequence: one sentence says both
    (warning,) = plan.warnings
    assert "source of their own" in warning and "shuffled targets score the same" in warning


def test_json_fields_are_moved_as_they_are_written(tmp_path):
    rows = list(objects())
    data = jsonl(tmp_path / "d.jsonl", rows)
    plan = fit(data, reading=READING, cutter="fields", order="reverse")
    assert [plan.units[slot] for slot in plan.permutation] == ["note", "price", "city"]
    reordered = apply_and_prove(data, plan, tmp_path / "out", len(rows))
    for (_, text), row in zip(rows, reordered, strict=True):
        emitted = json.loads(row["completion"], object_pairs_hook=list)
        assert emitted == json.loads(text, object_pairs_hook=list)[::-1]
        assert row["target"] == text


@pytest.mark.parametrize(
    ("between", "prompt_end", "start"),
    [(None, "", " "), (" ", "", " "), ("=", "=", ""), ("\nLabels: ", "\nLabels:", " "), ("", "", "")],
)
def test_white_space_between_prompt_and_completion_opens_the_completion(tmp_path, between, prompt_end, start):
    rows = list(comments(50))
    data = jsonl(tmp_path / "d.jsonl", rows)
    plan = fit(data, reading=READING, cutter="labels", between=between, order="reverse")
    reordered = apply_and_prove(data, plan, tmp_path / "out", len(rows))
    for (text, labels), row in zip(rows, reordered, strict=True):
        assert row["prompt"] == plan.prompt(text) == text + prompt_end
        assert row["completion"] == start + ", ".join(reversed(labels.split(",")))
        assert plan.restore(row["completion"]).text == plan.restore(row["completion"].strip()).text == row["target"]


def test_a_test_split_is_reordered_by_the_plan_of_the_train_split(tmp_path):
    train, test = jsonl(tmp_path / "a.jsonl", SUMS[::2]), jsonl(tmp_path / "b.jsonl", SUMS[1::2])
    plan = fit(train, reading=READING, cutter="digits")
    both = apply({"train": train, "test": test}, plan, out=tmp_path / "both")
    alone = apply({"test": test}, plan, out=tmp_path / "alone")
    assert check(tmp_path / "both").rows == {"train": len(SUMS[::2]), "test": len(SUMS[1::2])}
    assert check(tmp_path / "both").ok and check(tmp_path / "alone").ok
    assert list(alone) == ["test"]
    assert both["test"].to_dict() | {"row_id": 0} == alone["test"].to_dict() | {"row_id": 0}


def test_rejected_rows_are_set_aside_with_their_reason_and_none_is_lost(tmp_path):
    bad = {"x1": "", "x2": None, "x3": "four", "x4": "007", "x5": "-3"}
    rows = [*SUMS[:40], *bad.items(), *SUMS[40:80], (None, "5")]
    parts = [jsonl(tmp_path / f"{i}.jsonl", part) for i, part in enumerate((rows[:60], rows[60:], SUMS[80:]))]
    good = fit(jsonl(tmp_path / "good.jsonl", SUMS), reading=READING, cutter="digits")
    plan = fit(parts, reading=READING, cutter=Digits(width=3), reject=True)
    assert (plan.rows, plan.rejected) == (len(SUMS) + 1, 5)  # a sign is no problem for a plan that has seen one
    with pytest.raises(InputError, match=r"0\.jsonl, row 40: target is empty"):
        apply(parts, good)
    written = apply(parts, good, out=tmp_path / "out", reject=True)["train"]
    found = [
        json.loads(x) for f in sorted((tmp_path / "out" / "rejected").iterdir()) for x in f.read_text().splitlines()
    ]
    assert [row["row_id"] for row in found] == [f"0.jsonl:{row}" for row in range(40, 45)] + ["1.jsonl:25"]
    assert {row["source"]: row["target"] for row in found} == bad | {None: "5"}
    for row, problem in zip(
        found, ["empty", "null", "not a number", "leading zeros", "sign", "source is null"], strict=True
    ):
        assert problem in row["problem"]
    ids = written["row_id"][:] + [row["row_id"] for row in found]
    assert sorted(ids) == sorted(f"{i}.jsonl:{row}" for i, n in enumerate((60, 26, len(SUMS) - 80)) for row in range(n))
    assert check(tmp_path / "out").ok
