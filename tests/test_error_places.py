"""What is a user's own in an error stays as it is, and an error that another holds is put into words once."""

import json
import pickle
from pathlib import Path

import pytest

from mireorder import InputError, MireorderError, OutputError, PlanError, Reading, Restorer, cli, fit
from mireorder.dataset.formats import format_of
from mireorder.errors import InputWarning, as_arguments, as_options, within
from mireorder.ordering.plan import Plan


@pytest.mark.parametrize(
    ("written", "argument", "option"),
    [
        ("--tokenizer='a b/c'; x", "tokenizer='a b/c'; x", "--tokenizer 'a b/c'; x"),
        ('--tokenizer="it\'s"', 'tokenizer="it\'s"', '--tokenizer "it\'s"'),
        ("(with --form=token).", "(with form='token').", "(with --form token)."),
        ("pass --ids, or leave out --strings", "pass ids=True, or leave out strings=True", None),
    ],
)
def test_values_of_any_text(written, argument, option):
    assert (as_arguments(written), as_options(written)) == (argument, option or written)


@pytest.mark.parametrize("target", [("a",), ("a", "b")])
def test_columns_of_lines_are_named_once(target):
    with pytest.raises(InputError) as refused:
        format_of(Path("a.txt"), "a.txt", Reading((), target, "="))
    assert str(refused.value).endswith("leave out source, target and columns")
    option = "--labels" if len(target) > 1 else "--target"
    assert refused.value.command_line.endswith(f"leave out --source, {option} and --columns")


@pytest.mark.parametrize("own", ["--reject", "--cutter=x", "a --reject b", "it's --reject", 'a "b" --split=\' c'])
def test_quoted_text_stays(own):
    for words in as_arguments, as_options:
        assert words(f"label {own!r} is none") == f"label {own!r} is none"


@pytest.mark.parametrize(
    "place", ["--reject", "--reject.txt", "/a/--reject/plan", "a --reject b/plan", "--split=a.txt", "a--cutter=b"]
)
def test_places_stay(place):
    errors = [InputError("x", shard=place, row=1, remedy="pass --reject"), InputWarning(f"{place}: pass --reject")]
    errors += [kind(f"{place}: x; pass --reject") for kind in (MireorderError, PlanError, OutputError)]
    for error in errors:
        assert str(error).startswith(place) and str(error).endswith("pass reject=True")
        assert error.command_line.startswith(place) and error.command_line.endswith("pass --reject")


def test_a_file_named_like_an_option_is_named_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("--reject").write_text("1+2=3\n1+3=\n")
    with pytest.raises(InputError, match=r"^--reject, row 1: target is empty; fill it in or pass reject=True$"):
        fit("--reject", separator="=", cutter="digits")
    with pytest.raises(PlanError, match=r"--marked: there is no plan here"):
        Plan.load(tmp_path / "--marked")


@pytest.mark.parametrize(
    "error",
    [
        InputError("x", shard="a", row=3, remedy="pass --cutter=words"),
        PlanError("a: x; pass --form=token"),
        OutputError("x; pass a larger --memory"),
        MireorderError(),
    ],
)
def test_errors_come_whole_out_of_a_pickle(error):
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error) and vars(back) == vars(error)
    assert (str(back), back.command_line) == (str(error), error.command_line)


def test_an_error_is_put_into_words_once():
    with pytest.raises(InputError) as named, within("a --reject"):
        raise InputError("x", row=2, remedy="pass --split='='")
    assert str(named.value) == "a --reject, row 2: x; pass separator='='"
    assert named.value.command_line == "a --reject, row 2: x; pass --split '='"
    with pytest.raises(PlanError) as held:
        raise PlanError(f"p: can't be read ({named.value.authored}); make it again")
    assert "pass --split '='" in held.value.command_line and "pass separator='='" in str(held.value)


def test_a_plan_that_a_cutter_refuses_is_told_by_both_doors(tmp_path, capsys):
    rows = [{"q": "x", "a": "one,two"}, {"q": "y", "a": "two,one"}]
    path = fit(rows, source="q", target="a", cutter="spans", order="reverse").save(tmp_path / "plan")
    content = json.loads(path.read_text(encoding="utf-8"))
    content["cutter"]["delimiter"] = ""
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(PlanError) as refused:
        Plan.load(tmp_path / "plan")
    with pytest.raises(SystemExit):
        cli.main(["inspect", str(tmp_path / "plan")])
    assert capsys.readouterr().err == f"error: {refused.value.command_line}\n"
    assert "pass delimiter" in str(refused.value) and "pass --delimiter" in refused.value.command_line
    with pytest.raises(PlanError, match="pass delimiter"):
        Restorer.load(path)
