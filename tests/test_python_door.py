"""The door for scripts: what is emitted is restored, row by row, by columns, in `datasets`, pyarrow and polars."""

import json
import random
from functools import cache

import polars as pl
import pyarrow as pa
import pytest
from datasets import Dataset
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
