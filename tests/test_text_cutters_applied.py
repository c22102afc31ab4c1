"""Text cutters: fit and apply."""

import io
import json
from pathlib import Path

import naive_text
import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from lossless import batch_of, emissions, settled
from test_ordering import restore
from test_text_cutters import PLAIN, READING, WITH_SPLITTER, pairs, texts, units_or_none

from mireorder import Plan, Presence, apply, check, cli, fit
from mireorder.cutting import Lines, Sentences, Spans, Words
from mireorder.errors import InputError
from mireorder.ordering.order import Order
from mireorder.restoring.units import Restored


def prove(data, plan, targets):
    rows = apply(data, plan)["train"]
    assert rows["target"][:] == targets
    for row, text in zip(rows, targets, strict=True):
        assert row["prompt"] == data["q"][int(row["row_id"].split(":")[1])]
        assert row["completion"].startswith(" "), "the space between prompt and completion opens it"
        assert plan.restore(row["completion"]) == Restored(text, "complete")
    return rows


@pytest.mark.parametrize("policy", ["plain", "reverse", "random", "max"])
@pytest.mark.parametrize("name", PLAIN)
@settings(max_examples=8)
@given(targets=st.lists(texts, min_size=1, max_size=6), between=st.sampled_from([None, " ", "=> ", "\n", ""]))
def test_every_policy_comes_back(name, policy, targets, between):
    kept = [text for text in targets if units_or_none(PLAIN[name], text) is not None] or [""]
    data = pairs(list(enumerate(kept)))
    criterion = Presence(words=5) if policy == "max" else "auto"
    order = Order(policy, criterion, shuffles=0, resamples=0)
    plan = fit(data, reading=READING, cutter=PLAIN[name], order=order, between=between)
    rows = apply(data, plan)["train"]
    assert rows["target"][:] == kept
    assert [plan.restore(completion) for completion in rows["completion"]] == [Restored(t, "complete") for t in kept]
    if policy == "plain":
        assert rows["completion"][:] == [plan.completion_start + text for text in kept]


@WITH_SPLITTER
@pytest.mark.parametrize("policy", ["plain", "reverse", "random", "max"])
@pytest.mark.parametrize("cutter", [Words(width=12), Lines(), Spans(), Sentences()], ids=lambda cutter: cutter.name)
def test_real_text_is_reordered_and_proved(real, tmp_path, cutter, policy):
    """Abstracts of one sentence summaries: 12 words at most, so that scores can be found."""
    targets = naive_text.real_texts(real, "scitldr")[:200]
    data = pairs(list(enumerate(targets)))
    criterion = Presence(words=20) if policy == "max" else "auto"
    order = Order(policy, criterion, shuffles=0, resamples=0)
    plan = fit(data, reading=READING, cutter=cutter, order=order, reject=True)
    dataset = apply(data, plan, out=tmp_path / "out", reject=True)["train"]
    checked = check(tmp_path / "out")
    assert checked.ok, checked.failures
    assert checked.passed["restored"] == len(dataset) == 200 - plan.rejected
    if cutter.name in ("lines", "spans"):
        assert plan.rejected == 0
    if policy == "reverse":
        joiner = plan.cutter.joiner
        for row in dataset:
            assert row["completion"] == " " + joiner.join(
                plan.cutter.cut(batch_of([row["target"]])).units.to_pylist()[::-1]
            )


def test_policies_that_look_at_no_scores_take_any_length():
    words = [str(number) for number in range(5000)]
    data = pairs([(0, " ".join(words)), (1, "a b")])
    for policy in ("plain", "reverse", "random"):
        plan = fit(data, reading=READING, cutter="words", order=Order(policy, seed=3))
        assert (plan.criterion, plan.scores, plan.permutations) == ({"name": "none"}, [], {})
        assert Plan.from_dict(json.loads(plan.to_json())) == plan
        rows = prove(data, plan, [" ".join(words), "a b"])
        assert rows[0]["permutation"] == plan.permutation
    assert sorted(plan.permutation) == list(range(5000)) != plan.permutation


@pytest.mark.parametrize("policy", ["plain", "reverse", "random"])
def test_an_order_that_looks_at_no_scores_is_the_same_without_a_criterion(policy):
    data = Dataset.from_dict({"q": [f"{n}+{n}" for n in range(30)], "a": [str(2 * n) for n in range(30)]})
    scored = fit(data, reading=READING, cutter="digits", order=Order(policy, seed=5))
    bare = fit(data, reading=READING, cutter="digits", order=Order(policy, criterion=None, seed=5))
    assert scored.criterion["name"] == "joint" and scored.scores  # what other cutters have counted stays
    assert bare.criterion == {"name": "none"} and bare.tie_breaker is None and not bare.scores
    assert bare.permutation == scored.permutation and bare.permutations == scored.permutations
    assert (bare.rows, bare.source_fingerprint) == (scored.rows, scored.source_fingerprint)


