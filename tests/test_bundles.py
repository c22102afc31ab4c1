"""Bundles: each row by the plan of its group, found by column, prefix or tag, and every answer restored."""

import json
import pickle
from functools import cache

import pyarrow as pa
import pytest
from bundle_cases import COLUMNS, MEMBERS, MOODS, NO_GROUP, ROWS, TEXTS, by_route, columns_of, digits_of, told
from datasets import ClassLabel, Dataset, Features, Value
from hypothesis import given
from hypothesis import strategies as st

from mireorder import Bundle, InputError, Order, Plan, PlanError, Restorer, fit, fit_by
from mireorder.errors import InputWarning
from mireorder.files import WORK
from mireorder.ordering.bundle import load_plan
from mireorder.restoring.bundled import ROUTES as KINDS
from mireorder.restoring.bundled import BundleRestorer
from mireorder.serving.served import restore_completion, restore_request_outputs
from mireorder.serving.stream import Stream

every_route = pytest.mark.parametrize("kind", KINDS)
bundle_of = cache(by_route)


# --- fitted -------------------------------------------------------------------------------------------------------


@every_route
def test_each_plan_is_that_of_its_rows_alone(kind):
    for group, plan in bundle_of(kind).members.items():
        alone = fit([row for row in ROWS if row["task"] == group], **COLUMNS, **MEMBERS[group])
        assert plan.to_json() == alone.to_json()


def test_the_plans_are_the_same_for_any_files_and_engine(tmp_path):
    for part, name in enumerate("ab"):
        lines = [json.dumps(row) + "\n" for row in ROWS[part::2]]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    files = [str(tmp_path / f"{name}.jsonl") for name in "ba"]
    assert fit_by(files, "task", members=MEMBERS, workers=1, **COLUMNS) == bundle_of("column")
    wanted = {group: MEMBERS[group] for group in ("add", "mood")}
    assert fit_by(files, "task", groups=["add"], members={}, cutter="digits", order=MEMBERS["add"]["order"],
                  **COLUMNS).members["add"] == bundle_of("column").members["add"]  # fmt: skip
    assert list(fit_by(files, "task", groups=[*wanted], members=wanted, **COLUMNS).members) == [*wanted]


def test_files_of_groups_lie_where_parts_are_kept_and_leftovers_of_a_killed_run_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    left, other = tmp_path / "kept" / WORK / "0.arrow", tmp_path / "kept" / "groups" / "notes.txt"
    for path in left, other:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"half a file")
    assert fit_by(ROWS, "task", members=MEMBERS, kept=str(tmp_path / "kept"), **COLUMNS) == bundle_of("column")
    assert [path for path in (tmp_path / "kept").rglob("*") if path.is_file()] == [other]


def test_groups_are_classes_or_whole_numbers_too():
    names = sorted(MEMBERS)
    features = Features({"task": ClassLabel(names=names), "q": Value("string"), "a": Value("string")})
    classes = Dataset.from_list([row | {"task": names.index(row["task"])} for row in ROWS], features=features)
    assert fit_by(classes, "task", members=MEMBERS, **COLUMNS) == bundle_of("column")
    numbers = [row | {"task": names.index(row["task"])} for row in ROWS]
    found = fit_by(numbers, "task", members={str(names.index(name)): of for name, of in MEMBERS.items()}, **COLUMNS)
    assert list(found.members) == ["0", "1", "2"]
    for data in (classes, numbers):
        with pytest.raises(InputError, match="is list"):
            fit_by([{"task": ["add"], "q": "1", "a": "1"}], "task", cutter="digits", **COLUMNS)
        assert data


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"task": "add", "q": "sum x", "a": "4x"}, "train, row 7: target '4x' is not a number"),
        (
            {"task": None, "q": "x", "a": "4"},
            "train, row 7: the row has no group: column 'task' is null; fill it in, or",
        ),
        ({"task": "a\tb", "q": "x", "a": "4"}, r"the name of group 'a\\tb' holds the control character '\\t'"),
    ],
)
def test_what_can_not_be_fitted_is_refused_by_its_own_row(row, said):
    with pytest.raises(InputError, match=f"^{said}"):
        fit_by([*ROWS[:7], row, *ROWS[7:]], "task", members=MEMBERS, cutter="digits", **COLUMNS)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"by": "nothing"}, "has no column 'nothing' beside source and target; name a column of text"),
        ({"by": "q"}, "has no column 'q' beside source and target"),
        ({"by": "label"}, "column 'label' can't hold groups: trainers"),
        ({"by": "task", "groups": ["add", "sub"]}, "there are no rows of group 'sub'"),
        ({"by": "task", "members": {"sub": {}}}, "there are no rows of group 'sub'"),
        ({"by": "task", "cutter": None}, "no cutter is named for group 'add'"),
        ({"by": "task", "other": "maybe"}, "there is no way with rows of no group 'maybe'"),
        ({"by": {"add": "sum ", "more": "su"}, "other": "plain"}, "of group 'add' begins with that of group 'more'"),
        ({"by": {"add": ""}}, "the text of a group is empty"),
        ({"by": {"add": "sum "}, "tag": True, "other": "plain"}, "a tag is of a column"),
        ({"by": {"add": "sum "}}, "the row has no group: it begins with no text of a group; fill it in"),
    ],
)
def test_contradictions_are_refused(how, said):
    options = {"cutter": "digits", "order": Order("reverse", None)} | how
    rows = [row for row in ROWS if row["task"] == "add" or isinstance(how["by"], dict)]
    with pytest.raises(InputError, match=said):
        fit_by(rows, options.pop("by"), **COLUMNS, **options)


