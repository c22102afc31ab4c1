"""The door for scripts: what is emitted is restored, row by row, by columns, in `datasets`, pyarrow and polars."""

import copy
import json
import pickle
import random
import subprocess
import sys
from datetime import date
from functools import cache, partial

import polars as pl
import pyarrow as pa
import pytest
from datasets import Dataset, IterableDataset, load_from_disk
from datasets.fingerprint import Hasher
from hypothesis import given
from hypothesis import strategies as st

import mireorder as m
from mireorder.cutting import CUTTERS
from mireorder.restoring.units import RestoredIds
from mireorder.tokenizing.characters import character_tokenizer

# --- plans of every kind and cutter -------------------------------------------------------------------------------

QUIET = {"shuffles": 0, "resamples": 0}
BLIND = QUIET | {"criterion": None}
PRODUCTS = [(f"{a}*{b}=", str(a * b)) for a in range(0, 100, 4) for b in range(100)]
NAMES = ["b c", "joy", "joyful", "très"]
KEYS = ["city", "day", "no te"]
WORDS = ["rain", "Rain", "sun.", "hat", "the", "", "é", "👩‍👩‍👧", "a-b"]


def rows_of(targets, sources=None):
    return [(sources[row] if sources else f"question {row}", target) for row, target in enumerate(targets)]


def texts(joiner, units=WORDS, most=6):
    """Texts of that many units, which hold no joiner themselves."""
    return st.lists(st.sampled_from(units), min_size=1, max_size=most).map(joiner.join)


def some_texts(joiner, units=WORDS):
    """Rows to fit on, the last of as many units as any may have."""
    draw = random.Random(0)
    drawn = [joiner.join(draw.choices(units, k=draw.randint(1, 5))) for _ in range(60)]
    return rows_of([*drawn, joiner.join(units[:1] * 6)])


SENTENCES = ["It rained.", "Was it so?", "We saw 3 hats!"]
OBJECTS = [
    {"city": "Łódź", "day": 1, "no te": "x"}, {"city": 'a "b", c}', "day": 2.5}, {"day": [1, {"a": 2}], "no te": "y"},
]  # fmt: skip
DUMPED = [json.dumps(one, ensure_ascii=False) for one in OBJECTS]
MOODS = rows_of(
    [", ".join(name for at, name in enumerate(NAMES) if row >> at & 1) or "none" for row in range(16)] * 4,
    [f"{'rain' * (row >> 3 & 1)} sun {'hat' * (row >> 1 & 1)} {row}" for row in range(64)],
)
LISTS = [(source, [] if text == "none" else text.split(", ")) for source, text in MOODS]
SUBSETS = st.lists(st.sampled_from(NAMES), unique=True).map(sorted)
MEMBERS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(KEYS, st.none() | st.integers() | st.text(max_size=4) | st.just({"k": [1, {}]}))
).map(lambda one: json.dumps({key: one[key] for key in KEYS if key in one}, ensure_ascii=False))
NUMBERS = st.integers(0, 9999).map(str)
DECIMALS = st.integers(-999, 999).map(lambda n: f"{n / 100:.2f}")
SIGNED = rows_of([f"{n / 100:.2f}" for n in range(-999, 1000, 27)] + ["9.99", "-9.99"])
COUNTS = ["7", "12", "-12.5", "0.25", "99999", "-1.25"]


def digits(order, target=NUMBERS, rows=PRODUCTS, **options):
    return rows, m.Digits(**options), order, target


def lead(policy, cutter=None, joiner=" ", **options):
    cutter = cutter or m.Words()
    units = [unit for unit in WORDS if unit]  # a copy that is empty would not be seen
    order = m.Order(m.Copying(policy, **options), m.Associating(words=9) if policy.needs_scores else None, **QUIET)
    return some_texts(joiner, units), cutter, order, texts(joiner, units)


