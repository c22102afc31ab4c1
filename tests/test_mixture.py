"""The early loss of a mixture of orders: one model, every order, no marks."""

import math

import pytest
from datasets import Dataset

pytest.importorskip("torch")
ORDERS = [(0, 1), (1, 0)]


def in_order(answer, order):
    rows = [(f"{n:02}=", "".join(answer(n)[slot] for slot in order)) for n in range(60)]
    table = [{"prompt": prompt, "completion": completion} for prompt, completion in rows]
    return {"train": Dataset.from_list(table[10:]), "test": Dataset.from_list(table[:10])}


def losses(answer, steps):
    from mireorder.training.budget import Budget
    from pipelines.orders.mixture import early_losses

    return early_losses({order: in_order(answer, order) for order in ORDERS}, Budget(steps, 16))


def test_orders_in_which_answers_read_the_same_cost_the_same():
    found = losses(lambda n: str(n % 10) * 2, steps=20)
    assert list(found) == ORDERS and found[0, 1] == found[1, 0]


def test_an_order_is_dear_where_another_is_taken_for_it():
    """A model can't tell which order is wanted, but 9 is first in one of them and never in the other."""
    found = losses(lambda n: f"9{n % 5}", steps=40)
    assert found == losses(lambda n: f"9{n % 5}", steps=40)
    assert 0 < found[0, 1] < found[1, 0] < 3 * math.log2(14)
