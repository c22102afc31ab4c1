"""Check: kernels tell sound rows, and say of every other what a look at row by row says."""

import random

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from test_dataset import READING, SUMS, characters, tamper

from mireorder import InputError, OutputError, PlanError, Reading, apply, check, fit
from mireorder.cutting import Digits, Labels, Tokens, Words
from mireorder.dataset import check as module
from mireorder.dataset import laws
from mireorder.dataset.forms import token
from mireorder.ordering.order import Order

NAMES = ("a", "ab", "b c", "none of these")
LISTS = [[n for at, n in enumerate(NAMES) if number >> at & 1] for number in range(16)] * 20


TEXTS = [f"{n % 7} apples and {n} pears" + " or so" * (n % 3) for n in range(300)]


def dataset(cutter, folder, tokenizer):
    """Rows and a plan for them."""
    if isinstance(cutter, Words | Tokens):
        data = Dataset.from_dict({"q": [f"q{n}" for n in range(len(TEXTS))], "a": TEXTS})
        options = {"tokenizer": tokenizer} if isinstance(cutter, Tokens) else {}
        return data, fit(data, reading=Reading(("q",), ("a",)), cutter=cutter, order="reverse", **options)
    if isinstance(cutter, Labels):
        data = Dataset.from_dict({"q": [f"q{n}" for n in range(len(LISTS))], "a": LISTS})
        return data, fit(
            data, reading=Reading(("q",), ("a",)), cutter=cutter, order=Order("reverse", criterion="presence")
        )
    (folder / "sums.txt").write_text("".join(SUMS))
    return str(folder / "sums.txt"), fit(str(folder / "sums.txt"), reading=READING, cutter=cutter, order="reverse")


