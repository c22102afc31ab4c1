"""A policy, a cutter and a form from outside the package: the recipes of CONTRIBUTING.md."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from datasets import Dataset

from mireorder import InputError, Plan, apply, check, fit
from mireorder.cutting import CUTTERS
from mireorder.cutting.base import Adapting, Cut
from mireorder.dataset.forms import FORMS, Form
from mireorder.dataset.forms.text import TextForm
from mireorder.ordering.order import Order
from mireorder.ordering.permutation import Permutations
from mireorder.ordering.policies import POLICIES, Policy
from mireorder.restoring.kinds import POLICY_KINDS
from mireorder.restoring.restorer import RESTORERS
from mireorder.restoring.units import Split, Traits

SUMS = Dataset.from_dict(
    {"q": [f"{a}+{b}=" for a in range(9) for b in range(9)], "a": [f"{a + b:02d}" for a in range(9) for b in range(9)]}
)
COLUMNS = {"source": "q", "target": "a"}


# --- policies ----------------------------------------------------------------------------------------------------


def outside_in(known):
    """First, last, second, last but one ..."""
    slots = range(len(known.present))
    return sorted(slots, key=lambda slot: min(slot, len(slots) - 1 - slot))


def middling(step):
    """The slot of median score."""
    scores = step.scores.bits[step.estimator]
    return [sorted(step.left, key=lambda slot: scores[slot])[len(step.left) // 2]]


def longest_source_first(seen):
    """Rows of long sources in reverse, the others as they are."""
    long = pc.greater(pc.utf8_length(seen.source), 4).to_numpy(zero_copy_only=False)[seen.cut.owner]
    lengths = np.repeat(np.diff(seen.cut.offsets), np.diff(seen.cut.offsets))
    places = np.arange(len(seen.cut.slots)) - seen.cut.offsets[seen.cut.owner]
    return Permutations(seen.cut.offsets, np.where(long, lengths - 1 - places, places).astype(np.int32))


TOYS = {
    "outside-in": Policy("from both ends to the middle", ("fixed", "set", "marked"), whole=outside_in),
    "middling": Policy("the slot of median score", ("fixed", "set", "marked"), choose=middling),
    "by-length": Policy("long sources in reverse", ("set", "marked"), whole=outside_in, rows=longest_source_first),
}


@pytest.fixture(params=TOYS)
def toy(request, monkeypatch):
    monkeypatch.setitem(POLICIES, request.param, TOYS[request.param])
    monkeypatch.setitem(POLICY_KINDS, request.param, TOYS[request.param].kinds)
    return request.param


def test_a_policy_from_outside_orders_rows_that_come_back(toy, tmp_path):
    marked = TOYS[toy].looks_at == "rows"
    plan = fit(SUMS, **COLUMNS, cutter="digits", order=Order(toy, markers=marked, shuffles=0, resamples=0))
    assert (plan.policy, plan.kind) == (toy, "marked" if marked else "fixed")
    apply(SUMS, plan, out=tmp_path / "d")
    assert check(tmp_path / "d").ok and Plan.load(tmp_path / "d") == plan
    assert plan.restore(plan.emit("13", "9+4=")).text == "13"


def test_a_policy_from_outside_is_offered_and_kept_to_its_kinds(monkeypatch):
    monkeypatch.setitem(POLICIES, "by-length", TOYS["by-length"])
    with pytest.raises(InputError, match="did you mean 'by-length'"):
        Order("by-lenght")
    with pytest.raises(InputError, match="another order in every row"):
        fit(SUMS, **COLUMNS, cutter="digits", order="by-length")


# --- a cutter ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Halves(Traits, Adapting):
    """A text of even length as its two halves."""

    name: ClassVar[str] = "halves"
    kind: ClassVar[str] = "fixed"
    slots: ClassVar[tuple[str, ...]] = ("first", "second")
    width: int = 0

    def survey(self, batch):
        return Widths(int(pc.max(pc.utf8_length(batch.column("target"))).as_py() or 0))

    def settle(self, survey):
        return Halves(survey.width)

    def cut(self, batch):
        target, half = batch.column("target"), self.width // 2
        bad = pc.fill_null(pc.not_equal(pc.utf8_length(target), self.width), True).to_numpy(zero_copy_only=False)
        problems = dict.fromkeys(np.flatnonzero(bad).tolist(), f"target has not {self.width} characters; fix it")
        kept = target.filter(pa.array(~bad))
        parts = [pc.utf8_slice_codeunits(kept, 0, half), pc.utf8_slice_codeunits(kept, half)]
        units = [part[row].as_py() for row in range(len(kept)) for part in parts]
        offsets = np.concatenate([[0], np.cumsum(2 * ~bad)])
        return Cut(offsets, np.tile(np.arange(2, dtype=np.int32), len(kept)), pa.array(units, pa.string()), problems)

    def codes(self, cut, survey):
        return np.array([hash(unit) % 97 for unit in cut.units.to_pylist()], np.int32).reshape(-1, 2)

    def radices(self, survey):
        return (97, 97)

    def natural(self, cut, batch):
        return batch.column("target").fill_null("")

    def emit(self, units):
        return pc.binary_join(units, "")

    def split(self, text):
        half = self.width // 2
        problem = None if len(text) == self.width else f"{len(text)} characters were emitted, not {self.width}"
        units = [text[:half], text[half:]] if len(text) > half else [text]  # one unit alone is that unit
        return Split(units, problem=problem, cut_short=len(text) < self.width)

    def glue(self, slots, units):
        return "".join(units)

    def present(self, units):
        return range(2)

    def misplaced(self, slots, units):
        return None


@dataclass(frozen=True)
class Widths:
    values: ClassVar[dict] = {}
    width: int

    def merge(self, other):
        return Widths(max(self.width, other.width))


@pytest.fixture
def halves(monkeypatch):
    monkeypatch.setitem(CUTTERS, "halves", Halves)
    monkeypatch.setitem(RESTORERS, "halves", Halves)


@pytest.mark.parametrize("order", ["reverse", "max", Order("shuffle", None, markers=True)])
def test_a_cutter_from_outside_cuts_rows_that_come_back(halves, order, tmp_path):
    plan = fit(SUMS, **COLUMNS, cutter="halves", order=order)
    assert plan.units == ["first", "second"]
    apply(SUMS, plan, out=tmp_path / "d")
    assert check(tmp_path / "d").ok and Plan.load(tmp_path / "d") == plan
    restored = plan.restore(plan.emit("13", "9+4="))
    assert (restored.text, restored.verdict) == ("13", "complete")
    assert plan.restore("1").verdict in ("cut short", "malformed")


def test_a_cutter_from_outside_refuses_rows_by_their_number(halves):
    plan = fit(SUMS, **COLUMNS, cutter="halves", order="reverse")
    with pytest.raises(InputError, match="row 1: target has not 2 characters"):
        apply(Dataset.from_dict({"q": ["1+1=", "9+9="], "a": ["02", "018"]}), plan)


# --- a form ------------------------------------------------------------------------------------------------------


def test_the_recipe_of_a_form_has_all_of_its_members():
    page = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text("utf-8")
    recipe = page.partition("### A form")[2].partition("###")[0]
    said = {name for row in re.findall(r"^\| (`.*?) \|", recipe, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    members = {name for name in vars(Form) if not name.startswith("_")} | set(Form.__annotations__)
    assert said == members
    for name in FORMS:
        assert not {member for member in members if not hasattr(FORMS[name], member)} - {"tokenizer_hash", "max_tokens"}


@dataclass(frozen=True)
class Instructions(TextForm):
    """Instruction and output, as some trainers call them."""

    name: ClassVar[str] = "instructions"
    columns: ClassVar[dict[str, pa.DataType]] = {"instruction": pa.string(), "output": pa.string()}
    about: ClassVar[str] = "`instruction` and `output`: text"

    def encoded(self, prompts, completions):
        return {"instruction": prompts, "output": completions}, {}

    def prompts(self, columns):
        return columns["instruction"]

    def breaches(self, plan, columns):
        return super().breaches(plan, columns | {"prompt": columns["instruction"], "completion": columns["output"]})


def test_a_form_from_outside_is_written_checked_and_described(monkeypatch, tmp_path):
    monkeypatch.setitem(FORMS, "instructions", Instructions)
    plan = fit(SUMS, **COLUMNS, cutter="digits", order="reverse")
    rows = apply(SUMS, plan, form="instructions", out=tmp_path / "d")["train"]
    assert rows.column_names[:2] == ["instruction", "output"]
    checked = check(tmp_path / "d")
    assert checked.ok and checked.form == "instructions" and checked.passed["restored"] == len(SUMS)
    assert "`instruction` and `output`: text" in (tmp_path / "d" / "README.md").read_text("utf-8")
    with pytest.raises(InputError, match="did you mean 'instructions'"):
        apply(SUMS, plan, form="instruction")


TURNS = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


@dataclass(frozen=True)
class Conversations(TextForm):
    """Prompt and completion as two turns, in one nested column."""

    name: ClassVar[str] = "conversations"
    columns: ClassVar[dict[str, pa.DataType]] = {"turns": TURNS}

    def encoded(self, prompts, completions):
        both = zip(prompts.to_pylist(), completions.to_pylist(), strict=True)
        return {"turns": pa.array([[("user", one), ("assistant", other)] for one, other in both], TURNS)}, {}

    def breaches(self, plan, columns):
        content = columns["turns"].flatten().field("content")
        prompt, completion = (content.take(pa.array(np.arange(at, len(content), 2))) for at in (0, 1))
        return super().breaches(plan, columns | {"prompt": prompt, "completion": completion})


@pytest.mark.parametrize("policy", ["reverse", "causal-max"])
def test_columns_of_a_form_can_have_any_type(monkeypatch, tmp_path, policy):
    monkeypatch.setitem(FORMS, "conversations", Conversations)
    plan = fit(SUMS, **COLUMNS, cutter="digits", order=Order(policy, shuffles=0, resamples=0))
    rows = apply(SUMS, plan, form="conversations", out=tmp_path / "d")["train"]
    user, assistant = rows[13]["turns"]
    assert (user["role"], user["content"]) == ("user", "1+4=")
    assert plan.restore(assistant["content"], user["content"]).text == "05"
    checked = check(tmp_path / "d")
    assert checked.ok and checked.passed["restored"] == len(SUMS)
