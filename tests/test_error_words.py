"""Errors name what the user can pass: options on the command line, arguments in Python."""

import ast
import inspect
import pickle
import re
import warnings
from contextlib import suppress
from pathlib import Path

import pytest
import typer

import mireorder
from mireorder import (
    Copying,
    Digits,
    Fields,
    Labels,
    Order,
    Reading,
    apply,
    check,
    count,
    export,
    fit,
    fit_by,
    publish,
)  # fmt: skip
from mireorder.cli.commands import COMMANDS, group
from mireorder.cutting import CUTTERS
from mireorder.engine.dask import Dask
from mireorder.errors import ARGUMENTS, InputError, InputWarning, MireorderError, as_arguments, as_options
from mireorder.evaluate.compare import compare
from mireorder.information.criteria import CRITERIA
from mireorder.stages import count_like
from mireorder.tokenizing.reserved import reserve
from mireorder.training.generate import load_pipeline
from mireorder.training.train import train
from mireorder.training.weigh import weigh


@pytest.mark.parametrize(
    ("written", "option", "argument"),
    [
        ("pass --reject", "pass --reject", "pass reject=True"),
        ("pass --cutter=words.", "pass --cutter words.", "pass cutter='words'."),
        ("fit with --width=3, or", "fit with --width 3, or", "fit with width=3, or"),
        ("such as --split='='", "such as --split '='", "such as separator='='"),
        ("pass --memory=12MB or more", "pass --memory 12MB or more", "pass memory=12 * 2**20 or more"),
        ("(--max-tokens)", "(--max-tokens)", "(max_tokens)"),
        ("leave out --marked", "leave out --marked", "leave out markers=True"),
        ("label '--reject' can't be, pass --reject", None, "label '--reject' can't be, pass reject=True"),
        ("run 'mireorder count --like a/'", None, None),
        ("a--b or a --- b", None, None),
    ],
)
def test_options_read_as_arguments_in_python(written, option, argument):
    assert as_options(written) == (option or written)
    assert as_arguments(written) == (argument or written)


def test_an_error_says_the_same_by_both_doors():
    error = InputError("no number", shard="--reject.csv", row=3, remedy="pass --cutter=words")
    assert str(error) == "--reject.csv, row 3: no number; pass cutter='words'"
    assert error.command_line == "--reject.csv, row 3: no number; pass --cutter words"
    for same in (
        pickle.loads(pickle.dumps(error)),
        InputError(error.problem, shard=error.shard, row=3, remedy=error.remedy),
    ):
        assert (str(same), same.command_line) == (str(error), error.command_line)
    assert str(MireorderError()) == MireorderError().command_line == ""


def test_warnings_do_too():
    with warnings.catch_warnings(record=True) as shown:
        warnings.warn(InputWarning("say so with --plain-quotes"), stacklevel=1)
    assert str(shown[0].message) == "say so with quotes=False"
    assert shown[0].message.command_line == "say so with --plain-quotes"


def test_the_command_line_shows_options(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("a=x\n")
    with pytest.raises(SystemExit) as ended:
        mireorder.cli.main(
            ["fit", str(tmp_path / "a.txt"), "--split", "=", "--cutter", "digits", "--out", str(tmp_path / "p")]
        )
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said == "error: a.txt, row 0: target 'x' is not a number; fit with another --cutter or pass --reject\n"
    with pytest.raises(InputError, match=r"fit with another cutter or pass reject=True$"):
        fit(str(tmp_path / "a.txt"), separator="=", cutter="digits")


def messages():
    """Texts of the library that hold options, but those of the command line, and docstrings."""
    root = Path(mireorder.__file__).parent
    for file in sorted(root.rglob("*.py")):
        tree = ast.parse(file.read_text())
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
                for name in re.findall(r"(?<![\w-])--([a-z]+(?:-[a-z]+)*)", node.value):
                    yield file.relative_to(root).as_posix(), name


def options():
    """The options of every command."""
    for name in COMMANDS:
        command = group.get_command(None, name)
        with suppress(typer.Exit, SystemExit):
            command.make_context(name, ["--help-all"])
        for parameter in command.params:
            yield from (
                option.removeprefix("--")
                for option in [*parameter.opts, *parameter.secondary_opts]
                if option.startswith("--")
            )


def test_options_in_messages_exist_and_so_do_their_arguments(capsys):
    known = set(options()) | {"help", "help-all", "version"}
    doors = [fit, fit_by, count, count_like, apply, check, compare, train, load_pipeline, reserve, publish, export]
    doors += [
        weigh,
        Dask,
        Order,
        Reading,
        Digits,
        Labels,
        Fields,
        Copying,
        *(table[name] for table in (CUTTERS, CRITERIA) for name in table),
    ]
    taken = {name for door in doors for name in inspect.signature(door).parameters} | {"count_like", "reserve"}
    for file, option in messages():
        assert option in known, f"{file}: --{option}"
        if not file.startswith(("cli/", "report/", "dataset/card", "restoring/script", "standalone")):  # hold commands
            argument = ARGUMENTS.get(option, option.replace("-", "_")).partition("=")[0]
            assert argument in taken, f"{file}: --{option} is not {argument}"
