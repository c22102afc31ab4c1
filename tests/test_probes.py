"""The probes of criterion `usable`, and the network that they train."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mireorder.information.probes import PROBES
from mireorder.information.probes.probe import ProbeRows

pytest.importorskip("torch")
import torch

from mireorder.information.probes.train import positions_first, train


@settings(max_examples=5, deadline=None)
@given(st.booleans(), st.integers(0, 2**16))
def test_the_gradient_is_the_slope_of_the_loss(bidirectional, seed):
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
    from mireorder.networks import Shape
    from mireorder.networks.fresh import FreshWeights
    from mireorder.networks.small import SmallGpt

    ids = torch.tensor([[1], [2], [3]])
    later = torch.tensor([[1], [2], [4]])
    for bidirectional in (False, True):
        network = SmallGpt(FreshWeights(Shape(1, 1, 8), 5, 3, 0), bidirectional=bidirectional)
        same = torch.equal(network.logits(ids, 3)[:2], network.logits(later, 3)[:2])
        assert same != bidirectional


def drawn_network():
    """One whose weights are far from those at which all ids say about the same."""
    from mireorder.networks import Shape
    from mireorder.networks.fresh import FreshWeights
    from mireorder.networks.small import SmallGpt

    torch.manual_seed(0)
    network = SmallGpt(FreshWeights(Shape(layers=2, heads=2, width=8), 12, 9, 0))
    network.weights.add_(torch.randn_like(network.weights))
    return network


def past_of(network, ids):
    past = network.past(ids.shape[1], 9)
    network.logits(ids, 0, past)
    past.length = len(ids)
    return past


def test_what_was_read_before_is_as_good_as_read_again():
    network = drawn_network()
    ids = torch.randint(0, 12, (9, 3))
    whole, past = network.logits(ids, 9), network.past(3, 9)
    parts = []
    for part in ids.split([4, 2, 3]):
        parts.append(network.logits(part, len(part), past))
        past.length += len(part)
    assert torch.allclose(torch.cat(parts), whole, atol=1e-5)
    assert not torch.allclose(network.logits(ids[6:], 3), whole[6:], atol=1e-2), "the past counts"


def test_a_past_can_be_gone_back_in():
    network = drawn_network()
    begins, ends = torch.randint(0, 12, (5, 3)), torch.randint(0, 12, (2, 3))
    past = past_of(network, begins)
    network.logits(ends, 2, past)
    first = past.written([0])
    found = network.logits(ends[1:], 1, past)
    assert torch.allclose(found, network.logits(torch.cat([begins, ends[1:]]), 1), atol=1e-5), "what was tried is gone"
    past.go_on(5, first)
    found = network.logits(ends[1:], 1, past)
    assert torch.allclose(found, network.logits(torch.cat([begins, ends]), 1), atol=1e-5), "and comes back"


def test_ends_apart_from_each_other_are_as_many_rows():
    network = drawn_network()
    begins, ends = torch.randint(0, 12, (5, 3)), torch.randint(0, 12, (4, 3))
    past = past_of(network, begins)
    alone = torch.full((4, 4), -np.inf).fill_diagonal_(0)
    together = network.logits(ends, 4, past, torch.tensor([5] * 4), alone)
    expected = torch.cat([network.logits(torch.cat([begins, end[None]]), 1) for end in ends])
    assert torch.allclose(together, expected, atol=1e-5)
    assert not torch.allclose(network.logits(ends, 4, past)[1:], expected[1:], atol=1e-2)


def three_slots(rows=40):
    draw = np.random.default_rng(0)
    units = draw.integers(0, 4, (rows, 3)) + 8 + 4 * np.arange(3)
    half = np.arange(rows // 2)
    return ProbeRows(draw.integers(0, 8, (rows, 2)), units, half, half + rows // 2, 21)


@pytest.mark.parametrize("probe", ["ordered", "masked"])
@pytest.mark.parametrize("hidden", [False, True])
def test_sets_read_together_cost_what_they_cost_alone(probe, hidden):
    rows = three_slots()
    bits = PROBES[probe](rows, 0, 30).bits
    sets = [(), (0,), (2, 1), (0, 2), (0, 1, 2), (1,), (1, 2)]
    together = bits(sets, hidden, rows.held_out)
    assert together.shape == (7, 3, 20) and together.dtype == np.float32
    for emitted, found in zip(sets, together, strict=True):
        assert np.allclose(bits([emitted], hidden, rows.held_out)[0], found, atol=1e-4, equal_nan=True)
        assert np.isnan(found).all(1).tolist() == [slot in emitted for slot in range(3)]
    assert np.array_equal(together[2], together[6], equal_nan=True), "a set has no order"


def test_the_ordered_probe_says_what_its_network_says_of_the_whole_row(monkeypatch):
    """Read off step by step or in one pass: bits of the units of a random order."""
    rows, kept = three_slots(), []

    def train_and_keep(*args, **options):
        kept.append(train(*args, **options))
        kept[0].network.weights.add_(0.2 * torch.randn_like(kept[0].network.weights))
        return kept[0]

    monkeypatch.setattr("mireorder.information.probes.ordered.train", train_and_keep)
    bits = PROBES["ordered"](rows, 5, 30).bits
    chosen = rows.held_out
    order = np.random.default_rng([5, 2, chosen[0]]).permutation(3)
    units = rows.units[chosen][:, order]
    ids = np.concatenate([rows.sources[chosen], np.stack([np.tile(21 + order, (20, 1)), units], 2).reshape(20, -1)], 1)
    logits = kept[0].network.logits(positions_first(ids), 6)[::2].log_softmax(-1)  # behind the markers
    found = bits([order[:step] for step in range(3)], False, chosen)
    for step, slot in enumerate(order):
        expected = -logits[step, range(20), torch.from_numpy(units[:, step])] / np.log(2)
        assert np.allclose(found[step, slot], expected, atol=1e-4)


def test_a_probe_row_knows_its_slots():
    rows = ProbeRows(np.zeros((2, 0), np.int64), np.array([[0, 2], [1, 3]]), np.array([0]), np.array([1]), 4)
    assert rows.slots == 2


def test_hidden_sources_all_look_alike():
    rows = ProbeRows(np.array([[3, 4], [5, 4]]), np.array([[0, 2], [1, 3]]), np.array([0]), np.array([1]), 7)
    assert rows.read(np.array([1, 0, 1]), np.array([False, True, True])).tolist() == [[5, 4], [6, 6], [6, 6]]


def test_the_network_is_kept_that_cost_least_on_held_out_rows():
    """Coins are learnt by heart after some hundred steps: what is kept is as good as a coin, the last steps are not."""
    from mireorder.information.probes.train import PATIENCE

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


# -- units that are spelled out


def spelled_rows(rows=40):
    """Three slots of 0 to 3 bytes, then an end; the third slot repeats the first."""
    draw, end = np.random.default_rng(0), 8
    units = np.full((rows, 3, 4), end)
    for row in range(rows):
        for slot in range(2):
            length = draw.integers(0, 4)
            units[row, slot, :length] = draw.integers(9, 12, length)
        units[row, 2] = units[row, 0]
    half = np.arange(rows // 2)
    sources = draw.integers(0, 8, (rows, 2))
    return ProbeRows(sources, units.reshape(rows, -1), half, half + rows // 2, 13, places=4, end=end)


def test_what_stands_behind_the_end_of_a_unit_does_not_count():
    rows = ProbeRows(
        np.zeros((1, 0), np.int64), np.array([[5, 2, 2, 2, 2, 2, 4, 5, 6]]), np.arange(0), np.arange(1), 9, 3, 2
    )
    ids, wanted = rows.written(np.array([0]))
    assert rows.slots == 3 and ids.tolist() == [[[5, 2, 2], [2, 2, 2], [4, 5, 6]]]
    assert wanted.tolist() == [[[5, 2, -100], [2, -100, -100], [4, 5, 6]]]
    symbols = ProbeRows(np.zeros((1, 0), np.int64), np.array([[5, 2]]), np.arange(0), np.arange(1), 9)
    assert [of.tolist() for of in symbols.written(np.array([0]))] == [[[[5], [2]]]] * 2


@pytest.mark.parametrize("hidden", [False, True])
def test_spelled_units_cost_what_their_ids_cost_in_the_whole_row(monkeypatch, hidden):
    """Read off set by set, or in one pass over the row as it is learnt."""
    rows, kept = spelled_rows(), []

    def train_and_keep(*args, **options):
        kept.append(train(*args, **options))
        kept[0].network.weights.add_(0.2 * torch.randn_like(kept[0].network.weights))
        return kept[0]

    monkeypatch.setattr("mireorder.information.probes.ordered.train", train_and_keep)
    bits, chosen = PROBES["ordered"](rows, 5, 30).bits, rows.held_out
    order = np.random.default_rng([5, 2, chosen[0]]).permutation(3)
    found = bits([order[:step] for step in range(3)], hidden, chosen)
    ids, wanted = (of[:, order] for of in rows.written(chosen))
    read = [rows.read(chosen, np.full(20, hidden))]
    for step, slot in enumerate(order):
        read += [np.full((20, 1), 13 + slot), ids[:, step]]
    logits = kept[0].network.logits(positions_first(np.concatenate(read, 1)), 15).log_softmax(-1)
    for step, slot in enumerate(order):
        cost = np.zeros(20)
        for place in range(4):
            counts = wanted[:, step, place] >= 0
            nats = -logits[5 * step + place, range(20), torch.from_numpy(ids[:, step, place])].numpy()
            cost += np.where(counts, nats, 0) / np.log(2)
        assert np.allclose(found[step, slot], cost, atol=1e-4)


def test_sets_of_spelled_units_cost_together_what_they_cost_alone():
    rows = spelled_rows()
    bits = PROBES["ordered"](rows, 0, 30).bits
    sets = [(), (0,), (2, 1), (0, 2), (0, 1, 2), (1,)]
    for emitted, found in zip(sets, bits(sets, False, rows.held_out), strict=True):
        assert np.allclose(bits([emitted], False, rows.held_out)[0], found, atol=1e-4, equal_nan=True)
        assert np.isnan(found).all(1).tolist() == [slot in emitted for slot in range(3)]


def test_a_spelled_copy_is_free_once_the_other_is_read():
    rows = spelled_rows(200)
    found = PROBES["ordered"](rows, 0, 300)
    alone, behind = found.bits([(), (0,)], False, rows.held_out)
    assert behind[2].mean() < 0.5 * alone[2].mean()
    assert alone[1].mean() == pytest.approx(found.loss, rel=0.4), "of a whole unit, not of a byte"