MARKED = m.Order("shuffle", None, markers=True, **QUIET)
CASES = {
    "fixed, padded digits": digits(m.Order("max", **QUIET)),
    "fixed, the user's order": digits(m.Order(permutation=[2, 0, 3, 1], criterion=None)),
    "fixed, digits with sign and decimals": digits(m.Order("random", None, seed=3), DECIMALS, SIGNED),
    "fixed, digits from the left": digits(
        m.Order("reverse", None), st.sampled_from(COUNTS), rows_of(COUNTS), align="left"
    ),
    "fixed, digits from the right": digits(
        m.Order("random", None), st.sampled_from(COUNTS), rows_of(COUNTS), align="right"
    ),
    "fixed, words": (some_texts(" "), m.Words(), m.Order("reverse"), texts(" ")),
    "fixed, words from the right": (some_texts(" "), m.Words("right"), m.Order("random"), texts(" ")),
    "fixed, lines": (some_texts("\n"), m.Lines(), m.Order("reverse"), texts("\n")),
    "fixed, spans": (some_texts("--"), m.Spans(delimiter="--"), m.Order("random"), texts("--", ["a", "b c", "é"])),
    "fixed, sentences": (
        some_texts(" ", SENTENCES), m.Sentences(), m.Order("reverse"), texts(" ", SENTENCES),
    ),
    "set, labels": (
        MOODS, m.Labels(), m.Order("max", "presence", **QUIET), SUBSETS.map(lambda s: ", ".join(s) or "none"),
    ),
    "set, lists of labels": (LISTS[8:], m.Labels(), m.Order("frequency", None), SUBSETS),
    "set, shuffled labels": (LISTS, m.Labels(), m.Order("shuffle", None), SUBSETS),
    "set, hardest labels first": (LISTS, m.Labels(), m.Order("hardest", **QUIET), SUBSETS),
    "set, fields": (rows_of(DUMPED * 3), m.Fields(), m.Order("reverse", None), MEMBERS),
    "set, shuffled fields": (rows_of(DUMPED * 3), m.Fields(), m.Order("shuffle", None), MEMBERS),
    "causal, most first": digits(m.Order("causal-max", **QUIET)),
    "causal, least first": digits(m.Order("causal-min", **QUIET), DECIMALS, SIGNED),
    "marked, padded digits": digits(MARKED),
    "marked, digits from the left": digits(MARKED, st.sampled_from(COUNTS), rows_of(COUNTS), align="left"),
    "marked, words": (some_texts(" "), m.Words(), MARKED, texts(" ")),
    "marked, lines": (some_texts("\n"), m.Lines(), MARKED, texts("\n")),
    "marked, spans": (some_texts("--"), m.Spans(delimiter="--"), MARKED, texts("--", ["a", "b c", "é"])),
    "marked, sentences": (some_texts(" ", SENTENCES), m.Sentences(), MARKED, texts(" ", SENTENCES)),
    "marked, pieces": (
        some_texts(" "), m.Pieces(), m.Order(permutation=[0, 2, 1], criterion=None, markers="<{}>"), texts(" "),
    ),
    "lead, words": lead(m.Lead(2)),
    "lead, words without marks": lead(m.Lead(2), marks=False),
    "lead, spans of words": lead(m.Lookahead(2)),
    "lead, spans of words without marks": lead(m.Lookahead(2), by_sentence=False, marks=False),
    "lead, lines": lead(m.Lookahead(1, "last"), m.Lines(), "\n", by_sentence=False),
    "lead, spans": lead(m.Lookahead(1), m.Spans(delimiter="--"), "--", by_sentence=False),
}  # fmt: skip
every_case = pytest.mark.parametrize("name", CASES)


def dataset(rows):
    sources, targets = zip(*rows, strict=True)
    return Dataset.from_dict({"q": list(sources), "a": list(targets), "row": list(range(len(rows)))})


@cache
def planned(name):
    rows, cutter, order, _ = CASES[name]
    return m.fit(dataset(rows), source="q", target="a", cutter=cutter, order=order, between=" = ")


@cache
def products():
    return planned("fixed, padded digits")


def natural(target):
    """What restoring gives back of a target: lists are written as text."""
    return target if isinstance(target, str) else ", ".join(target) or "none"


def completion(plan, emitted):
    """Behind the white space that opens it, which stands there already where the text itself begins with some."""
    start = plan.completion_start
    return emitted if start and emitted.startswith(start) else start + emitted


# --- the law ------------------------------------------------------------------------------------------------------

SOURCES = st.sampled_from(["12*34=", "7 or 8?", "rain and sun", "", "é"]) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=6
)


@every_case
@given(data=st.data())
def test_what_is_emitted_is_restored(name, data):
    plan, strategy = planned(name), CASES[name][3]
    rows = data.draw(st.lists(st.tuples(COUNTED.get(name, SOURCES), strategy), max_size=5))
    sources, targets = ([row[at] for row in rows] for at in (0, 1))
    emitted = plan.emit_all(targets, sources).to_pylist()
    prompts = [plan.prompt(source) for source in sources]
    expected = [m.Restored(natural(target), "complete") for target in targets]
    assert [*plan.restore_all(emitted, prompts)] == expected
    assert [plan.restore(*both) for both in zip(emitted, prompts, strict=True)] == expected
    assert [plan.emit(target, source) for source, target in rows] == emitted
    completions = [completion(plan, text) for text in emitted]
    assert [*plan.restore_all(completions, prompts)] == expected


