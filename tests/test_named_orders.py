"""Orders as people write them, wherever one is taken."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_cli import mireorder  # noqa: F401

from mireorder import InputError, Order, Plan, fit
from mireorder.ordering.choice import Choice
from mireorder.ordering.named import order_named, orders_named, parts_of, written

FIELDS = ("net", "shipping", "total", "check")
ROWS = [{"q": str(n), "a": json.dumps(dict(zip(FIELDS, [n, n + 1, 2 * n + 1, n % 3], strict=True)))} for n in range(30)]


@given(st.lists(st.text("ab-é 1", min_size=1).filter(str.strip), max_size=5, unique=True), st.data())
def test_every_way_to_write_an_order_says_the_same(names, data):
    units = [name.strip() for name in names]
    if len(set(units)) < len(units) or any(unit in ("plain", "reverse") or unit.isdigit() for unit in units):
        return
    order = data.draw(st.permutations(range(len(units))))
    ways = [order, tuple(order), np.array(order, int), [units[slot] for slot in order]]
    if len(units) > 1:
        ways += [written(order), "-".join(map(str, order)), " , ".join(units[slot] for slot in order)]
    assert all(order_named(way, units) == order for way in ways)
    assert order_named("plain", units) == order_named("reverse", units)[::-1] == list(range(len(units)))


@pytest.mark.parametrize(
    ("text", "orders"),
    [("3,2,1,0", ["3,2,1,0"]), ("3-2-1-0", ["3-2-1-0"]), ("0-1,1-0,plain", ["0-1", "1-0", "plain"]), ("1", ["1"]),
     ("net,total", ["net,total"]), ("0,1;reverse; 1,0 ", ["0,1", "reverse", "1,0"]), ("a-b,c", ["a-b,c"])],
)  # fmt: skip
def test_several_orders_stand_behind_each_other(text, orders):
    assert orders_named(text) == orders


@pytest.mark.parametrize(
    ("order", "said"),
    [("net,shiping,total,check", "did you mean 'shipping'? the slot is one of net, shipping, total, check"),
     ("3,2,1", "such as 3,2,1,0 or check,total,shipping,net, or plain, or reverse"), ("", "'' is no order of 4 slots"),
     (["net", "net", "total", "check"], "'net,net,total,check' is no order of 4 slots"),
     ([4, 2, 1, 0], "'4,2,1,0' is no order")],
)  # fmt: skip
def test_what_is_no_order_is_told_what_slots_there_are(order, said):
    with pytest.raises(InputError) as refused:
        order_named(order, FIELDS)
    assert said in str(refused.value)


def test_numbers_are_slots_and_everything_else_names():
    assert parts_of("2,0,1") == parts_of("2-0-1") == [2, 0, 1] and parts_of("a-b") == ["a-b"]
    assert order_named("1,0", ["1", "0"]) == [1, 0] and order_named(["1", "0"], ["1", "0"]) == [0, 1]


def test_a_plan_is_fitted_by_names():
    by_name = fit(
        ROWS, source="q", target="a", cutter="fields", order=Order(permutation=["check", "net", "total", "shipping"])
    )
    assert by_name == fit(ROWS, source="q", target="a", cutter="fields", order=Order(permutation=[3, 0, 2, 1]))
    with pytest.raises(InputError, match="did you mean 'check'"):
        fit(
            ROWS, source="q", target="a", cutter="fields", order=Order(permutation=["chek", "net", "total", "shipping"])
        )


def test_the_command_takes_names_as_well(tmp_path, monkeypatch, mireorder):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    call = "fit rows.jsonl --source q --target a --cutter fields --resamples 0 --order"
    for number, order in enumerate(["2,3,0,1", "2-3-0-1", "total,check,net,shipping"]):
        assert mireorder(f"{call} {order} --out plan{number}")[0] == 0
        assert Plan.load(tmp_path / f"plan{number}").permutation == [2, 3, 0, 1]


# --- the order that was chosen for a model --------------------------------------------------------------------------


def test_a_choice_is_kept(tmp_path):
    choice = Choice([2, 0, 1], {"2,0,1": 1.5, "0,1,2": 2.0}, 7)
    choice.save(tmp_path)
    assert Choice.load(tmp_path, "abc") == choice


@pytest.mark.parametrize(
    "text",
    ["{}", "[]", "7", "x", '{"order": 3, "bits": {}, "rows": 1}', '{"order": [0, 1], "bits": {}, "rows": 1}',
     '{"order": [0, 1, "2"], "bits": {}, "rows": 1}', '{"order": [0, 1, 1], "bits": {}, "rows": 1}',
     '{"order": [true, 0, 2], "bits": {}, "rows": 1}', '{"order": null, "bits": {}, "rows": 1, "more": 2}'],
)  # fmt: skip
def test_what_is_no_choice_is_told_where_it_stands(tmp_path, text):
    (tmp_path / "decoding.json").write_text(text)
    with pytest.raises(Exception, match=r"decoding\.json: not a readable choice .*; choose again with") as refused:
        Choice.load(tmp_path, "abc")
    assert type(refused.value).__name__ == "MireorderError"


def test_without_a_choice_it_is_told_how_to_make_one(tmp_path):
    with pytest.raises(Exception, match="no order was chosen for this model; choose one with 'mireorder choose'"):
        Choice.load(tmp_path, "abc")


# --- what a stranger meets ------------------------------------------------------------------------------------------


def test_folders_of_something_else_are_told_what_they_are(tmp_path, monkeypatch, mireorder):  # noqa: F811
    pytest.importorskip("trl")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "prompts.txt").write_text("1\n")
    assert mireorder("fit rows.jsonl --source q --target a --cutter fields --policy shuffle --out plan")[0] == 0
    assert mireorder("apply rows.jsonl --plan plan --out data")[0] == 0
    assert mireorder("fit rows.jsonl --source q --target a --cutter fields --policy reverse --out reverse")[0] == 0
    asked = "--source q --target a --cutter fields"
    said = {
        "train plan --model nano --steps 1 --out model": "plan: holds a plan and no dataset; write one with",
        "generate data --prompts prompts.txt": "data: no model is there; train one with 'mireorder train'",
        "choose plan rows.jsonl": "plan: no model is there; train one with 'mireorder train'",
        f"fit data {asked} --out other": "as it is a dataset that was reordered; name the rows that",
        f"fit rows.jsonl {asked} --order plain --out other": "pass --policy plain",
        f"fit rows.jsonl {asked} --out plan": "choose another or empty it, or pass --restart, which moves it aside",
        "apply rows.jsonl --plan reverse --out data": "choose another folder or empty this one, or pass --restart",
        f"search rows.jsonl {asked} --spelled 4 --out s": "--criterion usable,pairwise",
    }
    for call, words in said.items():
        status, _, err = mireorder(call)
        assert status == 2 and words in err, (call, err)


def test_a_random_order_is_shown_as_one(tmp_path):
    plan = fit(ROWS, source="q", target="a", cutter="fields", order="shuffle")
    assert plan.in_words == "random in each row, of net shipping total check" and not plan.scores
    assert fit(ROWS, source="q", target="a", cutter="fields", order=Order("shuffle", criterion="joint")).scores


def test_the_order_that_was_chosen_is_shown_with_the_plan(tmp_path, monkeypatch, mireorder):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    fit(ROWS, source="q", target="a", cutter="fields", order="shuffle").save("model")
    assert "decoding" not in mireorder("inspect model")[1]
    Choice([3, 0, 2, 1], {"3,0,2,1": 4.5}, 7).save("model")
    assert "decoding     3,0,2,1, check net total shipping: chosen on 7 rows" in mireorder("inspect model")[1]
