"""The probes of criterion `usable`, and the network that they train."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mireorder.information.probes.probe import ProbeRows

pytest.importorskip("torch")


@settings(max_examples=5, deadline=None)
@given(st.booleans(), st.integers(0, 2**16))
def test_the_gradient_is_the_slope_of_the_loss(bidirectional, seed):
    import torch

    from mireorder.networks import Shape
    from mireorder.networks.fresh import FreshWeights
    from mireorder.networks.small import SmallGpt

    network = SmallGpt(FreshWeights(Shape(2, 2, 16), 11, 8, seed), bidirectional=bidirectional)
    draw = torch.Generator().manual_seed(seed)
    network.weights.mul_(4)  # away from where everything is alike
    ids, targets = torch.randint(0, 11, (6, 5), generator=draw), torch.randint(0, 11, (3, 5), generator=draw)
    network.loss(ids, targets)
    slope, way = network.weights.grad.clone(), torch.randn(network.weights.shape, generator=draw)
    way, start, step = way / way.norm(), network.weights.clone(), 3e-3
    ends = []
    for sign in (1, -1):
        network.weights.copy_(start + sign * step * way)
        ends.append(network.loss(ids, targets).item())
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx((slope @ way).item(), rel=0.05, abs=2e-3)


def test_both_ways_means_that_later_ids_are_seen():
    import torch

    from mireorder.networks import Shape
    from mireorder.networks.fresh import FreshWeights
    from mireorder.networks.small import SmallGpt

    ids = torch.tensor([[1], [2], [3]])
    later = torch.tensor([[1], [2], [4]])
    for bidirectional in (False, True):
        network = SmallGpt(FreshWeights(Shape(1, 1, 8), 5, 3, 0), bidirectional=bidirectional)
        same = torch.equal(network.logits(ids, 3)[:2], network.logits(later, 3)[:2])
        assert same != bidirectional


def test_apart_is_as_many_rows_that_end_differently():
    import torch

    from mireorder.networks import Shape
    from mireorder.networks.fresh import FreshWeights
    from mireorder.networks.small import SmallGpt

    torch.manual_seed(0)
    network = SmallGpt(FreshWeights(Shape(layers=2, heads=2, width=8), 12, 9, 0))
    network.weights.add_(torch.randn_like(network.weights))  # of fresh ones all ids say about the same
    begins, ends = torch.randint(0, 12, (5, 3)), torch.randint(0, 12, (4, 3))
    together = network.logits(torch.cat([begins, ends]), 4, apart=True)
    alone = torch.cat([network.logits(torch.cat([begins, end[None]]), 1) for end in ends])
    assert torch.allclose(together, alone, atol=1e-5)
    assert not torch.allclose(network.logits(torch.cat([begins, ends]), 4)[1:], alone[1:], atol=1e-2)
    single = torch.randint(0, 12, (6, 3))
    assert torch.equal(network.logits(single, 1, apart=True), network.logits(single, 1))


def test_a_probe_row_knows_its_slots():
    rows = ProbeRows(np.zeros((2, 0), np.int64), np.array([[0, 2], [1, 3]]), np.array([0]), np.array([1]), 4)
    assert rows.slots == 2


def test_hidden_sources_all_look_alike():
    rows = ProbeRows(np.array([[3, 4], [5, 4]]), np.array([[0, 2], [1, 3]]), np.array([0]), np.array([1]), 7)
    assert rows.read(np.array([1, 0, 1]), np.array([False, True, True])).tolist() == [[5, 4], [6, 6], [6, 6]]


def test_the_network_is_kept_that_cost_least_on_held_out_rows():
    """Coins are learnt by heart after some hundred steps: what is kept is as good as a coin, the last steps are not."""
    from mireorder.information.probes.train import PATIENCE, positions_first, train

    draw = np.random.default_rng(0)
    rows = ProbeRows(
        draw.integers(0, 8, (60, 4)), draw.integers(0, 2, (60, 1)) + 8, np.arange(30), np.arange(30, 60), 11
    )

    def whole(chosen, hidden, random):
        return positions_first(np.concatenate([rows.read(chosen, hidden), 0 * rows.units[chosen]], 1)), positions_first(
            rows.units[chosen]
        )

    found = train(rows, 0, 5, whole, 0, 3000, bidirectional=True)
    assert found.total_steps == found.steps + max(PATIENCE, found.steps) < 3000
    bits = found.bits(*whole(rows.held_out, np.zeros(30, bool), draw))
    assert bits.shape == (1, 30) and bits.dtype == np.float32
    assert bits.mean() == pytest.approx(found.loss, abs=1e-6)
    assert found.bits(*whole(rows.learn, np.zeros(30, bool), draw)).mean() < found.loss
