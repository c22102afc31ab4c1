"""The house stands on floors: imports run down, those inside functions, for types and by name included; no circles."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import mireorder

ROOT = Path(mireorder.__file__).parents[1]
FLOORS = (
    (
        "errors",
        "arrays",
        "jit",
        "threads",
        "serialise",
        "storage",
        "files",
        "lock",
        "reading",
        "tables",
        "hub",
        "json_text",
        "chats",
    ),
    ("counting", "restoring", "networks", "engine"),
    ("standalone",),
    ("cutting",),
    ("information",),
    ("ordering",),
    ("tokenizing", "serving"),
    ("dataset",),
    ("training",),
    ("fitting",),
    ("stages",),
    ("bundling",),
    ("evaluate", "estimate"),
    ("report",),
    ("exporting", "publishing"),
    ("cli", "pipelines"),
)
"""Rooms, from the ground up. The files of the ground floor may import each other."""
GROUND = FLOORS[0]
HEIGHT = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def modules(root):
    """Dotted name -> file, of the library and the pipelines."""
    files = [file for package in ("mireorder", "pipelines") for file in sorted((root / package).rglob("*.py"))]
    return {".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


def imports(file, names):
    """The modules among ``names`` that a file imports, wherever in it, or names as a place: ``mireorder.x.y:Name``."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = [node.value.partition(":")[0]] if ":" in node.value else []
        elif isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: an import of '.' hides what is imported"
            found = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [name if name in names else str(node.module) for name in found]
        else:
            continue
        yield from (name for name in found if name in names)


def graph(root):
    names = modules(root)
    return {name: sorted(set(imports(file, names)) - {name}) for name, file in names.items()}


def room(name):
    """``mireorder.cutting.base`` is in ``cutting``, ``pipelines.common`` in ``pipelines``; the face is in none."""
    package, _, inner = name.partition(".")
    return inner.partition(".")[0] if package == "mireorder" else package


def runs_down(importer, imported):
    above, below = room(importer), room(imported)
    if not below:  # the face is for those outside
        return above == "pipelines"
    if above == below or (above in GROUND and below in GROUND):
        return True
    return HEIGHT[above] > HEIGHT[below]


def run_up(graph):
    inside = {importer: imported for importer, imported in graph.items() if room(importer)}
    return sorted(f"{one} imports {other}" for one, others in inside.items() for other in others
                  if not runs_down(one, other))  # fmt: skip


def circle(graph):
    """The names of the files that import each other in a circle, the first again at the end; None of no circle."""
    inside = {name: [one for one in others if room(one)] for name, others in graph.items() if room(name)}
    try:
        TopologicalSorter(inside).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def test_every_room_is_on_a_floor():
    rooms = {room(name) for name in modules(ROOT)} - {""}
    assert rooms - HEIGHT.keys() == set()
    assert len(HEIGHT) == sum(map(len, FLOORS)), "a room is on one floor"


def test_imports_run_down():
    assert run_up(graph(ROOT)) == []


def test_no_files_import_each_other():
    assert circle(graph(ROOT)) is None


def long_parts(files, lines=400, function=60):
    """The files, and the functions in them, that have more lines than this."""
    for file in files:
        text = file.read_text(encoding="utf-8")
        if (found := text.count("\n")) > lines:
            yield f"{file.name} has {found} lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found = node.end_lineno - node.lineno + 1
                if found > function:
                    yield f"{file.name}: {node.name} has {found} lines"


def test_no_function_is_over_60_lines_and_no_file_over_400():
    """A longer one is two things."""
    tests = Path(__file__).parent.rglob("*.py")
    assert list(long_parts([*modules(ROOT).values(), *tests])) == []


def test_what_is_too_long_is_named(tmp_path):
    (tmp_path / "a.py").write_text("def f():\n    x = 1\n    return x\n\n\nasync def g():\n    return 1\n")
    assert list(long_parts([tmp_path / "a.py"], 7, 3)) == []
    assert list(long_parts([tmp_path / "a.py"], 6, 2)) == ["a.py has 7 lines", "a.py: f has 3 lines"]


def house(root, files):
    """The graph of a house of these files: path -> text."""
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return graph(root)


def test_what_the_floors_forbid_is_found_wherever_it_is_written(tmp_path):
    files = {
        "mireorder/__init__.py": "from mireorder.report.page import page",
        "mireorder/errors.py": "",
        "mireorder/files.py": "from mireorder.errors import MireorderError",
        "mireorder/restoring/units.py": "if TYPE_CHECKING:\n    import mireorder.cutting.base",
        "mireorder/counting/keys.py": "def f():\n    from mireorder.restoring.units import Restored",
        "mireorder/cutting/base.py": "from mireorder.restoring import units",
        "mireorder/report/page.py": "from mireorder import fit",
        "mireorder/cli/output.py": "from mireorder.report import page",
        "mireorder/serving/stream.py": "PLACES = {'Law': 'mireorder.dataset.check:Law'}",
        "mireorder/dataset/check.py": "",
        "pipelines/common.py": "from mireorder import fit\nfrom mireorder.cli.output import OUT",
    }
    found = house(tmp_path, files)
    assert run_up(found) == [
        "mireorder.counting.keys imports mireorder.restoring.units",
        "mireorder.report.page imports mireorder",
        "mireorder.restoring.units imports mireorder.cutting.base",
        "mireorder.serving.stream imports mireorder.dataset.check",
        "pipelines.common imports mireorder.cli.output",
    ]
    assert set(circle(found)) == {"mireorder.cutting.base", "mireorder.restoring.units"}


def test_the_floors_are_those_of_the_page():
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("| floor |")[2].partition("\n\n")[0]
    rows = [set(re.findall(r"`(\w+)`", line.split("|")[1])) for line in page.splitlines()[2:]]
    assert rows == [set(rooms) for rooms in FLOORS]