def test_a_column_of_too_many_groups_is_refused():
    rows = [{"id": n, "q": str(n), "a": str(n)} for n in range(257)]
    with pytest.raises(InputError, match="more than 256 groups; name a column of fewer"):
        fit_by(rows, "id", cutter="digits", **COLUMNS)


def test_rows_of_no_group_are_left_out_where_that_is_asked_and_told():
    rows = [*ROWS[:50], *NO_GROUP[:1], *ROWS[50:]]
    with pytest.warns(InputWarning, match="^1 rows have no group: they are not counted, and need reject=True of apply"):
        assert fit_by(rows, "task", members=MEMBERS, reject=True, **COLUMNS) == bundle_of("column")
    assert fit_by(rows, "task", members=MEMBERS, other="plain", **COLUMNS) == bundle_of("column", other="plain")


def test_plans_that_do_not_go_together_are_refused():
    add, plain = bundle_of("column").members["add"], Order("plain", None)
    other = fit([{"x": "1", "a": "12"}], source="x", target="a", cutter="digits", order=plain)
    with pytest.raises(InputError, match=r"members.other: reading is not that of the other plans; fit all of them on"):
        Bundle.of({"add": add, "other": other}, "task")
    with pytest.raises(InputError, match="members are 0, not 1 to 256"):
        Bundle.of({}, "task")


# --- rows and answers ---------------------------------------------------------------------------------------------


def some_rows():
    """Rows of any group, the targets of which its plan can cut, and of no group."""
    add = st.integers(0, 22).map(lambda n: {"task": "add", "q": f"sum {n}", "a": str(n)})
    causal = st.integers(10, 99).map(lambda n: {"task": "causal", "q": f"digits {n // 10} {n % 10}", "a": str(n)})
    mood = st.sampled_from(MOODS).map(lambda m: {"task": "mood", "q": f"mood {m}", "a": m})
    bare = st.tuples(st.sampled_from([None, "else"]), st.text("su me\n", max_size=9))
    none = bare.map(lambda pair: {"task": pair[0], "q": f"?{pair[1]}", "a": pair[1]})
    return st.lists(add | causal | mood | none, min_size=1, max_size=12)


@every_route
@given(rows=some_rows())
def test_every_answer_comes_back_by_prompt_or_group_alone(kind, rows, bundled):
    bundle = bundle_of(kind, other="plain")
    written = bundle.transform(columns_of(rows))
    targets, groups = [row["a"] for row in rows], told(bundle, rows)
    found = bundle.restore_all(written["completion"], written["prompt"], groups)
    assert (found.texts, found.incomplete) == (targets, [])
    of = groups or [None] * len(rows)
    alone = bundled.BundleRestorer.of(json.loads(bundle.to_json()), {
        group: bundled.Restorer.of(json.loads(plan.to_json()), bundled.cutter_of(plan.entries(), bundled.RESTORERS))
        for group, plan in bundle.members.items()
    })  # fmt: skip
    for row, emitted, prompt, group in zip(rows, written["completion"], written["prompt"], of, strict=True):
        told_by = "" if kind == "column" and group is None else group
        for restorer in (bundle, bundle.restorer, alone):
            assert restorer.restore(emitted, prompt, told_by).text == row["a"]
        stream = Stream(bundle, prompt, told_by)
        passed = "".join(map(stream.feed, emitted))
        assert stream.finish().verdict == "complete" and passed + stream.rest == row["a"]
        assert prompt == bundle.prompt(row["q"], row["task"])
        known = row["task"] if row["task"] in MEMBERS else None if kind != "column" else ""
        again = bundle.emit(row["a"], row["q"], known if kind != "prefix" else None)
        assert emitted in (again, bundle.completion_start + again)
        assert bundle.restore(again, prompt, told_by).text == row["a"]