COUNTED = {  # a causal order follows from the numbers of sources like those that were counted
    "causal, most first": st.builds("{}*{}=".format, st.integers(0, 99), st.integers(0, 99)),
    "causal, least first": st.integers(0, 99).map("question {}".format),
}
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=9) | st.text('a <>⟨⟩⟪⟫0129-.\n\r,{}":', max_size=9)


@every_case
@given(source=SOURCES, target=ANY)
def test_any_text_is_restored_or_refused(name, source, target):
    plan = planned(name)
    try:
        emitted = plan.emit(target, source)
    except m.InputError as error:
        assert error.row == 0 and "; " in str(error)
        return
    found = plan.restore(emitted, plan.prompt(source))
    assert found.verdict == "complete"
    if plan.cutter.name == "labels":  # written as a person may write them, or as numbers of their names
        known = {name: name for name in NAMES} | {str(number): name for number, name in enumerate(NAMES)}
        labels = {known[part.strip()] for part in target.split(",")} if target.strip() != "none" else set()
        assert found.text == natural(sorted(labels))
    else:
        assert found.text == target


def test_every_kind_and_every_cutter_is_looked_at():
    plans = [planned(name) for name in CASES]
    assert {plan.kind for plan in plans} == {"fixed", "set", "causal", "marked", "lead"}
    assert {plan.cutter.name for plan in plans} == set(CUTTERS) - {"tokens"}  # ids: see below
    assert all(name.startswith(plan.kind) for name, plan in zip(CASES, plans, strict=True))
    for name, (rows, *_) in CASES.items():
        sources, targets = map(list, zip(*rows, strict=True))
        assert planned(name).emit_all(targets, sources).to_pylist() != [*map(natural, targets)], f"{name}: none moved"


def test_digits_by_hand():
    plan = m.fit(dataset(PRODUCTS), source="q", target="a", cutter="digits", order=m.Order(permutation=[2, 1, 3, 0]))
    assert plan.emit("408") == "0480" and plan.emit("8") == "0080" and plan.emit(1234) == "3241"
    assert plan.emit_all(["408", "9999"]).to_pylist() == ["0480", "9999"]
    assert plan.restore("0480").text == "408" and plan.restore(" 0480").text == "408"


@pytest.mark.parametrize("column", [
    pa.array(["1", "1234"], pa.large_string()), pa.array(["1", "1234"]).dictionary_encode(), pa.array([1, 1234]),
    pa.chunked_array([["1"], ["1234"]]), pa.chunked_array([pa.array(["0", "1"])[1:], pa.array(["1234"])]),
    pa.array(["1", "1234"], pa.string_view()), pl.Series(["1", "1234"]), ("1", "1234"),
], ids=lambda column: str(getattr(column, "type", type(column))))  # fmt: skip
def test_columns_of_any_make_are_emitted(column):
    plan = products()
    assert plan.emit_all(column).to_pylist() == plan.emit_all(["1", "1234"]).to_pylist()
    assert plan.emit_all(column, column).to_pylist() == plan.emit_all(["1", "1234"]).to_pylist()


# --- ids ----------------------------------------------------------------------------------------------------------

LETTERS = st.text("ab c", min_size=1, max_size=8)


@cache
def of_ids(policy):
    tokenizer = character_tokenizer(["abc ="])
    data = dataset(rows_of(["abca bca", "a", "bb c", " "]))
    cutter, order = m.Tokens(), m.Order(policy, None, seed=2)
    return m.fit(data, source="q", target="a", cutter=cutter, order=order, tokenizer=tokenizer), tokenizer, data


@pytest.mark.parametrize("policy", ["plain", "reverse", "random"])
@given(rows=st.lists(st.lists(st.integers(0, 40), max_size=9), max_size=4))
def test_ids_that_are_emitted_are_restored(policy, rows):
    plan, *_ = of_ids(policy)
    emitted = plan.emit_all(rows).to_pylist()
    assert [plan.restore_ids(ids) for ids in emitted] == [RestoredIds(ids, "complete") for ids in rows]
    assert [plan.emit(ids) for ids in rows] == emitted


