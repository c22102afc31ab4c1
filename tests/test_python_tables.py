"""The Python door for tables: other columns, rows that can not be used, `datasets` and polars."""

import copy
import json
import pickle
import subprocess
import sys
from datetime import date
from functools import partial

import polars as pl
import pyarrow as pa
import pytest
from datasets import Dataset, IterableDataset, load_from_disk
from datasets.fingerprint import Hasher
from test_python_door import CASES, PRODUCTS, dataset, every_case, of_ids, planned, products

import mireorder as m

# --- other columns, and rows that can't be used -------------------------------------------------------------------


class Picture:
    """What Arrow has no type for."""


PICTURES = [Picture() for _ in range(4)]
OTHER = {
    "q": ["1*1=", "2*2=", "3*3=", "4*4="], "picture": PICTURES, "big": [2**80, 1, 2, 3], "mixed": [1, "a", None, {}],
    "day": [date(2020, 1, 1 + row) for row in range(4)], "nested": [{"a": [row]} for row in range(4)],
}  # fmt: skip


def test_other_columns_stay_as_they_are_whatever_they_hold():
    batch = OTHER | {"a": ["1", "4", "9", "16"]}
    found = products().transform(batch)
    assert all(found[name] is batch[name] for name in batch) and len(found["completion"]) == 4
    restored = products().restore_batch(found)
    assert all(restored[name] is found[name] for name in found) and restored["restored"] == batch["a"]


@pytest.mark.parametrize("bad", ["four", None, "123456789", ""])
def test_rows_that_can_not_be_used_are_refused_by_their_number_or_left_out(bad):
    plan, batch = products(), OTHER | {"a": ["1", bad, "9", bad]}
    with pytest.raises(m.InputError, match="the batch, row 1: "):
        plan.transform(batch)
    found = plan.transform(batch, reject=True)
    assert found["a"] == ["1", "9"] and plan.restore_batch(found)["restored"] == ["1", "9"]
    assert all(found[name] == [OTHER[name][0], OTHER[name][2]] for name in OTHER)
    assert found["picture"][1] is PICTURES[2]
    table = pa.table({name: batch[name] for name in ("q", "a", "day", "nested")})
    assert plan.transform(table, reject=True).to_pydict() == {
        name: found[name] for name in [*table.column_names, "prompt", "completion", "permutation"]
    }
    with pytest.raises(m.InputError, match="the batch, row 1: "):
        plan.emit_all(batch["a"])


def test_a_row_without_a_source_is_refused_or_left_out_as_apply_does():
    batch = {"q": ["1*1=", None], "a": ["1", "4"]}
    for plan in products(), planned("causal, most first"):
        with pytest.raises(m.InputError, match="row 1: source is null"):
            plan.transform(batch)
        with pytest.raises(m.InputError, match="row 1: source is null"):
            plan.emit_all(batch["a"], batch["q"])
        assert plan.transform(batch, reject=True)["q"] == ["1*1="]


def test_no_row_at_all_is_no_problem():
    plan = products()
    found = plan.transform({"q": [], "a": [], "other": []})
    assert found == {"q": [], "a": [], "other": [], "prompt": [], "completion": [], "permutation": []}
    assert plan.restore_batch(found) | found == plan.restore_batch(found) and plan.emit_all([]).to_pylist() == []
    bad = plan.transform({"q": ["1"], "a": ["x"]}, reject=True)
    assert bad == {"q": [], "a": [], "prompt": [], "completion": [], "permutation": []}
    table = pa.table({"q": pa.array([], pa.string()), "a": pa.array([], pa.string())})
    assert plan.transform(table).num_rows == plan.transform(table.schema.empty_table()).num_rows == 0


def test_what_can_not_be_emitted_is_refused_in_one_line():
    plan = products()
    with pytest.raises(m.InputError, match=r"the batch: has no column 'a', only q, b; rename"):
        plan.transform({"q": ["1"], "b": ["1"]})
    with pytest.raises(m.InputError, match=r"DataFrame is not a batch of rows; pass a dict of lists"):
        plan.transform(pl.DataFrame({"q": ["1"], "a": ["1"]}))
    with pytest.raises(m.InputError, match="has no column 'completion'"):
        plan.restore_batch({"text": ["0480"]})
    with pytest.raises(m.InputError, match="1 sources for 2 targets"):
        plan.emit_all(["1", "2"], ["1"])
    for target in (["1", "2"], object(), "\ud800", {"a": 1}, 1.5j):
        with pytest.raises(m.InputError) as refused:
            plan.emit(target)
        assert "\n" not in str(refused.value)
    for name in ("causal, most first", "set, shuffled labels", "lead, words"):
        with pytest.raises(m.InputError, match="depends on the source"):
            planned(name).emit("1")
    with pytest.raises(m.InputError, match=r"row 0: .* not the one form that was counted"):
        planned("causal, most first").emit("408", "12 by 34")
    with pytest.raises(m.InputError, match="surrogates not allowed"):
        planned("fixed, words").emit("a \ud800")
    with pytest.raises(m.PlanError, match="token ids"):
        of_ids("reverse")[0].transform({"q": ["1"], "a": ["1"]})
    with pytest.raises(m.PlanError, match="token ids"):
        of_ids("reverse")[0].restore("a")


