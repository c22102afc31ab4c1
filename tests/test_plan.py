"""Plans: they come back from their file as they were, and one that can't be trusted is refused."""

import hashlib
import json
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_ordering import CUTTERS, emit

from mireorder import Digits, cutting
from mireorder.errors import PlanError
from mireorder.ordering import emission
from mireorder.ordering.plan import Plan, permutations_by_length
from mireorder.restoring.restorer import FILE
from mireorder.restoring.schema import FORMATS
from mireorder.restoring.units import slots_by_step
from mireorder.serialise import describe, make


def plan_of(cutter, permutation, **changed):
    n = len(permutation)
    entries = {
        "library": "mireorder 0",
        "reading": {"source": ["q"], "target": ["a"], "separator": None, "columns": None},
        "between": " ",
        "cutter": describe(cutter),
        "criterion": {"name": "joint"},
        "estimator": "plug-in",
        "tie_breaker": "subset",
        "policy": "max",
        "kind": cutter.kind,
        "seed": 0,
        "units": list(cutter.slots),
        "permutation": list(permutation),
        "permutations": permutations_by_length(cutter, list(permutation)),
        "scores": [[0.25] * n] * n,
        "scores_plug_in": [[0.25 if slot in permutation[step:] else None for slot in range(n)] for step in range(n)],
        "scores_corrected": [[1e-12] * n] * n,
        "noise": [[0.0] * n] * n,
        "support": [[1] * n] * n,
        "significance": dict.fromkeys(("p_values", "q_values", "effective_support"), [0.05] * n)
        | {"shuffles": 0, "within_noise": []},
        "stability": {"resamples": 0} | dict.fromkeys(("frequency", "same", "same_by_estimator", "order_by_estimator")),
        "ties": [{"step": 0, "slots": [0, 1], "chosen": 0, "broken_by": "lowest slot"}][: n // 2],
        "warnings": ["ünïcode"],
        "rows": 1,
        "rejected": 0,
        "source_fingerprint": "0" * 16,
        **dict.fromkeys(("markers", "copying", "evidence", "tokenizer")),
        "mix": [],
        "format": FORMATS[0],
    }
    return Plan.from_dict(entries | changed)


def plans():
    return [plan_of(cutter, range(len(cutter.slots))) for cutter in CUTTERS.values()]


@pytest.mark.parametrize("plan", plans(), ids=list(CUTTERS))
def test_plans_come_back_from_their_file_with_the_same_identity(plan, tmp_path):
    file = plan.save(tmp_path / "new" / "folder")
    assert file == tmp_path / "new" / "folder" / FILE
    assert Plan.load(file) == Plan.load(file.parent) == plan
    assert hashlib.sha256(file.read_bytes()).hexdigest() == plan.sha256 == Plan.load(file).sha256
    assert Plan.load(file).cutter == plan.cutter == make(describe(plan.cutter), cutting.CUTTERS)
    assert Plan.load(file).reading == plan.reading


def test_a_plan_is_canonical_json_that_a_human_can_read(tmp_path):
    plan = plans()[0]
    text = plan.save(tmp_path).read_text(encoding="utf-8")
    content = json.loads(text)
    assert text == json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    assert "ünïcode" in text and content["scores_plug_in"][1][0] is None
    (tmp_path / FILE).write_text(json.dumps(dict(reversed(content.items()))))  # other order, other white space
    assert Plan.load(tmp_path).sha256 == plan.sha256
    assert replace(plan, permutation=[1, 0, 2, 3]).sha256 != plan.sha256


def spoilt_plan(**changed):
    content = json.loads(plans()[0].to_json())
    return json.dumps({k: v for k, v in (content | changed).items() if v != "missing"})


DIGITS = json.loads(plans()[0].to_json())["cutter"]
READING = json.loads(plans()[0].to_json())["reading"]
REFUSED = {
    "not JSON": ("{", "not a readable plan"),
    "not UTF-8": (b"\xff", "not a readable plan"),
    "no object": ("[1]", "not a plan"),
    "another format": (spoilt_plan(format=99), "plan format 99, this version reads 1 and 2"),
    "missing entry": (spoilt_plan(seed="missing"), "missing entries: seed"),
    "missing format": (spoilt_plan(format="missing"), "plan format null"),
    "unknown entry": (spoilt_plan(colour="red"), "unknown entries: colour"),
    "slot twice": (spoilt_plan(permutation=[0, 0, 1, 2]), "permutation does not name each of 4 slots once"),
    "slots missing": (spoilt_plan(permutation=[0, 1, 2]), "permutation does not name each of 4 slots once"),
    "permutation of words": (spoilt_plan(permutation=["a", 1, 2, 3]), "mireorder fit"),
    "no permutation": (spoilt_plan(permutation=None), "mireorder fit"),
    "another kind": (spoilt_plan(kind="set"), "do not fit together"),
    "unknown cutter": (spoilt_plan(cutter={"name": "syllables"}), "syllables"),
    "missing option": (spoilt_plan(cutter={"name": "digits"}), "cutter: missing entries: align, decimals, length"),
    "unknown option": (spoilt_plan(cutter=DIGITS | {"colour": 1}), "cutter: unknown entries: colour"),
    "bad option": (spoilt_plan(cutter=DIGITS | {"align": "middle"}), "cutter: unknown alignment 'middle'"),
    "option of a wrong type": (spoilt_plan(cutter=DIGITS | {"width": "4"}), "cutter: width is '4'"),
    "no cutter": (spoilt_plan(cutter=None), "mireorder fit"),
    "no reading": (spoilt_plan(reading=None), "reading is null, not an object"),
    "unknown entry of the reading": (
        spoilt_plan(reading=READING | {"colour": "red"}),
        "reading: unknown entries: colour",
    ),
    "column names in one text": (spoilt_plan(reading=READING | {"source": "text"}), "reading.source is 'text', not a"),
    "a column name that is none": (
        spoilt_plan(reading=READING | {"target": ["a", 1]}),
        "reading.target[1] is 1, not a",
    ),
    "a separator that is none": (spoilt_plan(reading=READING | {"separator": 1}), "reading.separator is 1, not a text"),
    "no text between": (spoilt_plan(between=None), "between is null, not a text"),
    "blank word for no labels": (
        spoilt_plan(cutter=describe(CUTTERS["labels"]) | {"empty": " "}),
        "a row without labels can't read ' '",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_plans_that_can_not_be_trusted_are_refused_with_the_remedy(case, tmp_path):
    text, why = REFUSED[case]
    (tmp_path / FILE).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PlanError) as refused:
        Plan.load(tmp_path)
    assert why in str(refused.value)
    assert str(tmp_path / FILE) in str(refused.value) and "make it again with 'mireorder fit'" in str(refused.value)


def test_a_folder_without_a_plan_says_how_to_make_one(tmp_path):
    with pytest.raises(PlanError, match="make one with 'mireorder fit'"):
        Plan.load(tmp_path)


def test_every_entry_of_a_plan_is_required():
    content = json.loads(plans()[0].to_json())
    for name in content.keys() - {"format"}:
        with pytest.raises(PlanError, match=f"missing entries: {name}"):
            Plan.from_dict({k: v for k, v in content.items() if k != name})


@pytest.mark.parametrize("name", ["from the left", "from the right"])
@given(data=st.data())
def test_permutations_by_length_tell_the_order_of_every_length(name, data):
    cutter = CUTTERS[name]
    permutation = data.draw(st.permutations(range(6)))
    by_length = permutations_by_length(cutter, permutation)
    assert list(by_length) == ["1", "2", "3", "4", "5", "6"]
    text = data.draw(st.text("123456789", min_size=1, max_size=6))
    assert emit(name, permutation, text) == "".join(text[place] for place in by_length[str(len(text))])
    slots = slots_by_step(cutter, permutation, len(text))
    assert [slot for slot in permutation if slot in slots] == slots


def test_permutations_by_length_are_of_one_length_where_numbers_are_padded_and_of_none_for_sets():
    assert permutations_by_length(CUTTERS["padded"], [3, 1, 2, 0]) == {"4": [3, 1, 2, 0]}
    assert permutations_by_length(CUTTERS["labels"], list(range(7))) == {}


def test_a_plan_restores_what_stands_behind_the_prompt():
    plan = plan_of(CUTTERS["padded"], [3, 2, 1, 0], between=" Answer: \n")
    assert plan.prompt("1+1") == "1+1 Answer:"
    assert plan.completion_start == " \n"
    assert [found.text for found in plan.restore_all([" \n8010", "8010", " 8010\n"])] == ["108"] * 3
    assert plan.restore(" \n80").verdict == "cut short"


@given(st.permutations(range(3)), st.lists(st.integers(0, 999), max_size=4), st.integers(0, 2), st.booleans())
def test_rows_that_lie_as_they_are_cut_are_written_without_cutting(permutation, numbers, skipped, is_short):
    """And as `emit` writes them; a row that does not lie so sends all of them there."""
    plan = plan_of(Digits("pad", width=3, zeros=True), permutation)
    targets = ["000"] * skipped + [f"{number:03}" for number in numbers] + ["7"] * is_short
    columns = {"source": pa.array(["s"] * len(targets)), "target": pa.array(targets, pa.string())}
    batch = pa.record_batch(columns).slice(skipped)
    found = emission.emit_laid_out(plan, batch)
    if is_short:
        assert found is None
        return
    cut = emission.emit(plan, plan.cutter.cut(batch), batch)
    assert [part.to_pylist() for part in found[:3]] == [part.to_pylist() for part in cut[:3]]
    assert found.problems == cut.problems == {}