def test_ids_are_emitted_as_apply_writes_them():
    plan, tokenizer, data = of_ids("random")
    written = m.apply(data, plan, form="token", tokenizer=tokenizer)["train"]
    labels = [[label for label in row if label >= 0][:-1] for row in written["labels"]]  # without the end
    completions = [tokenizer(f" {text}")["input_ids"] for text in data["a"]]
    assert plan.emit_all(completions).to_pylist() == labels != completions
    table = pa.table({"completion": pa.array(labels, pa.list_(pa.int32()))})
    assert plan.restore_batch(table)["restored"].to_pylist() == completions
    frame = pl.DataFrame({"ids": completions})
    assert frame.select(plan.expression("ids"))["emitted"].to_list() == labels
    assert frame.lazy().select(plan.expression("ids")).collect_schema()["emitted"] == pl.List(pl.Int32)


@pytest.mark.parametrize(("target", "problem"), [
    ("abc", "are no ids"), ([1.5], "lists of text or of integers"), ([2**40], "are no ids"), ([1] * 10, "10 tokens"),
    (None, "null"), (3, "are no ids"),
])  # fmt: skip
def test_ids_that_are_none_are_refused(target, problem):
    with pytest.raises(m.InputError, match=problem):
        of_ids("reverse")[0].emit(target)


# --- as apply writes it -------------------------------------------------------------------------------------------


@every_case
def test_transform_writes_what_apply_writes(name):
    rows, plan = dataset(CASES[name][0]), planned(name)
    written = m.apply(rows, plan)["train"].to_dict()
    given_ = rows.to_dict()
    found = plan.transform(given_)
    assert list(found) == ["q", "a", "row", "prompt", "completion", "permutation"]
    assert found == given_ | {what: written[what] for what in ("prompt", "completion", "permutation")}
    emitted = plan.emit_all(given_["a"], given_["q"]).to_pylist()
    assert [completion(plan, text) for text in emitted] == found["completion"]
    table = rows.data.table
    assert plan.transform(table).to_pydict() == found
    (batch,) = table.combine_chunks().to_batches()
    assert plan.transform(batch).to_pydict() == found
    assert type(plan.transform(batch)) is pa.RecordBatch and type(plan.transform(table)) is pa.Table
    restored = plan.restore_batch(found)
    assert restored == found | {
        "restored": [natural(target) for target in given_["a"]],
        "verdict": ["complete"] * len(rows),
        "problem": [None] * len(rows),
    }
    assert restored["restored"] == written["target"]


def test_mixed_orders_come_back_too():
    data, marked = dataset(PRODUCTS[:400]), m.Order("plain", None, markers=True)
    plans = [m.fit(data, source="q", target="a", cutter="digits", order=order) for order in (marked, MARKED)]
    plan = m.mixed(plans, [1, 1])
    found = plan.transform(data[:])
    assert found["completion"] == m.apply(data, plan)["train"]["completion"][:]
    assert plan.restore_batch(found)["restored"] == data["a"][:]
    with pytest.raises(m.InputError, match="source"):
        plan.emit("408")


def test_several_columns_are_read_as_the_plan_says():
    sources = [["rain", "sun"][row % 2] for row in range(20)]
    columns = {"title": sources, "text": [f"no {row}" for row in range(20)], "joy": [row % 2 for row in range(20)],
               "b c": [row % 3 == 0 for row in range(20)]}  # fmt: skip
    data = Dataset.from_dict(columns)
    plan = m.fit(data, source=["title", "text"], target=["joy", "b c"], cutter="labels", order=m.Order("reverse", None))
    found = plan.transform(columns)
    assert found["prompt"][:2] == ["rain\nno 0", "sun\nno 1"] and found["completion"][:3] == [" b c", " joy", " none"]
    assert {name: found[name] for name in columns} == columns
    assert plan.emit(["joy", "b c"]) == "b c, joy" and plan.emit([]) == "none" and plan.emit("joy,b c") == "b c, joy"


def test_lines_have_columns_called_source_and_target(products):
    plan = m.fit(str(products), separator="=", cutter="digits", order=m.Order("reverse", None))
    assert plan.transform({"source": ["12*34"], "target": ["408"]})["completion"] == ["8040"]
    assert plan.transform({"source": ["12*34"], "target": ["408"]})["prompt"] == ["12*34="]


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


def test_names_that_hold_line_feeds_add_no_lines():
    data = Dataset.from_dict({"q": ["1", "2"], "a": ['{"a\\nb": 1, "c": 2}', '{"a\\nb": 3}']})
    plan = m.fit(data, source="q", target="a", cutter="fields", order=m.Order("reverse", None))
    assert plan.units[0] == "a\nb" and repr(plan).split("\n")[1] == r"  order: c, a\nb"
