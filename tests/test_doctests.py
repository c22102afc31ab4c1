"""The examples in docstrings are true, and the names that people meet first have one."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import mireorder

PACKAGE = Path(mireorder.__file__).parent
MODULES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in path.read_text("utf-8")
]
FIRST = [
    *(mireorder.fit, mireorder.apply, mireorder.check, mireorder.count, mireorder.plan_of, mireorder.Counts),
    *(mireorder.Plan.emit, mireorder.Plan.restore, mireorder.Plan.transform, mireorder.Plan.load),
    *(mireorder.Order, mireorder.Reading, mireorder.Digits, mireorder.Labels, mireorder.Fields, mireorder.Words),
    *(mireorder.Joint, mireorder.Pairwise, mireorder.mixed, mireorder.Restorer),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name):
    found = doctest.testmod(import_module(name), optionflags=doctest.ELLIPSIS)
    assert found.attempted and not found.failed


@pytest.mark.parametrize("met", FIRST, ids=lambda met: met.__qualname__)
def test_what_is_met_first_has_an_example(met):
    assert ">>> " in met.__doc__
