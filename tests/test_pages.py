"""README.md and docs/: links lead somewhere, tables say what the code says, numbers are those that were measured."""

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from run_readme import ROOT, pages, value_of

from mireorder.cli.commands import COMMANDS
from mireorder.cutting import CUTTERS
from mireorder.information.criteria import CRITERIA
from mireorder.information.estimators import ENTROPIES
from mireorder.ordering.policies import POLICIES, named
from mireorder.restoring.kinds import KINDS

PAGES = {page.relative_to(ROOT).as_posix(): page.read_text("utf-8") for page in pages()}
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
STILTED = ("so many", "is of none", "of no use", "told apart", "one to leave", "goes on where", "that we aim")


def rows_of(page: str, first: str) -> list[list[str]]:
    """The cells of the table whose first column has this heading."""
    body = re.search(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGES[page], re.MULTILINE)[1]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in body.splitlines()]


def names_of(page: str, first: str) -> list[str]:
    return [row[0].strip("`") for row in rows_of(page, first)]


def numbers_of(text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", text)]


def anchors_of(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", CODE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for link in LINK.findall(CODE.sub("", PAGES[page])):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        found = (ROOT / page).parent / path if path else ROOT / page
        assert found.exists(), link
        if anchor:
            assert anchor in anchors_of(found.read_text("utf-8")), link


@pytest.mark.parametrize("page", PAGES)
def test_blocks_are_run_or_are_text(page):
    opening = re.findall(r"^```(.*)$", PAGES[page], re.MULTILINE)[::2]
    assert set(opening) <= {"sh", "python", "text"}


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_written_plainly(page):
    assert [words for words in STILTED if words in PAGES[page].lower()] == []


def test_the_readme_is_one_screen():
    assert len(PAGES["README.md"].splitlines()) <= 120


def test_every_page_is_linked_from_the_readme():
    assert {page for page in PAGES if page != "README.md"} <= set(LINK.findall(PAGES["README.md"]))


def test_the_table_of_policies_is_that_of_the_code():
    said = {row[0].strip("`"): tuple(row[1:5]) for row in rows_of("docs/orders.md", "policy")}
    assert said == {
        name: (POLICIES[name].about, POLICIES[name].looks_at, ", ".join(POLICIES[name].kinds), needed(name))
        for name in named()
    }


def needed(policy: str) -> str:
    return POLICIES[policy].criterion or "any"


def test_tables_name_all_there_are():
    concepts = "docs/concepts.md"
    assert names_of(concepts, "cutter") == list(CUTTERS)
    assert names_of(concepts, "criterion") == list(CRITERIA)
    assert names_of(concepts, "kind") == list(KINDS)
    section = PAGES[concepts].partition("## Estimators")[2].partition("Criterion")[0]
    assert set(re.findall(r"`([\w-]+)`", section)) == set(ENTROPIES)


def test_every_command_stands_on_its_page():
    assert set(COMMANDS) <= set(re.findall(r"`([a-z]+)", PAGES["docs/cli.md"]))


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_results_are_those_of_the_runs(page):
    columns = ["plain", "reverse", "joint-max", "joint-min", "pairwise-max", "pairwise-min"]
    run = (ROOT / "pipelines/results/README.md").read_text("utf-8")
    heading, *rows = re.search(r"^\| task \|.*\n(?:\|.*\n)+", run, re.MULTILINE)[0].splitlines()
    at = [[cell.strip() for cell in heading.strip("|").split("|")].index(column) for column in columns]
    found = {}
    for row in rows[1:]:
        cells = row.strip("|").split("|")
        found[LINK.search(cells[0])[1]] = [numbers_of(cells[column])[0] for column in at]
    said = {
        Path(LINK.search(task)[1]).name: [numbers_of(cell)[0] for cell in cells]
        for task, *cells in rows_of(page, "task")
    }
    assert said == found


# Of the pages' own: shares of what was measured, how it varied, what was aimed at, round numbers of rows.
OWN = {2, 10, 94, 100, 128, 200, 512, 50_000, 0.1, 1.6, 2.2, 2.6}


def test_speeds_are_those_that_were_measured():
    measured = set(numbers_of((ROOT / "tests/benchmarks/RESULTS.md").read_text("utf-8")))
    assert [number for number in numbers_of(LINK.sub("", PAGES["docs/speed.md"])) if number not in measured | OWN] == []


def test_everything_missed_is_said():
    missed = re.findall(
        r"^\|.*\| ([\d.]+)\S* s? ?\| missed \|$",
        (ROOT / "tests/benchmarks/RESULTS.md").read_text("utf-8"),
        re.MULTILINE,
    )
    said = numbers_of(PAGES["docs/speed.md"].partition("## What is missed")[2])
    assert [number for number in map(float, missed) if number not in said] == []


@pytest.mark.parametrize("page", PAGES)
def test_names_of_the_package_are_there(page):
    for name in set(re.findall(r"`mireorder\.([\w.]+)`", PAGES[page])) - {"json"}:
        module, _, attribute = f"mireorder.{name}".rpartition(".")
        assert hasattr(import_module(module), attribute) or find_spec(f"mireorder.{name}"), name


@pytest.mark.parametrize("page", PAGES)
def test_options_are_there(page):
    """Of commands, or of pipelines: each is a parameter, or stands in its source as it is written."""
    sources = [*(ROOT / "mireorder/cli").glob("*.py"), *(ROOT / "pipelines").rglob("*.py")]
    known = "".join(path.read_text("utf-8") for path in sources)
    words = set(re.findall(r"\w+", known))
    page = re.sub(r"^(?:dask|srun dask|#SBATCH) .*$", "", PAGES[page], flags=re.MULTILINE)  # have options of their own
    said = set(re.findall(r"(?<![\w-])--([a-z][a-z-]*)", page)) - {"help", "install-completion"}
    assert {name for name in said if name.replace("-", "_") not in words and f"--{name}" not in known} == set()


def test_the_api_reference_is_of_modules_that_are_there():
    listed = re.search(
        r"^API := (\w+) \$\(addprefix mireorder\.,(.*?)\)", (ROOT / "Makefile").read_text("utf-8"), re.M | re.S
    )
    modules = [listed[1], *(f"mireorder.{name}" for name in listed[2].replace("\\", "").split())]
    assert all(find_spec(name) for name in modules)


def test_the_runner_reads_the_value_that_a_comment_begins_with():
    assert value_of("# '0480': tens first") == ["0480"]
    assert value_of("# [2, 1]") == [[2, 1]]
    assert value_of("# True: every row, byte for byte") == [True]
    assert value_of("# three lines") == value_of("") == []
