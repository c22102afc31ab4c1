"""Plans from strangers: refused with one line, or loaded, by all doors alike; and what they hold is printed as text."""

import copy
import json
import random
import tracemalloc
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mireorder import Plan, PlanError, Restorer
from mireorder.cli import main
from mireorder.ordering.policies import POLICIES
from mireorder.restoring.kinds import BY_EVIDENCE, POLICY_KINDS
from mireorder.restoring.restorer import AGAIN, FILE
from mireorder.restoring.script import main as filtered

GOLDEN = {
    file.stem: content["plan"]
    for file in sorted(Path(__file__).with_name("golden").glob("*.json"))
    if "plan" in (content := json.loads(file.read_text("utf-8")))
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("plan")


def doors(folder, bundled):
    """What each door says of the plan in a folder: None if it loads. Anything but a PlanError is raised."""
    said = []
    for load, refusal in (
        (Plan.load, PlanError),
        (Restorer.load, PlanError),
        (bundled.Restorer.load, bundled.PlanError),
    ):
        try:
            load(folder)
            said.append(None)
        except refusal as error:
            said.append(str(error))
    return said


def changed(name, *path, to):
    """The text of a golden plan with another value at a place."""
    content = copy.deepcopy(GOLDEN[name])
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return json.dumps(content)


def twice(name, key):
    return json.dumps(GOLDEN[name])[:-1] + f', "{key}": [0, 1, 2]}}'


REFUSED = {
    "text between members that is none": (
        changed("fields-reverse", "cutter", "between", to=None), "cutter: between is 'None'; pass a text"
    ),
    "a key that stands twice": (twice("digits-max-joint", "permutation"), "key 'permutation' stands twice"),
    "a key within that stands twice": ('{"format": 1, "cutter": {"a": 1, "a": 1}}', "key 'a' stands twice"),
    "a number of more than 64 bits": (
        changed("digits-causal-max", "evidence", "by_source", 0, 0, to=10**30), f"1{'0' * 30} has more than 64 bits"
    ),
    "a number of a million digits": (
        '{"format": ' + "1" * 1_000_000 + "}", "1111111111111111111111111111111111111111 has more than 64 bits"
    ),
    "evidence beyond its bound": (
        changed("digits-causal-max", "evidence", "by_source", 0, 0, to=1 << 60), "evidence.by_source[0][0] is 11529"
    ),
    "evidence of more digits than it has rows": (
        changed("digits-causal-max", "evidence", "digits", to=[10**9, 2]), "evidence is not of its size"
    ),
    "evidence of text around numbers that is no hash": (
        changed("digits-causal-max", "evidence", "templates", to=["-1"]), "no ascending hashes"
    ),
    "evidence of more words than it has rows": (
        changed("labels-hardest", "evidence", "words", to=["a"]), "evidence.by_source is not a table of 1 rows by 4"
    ),
    "evidence that is not there": (changed("labels-hardest", "evidence", to=None), "evidence and policy hardest"),
    "evidence of words where numbers are replayed": (
        changed("digits-causal-max", "evidence", to={
            "words": ["a"], "by_source": [[0] * 3], "by_emitted": [[0] * 3] * 3, "radices": [1] * 3}),
        "evidence is not from numbers",
    ),
    "units missing": (changed("digits-max-joint", "units", to=["10^1"]), "permutation does not name each of 1 slots"),
    "a format that is no number": (changed("digits-max-joint", "format", to=True), "plan format true"),
    "a format that is no whole number": (changed("digits-max-joint", "format", to=1.0), "plan format 1.0"),
    "slots beyond what memory holds": (
        changed("digits-plain", "cutter", "length", to=10**9), "cutter.length is 1000000000, and the plan has 3 units"
    ),
    "a width beyond what memory holds": (changed("words-reverse", "cutter", "width", to=1 << 20), "cutter.width is 10"),
    "decimals beyond what memory holds": (
        changed("digits-max-joint", "cutter", "decimals", to=10**9), "cutter.decimals is 1000000000"
    ),
    "half a surrogate pair": (changed("digits-max-joint", "warnings", to=["\ud800"]), r"warnings[0] is '\ud800'"),
    "half a surrogate pair in a key": (changed("digits-max-joint", "\ud800", to=1), r"unknown entries: '\ud800'"),
    "a line end in a key": (changed("digits-max-joint", "a\nb", to=1), r"unknown entries: 'a\nb'"),
    "names in one text": (
        changed("labels-max-presence", "cutter", "names", to="abcd"), "cutter: names is 'abcd'; pass a tuple of texts"
    ),
    "rows that are no number": (
        json.dumps(GOLDEN["digits-max-joint"] | {"rows": float("nan")}), "NaN is no finite number"
    ),
    "a score that is not finite": (
        json.dumps(GOLDEN["digits-max-joint"] | {"scores": [[float("inf")] * 3] * 3}), "Infinity is no finite number"
    ),
    "a number too large to be one": ('{"format": 1e999}', "1e999 is no finite number"),
    "a truth value for a number": (changed("digits-max-joint", "rows", to=True), "rows is true, not a whole number"),
    "a truth value for a slot": (
        changed("digits-max-joint", "permutation", to=[True, 0, 2]), "permutation[0] is true, not a whole number"
    ),
    "a truth value for a score": (
        changed("digits-max-joint", "scores", 0, 0, to=False), "scores[0][0] is false, not a finite number"
    ),
    "a control character in a unit": (
        changed("digits-max-joint", "units", 0, to="\x1b[31m"), r"units[0] is '\x1b[31m', not a name: it holds the"
    ),
    "a control character in a label": (
        changed("labels-max-presence", "cutter", "names", 0, to="a\nb"), r"cutter.names[0] is 'a\nb', not a name"
    ),
    "a control character in a column": (
        changed("digits-max-joint", "reading", "source", to=["\x9b"]), r"reading.source[0] is '\x9b', not a name"
    ),
    "a name without an end": (
        changed("digits-max-joint", "units", 0, to="x" * 5000), "has more than 4,096 characters"
    ),
    "a marker of ten million characters": (
        changed("digits-shuffle", "markers", to="<{}" + ">" * 10**7), "markers is '<{}>>>>>>>>>>"
    ),
    "a long marker": (changed("digits-shuffle", "markers", to="<{}" + ">" * 98), "not a text of at most 100"),
    "long marks of copies": (changed("words-lead", "markers", to="<{}" + ">" * 98), "not a text of at most 100"),
    "a table of scores of another size": (
        changed("digits-max-joint", "scores", to=[[0.1] * 3]), "scores is not a table of 3 rows by 3"
    ),
    "no score for the slot that is emitted": (
        changed("digits-max-joint", "scores_plug_in", 0, to=[None] * 3), "scores_plug_in[0] has no score for slot"
    ),
    "a tie between slots that are not there": (
        changed("digits-max-subset", "ties", 0, "slots", to=[0, 7]), "ties[0].slots are not slots of 3"
    ),
    "a tie at a step that is not there": (changed("digits-max-subset", "ties", 0, "step", to=3), "ties[0]: step"),
    "a p-value above 1": (changed("digits-max-drawn", "significance", "p_values", 0, to=1.5), "p_values[0] is 1.5"),
    "p-values of other slots": (
        changed("digits-max-drawn", "significance", "p_values", to=[0.5]), "significance.p_values are 1, and the plan"
    ),
    "shares of another size": (
        changed("digits-max-drawn", "stability", "frequency", to=[[1.0]]), "stability.frequency is not a table of 3"
    ),
    "resamples that showed nothing": (
        changed("digits-max-drawn", "stability", "frequency", to=None), "stability.resamples and what they showed"
    ),
    "an order by an estimator that is none": (
        changed("digits-max-drawn", "stability", "order_by_estimator", "nsb", to=[0, 0, 1]),
        "stability.order_by_estimator.nsb does not name each of 3 slots once",
    ),
    "a permutation of another length": (
        changed("digits-plain", "permutations", "2", to=[2, 0, 1]), "permutations.'2' has 3 units"
    ),
    "a policy that is none": (changed("digits-max-joint", "policy", to=["max"]), "policy is a list, not a text"),
    "a policy that is unknown": (changed("digits-reverse", "policy", to="outside-in"), "policy is 'outside-in', not"),
    "a policy whose orders could not be undone": (
        changed("digits-max-joint", "policy", to="shuffle"), "takes another order in every row"
    ),
    "a kind that is none": (changed("digits-max-joint", "kind", to="other"), "do not fit together"),
    "markers that nothing needs": (changed("digits-max-joint", "markers", to="<{}>"), "kind 'fixed' and markers do"),
    "a mix of one that copies": (changed("mixed", "mix", 0, "policy", to="lead"), "mix, policy and kind do not fit"),
    "a mix within a mix": (changed("mixed", "mix", 0, "policy", to="mix"), "mix, policy and kind do not fit"),
    "a mix of nothing": (changed("mixed", "mix", to=[]), "mix, policy and kind do not fit together"),
    "copies of less than nothing": (
        changed("words-lead", "copying", "policy", "copies", to=-1), "copying.policy.copies is -1, not a whole number"
    ),
    "copies by a model that is not there": (
        changed("words-lead", "copying", "association", to=None), "copying and policy 'lead' do not fit together"
    ),
    "a model that is no base64": (
        changed("words-lead", "copying", "association", "left", to="!"), "copying.association.left is not base64"
    ),
    "a model of other words": (
        changed("words-lead", "copying", "association", "words", to="a b c d e f g"), "the layers are not of 7 words"
    ),
    "ids without a tokenizer": (changed("tokens-reverse", "tokenizer", to=None), "tokenizer and cutter tokens do not"),
    "a tokenizer of text": (changed("words-reverse", "tokenizer", to="0" * 64), "tokenizer and cutter words do not"),
    "a cutter that is unknown": (
        changed("words-reverse", "cutter", "name", to="runes"), "cutter.name: there is no cutter 'runes'"
    ),
    "an option that is unknown": (changed("words-reverse", "cutter", "x", to=1), "cutter: unknown entries: x"),
    "deep nesting": ('{"format": 1, "units": ' + "[" * 100_000 + "]" * 100_000 + "}", "not a readable plan"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_plan_is_refused_with_one_line_by_all_doors_alike(case, folder, bundled):
    text, problem = REFUSED[case]
    (folder / FILE).write_text(text, encoding="utf-8")
    tracemalloc.start()
    said = doors(folder, bundled)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(set(said)) == 1 and said[0], said
    assert said[0].startswith(f"{folder / FILE}: ") and said[0].endswith(f"; {AGAIN}") and "\n" not in said[0]
    assert problem in said[0]
    assert len(said[0]) < len(str(folder)) + 300 and said[0].isprintable()
    assert most < 40 * len(text) + (1 << 22)


@pytest.mark.parametrize(("name", "option"), [("labels-shuffle", "names"), ("fields-reverse", "keys")])
def test_a_name_that_stands_twice_is_found_among_many(name, option, folder, bundled):
    (folder / FILE).write_text(changed(name, "cutter", option, to=[*map(str, range(100_000)), "7"]), encoding="utf-8")
    said = doors(folder, bundled)
    assert len(set(said)) == 1 and "are repeated: 7; " in said[0]


@pytest.mark.parametrize("case", ["slots beyond what memory holds", "a format that is no number"])
def test_commands_refuse_a_bad_plan_with_one_line(case, folder, bundled, capsys):
    (folder / FILE).write_text(REFUSED[case][0], encoding="utf-8")
    for command in filtered, bundled.main:
        assert command([str(folder)]) == 2
    for command in ("inspect", "check", "restore"):
        with pytest.raises(SystemExit) as ended:
            main([command, str(folder)])
        assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == "" and "Traceback" not in said.err and said.err.count("error: ") == 5


@pytest.mark.parametrize("name", GOLDEN)
def test_plans_of_every_kind_load(name, folder, bundled):
    (folder / FILE).write_text(json.dumps(GOLDEN[name]), encoding="utf-8")
    assert doors(folder, bundled) == [None] * 3
    assert json.loads(Plan.load(folder).to_json()) == GOLDEN[name]


def test_names_of_units_may_be_any_text_and_are_printed_as_text(folder, bundled, capsys):
    """No markup of the printing library, no sequence that a terminal would obey."""
    names = ["\u202e0", "[red]b[/red]", "[/x]", ":warning:"]
    odd = "\x1b[31mRED\x1b[0m \x1b]0;pwned\x07 \u009b2J \u202e [/x]"
    content = GOLDEN["labels-max-presence"]
    content = content | {"cutter": content["cutter"] | {"names": names}, "units": names, "warnings": [odd]}
    content |= {"criterion": {"name": "\u202e[/x]"}, "library": "[/x]"}
    (folder / FILE).write_text(json.dumps(content), encoding="utf-8")
    assert doors(folder, bundled) == [None] * 3
    main_until_done(["inspect", str(folder)])
    for shown in capsys.readouterr().out, Plan.load(folder).summary():
        assert all(name in shown for name in (r"\u202e0", *names[1:], r"\x1b]0;pwned\x07"))
        assert all(char == "\n" or char.isprintable() for char in shown)


def main_until_done(arguments):
    try:
        main(arguments)
    except SystemExit as ended:
        assert not ended.code


def test_the_way_back_knows_the_kinds_of_every_policy():
    assert {name: policy.kinds for name, policy in POLICIES.items()} == POLICY_KINDS
    assert {name for name, policy in POLICIES.items() if policy.rows and policy.criterion} == BY_EVIDENCE


# --- mutated plans ------------------------------------------------------------------------------------------------

VALUES = [
    None, True, False, 0, 1, -1, 2, 1.0, 0.5, -0.5, 1e300, 1 << 20, 1 << 48, (1 << 63) - 1, 1 << 63, 10**30,
    "", "x", "0", "\ud800", "\x1b[31m", "<{}>", "ä" * 2000, "pad", "left", "words", "digits", "set", "marked",
    [], [0], [[]], [None], [[0]], ["a", "b"], [1, 0, 2], {}, {"name": "words"}, {"a": 1},
]  # fmt: skip
JUNK = st.sampled_from(VALUES)
KNOWN = {"policy": st.sampled_from(sorted(POLICIES)), "kind": st.sampled_from(["fixed", "causal", "set", "lead"])}


def places(value, path=()):
    """Every place in a plan."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from places(one, (*path, key))


SOME = {name: [path for path in places(plan) if not any(isinstance(key, int) and key > 2 for key in path)]
        for name, plan in GOLDEN.items()}  # fmt: skip


def mutate(content, path, data):
    *above, last = path
    place = content
    for key in above:
        place = place[key]
    known = KNOWN.get(last, JUNK) if isinstance(last, str) else JUNK
    act = data.draw(st.sampled_from(["replace", "replace", "known", "drop", "repeat", "add"]))
    if act in ("replace", "known"):
        place[last] = data.draw(JUNK if act == "replace" and last != "policy" else known)
    elif act == "drop":
        del place[last]
    elif act == "repeat" and isinstance(place, list):
        place.append(copy.deepcopy(place[last]))
    elif isinstance(place, dict):
        place[data.draw(st.sampled_from(["colour", "", "\ud800", "a\nb"]))] = data.draw(JUNK)


@pytest.mark.parametrize("name", GOLDEN)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_doors_agree_on_plans_that_were_altered(name, data, folder, bundled):
    content = copy.deepcopy(GOLDEN[name])
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from(SOME[name]))
        try:
            mutate(content, path, data)
        except (KeyError, IndexError, TypeError):  # the first change took the place away
            continue
    (folder / FILE).write_text(json.dumps(content), encoding="utf-8")
    said = doors(folder, bundled)
    assert len(set(said)) == 1
    assert all(one is None or ("\n" not in one and one.isprintable()) for one in said)
    if said[0] is None:
        plan = Plan.load(folder)
        assert json.loads(plan.to_json()) == json.loads(json.dumps(content)) and plan.summary() and repr(plan)


def swept():
    """Every value at every place of every plan, in an order that a sample of them is from all over."""
    every = [(name, path, value) for name in GOLDEN for path in SOME[name] for value in [*VALUES, ...]]
    random.Random(15).shuffle(every)
    return every


@pytest.mark.parametrize("number", [400, pytest.param(6_000, marks=pytest.mark.slow)])
def test_doors_say_the_same_of_a_sweep_of_altered_plans(number, folder, bundled):
    """`...` stands for an entry that is taken away."""
    refused = 0
    for name, path, value in swept()[:number]:
        content = copy.deepcopy(GOLDEN[name])
        place = reduce(getitem, path[:-1], content)
        place[path[-1]] = value
        if value is ...:
            del place[path[-1]]
        (folder / FILE).write_text(json.dumps(content), encoding="utf-8")
        said = doors(folder, bundled)
        assert len(set(said)) == 1, (name, path, value, said)
        refused += said[0] is not None
    assert number / 2 < refused < number