def test_scores_without_a_criterion_or_of_too_many_slots_are_refused():
    data = pairs([(0, "a b c"), (1, " ".join("ab" * 40))])
    with pytest.raises(InputError, match=r"policy max looks at scores.* plain, reverse, random"):
        fit(data, reading=READING, cutter="words", order=Order(criterion="none"))
    problem = "up to 80 words, and scores are found for 64 at most.*width=64 and reject=True.*criterion='none'"
    with pytest.raises(InputError, match=problem):
        fit(data, reading=READING, cutter="words", order=Order(criterion="presence"))


def test_the_plan_of_text_does_not_depend_on_shards(tmp_path):
    targets = [f"a{row % 3} b{row % 5}  c{row % 2}" for row in range(90)]
    data = pairs(list(enumerate(targets)))
    order = Order(criterion=Presence(words=5), resamples=5)
    options = {"reading": READING, "cutter": Words(vocabulary=4), "order": order}
    whole = fit(data, workers=1, **options).to_json()
    for shards, workers in [(2, 1), (7, 3)]:
        files = []
        for shard in range(shards):
            files.append(str(tmp_path / f"{shard}-{shards}.jsonl"))
            data.select(range(shard, 90, shards)).to_json(files[-1])
        assert fit(files[::-1], workers=workers, **options).to_json() == whole


def test_the_command_line_cuts_text(tmp_path, monkeypatch, capsys):
    def run(line, **options):
        with pytest.raises(SystemExit) as ended:
            cli.main([part.replace("_", " ") for part in line.split()])
        return (ended.value.code or 0, *capsys.readouterr())

    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.jsonl").write_text(
        "".join(json.dumps({"q": str(n), "a": f"one, {n}, three"}) + "\n" for n in range(9))
    )
    status, out, err = run(
        "fit d.jsonl --source q --target a --cutter spans --delimiter ,_ --policy reverse --out plan"
    )
    assert (status, err) == (0, "") and "3 2 1" in out and "reverse, kind fixed" in out
    assert run("apply d.jsonl --plan plan --out out")[0] == 0 and run("check out")[0] == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("three, 7, one\n"))
    assert run("restore plan")[:2] == (0, "one, 7, three\n")
    status, _, err = run("inspect plan --png scores.png")
    assert status == 2 and "the plan has no scores to draw; fit it with a --criterion" in err
    status, _, err = run("fit d.jsonl --source q --target a --cutter words --criterion none --out other")
    assert status == 2 and "policy max looks at scores" in err
    status, _, err = run("fit d.jsonl --source q --target a --cutter words --criterion none --k 2 --out other")
    assert status == 2 and "criterion none takes no --k" in err
    status, out, _ = run("fit d.jsonl --source q --target a --cutter words --criterion presence --width 9 --out max")
    assert status == 0 and Plan.load("max").units[-1] == "9"


def test_a_row_longer_than_the_plan_is_refused_by_its_row():
    plan = fit(pairs([(0, "a b"), (1, "c")]), reading=READING, cutter="words", order="reverse")
    with pytest.raises(InputError, match="train, row 1: target has 3 words, the plan is for 2; fit with width=3"):
        apply(pairs([(0, "a"), (1, "a b c")]), plan)


# --- real text -------------------------------------------------------------------------------------------------


def real_targets(real: Path, name: str, rows: int | None) -> list[str]:
    return naive_text.real_texts(real, name)[:rows]


@WITH_SPLITTER
@pytest.mark.parametrize("cutter", [Words(), Lines(), Spans(), Sentences(joiner="\x1f")], ids=lambda c: c.name)
@pytest.mark.parametrize("name", ["wikitext2", "scitldr", "goemotions", "jigsaw"])
def test_real_text_comes_back(real, name, cutter):
    targets = real_targets(real, name, 300)
    batch = batch_of(targets)
    cutter = settled(cutter, batch)
    cut = cutter.cut(batch)
    assert not cut.problems
    order = np.random.default_rng(0).permutation(cutter.width).tolist()
    for emitted, text in zip(emissions(cutter, cut, order), targets, strict=True):
        assert restore(cutter, order, emitted) == Restored(text, "complete")
