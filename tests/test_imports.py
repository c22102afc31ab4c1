"""Imports: the core is light. Torch and its company load when they are used, and no kernel is compiled early."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import mireorder

HEAVY = {"torch", "transformers", "trl", "peft", "accelerate", "matplotlib"}
PACKAGE = Path(mireorder.__file__).parent

LOADED = f"""
import json, sys
print(json.dumps(sorted({HEAVY!r} & set(sys.modules))))
"""

COMPILED = """
import json, sys
import mireorder
from mireorder.jit import Kernel

for name in mireorder.__all__:
    getattr(mireorder, name)

modules = [m for name, m in list(sys.modules.items()) if name.startswith("mireorder")]
kernels = {f"{m.__name__}.{n}": v for m in modules for n, v in vars(m).items() if isinstance(v, Kernel)}
print(json.dumps([len(kernels), [name for name, kernel in kernels.items() if kernel.compiled]]))
"""


def python(code, folder, **variables):
    """What a fresh interpreter prints last, as JSON."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=os.environ | variables, cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_importing_loads_no_heavy_package(tmp_path):
    assert python("import mireorder" + LOADED, tmp_path) == []


def test_importing_compiles_no_kernel(tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    found, compiled = python(COMPILED, tmp_path, NUMBA_CACHE_DIR=str(cache), NUMBA_DISABLE_JIT="0")
    assert found >= 5  # the kernels are where this test looks for them
    assert compiled == []
    assert list(cache.rglob("*.nb*")) == []


def test_help_and_fit_and_apply_load_no_heavy_package(tmp_path):
    (tmp_path / "sums.txt").write_text("".join(f"{a}+{b}={a + b}\n" for a in range(9) for b in range(9)))
    code = """
import sys
from mireorder.cli import main
for line in ("--help", "fit sums.txt --split = --cutter digits --out plan", "apply sums.txt --plan plan --out data",
             "check data", "inspect plan"):
    try:
        main(line.split())
    except SystemExit as ended:
        assert ended.code == 0, line
"""
    assert python(code + LOADED, tmp_path) == []


ENGINES = {"numpy", "pyarrow", "numba", "scipy", "polars", "datasets"}
STARTED = f"""
import json, sys
from mireorder.cli import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    assert not ended.code
print()
print(json.dumps([len(sys.modules), sorted(name for name in {ENGINES | HEAVY!r} if name in sys.modules)]))
"""


def started(line, folder, stdin=""):
    """How many modules a command has loaded when it ends, and which engines are among them."""
    command = [sys.executable, "-c", STARTED, *line.split()]
    done = subprocess.run(command, cwd=folder, input=stdin, capture_output=True, text=True, check=True)
    return done.stdout, json.loads(done.stdout.splitlines()[-1])


def test_help_and_version_load_little_more_than_typer_and_rich(tmp_path):
    typer = python("import json, sys, typer, rich; print(json.dumps(len(sys.modules)))", tmp_path)
    for line in ("--help", "--version"):
        _, (modules, engines) = started(line, tmp_path)
        assert modules < 1.5 * typer and engines == []


def test_restore_starts_on_the_standard_library(tmp_path):
    lines = "".join(f"{a}+{b}={a + b}\n" for a in range(9) for b in range(9))
    (tmp_path / "sums.txt").write_text(lines)
    started("fit sums.txt --split = --cutter digits --policy reverse --out plan", tmp_path)
    shown, (_, engines) = started("restore plan", tmp_path, "31\n80\n")
    assert shown.startswith("13\n8\n") and engines == []


def test_the_package_loads_nothing_until_a_name_is_used(tmp_path):
    loaded = f"import json, sys, mireorder; print(json.dumps(sorted({ENGINES | HEAVY!r} & set(sys.modules))))"
    assert python(loaded, tmp_path) == []


def test_only_what_trains_imports_torch_and_its_company_at_the_top():
    rooms = {"training", "evaluate", "networks", "probes"}
    files = [path for path in PACKAGE.rglob("*.py") if not rooms.intersection(path.relative_to(PACKAGE).parts)]
    assert len(files) > 30
    found = {f"{path.relative_to(PACKAGE)}: {name}" for path in files for name in top_imports(path) if name in HEAVY}
    assert found == set()


def top_imports(path):
    """Packages a file imports when it is loaded: everywhere but inside functions and under TYPE_CHECKING."""
    todo = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            todo += ast.iter_child_nodes(node)
