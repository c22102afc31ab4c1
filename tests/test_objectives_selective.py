"""Selective learning: a reference model says which tokens count, and every way that a dataset takes honours it."""

import json
import math
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("trl")

import naive_objectives as naive
import pyarrow as pa
import torch
from datasets import Features, List, Value, load_from_disk
from models import tiny
from test_objectives_losses import COST, LABELS, ROW, SCORES, TOTAL, batch, constant, loss_of

from mireorder import apply, check, export, fit
from mireorder.cli import main
from mireorder.errors import InputError, MireorderError
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.training.budget import Budget
from mireorder.training.loop import Learner, to_rows
from mireorder.training.objectives.selective import Selective, kept_tokens, reference_scores
from mireorder.training.presets import build, pretrained
from mireorder.training.train import train
from mireorder.training.weigh import weigh

SUMS = [{"question": f"{a}+{b}=", "answer": f"{a + b}"} for a in range(12) for b in range(12)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A dataset in token form, the model that it is of, and the same weighed: 60 of 100 tokens."""
    folder = tmp_path_factory.mktemp("selective")
    tokenizer = character_tokenizer(["0123456789+= "])
    model = tiny("llama", tokenizer, folder / "model")
    plan = fit(SUMS, source="question", target="answer", cutter="digits", order="reverse")
    apply(SUMS, plan, form="token", tokenizer=model, out=folder / "data")
    weigh(folder / "data", model, folder / "weighed")
    return folder


# -- the loss


def test_weighted_tokens_by_hand():
    kept = torch.tensor([[0.0, 0, 1, 0, 1]])
    assert loss_of(Selective(), weights=kept) == pytest.approx((COST[2] + COST[3]) / 2, abs=1e-6)
    real = torch.tensor([[9.0, 9, 0.5, 0, 2]])  # what stands on the prompt counts for nothing
    assert loss_of(Selective(), weights=real) == pytest.approx((0.5 * COST[2] + 2 * COST[3]) / 2.5, abs=1e-6)


def test_a_batch_of_which_nothing_is_learnt_has_loss_0_and_a_gradient_of_0():
    model = constant()
    loss = Selective().loss(model, None, batch(LABELS, ids=[ROW], weights=torch.zeros(1, 5)))
    loss.backward()
    assert loss.item() == 0
    assert all(weight.grad is None or not weight.grad.any() for weight in model.parameters())


def test_tokens_chosen_online_by_hand():
    """Two of three: those whose losses lie furthest above the reference's, here 0.1, 5 and 0.2."""
    reference = torch.tensor([[0.0, 0, COST[2] - 0.1, COST[1] - 5, COST[3] - 0.2]])
    found = loss_of(Selective(online=True, keep=0.66), reference_losses=reference)
    assert found == pytest.approx((COST[1] + COST[3]) / 2, abs=1e-6)


def test_a_reference_by_hand():
    losses, entropies = reference_scores(constant(), torch.tensor([ROW]), torch.tensor([LABELS]))
    expected = sum(math.exp(score - TOTAL) * (TOTAL - score) for score in SCORES)
    assert losses[0].tolist() == pytest.approx([0, 0, COST[2], COST[1], COST[3]], abs=1e-6)
    assert entropies[0].tolist() == pytest.approx([0, 0, *[expected] * 3], abs=1e-6)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30), st.floats(0.01, 1))
def test_the_tokens_kept_are_those_of_plain_loops(scores, keep):
    losses, entropies = (np.array(of, np.float32) for of in zip(*scores, strict=True))
    assert kept_tokens(losses, entropies, keep).tolist() == naive.kept(losses.tolist(), entropies.tolist(), keep)


# -- weigh