# --- outputs ------------------------------------------------------------------------------------------------------


def test_outputs_are_restored_by_columns_with_their_verdicts():
    plan, outputs = products(), ["0480", " 0480", "04", "04x0", "\ud800", None, "04801"]
    order = plan.permutation
    found = plan.restore_batch({"written": outputs, "id": [*range(7)]}, emitted="written")
    assert (found["written"], found["id"]) == (outputs, [*range(7)])
    one_by_one = [plan.restore((text or "").replace("\ud800", "\ufffd")) for text in outputs]  # which Arrow can hold
    assert found["restored"] == [one.text for one in one_by_one]
    assert found["verdict"] == [one.verdict for one in one_by_one] == ["complete"] * 2 + ["cut short"] + [
        "malformed"] * 2 + ["cut short", "malformed"]  # fmt: skip
    assert [one.problem for one in one_by_one] == found["problem"] and found["problem"][:2] == [None, None]
    assert found["restored"][0] == "".join(d for _, d in sorted(zip(order, "0480", strict=True))).lstrip("0")
    table = plan.restore_batch(pa.table({"completion": outputs[:4], "verdict": [1, 2, 3, 4]}))
    assert table.column_names == ["completion", "restored", "verdict", "problem"]
    assert table["verdict"].to_pylist() == found["verdict"][:4]


def test_outputs_of_kind_causal_are_restored_with_their_prompts():
    plan, rows = planned("causal, most first"), dataset(PRODUCTS)
    found = plan.transform(rows[:])
    assert plan.restore_batch(found)["restored"] == rows["a"][:]
    asked = {"written": found["completion"], "asked": found["prompt"]}
    assert plan.restore_batch(asked, emitted="written", prompt="asked")["restored"] == rows["a"][:]
    with pytest.raises(m.InputError, match="has no column 'prompt'"):
        plan.restore_batch({"completion": found["completion"]})


def test_outputs_that_are_ids_are_restored_by_columns():
    plan, *_ = of_ids("reverse")
    found = plan.restore_batch({"completion": [[1, 2, 3], [], None, [1] * 10]})
    assert found["restored"][:3] == [[3, 2, 1], [], []]
    assert found["verdict"] == ["complete"] * 3 + ["malformed"] and "10 tokens" in found["problem"][3]


# --- datasets -----------------------------------------------------------------------------------------------------


@pytest.fixture
def on_disk(tmp_path):
    dataset(PRODUCTS[:300]).save_to_disk(tmp_path / "rows")
    return load_from_disk(tmp_path / "rows")


@pytest.mark.parametrize("name", ["fixed, padded digits", "causal, most first", "marked, padded digits"])
@pytest.mark.parametrize("options", [{}, {"batch_size": 7}, {"num_proc": 2}])
def test_datasets_are_mapped(on_disk, name, options):
    plan = planned(name)
    written, found = m.apply(on_disk, plan)["train"], on_disk.map(plan.transform, batched=True, **options)
    assert found.column_names == ["q", "a", "row", "prompt", "completion", "permutation"]
    for column in ("prompt", "completion", "permutation"):
        assert found[column][:] == written[column][:]
    back = found.map(plan.restore_batch, batched=True)
    assert back["restored"][:] == on_disk["a"][:] and set(back["verdict"]) == {"complete"}


def test_datasets_that_give_tables_are_mapped(on_disk):
    plan = products()
    expected = on_disk.map(plan.transform, batched=True)
    found = on_disk.with_format("arrow").map(plan.transform, batched=True)
    assert found.with_format(None)[:] == expected[:]


def test_datasets_are_transformed_as_they_are_read(on_disk):
    plan = products()
    rows = on_disk.with_transform(plan.transform)
    expected = on_disk.map(plan.transform, batched=True)
    assert rows[3:9] == expected[3:9] and rows[5] == expected[5]


def test_streams_are_mapped(on_disk):
    plan = products()
    expected = list(on_disk.map(plan.transform, batched=True))
    assert list(on_disk.to_iterable_dataset().map(plan.transform, batched=True, batch_size=11)) == expected
    stream = IterableDataset.from_generator(lambda: iter(on_disk))
    assert list(stream.map(plan.transform, batched=True).map(plan.restore_batch, batched=True)) == [
        row | {"restored": row["a"], "verdict": "complete", "problem": None} for row in expected
    ]


@pytest.mark.parametrize("options", [{}, {"num_proc": 2}])
def test_rows_are_left_out_of_a_dataset(options):
    rows = Dataset.from_dict({"q": ["1", "2", "3", "4"], "a": ["1", "x", None, "4"], "row": [0, 1, 2, 3]})
    found = rows.map(partial(products().transform, reject=True), batched=True, batch_size=2, **options)
    assert (found["row"][:], found["a"][:]) == ([0, 3], ["1", "4"])
    with pytest.raises(m.InputError, match="row 1: "):
        rows.map(products().transform, batched=True)


