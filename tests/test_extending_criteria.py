"""A criterion from outside the package: a name, what it counts, and a score. Everything else has a default."""

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from mireorder import Order, Reading, fit
from mireorder.counting.keys import KeyTable, Packing
from mireorder.cutting.source import Whole
from mireorder.information.criteria import CRITERIA, Measure, Scores
from mireorder.information.estimators import ENTROPIES
from mireorder.information.scoring import Estimate, entropy

LIGHT = """
import json, sys, types
package = types.ModuleType("mireorder")
package.__path__ = [sys.argv[1]]
sys.modules["mireorder"] = package
from mireorder.information.criteria import CRITERIA
from mireorder.information.estimators import ENTROPIES
names = "joint" in CRITERIA, [*CRITERIA], [*ENTROPIES]
print(json.dumps([sorted({"numba", "scipy", "polars", "pyarrow", "numpy"} & set(sys.modules)), names]))
"""


@dataclass(frozen=True)
class Toy:
    """Slots by the entropy of their units: it looks at no source."""

    name: ClassVar[str] = "toy"
    reads: ClassVar[type] = Whole
    estimators: ClassVar[tuple[str, ...]] = ("plug-in", "miller-madow")

    def survey(self, source):
        return None

    def settle(self, survey):
        return Whole()

    def count(self, source, codes, radices, sources):
        return KeyTable.of(Packing(radices).pack(codes))

    def measure(self, table, radices, sources):
        return ToyMeasure(table, radices)


@dataclass(frozen=True)
class ToyMeasure(Measure):
    table: KeyTable
    radices: tuple[int, ...]

    def scores(self, emitted, estimators=()):
        columns = Packing(self.radices).unpack(self.table.keys).T
        found = {}
        for slot in set(range(len(self.radices))) - set(emitted):
            counts = np.bincount(columns[slot], self.table.counts)
            bits = entropy(counts)
            found[slot] = Estimate(bits, bits, 0.0, np.count_nonzero(counts), 2**bits)
        return Scores.of(len(self.radices), found)


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(CRITERIA, "toy", Toy)


@pytest.fixture
def rows(tmp_path):
    # Units digits are even, tens are any digit, hundreds are 1: 2.32, 3.32 and 0 bits.
    path = tmp_path / "rows.txt"
    path.write_text("".join(f"{n}={100 + n}\n" for n in range(0, 100, 2)))
    return str(path)


def test_a_criterion_needs_no_more_than_a_score(toy, rows):
    plan = fit(rows, reading=Reading(separator="="), cutter="digits", order=Order(criterion="toy", tie_breaker=None))
    assert plan.permutation == [1, 2, 0]
    assert plan.scores[0] == pytest.approx([0, np.log2(10), np.log2(5)])
    assert plan.restore("081").text == "108"


def test_what_a_criterion_can_not_say_is_not_looked_at(toy, rows):
    plan = fit(rows, reading=Reading(separator="="), cutter="digits", order=Order(criterion="toy", tie_breaker=None))
    assert json.loads(plan.to_json())["significance"]["p_values"] == []
    assert json.loads(plan.to_json())["stability"]["same"] is None
    assert [warning.split(":")[0] for warning in plan.warnings] == [
        "significance was not looked at",
        "stability was not looked at",
    ]
    options = {"criterion": "toy", "tie_breaker": None, "shuffles": 0, "resamples": 0}
    quiet = fit(rows, reading=Reading(separator="="), cutter="digits", order=Order(**options))
    assert quiet.warnings == []


def test_a_criterion_from_outside_breaks_ties(toy, tmp_path):
    path = tmp_path / "rows.txt"
    path.write_text("".join(f"{n}={100 + n}\n" for n in range(10)))  # hundreds and tens say nothing
    plan = fit(
        str(path), reading=Reading(separator="="), cutter="digits", order=Order(criterion="joint", tie_breaker="toy")
    )
    assert plan.permutation == [2, 0, 1] and plan.tie_breaker == "toy"
    assert "stability was not looked at: a criterion can't be resampled" in plan.warnings


def test_names_of_criteria_and_estimators_import_nothing():
    import mireorder

    done = subprocess.run(
        [sys.executable, "-c", LIGHT, mireorder.__path__[0]], capture_output=True, text=True, check=True
    )
    loaded, (known, criteria, estimators) = json.loads(done.stdout)
    assert loaded == [] and known
    assert criteria == list(CRITERIA) and estimators == list(ENTROPIES)


def test_a_table_takes_objects_and_places_and_forgets_them():
    from mireorder.tables import Table

    table = Table({"root": "math:sqrt", "nowhere": "mireorder.nothing:at_all"})
    assert "nowhere" in table and list(table) == ["root", "nowhere"] and len(table) == 2
    assert table["root"](9) == 3
    table["own"] = len
    assert table["own"] is len and "other" not in table
    del table["own"]
    assert "own" not in table
    with pytest.raises(KeyError):
        table["own"]
    with pytest.raises(ModuleNotFoundError):
        table["nowhere"]


def test_an_attribute_that_is_not_there_is_an_attribute_error():
    from mireorder.information import criteria

    assert criteria.Joint is CRITERIA["joint"]
    with pytest.raises(AttributeError, match="no attribute 'Joined'"):
        criteria.Joined  # noqa: B018
