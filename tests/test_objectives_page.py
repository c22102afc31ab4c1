"""docs/objectives.md: its tables name all objectives, and its costs are those that are counted."""

import re

import numpy as np
import pytest

pytest.importorskip("trl")

from test_pages import PAGES, names_of

from mireorder.tokenizing.characters import character_tokenizer
from mireorder.tokenizing.tokens import encode
from mireorder.training.budget import Budget
from mireorder.training.loop import Learner, to_rows
from mireorder.training.objectives import OBJECTIVES, objective_of
from mireorder.training.presets import build

PAGE = "docs/objectives.md"


def measured():
    """Objective -> extra parameters, and operations of a step by those of ntp."""
    tokenizer = character_tokenizer(["0123456789*="])
    products = [(f"{a}*{a + 99}=", f"{a * (a + 99):06d}") for a in range(100, 164)]
    rows = to_rows(*encode(*map(list, zip(*products, strict=True)), tokenizer))
    costs = {}
    for name in OBJECTIVES:
        learner = Learner(build("tiny", tokenizer, 24, 0), rows, Budget(8, 64), 1e-3, objective_of(name))
        costs[name] = learner.costs(np.arange(64))
    ntp = costs["ntp"]["operations"]
    return {name: (cost["extra_parameters"], cost["operations"] / ntp) for name, cost in costs.items()}


def test_all_objectives_stand_on_their_page():
    tables = [names_of(PAGE, "objective"), [row[0] for row in measured_rows()]]
    assert tables == [list(OBJECTIVES)] * 2


@pytest.mark.slow
def test_costs_are_those_that_are_counted():
    said = {row[0]: (int(row[1].replace(",", "")), float(row[3])) for row in measured_rows()}
    assert said == {name: (extra, round(share, 2)) for name, (extra, share) in measured().items()}


def measured_rows():
    body = re.search(r"^\| objective \| extra.*\n\|[-|]+\n((?:\|.*\n)+)", PAGES[PAGE], re.MULTILINE)[1]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in body.splitlines()]
