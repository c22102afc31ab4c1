"""Golden copies: plans, counts and datasets say what they said before the rooms were moved (see `golden_cases`)."""

import json
import math

import pytest
from golden_cases import ALL, path_of


def differences(found, golden, place=""):
    """Where two values of JSON differ; numbers may in the last digits, as sums do from one processor to another."""
    if isinstance(found, dict) and isinstance(golden, dict):
        for name in sorted(found.keys() | golden.keys()):
            yield from differences(found.get(name, "nothing"), golden.get(name, "nothing"), f"{place}.{name}")
    elif isinstance(found, list) and isinstance(golden, list) and len(found) == len(golden):
        for at, pair in enumerate(zip(found, golden, strict=True)):
            yield from differences(*pair, f"{place}[{at}]")
    elif isinstance(found, float) and isinstance(golden, float):
        if not math.isclose(found, golden, rel_tol=1e-9, abs_tol=1e-9):
            yield f"{place}: {found}, was {golden}"
    elif found != golden:
        yield f"{place}: {found!r}, was {golden!r}"


@pytest.mark.parametrize("name", ALL)
def test_what_is_said_is_what_was_said(name):
    golden = json.loads(path_of(name).read_text(encoding="utf-8"))
    assert list(differences(ALL[name](name), golden)) == []