@every_route
def test_a_bundle_is_what_its_file_says(kind, tmp_path):
    bundle = bundle_of(kind)
    path = bundle.save(tmp_path)
    assert Bundle.load(tmp_path) == load_plan(path) == pickle.loads(pickle.dumps(bundle)) == bundle
    assert Bundle.load(tmp_path).sha256 == bundle.sha256 and list(bundle.members) == sorted(bundle.members)
    plan = bundle.members["add"]
    plan.save(tmp_path / "plan")
    assert load_plan(tmp_path / "plan") == plan != bundle
    for load in (Plan.load, Restorer.load):
        with pytest.raises(
            PlanError, match=r"mireorder.json: it is a bundle of plans; name the plan of one of its groups"
        ):
            load(tmp_path)
    for load in (Bundle.load, BundleRestorer.load):
        with pytest.raises(PlanError, match=r"it is one plan, and no bundle|it holds one plan, and no bundle"):
            load(tmp_path / "plan")


def test_what_says_no_group_is_refused():
    column, tag = bundle_of("column"), bundle_of("tag")
    with pytest.raises(PlanError, match=r"^column 'task' says which plan is a row's; pass its group$"):
        column.restore("21", prompt="sum 4+8")
    with pytest.raises(PlanError, match=r"^the prompt says which plan is a row's; pass it, or the group$"):
        tag.restore("21")
    with pytest.raises(
        InputError, match=r"there is no plan for the group 'sub'; pass the group, one of those .* add, c"
    ):
        column.restore("21", group="sub")
    with pytest.raises(InputError, match=r"^the prompt begins with no text of a group; pass the group, one of"):
        tag.restore("21", prompt="sum 4+8")
    with pytest.raises(InputError, match=r"^row 1: there is no plan for the group of the row; pass its group"):
        column.restore_all(["21", "21"], groups=["add", "sub"])
    with pytest.raises(InputError, match="1 groups for 2 outputs"):
        column.restore_all(["21", "21"], groups=["add"])
    with pytest.raises(InputError, match="there is no column 'task', which says the group"):
        column.transform({"q": ["1"], "a": ["1"]})
    assert tag.restore("21", group="add").text == tag.restore("21", "<task:add> sum 4+8").text == "12"


def test_rows_of_no_group_are_refused_left_out_or_plain():
    rows, bundle = ROWS[:3] + NO_GROUP, bundle_of("tag")
    said = (
        "the batch, row 3: the row has no group; the bundle has plans for add, causal, mood: make one with it, or with "
    )
    with pytest.raises(InputError, match=rf"^{said}other='plain', or pass reject=True"):
        bundle.transform(columns_of(rows))
    assert len(bundle.transform(columns_of(rows), reject=True)["prompt"]) == 3
    plain = bundle_of("tag", other="plain").transform(columns_of(rows))
    assert plain["completion"][3:] == ["  me\nand you", " "] and plain["permutation"][3:] == [[0], [0]]
    assert plain["prompt"][3] == "who is there?"
    taken = NO_GROUP[0] | {"q": "<task:add> 1+1"}
    with pytest.raises(InputError, match="row 0: a row of no group begins with '<task:add> '"):
        bundle_of("tag", other="plain").transform(columns_of([taken]))


def test_targets_that_are_lists_have_groups_too():
    rows = [{"task": "mood", "q": "so", "a": ["joy", "calm"]}, {"task": "moods", "q": "so", "a": ["calm"]}]
    how = {"cutter": MEMBERS["mood"]["cutter"], "order": MEMBERS["mood"]["order"], **COLUMNS}
    for other in ("refuse", "plain"):
        bundle = fit_by(rows[:1], "task", other=other, **how)
        written = bundle.transform(columns_of(rows), reject=True)
        assert written["completion"] == [" calm, joy"] and bundle.emit(["joy", "calm"], group="mood") == "calm, joy"
    with pytest.raises(InputError, match="row 1: a target of no group is no text; write it as text"):
        bundle.transform(columns_of(rows))