def test_the_cache_of_datasets_knows_a_plan_again(on_disk, tmp_path):
    products().save(tmp_path / "plan")
    first = on_disk.map(m.Plan.load(tmp_path / "plan").transform, batched=True)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "rows").glob("cache-*.arrow")}
    again = load_from_disk(tmp_path / "rows").map(m.Plan.load(tmp_path / "plan").transform, batched=True)
    assert first.cache_files == again.cache_files and len(files) == 1
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "rows").glob("cache-*.arrow")} == files
    on_disk.map(planned("causal, most first").transform, batched=True)
    assert len(list((tmp_path / "rows").glob("cache-*.arrow"))) == 2, "another plan is another fingerprint"


@pytest.mark.parametrize("name", ["fixed, padded digits", "causal, most first", "lead, words", "set, fields"])
def test_the_fingerprint_of_a_plan_is_its_content(name, tmp_path):
    plan = planned(name)
    plan.save(tmp_path)
    one, other = m.Plan.load(tmp_path), m.Plan.load(tmp_path)
    one.emit_all([row[1] for row in CASES[name][0]], [row[0] for row in CASES[name][0]])  # used, and so with caches
    prints = {Hasher.hash(some.transform) for some in (plan, one, other, pickle.loads(pickle.dumps(one)))}
    code = "import sys; from datasets.fingerprint import Hasher; from mireorder import Plan; " \
        "print(Hasher.hash(Plan.load(sys.argv[1]).transform))"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert prints == {done.stdout.strip()}
    assert Hasher.hash(m.Plan.from_dict(json.loads(plan.to_json()) | {"between": "?"}).transform) not in prints


# --- polars -------------------------------------------------------------------------------------------------------


@every_case
def test_polars_frames_are_given_a_column(name):
    rows, plan = CASES[name][0][:50], planned(name)
    sources, targets = zip(*rows, strict=True)
    frame = pl.DataFrame({"q": sources, "answer": targets})
    expected = plan.emit_all(list(targets), list(sources)).to_pylist()
    found = frame.with_columns(plan.expression("answer", "q"))
    assert found.columns == ["q", "answer", "emitted"] and found["emitted"].to_list() == expected
    assert found["emitted"].dtype == pl.String
    lazy = frame.lazy().with_columns(plan.expression("answer"))  # the plan knows which column it read
    assert lazy.collect_schema()["emitted"] == pl.String and lazy.collect()["emitted"].to_list() == expected
    assert (
        frame.filter(pl.col("q") == sources[-1]).select(plan.expression("answer", "q"))["emitted"][-1] == expected[-1]
    )
    assert frame.clear().with_columns(plan.expression("answer"))["emitted"].to_list() == []
    assert frame.select(x=plan.expression("answer")).columns == ["x"]


def test_polars_says_which_row_is_bad():
    with pytest.raises(Exception, match=r"row 1: target 'x' is not a number"):
        pl.DataFrame({"a": ["1", "x"]}).select(products().expression("a"))
    with pytest.raises(m.InputError, match="depends on the source; name the column"):
        rows = Dataset.from_dict({"a": ["x", "y"], "b": ["1", "2"], "c": ["p", "q"]})
        order = m.Order("shuffle", None)
        m.fit(rows, source=["a", "b"], target="c", cutter="labels", order=order).expression("c")


# --- the plan as an object ----------------------------------------------------------------------------------------


@every_case
def test_plans_are_pickled_and_copied(name):
    plan, (rows, *_) = planned(name), CASES[name]
    (source, target), text = rows[-1], plan.to_json()
    for other in pickle.loads(pickle.dumps(plan)), copy.copy(plan), copy.deepcopy(plan):
        assert other == plan and hash(other) == hash(plan) and other.to_json() == text and type(other) is m.Plan
        assert other.emit(target, source) == plan.emit(target, source)


@every_case
def test_a_plan_is_shown_in_three_lines(name):
    plan = planned(name)
    first, second, third = repr(plan).split("\n")
    assert first.startswith(f"Plan: cutter {plan.cutter.name}, policy {plan.policy}") and f"kind {plan.kind}" in first
    assert second == f"  order: {plan.in_words}"
    assert third == f"  of {plan.rows:,} rows, SHA-256 {plan.sha256[:12]}"


def test_names_that_break_lines_add_no_lines():
    data = Dataset.from_dict({"q": ["1", "2"], "a": ['{"a\\u2028b": 1, "c": 2}', '{"a\\u2028b": 3}']})
    plan = m.fit(data, source="q", target="a", cutter="fields", order=m.Order("reverse", None))
    assert plan.units[0] == "a\u2028b" and repr(plan).split("\n")[1] == r"  order: c, a\u2028b"