def test_a_weighed_dataset_is_the_same_with_two_columns(made):
    before, after = (load_from_disk(str(made / name))["train"] for name in ("data", "weighed"))
    assert after.remove_columns(["weights", "reference_losses"]).to_list() == before.to_list()
    assert check(made / "weighed").ok
    model, flat = pretrained(str(made / "model")), {"losses": [], "entropies": [], "weights": []}
    for row in after:
        likely = model(torch.tensor([row["input_ids"]])).logits[0].detach().double().log_softmax(-1)
        for at, label in enumerate(row["labels"]):
            if label == -100:
                assert row["weights"][at] == row["reference_losses"][at] == 0
                continue
            flat["losses"].append(-float(likely[at - 1, label]))
            flat["entropies"].append(-float((likely[at - 1].exp() * likely[at - 1]).sum()))
            flat["weights"].append(row["weights"][at])
            assert row["reference_losses"][at] == pytest.approx(flat["losses"][-1], abs=1e-5)
    assert sum(flat["weights"]) == round(0.6 * len(flat["weights"]))
    kept = [loss for loss, weight in zip(flat["losses"], flat["weights"], strict=True) if weight]
    assert sum(kept) / len(kept) < sum(flat["losses"]) / len(flat["losses"])


@pytest.mark.parametrize("empty", ["test", "train"])
def test_a_split_whose_rows_are_all_rejected_is_weighed_too(empty, made, tmp_path):
    whole = "train" if empty == "test" else "test"
    plan, bad = fit(SUMS, source="question", target="answer", cutter="digits"), [{"question": "1+x=", "answer": "x"}]
    data = {empty: bad, whole: SUMS}
    apply(data, plan, form="token", tokenizer=made / "model", out=tmp_path / "data", reject=True)
    found = weigh(tmp_path / "data", made / "model", tmp_path / "out")
    written = load_from_disk(tmp_path / "out")
    assert {name: len(rows) for name, rows in written.items()} == {empty: 0, whole: len(SUMS)}
    assert found.kept == round(0.6 * found.tokens) and check(tmp_path / "out").ok