def test_a_batch_is_a_table_too_and_may_be_empty():
    bundle = bundle_of("column")
    table = pa.table(columns_of(ROWS))
    assert bundle.transform(table)["completion"].to_pylist() == bundle.transform(columns_of(ROWS))["completion"]
    assert bundle.transform(table.slice(0, 0)).num_rows == 0
    mapped = Dataset.from_list(ROWS).map(bundle.transform, batched=True, batch_size=50)
    assert mapped["completion"][:] == bundle.transform(columns_of(ROWS))["completion"]


class Answer:
    def __init__(self, text):
        self.text, self.finish_reason = text, "stop"


class Request:
    def __init__(self, prompt, *texts):
        self.prompt, self.outputs = prompt, [Answer(text) for text in texts]


def test_servers_answers_are_restored_by_group():
    column, tag = bundle_of("column"), bundle_of("tag")
    completion = {"choices": [{"text": "21", "finish_reason": "stop"}]}
    assert restore_completion(completion, column, group="add")["choices"][0]["text"] == "12"
    assert restore_completion(completion, tag, "<task:add> sum 4+8")["choices"][0]["text"] == "12"
    requests = [Request("<task:add> sum 4+8", "21"), Request("<task:mood> mood", "calm, joy")]
    for plan, groups in ((tag, None), (column, ["add", "mood"])):
        found = restore_request_outputs(requests, plan, groups=groups)
        assert [[one.text for one in answers] for answers in found] == [["12"], ["joy, calm"]]
    with pytest.raises(InputError, match="1 groups for 2 requests"):
        restore_request_outputs(requests, column, groups=["add"])


# --- files from strangers -----------------------------------------------------------------------------------------


def changed(content, path, value):
    content = json.loads(json.dumps(content))
    *way, last = path
    at = content
    for key in way:
        at = at[key]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return content


DAMAGED = [
    (("format",), 2, "bundle format 2, this version reads 3"),
    (("route",), None, "missing entries: route"),
    (("more",), 1, "unknown entries: more"),
    (("members",), {}, "members are 0, not 1 to 256"),
    (("members",), [], "members is a list, not an object"),
    (("members", "add", "format"), 9, "members.add: plan format 9"),
    (("members", "add", "permutation"), [0, 0], "members.add: permutation does not name each"),
    (("members", "add", "between"), "=", "between is not that of the other plans"),
    (("members", "\x00"), {}, "a key of members is"),
    (("other",), "drop", "other is 'drop', not one of refuse, plain"),
    (("route", "kind"), "way", "route.kind is 'way', not one of column, prefix, tag"),
    (("route", "column"), 3, "route.column is 3, not a text"),
    (("route", "kind"), "prefix", "route.column and route prefix do not fit together"),
    (("route", "texts", "add"), None, "route.texts are not of the groups that have plans"),
    (("route", "texts", "add"), "<task:", "the text of group 'causal' begins with that of group 'add'"),
    (("route", "texts", "add"), "", "begins with that of group 'add'|is empty"),
]


@pytest.mark.parametrize(("path", "value", "said"), DAMAGED)
def test_a_damaged_bundle_is_refused_alike_by_library_and_restore_py(path, value, said, tmp_path, bundled):
    content = changed(bundle_of("tag").entries(), path, value)
    (tmp_path / "mireorder.json").write_text(json.dumps(content))
    problems = []
    for load, error in (
        (load_plan, PlanError),
        (BundleRestorer.load, PlanError),
        (bundled.load_restorer, bundled.PlanError),
    ):
        with pytest.raises(error, match=said) as refused:
            load(tmp_path)
        problems.append(str(refused.value))
    assert len(set(problems)) == 1 and problems[0].startswith(str(tmp_path / "mireorder.json: ")), problems


def test_a_plan_keeps_its_format_beside_bundles():
    bundle = digits_of({"add": "reverse"})
    assert bundle.entries()["format"] == 3 and bundle.members["add"].entries()["format"] == 1


def test_texts_are_those_of_the_route():
    assert dict(bundle_of("prefix").route.texts) == TEXTS and bundle_of("prefix").route.column is None
    assert bundle_of("tag").route.texts["add"] == "<task:add> " and not bundle_of("column").route.texts
