"""Plans of format 1 are read as they were written; format 2 is written only where its entries are used."""

import json
from dataclasses import replace

import pytest
from golden_cases import FOLDER
from test_plan import plans

from mireorder import Digits
from mireorder.ordering.plan import Plan
from mireorder.restoring.restorer import FILE
from mireorder.serialise import describe

COPIES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}
OLDER = {name: copy for name, copy in COPIES.items() if copy.get("plan", {}).get("format") == 1}
"""Plans of format 1, with rows that were written by them."""
PLAN = next(plan for plan in plans() if isinstance(plan.cutter, Digits))
COSTS = {"plain": {"permutation": [0, 1, 2, 3], "bits": 2.5, "lead": 0.0, "low": 0.0, "high": 0.0}}
NEWER = {
    "a delimiter": replace(PLAN, reading=replace(PLAN.reading, delimiter=";")),
    "quotes": replace(PLAN, reading=replace(PLAN.reading, quotes=False)),
    "a pattern": replace(PLAN, cutter=replace(PLAN.cutter, pattern="last-number")),
    "costs of orders": replace(PLAN, stability=replace(PLAN.stability, costs=COSTS)),
}


def test_there_are_plans_of_every_kind_in_format_1():
    assert {copy["plan"]["kind"] for copy in OLDER.values()} == {"fixed", "causal", "set", "marked", "lead"}


@pytest.mark.parametrize("name", OLDER)
def test_plans_of_format_1_keep_their_bytes_and_restore_their_rows(name, bundled, tmp_path):
    text = json.dumps(OLDER[name]["plan"], sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    (tmp_path / FILE).write_text(text, encoding="utf-8")
    plan = Plan.load(tmp_path)
    assert (plan.format, plan.to_json()) == (1, text)
    for row in OLDER[name]["dataset"]["first"] if "completion" in OLDER[name]["dataset"]["first"][0] else ():
        for restorer in plan.restorer, bundled.Restorer.load(tmp_path):
            restored = restorer.restore(row["completion"], row["prompt"])
            assert (restored.text, restored.verdict) == (row["target"], "complete")


@pytest.mark.parametrize("name", NEWER)
def test_plans_that_say_more_are_of_format_2_and_come_back(name, bundled, tmp_path):
    file = NEWER[name].save(tmp_path)
    found = Plan.load(tmp_path)
    assert json.loads(file.read_text(encoding="utf-8"))["format"] == found.format == 2
    assert found == NEWER[name] and found.sha256 == NEWER[name].sha256
    assert bundled.Restorer.load(tmp_path).restore(found.emit("1234")).text == "1234"


def test_what_plans_of_format_1_lack_is_read_as_its_default():
    older = describe(PLAN.cutter)
    assert "pattern" not in older and PLAN.format == 1
    assert Plan.from_dict(json.loads(PLAN.to_json())).cutter.pattern is None