def spoil(rows):
    """One row in three, in one column."""
    draw = random.Random(7)
    for row in draw.sample(rows, len(rows) // 3):
        name = draw.choice([name for name in row if name != "prompt"])
        value, at = row[name], draw.randrange(len(row[name]) + 1)
        if name == "row_id":
            row[name] = draw.choice(rows)["row_id"]
        elif isinstance(value, str):
            row[name] = value[:at] + draw.choice(["", "1", "a", ", ", "☃"]) + value[at + 1 :]
        elif draw.random() < 0.5:
            row[name] = value[:at] + value[at + 1 :]
        else:
            row[name] = [
                *value[:at],
                draw.choice([-1 if name == "permutation" else -100, 0, 1, 2, *value]),
                *value[at + 1 :],
            ]


@pytest.mark.parametrize("form", ["text", "token"])
@pytest.mark.parametrize("cutter", [Digits(), Digits("right"), Labels(NAMES), Words(), Tokens()], ids=lambda c: c.name)
def test_check_says_of_spoilt_rows_what_a_look_at_every_row_says(cutter, form, tmp_path, monkeypatch):
    if form == "text" and isinstance(cutter, Tokens):
        pytest.skip("ids have no text form")
    tokenizer = characters([*NAMES, *TEXTS, "q0123456789+=?, "]) if form == "token" else None
    data, plan = dataset(cutter, tmp_path, tokenizer)
    apply(data, plan, form=form, tokenizer=tokenizer, out=tmp_path / "out")
    assert check(tmp_path / "out").ok
    tamper(tmp_path / "out", spoil, shard=0, of=1)
    found = check(tmp_path / "out")
    monkeypatch.setattr(module, "MOST_FAILURES", 10_000)
    everything = check(tmp_path / "out")
    for room in (laws, token):
        monkeypatch.setattr(room, "put_back", lambda _, emitted, __: pa.nulls(len(emitted), emitted.type))
    monkeypatch.setattr(token, "_surely_labelled", lambda ids, *_: np.zeros(len(ids), bool))
    slowly = check(tmp_path / "out")
    assert everything == slowly
    assert found.failures == slowly.failures[:20]
    assert set(found.failed) == {"permutation", "moved", "restored", "rows"} | ({"labels"} if tokenizer else set())
    assert found.passed["moved"] + found.failed["moved"] == sum(found.rows.values())
    assert 0 < found.failed["permutation"] < found.failed["moved"] < sum(found.rows.values()) / 2


# Rows without a manifest: shuffled, filtered, saved anew


@pytest.fixture(scope="module")
def sums(tmp_path_factory):
    """A folder with a reordered dataset, its plan, and the same rows shuffled."""
    folder = tmp_path_factory.mktemp("sums")
    (folder / "sums.txt").write_text("".join(SUMS))
    plan = fit(str(folder / "sums.txt"), reading=READING, cutter="digits", order="reverse")
    data = apply(str(folder / "sums.txt"), plan, out=folder / "written")
    return folder, plan, data.shuffle(seed=3)


def stored(sums, form):
    """The shuffled rows, as a dataset or in a file or folder of that form."""
    folder, _, data = sums
    rows, path = data["train"], folder / f"again-{form.replace(' ', '-')}"
    if form == "dict":
        return data
    if form == "dataset":
        return rows
    if form == "filtered":
        return rows.filter(lambda row: len(row["target"]) > 1)
    if form == "folder":
        data.save_to_disk(path)
        return path
    if form == "split folder":
        rows.save_to_disk(str(path))
        return str(path)
    path = path.with_suffix("." + form)
    {"parquet": rows.to_parquet, "jsonl": rows.to_json}[form](path)
    return str(path)


@pytest.mark.parametrize("form", ["dict", "dataset", "filtered", "folder", "split folder", "parquet", "jsonl"])
def test_any_rows_are_checked_by_their_plan(sums, form):
    data = stored(sums, form)
    with pytest.raises(PlanError, match=r"there is no plan here; pass the plan of the dataset it came from \(plan\)"):
        check(data)
    for plan in (sums[1], sums[0] / "written"):
        checked = check(data, plan=plan)
        rows = len(sums[2]["train"]) if form != "filtered" else len(data)
        assert checked.ok and checked.rows == {"train": rows} and checked.form == "text"
        assert checked.passed == {"permutation": rows, "moved": rows, "restored": rows}


def test_files_and_counts_are_checked_where_there_is_a_manifest(sums):
    folder, plan, data = sums
    assert check(folder / "written", plan=plan) == check(folder / "written")
    other = fit(str(folder / "sums.txt"), reading=READING, cutter="digits", order="plain")
    checked = check(folder / "written", plan=other)
    assert checked.failed["files"] == 1 and checked.failed["restored"] > 0
    assert "files" not in check(data, plan=other).failed and not check(data, plan=other).ok


def test_rows_that_break_a_law_are_named_by_place(sums):
    _, plan, data = sums
    rows = data["train"].to_list()
    rows[4]["completion"], rows[5]["target"], rows[6]["permutation"] = "x", None, None
    checked = check(Dataset.from_list(rows), plan=plan)
    assert {failure.partition(":")[0] for failure in checked.failures} == {f"train, row {row}" for row in (4, 5, 6)}
    assert checked.failed["restored"] == 2 and checked.passed["restored"] == len(rows) - 2


def test_rows_that_can_not_be_checked_are_refused(sums, tmp_path):
    _, plan, data = sums
    for rows, says in (
        (data["train"].remove_columns("permutation"), "has no column 'permutation'"),
        (data["train"].map(lambda row: {"permutation": str(row["permutation"])}), "no list of integers; save the rows"),
        (
            {"test": data["train"].map(lambda row: {"completion": [row["completion"]]})},
            "test: .* no text; save",
        ),
    ):
        with pytest.raises(InputError, match=says):
            check(rows, plan=plan)
    with pytest.raises(PlanError, match="nowhere: there is no plan here"):
        check(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="not a finished dataset"):
        check(plan.save(tmp_path / "plan").parent)


def test_rows_of_ids_are_checked_by_their_tokenizer(tmp_path):
    tokenizer = characters([*TEXTS, "q0123456789"])
    data, plan = dataset(Words(), tmp_path, tokenizer)
    written = apply(data, plan, form="token", tokenizer=tokenizer, out=tmp_path / "ids").shuffle(seed=1)
    checked = check(written, plan=plan, tokenizer=tmp_path / "ids" / "tokenizer")
    assert checked.ok and checked.form == "token" and checked.passed["labels"] == len(TEXTS)
    with pytest.raises(InputError, match="has no column 'prompt'"):
        check(written, plan=plan)
