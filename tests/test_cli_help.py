"""The command line's help, names and suggestions: what can be passed is said, completed, and offered in its place."""

import os
import re
import subprocess
import sys
from importlib import import_module

import pytest
import typer

from mireorder import cli
from mireorder.cli.commands import COMMANDS, Command
from mireorder.cutting import CUTTERS, Words
from mireorder.information.criteria import CRITERIA, Joint
from mireorder.information.entropy import plug_in
from mireorder.information.estimators import ENTROPIES
from mireorder.ordering import policies
from mireorder.ordering.policies import POLICIES, Policy
from mireorder.training.presets import PRESETS

PANELS = ["Data", "Units", "Order", "Trust", "Output", "Help"]


@pytest.fixture
def mireorder(capsys, monkeypatch):
    """Run a command line on a terminal of 100 columns: exit status, standard output and error."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            cli.main([word for line in arguments for word in line.split()])
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return run


def panels(text):
    """The headings of a help, in their order."""
    return re.findall(r"^(\w+):$", text, re.MULTILINE)


def options_in(text):
    """The options that a help lists."""
    return re.findall(r"^  (?:-\w, )?(--[\w-]+)", text, re.MULTILINE)


# Help ---------------------------------------------------------------------------------------------------------


def test_the_overview_names_every_command_and_exit_status(mireorder):
    status, out, _ = mireorder("--help")
    assert status == 0 and all(f"  {name} " in out and about in out for name, (_, about) in COMMANDS.items())
    assert "Exit status: 0 done, 1 a law is broken" in " ".join(out.split())
    assert "--install-completion" in out


def test_the_version_is_that_of_the_package(mireorder):
    import mireorder as package

    assert mireorder("--version") == (0, package.__version__ + "\n", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_where_the_table_says_and_does_what_it_says(name):
    module, about = COMMANDS[name]
    command = getattr(import_module(f"mireorder.cli.{module}"), name)
    assert command.__doc__.splitlines()[0] == about


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_a_screen_and_help_all_has_every_option(mireorder, name):
    status, short, _ = mireorder(name, "--help")
    assert status == 0 and f"Example: mireorder {name} " in " ".join(short.split())
    assert len(short.splitlines()) <= 45 or name == "compare"
    status, whole, _ = mireorder(name, "--help-all")
    assert status == 0 and set(options_in(short)) <= set(options_in(whole))
    command = Command(name, *COMMANDS[name])
    with pytest.raises(typer.Exit):
        command.make_context(name, ["--help"])
    assert set(options_in(whole)) == {flag for option in command.params for flag in option.opts if "--" in flag} | {
        "--help"
    }
    words = re.sub(r"--[\w-]+", "", whole)
    assert not re.search(r"\b(undo|undone|passes|ahead|bare|dropped)\b", words)


def test_options_stand_in_panels_the_rare_ones_behind_help_all(mireorder):
    _, short, _ = mireorder("fit --help")
    _, whole, _ = mireorder("fit --help-all")
    assert panels(short) == panels(whole) == PANELS
    assert {"--cutter", "--policy", "--estimator", "--out"} <= set(options_in(short))
    rare = {"--joiner", "--markers", "--unmarked", "--k", "--shuffles", "--memory"}
    assert not rare & set(options_in(short)) and rare <= set(options_in(whole))


@pytest.mark.parametrize("command", ["fit", "count", "compare"])
def test_commands_that_fit_share_their_options(mireorder, command):
    _, whole, _ = mireorder(command, "--help-all")
    shared = {"--split", "--columns", "--source", "--target", "--labels", "--cutter", "--names", "--width", "--k"}
    assert shared <= set(options_in(whole))


@pytest.mark.parametrize(
    ("command", "option", "known"),
    [
        ("fit", "--cutter", list(CUTTERS)),
        ("fit", "--policy", policies.named()),
        ("fit", "--criterion", list(CRITERIA)),
        ("fit", "--estimator", [*ENTROPIES, "cross-fitted"]),
        ("compare", "--policies", policies.named()),
        ("train", "--model", list(PRESETS)),
        ("apply", "--form", ["text", "token"]),
    ],
)
def test_the_help_of_an_option_names_all_that_it_takes(mireorder, command, option, known):
    _, out, _ = mireorder(command, "--help")
    (said,) = re.findall(rf"^  {option} .*\n(?:    +.*\n)*", out, re.MULTILINE)
    assert ", ".join(known) in " ".join(said.split())


def test_what_was_added_from_outside_is_named_and_completed(monkeypatch):
    monkeypatch.setitem(POLICIES, "inside-out", Policy("a toy", ("fixed",), whole=lambda known: []))
    monkeypatch.setitem(CUTTERS, "syllables", Words)
    monkeypatch.setitem(CRITERIA, "guess", Joint)
    monkeypatch.setitem(ENTROPIES, "oracle", plug_in)
    command = Command("fit", *COMMANDS["fit"])
    context = command.make_context("fit", [], resilient_parsing=True)
    shown = command.get_help(context)
    for name in ("inside-out", "syllables", "guess", "oracle"):
        assert re.search(rf"\b{name}\b", shown)


# Completion ----------------------------------------------------------------------------------------------------

COMPLETE = """
import sys
from mireorder.cli import main
sys.argv[0] = "mireorder"
try:
    main()
