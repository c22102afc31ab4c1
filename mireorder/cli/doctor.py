"""Command doctor: what is installed, what would fail, and the command that mends it."""

from __future__ import annotations

import logging
import os
import platform
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING

from mireorder.cli import options
from mireorder.cli.output import print_json, say, show

if TYPE_CHECKING:
    from packaging.requirements import Requirement

CORE = "core"
WHAT = {
    CORE: "fit, apply, check, restore",
    "train": "train, generate, compare, search, criterion usable",
    "transformers": "token form with any tokenizer, chats",
    "report": "pictures and reports",
    "sentences": "cutter sentences",
    "rouge": "ROUGE in the pipelines",
    "qlora": "train --qlora",
    "dask": "engine dask",
    "cloud": "data and results at s3:// and other URLs",
}
"""Extra -> what it is for. Those for developers are not shown."""
_MISSING = "not installed"
_MODULES = {"scikit-learn": "sklearn", "rouge-score": "rouge_score", "universal_pathlib": "upath"}


@dataclass(frozen=True)
class Package:
    """A package that a part of mireorder needs.

    Attributes:
        part: the extra it belongs to, or ``core``.
        name: of the package.
        wanted: the versions that are taken, such as ``>=2.0``.
        found: the version that is installed, None without one.
        problem: what is wrong with it, or None.
    """

    part: str
    name: str
    wanted: str
    found: str | None
    problem: str | None


def doctor(*, as_json: options.Json = False) -> None:
    """Say what is installed, what would fail, and the command that mends it.

    Exit status 1 where something that every command needs is missing or broken.

    Example: mireorder doctor
    """
    packages, notes = list(_packages()), list(_surroundings())
    broken: dict[str, set[str]] = {}
    for package in packages:
        if package.problem:
            broken.setdefault(package.part, set()).add(package.problem)
    if as_json:
        print_json({"packages": [asdict(package) for package in packages], "notes": notes})
    else:
        from rich.table import Table
        from rich.text import Text

        title = f"mireorder {version('mireorder')}, Python {platform.python_version()}"
        table = Table(title=title, title_justify="left")
        for name in ("part", "package", "installed", "wanted", "problem"):
            table.add_column(name, overflow="fold")
        for package in packages:
            cells = (package.part, package.name, package.found or "", package.wanted, package.problem or "")
            table.add_row(*map(Text, cells), style="" if package.problem is None else "yellow")
        show(table)
        for part, what in WHAT.items():
            how = "is not installed" if broken.get(part) == {_MISSING} else "fails"
            say(f"{part} {how}: {what}; {_mended(part)}" if part in broken else f"{part} is ready: {what}")
        for note in notes:
            say(note)
    if CORE in broken:
        sys.exit(1)


def _mended(part: str) -> str:
    return f"pip install -U {'mireorder' if part == CORE else repr(f'mireorder[{part}]')}"


def _packages() -> Iterator[Package]:
    """The packages that the metadata of this library names, and how each is here."""
    from packaging.requirements import Requirement

    for part in WHAT:
        for requirement in map(Requirement, requires("mireorder") or []):
            marker = requirement.marker
            here = marker is None if part == CORE else marker is not None and marker.evaluate({"extra": part})
            if here:
                yield _package(part, requirement)


def _package(part: str, requirement: Requirement) -> Package:
    name, wanted = requirement.name, str(requirement.specifier)
    try:
        found = version(name)
    except PackageNotFoundError:
        return Package(part, name, wanted, None, _MISSING)
    if not requirement.specifier.contains(found, prereleases=True):
        return Package(part, name, wanted, found, "another version is needed")
    try:
        logging.disable()  # what packages say of themselves as they are loaded
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import_module(_MODULES.get(name, name))
    except Exception as error:  # whatever a broken package raises is what is asked for
        return Package(part, name, wanted, found, f"{type(error).__name__}: {error}".splitlines()[0])
    finally:
        logging.disable(logging.NOTSET)
    return Package(part, name, wanted, found, None)


def _surroundings() -> Iterator[str]:
    """What else decides whether and how fast it runs."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield f"cores: {cores}"
    if "torch" in sys.modules:
        import torch

        cards = torch.cuda.device_count()
        yield f"GPU: {torch.cuda.get_device_name(0)}, {cards} in all" if cards else "GPU: none, models train on the CPU"
