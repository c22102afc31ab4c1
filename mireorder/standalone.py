"""`restore.py`: the way back as one file that needs nothing but Python, written beside a plan."""

from __future__ import annotations

import ast
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from mireorder.errors import OutputError
from mireorder.files import write_text

FILE = "restore.py"
SCRIPT = "restoring/script"
"""The module that the file runs. The others are those that it builds on."""

_HEADER = '''"""Restore: from what a model emitted back to the natural target, by the mireorder.json beside this file.

    python restore.py < emitted.txt > natural.txt

A line each; other ways to pass them: python restore.py --help. From Python (3.9 or later, no packages needed):

    from restore import Restorer

    restorer = Restorer.load("folder/of/mireorder.json")
    restored = restorer.restore("what the model emitted behind the prompt", prompt="the prompt")
    restored.text, restored.verdict, restored.problem

Where mireorder.json holds plans for several groups, take BundleRestorer in place of Restorer. Where the prompt does not
say the group, it takes group="its name", and the command --group or --groups.

The verdict is "complete", "cut short" or "malformed"; nothing that a model emits raises an error.
Written by mireorder {version} from its own source. Apache License 2.0.
"""

# SPDX-License-Identifier: Apache-2.0
'''


def write_standalone(folder: Path) -> None:
    """Write `restore.py` into a folder with a plan."""
    write_text(folder / FILE, standalone())


def require_other_name(folder: Path) -> None:
    """Raise OutputError if ``load_dataset`` would take a folder of this name for the script in it."""
    if folder.resolve().name == Path(FILE).stem:
        raise OutputError(
            f"{folder}: {FILE} is written beside the data, and load_dataset opens no folder that is named like a "
            "script in it; choose another name"
        )


@cache
def standalone() -> str:
    """The source of `restore.py`: the modules of the way back, one after the other."""
    imports: dict[str, set[str]] = {}
    parts = []
    for name in modules():
        said, body = _without_imports(_source(name), imports)
        parts.append(f"# --- {said} ---\n\n{body}")
    future = _import_from("__future__", imports.pop("__future__"))
    plain = [f"import {module}" for module in sorted(imports) if not imports[module]]
    named = [_import_from(module, imports[module]) for module in sorted(imports) if imports[module]]
    top = _HEADER.format(version=version("mireorder")) + f"\n{future}\n\n" + "\n".join(plain + named)
    return "\n\n\n".join([top, *parts]) + "\n"


def modules() -> list[str]:
    """The modules of `restore.py`, each behind those it imports. They share one file, so no name is given twice."""
    found: list[str] = []

    def add(name: str) -> None:
        if name in found:
            return
        for node in ast.parse(_source(name)).body:
            if isinstance(node, ast.ImportFrom) and (ours := str(node.module)).startswith("mireorder."):
                add(ours.removeprefix("mireorder.").replace(".", "/"))
        found.append(name)

    add(SCRIPT)
    return found


def _source(name: str) -> str:
    return files("mireorder").joinpath(f"{name}.py").read_text(encoding="utf-8")


def _import_from(module: str, names: set[str]) -> str:
    return f"from {module} import {', '.join(sorted(names))}"


def _without_imports(source: str, imports: dict[str, set[str]]) -> tuple[str, str]:
    """First line of a module's docstring, and what stands behind its imports, of which those from elsewhere are noted.

    Args:
        source: docstring, imports, and then everything else.
        imports: module -> names imported from it; none where it is imported whole.
    """
    tree = ast.parse(source)
    last = 0
    for node in tree.body:
        if isinstance(node, ast.Import):
            imports.update({alias.name: set() for alias in node.names})
        elif isinstance(node, ast.ImportFrom):
            module = str(node.module)
            if module.split(".")[0] != "mireorder":
                imports.setdefault(module, set()).update(alias.name for alias in node.names)
        else:
            continue
        last = node.end_lineno or last
    said = str(ast.get_docstring(tree)).partition("\n")[0].removesuffix(".")
    return said, "\n".join(source.split("\n")[last:]).strip("\n")