finally:
    print([name for name in ("numba", "polars", "datasets", "torch") if name in sys.modules], file=sys.stderr)
"""


def completed(line):
    """What bash is offered for the last word of a line."""
    words = line.split(" ")
    asked = {"_MIREORDER_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    command = [sys.executable, "-c", COMPLETE]
    done = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True)
    assert done.stderr == "[]\n"
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("mireorder a", ["apply", "anneal"]),
        ("mireorder fit --cutter di", ["digits"]),
        ("mireorder fit --policy causal", ["causal-max", "causal-min"]),
        ("mireorder count --criterion p", ["pairwise", "presence"]),
        ("mireorder fit --estimator chao", ["chao-shen", "chao-wang-jost"]),
        ("mireorder compare --policies plain,ma", ["plain,max"]),
        ("mireorder train --model n", ["nano"]),
        ("mireorder fit --sto", ["--stop-words"]),
    ],
)
def test_names_are_completed_without_what_they_stand_for(line, offered):
    assert completed(line) == offered


# Suggestions ---------------------------------------------------------------------------------------------------

FIT = "fit mul.txt --split = --cutter digits --out plan"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("fti mul.txt", "Did you mean 'fit'?"),
        (f"{FIT} --polcy max", "--policy"),
        (f"{FIT} --policy maxx", "did you mean 'max'?"),
        (f"{FIT} --criterion jont", "did you mean 'joint'?"),
        (f"{FIT} --ties subsets", "did you mean 'subset'?"),
        (FIT.replace("digits", "digit"), "did you mean 'digits'?"),
        (f"{FIT} --estimator plugin", "did you mean 'plug-in'?"),
        ("compare mul.txt --split = --cutter digits --policies plain,mox --out c", "did you mean 'max'?"),
    ],
)
def test_the_nearest_name_is_offered(mireorder, tmp_path, monkeypatch, line, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mul.txt").write_text("".join(f"{a}*{b}={a * b}\n" for a in range(9) for b in range(9)))
    status, out, err = mireorder(line)
    assert (status, out) == (2, "") and says in err
    assert [path.name for path in tmp_path.iterdir()] == ["mul.txt"]


@pytest.mark.parametrize("name", ["explicit", "mix"])
def test_policies_that_have_no_name_are_neither_taken_nor_offered(mireorder, name):
    status, _, err = mireorder("fit mul.txt --split = --cutter digits --out plan --policy", name)
    assert status == 2 and f"there is no policy '{name}'" in err and err.count(name) == 1
    assert "association" not in mireorder("fit mul.txt --split = --cutter words --out plan --criterion none2")[2]


# Refusals ------------------------------------------------------------------------------------------------------

REFUSED = {
    f"{FIT} --seed -1": "--seed -1 is below 0",
    f"{FIT} --shuffles -1": "--shuffles -1 is below 0",
    f"{FIT} --resamples -1": "--resamples -1 is below 0",
    "train data --model tiny --seed -1 --out m": "--seed -1 is below 0",
    "train data --model tiny --learning-rate -1 --out m": "--learning-rate -1 is below 0",
    "train data --model tiny --steps 0 --out m": "--steps 0 is below 1",
    "train data --model tiny --batch-size 0 --out m": "--batch-size 0 is below 1",
    "generate model --prompts - --batch-size 0": "--batch-size 0 is below 1",
    "generate model --prompts - --max-new-tokens 0": "--max-new-tokens 0 is below 1",
    "apply mul.txt --plan plan --max-tokens 0 --out d": "--max-tokens 0 is below 1",
    "anneal a b --phases 1 --out p": "--phases 1 is below 2",
    "compare mul.txt --policies plain,max --seeds 0 --out c": "--seeds 0 is below 1",
    "inspect plan --png x.foo": "x.foo: no picture's format; end its name in one of .png",
    "inspect plan --png x": "x: no picture's format; end its name in one of .png",
    f"{FIT} --order 3,2,1,0 --policy max": "--order and --policy both name the order",
    f"{FIT} --stop-words 3": "criterion joint takes no --stop-words",
    f"{FIT} --policy lead --k 2": "policy lead takes no --k",
    f"{FIT} --whole": "policy max copies nothing, so there is no --whole",
    f"{FIT} --unmarked": "policy max copies nothing, so there is no --unmarked",
    f"{FIT} --target a --labels b,c": "--target and --labels both name the target",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_can_not_be_is_refused_in_a_line_before_anything_is_loaded(mireorder, tmp_path, monkeypatch, line):
    monkeypatch.chdir(tmp_path)  # where neither data nor plans are
    status, out, err = mireorder(line)
    assert (status, out, err.count("\n")) == (2, "", 1) and REFUSED[line] in err
    assert list(tmp_path.iterdir()) == []


MISUSED = {
    "fti mul.txt": "no such command 'fti'",
    "--polcy": "no such option: --polcy",
    "fit mul.txt --out plan --polcy max": "no such option: --polcy",
    "fit mul.txt": "missing option '--out'",
    "inspect": "missing argument 'plan'",
    "inspect plan more": "unexpected extra argument",
    "fit mul.txt --out": "option '--out' requires an argument",
    "fit mul.txt --out plan --seed x": "invalid value for '--seed'",
}


@pytest.mark.parametrize("line", MISUSED)
def test_a_command_line_that_can_not_be_read_is_refused_in_a_line(mireorder, tmp_path, monkeypatch, line):
    """Program, problem, remedy: also where click finds the fault."""
    monkeypatch.chdir(tmp_path)
    status, out, err = mireorder(line)
    assert (status, out) == (2, "") and list(tmp_path.iterdir()) == []
    assert re.fullmatch(r"error: \S.*: .+[;?] see '.+ --help'\n", err) and MISUSED[line] in err


def test_without_a_command_there_is_the_overview(mireorder):
    assert mireorder("") == mireorder("--help")


@pytest.mark.parametrize("named", ["--source x --target y", "--labels x,y", "--columns x,y"])
def test_lines_have_no_columns_to_name(mireorder, tmp_path, monkeypatch, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mul.txt").write_text("1*2=2\n")
    status, out, err = mireorder(FIT, named)
    assert (status, out) == (2, "") and "mul.txt: lines of text have no columns to name" in err
    assert not (tmp_path / "plan").exists()


# Interrupts ----------------------------------------------------------------------------------------------------

INTERRUPTED = """
import sys
from importlib.abc import MetaPathFinder

class Interrupt(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == sys.argv[1]:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
from mireorder.cli import main
main(sys.argv[2:])
"""


@pytest.mark.parametrize("module", ["typer", "mireorder.cli.plans", "numpy", "numba", "pyarrow", "mireorder.stages"])
def test_an_interrupt_while_modules_are_loaded_is_a_line(tmp_path, module):
    (tmp_path / "mul.txt").write_text("1*2=2\n")
    command = [sys.executable, "-c", INTERRUPTED, module, *FIT.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    said = "interrupted; counts of large files are kept; run it again to resume\n"
    assert (done.returncode, done.stdout, done.stderr) == (130, "", said)