def test_references_that_can_not_weigh_are_refused(made, tmp_path):
    other = tiny("llama", character_tokenizer(["0123456789+=xyz "]), tmp_path / "other")
    with pytest.raises(MireorderError, match=r"was cut with another tokenizer than that of .*; apply the plan again"):
        weigh(made / "data", other, tmp_path / "out")
    with pytest.raises(InputError, match=r"preset nano starts from random weights, .*; train one first"):
        weigh(made / "data", "nano", tmp_path / "out")
    with pytest.raises(InputError, match=r"share of tokens to keep is above 0 and at most 1, not 1\.5"):
        weigh(made / "data", str(made / "model"), tmp_path / "out", keep=1.5)
    with pytest.raises(InputError, match="has a column weights or reference_losses; weigh the dataset that"):
        weigh(made / "weighed", str(made / "model"), tmp_path / "out")
    plan = fit(SUMS, source="question", target="answer", cutter="digits", order="reverse")
    apply(SUMS, plan, out=tmp_path / "text")
    with pytest.raises(InputError, match=r"it takes token form, .*text form; write it with 'mireorder apply --form"):
        weigh(tmp_path / "text", str(made / "model"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weigh_on_the_command_line(made, tmp_path, capsys):
    command = f"weigh {made / 'data'} --reference {made / 'model'} --keep 0.7 --out {tmp_path / 'out'} --json"
    with pytest.raises(SystemExit, match="0"):
        main(command.split())
    found = json.loads(capsys.readouterr().out)
    assert found["kept"] == round(0.7 * found["tokens"])
    assert load_from_disk(str(tmp_path / "out"))["train"].column_names[-2:] == ["weights", "reference_losses"]


# -- training on it


@pytest.mark.slow
@pytest.mark.parametrize("name", ["selective", "selective-online"])
def test_the_stock_trainer_learns_the_tokens_that_count(name, made, tmp_path):
    found = train(made / "weighed", str(made / "model"), tmp_path / "m", Budget(2, 8), objective=name, log_every=1)
    plain = train(made / "weighed", str(made / "model"), tmp_path / "p", Budget(2, 8), log_every=1)
    assert found.losses[0] != plain.losses[0]
    assert found.parameters == plain.parameters


def test_rows_that_have_no_weights_are_refused(made, tmp_path):
    with pytest.raises(InputError, match=r"has no column weights beside input_ids; write it with 'mireorder weigh'"):
        train(made / "data", str(made / "model"), tmp_path / "m", objective="selective")


@pytest.mark.parametrize("wrong", [[1.0], [-1.0] * 9, [float("nan")] * 9, None])
def test_weights_that_do_not_fit_are_refused_with_their_row(wrong, made, tmp_path):
    shutil.copytree(made / "weighed", tmp_path / "data")
    data = load_from_disk(str(made / "weighed"))
    rows = data["train"].to_list()
    rows[7]["weights"] = wrong if wrong is None or len(wrong) < 2 else wrong[:1] * len(rows[7]["input_ids"])
    types = data["train"].features | {"weights": List(Value("float32"))}
    data["train"] = data["train"].from_list(rows, features=Features(types))
    data.save_to_disk(str(tmp_path / "new"))
    for split in ("train",):
        shutil.rmtree(tmp_path / "data" / split)
        shutil.copytree(tmp_path / "new" / split, tmp_path / "data" / split)
    with pytest.raises(InputError, match=r"split train, row 7: weights has .* for \d+ tokens.*; write it with"):
        train(tmp_path / "data", str(made / "model"), tmp_path / "m", objective="selective")


def test_in_a_comparison_a_model_becomes_its_own_reference():
    tokenizer = character_tokenizer(["0123456789"])
    ids = torch.randint(0, len(tokenizer), (20, 6), generator=torch.Generator().manual_seed(0)).tolist()
    rows, every = to_rows(ids, ids), np.arange(20)

    def losses(objective):
        learner = Learner(build("tiny", tokenizer, 8, seed=1), rows, Budget(8, 20), 1e-3, objective)
        assert learner.costs(every)["extra_parameters"] == 0
        return [float(learner.step(every)) for _ in range(8)]

    from mireorder.training.objectives.ntp import Ntp

    plain, found = losses(Ntp()), losses(Selective())
    assert found[:2] == plain[:2], "a quarter of the steps"
    assert all(mine < theirs - 0.01 for mine, theirs in zip(found[2:], plain[2:], strict=True))
    assert not rows.columns, "the rows of others stay as they are"


# -- exports


def test_exports_give_weights_or_leave_out_tokens_without(made, tmp_path):
    rows = load_from_disk(str(made / "weighed"))["train"].to_list()
    found = {}
    for to in ("trl-tokens", "loss-mask", "loss-weights", "skyrl"):
        export(made / "weighed", to, tmp_path / to)
        found[to] = pa.parquet.read_table(tmp_path / to / "train.parquet").to_pylist()
    for number, row in enumerate(rows):
        kept = [int(weight > 0) for weight in row["weights"]]
        labels = [label if keep else -100 for label, keep in zip(row["labels"], kept, strict=True)]
        assert found["trl-tokens"][number]["labels"] == labels
        assert found["loss-mask"][number]["loss_mask"] == kept
        assert found["loss-weights"][number]["loss_weights"] == row["weights"]
        actions = found["skyrl"][number]["num_actions"]
        assert found["skyrl"][number]["loss_mask"] == (kept[-actions:] if actions else [])
        assert sum(kept[: len(kept) - actions]) == 0
    export(made / "data", "loss-weights", tmp_path / "plain")
    plain = pa.parquet.read_table(tmp_path / "plain" / "train.parquet").to_pylist()
    assert plain[0]["loss_weights"] == [float(label != -100) for label in rows[0]["labels"]]


def test_batches_of_weights_are_as_wide_as_the_rows():
    wide = batch(LABELS, LABELS[:4], weights=torch.tensor([[0, 0, 1, 0, 1.0], [0, 0, 0, 1, 0]]))
    found = Selective().loss(constant(), None, wide).item()
    assert found == pytest.approx((COST[2] + COST[3] + COST[1]) / 3, abs=1e-6)
