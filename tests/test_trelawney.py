"""Policy `trelawney`: spans in half of the rows, no loss on the mark that opens one; and RAR's own schedule."""

import numpy as np
import pyarrow as pa
import pytest
from test_schedule import PLAIN, SHUFFLE, share

from mireorder import InputError, Order, Plan, apply, check, fit
from mireorder.cli import schedules
from mireorder.dataset.forms.token import TokenForm
from mireorder.networks import IGNORED
from mireorder.ordering.bundle import Bundle
from mireorder.ordering.copying.policies import Copying, Lookahead
from mireorder.ordering.copying.trelawney import Trelawney
from mireorder.ordering.schedule import SCHEDULES, annealed
from mireorder.tokenizing.characters import character_tokenizer
from mireorder.tokenizing.tokens import load_tokenizer

ROWS = [{"q": f"q{n}", "a": f"one two three {n} five six seven"} for n in range(400)]
COLUMNS = {"source": "q", "target": "a", "cutter": "words"}


def planned(policy):
    return fit(ROWS, **COLUMNS, order=Order(Copying(policy, by_sentence=False)))


@pytest.fixture(scope="module")
def plan():
    return planned(Trelawney(2))


@pytest.fixture(scope="module")
def tokenizer():
    return character_tokenizer([row["q"] + row["a"] for row in ROWS] + [" "])


@pytest.fixture(scope="module")
def written(plan, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trelawney") / "data"
    apply(ROWS, plan, form="token", tokenizer=tokenizer, reserve=True, out=folder)
    return folder


def test_half_of_the_rows_have_the_span_that_lookahead_takes(plan):
    half, whole = (apply(ROWS, of)["train"]["completion"][:] for of in (plan, planned(Lookahead(2))))
    copied = [text != " " + row["a"] for text, row in zip(half, ROWS, strict=True)]
    assert 160 < sum(copied) < 240
    assert all(a == b for a, b, copied in zip(half, whole, copied, strict=True) if copied)


def test_the_plan_comes_back_and_restores_both_halves(plan, bundled, tmp_path):
    plan.save(tmp_path)
    assert Plan.load(tmp_path) == plan and plan.policy == "trelawney"
    restore = bundled.Restorer.load(tmp_path).restore
    for row in apply(ROWS, plan)["train"].select(range(20)):
        assert (restore(row["completion"]).text, restore(row["completion"]).verdict) == (row["target"], "complete")


def test_only_the_opening_mark_has_no_label_behind_the_prompt(plan, written):
    from datasets import load_from_disk

    tokenizer = load_tokenizer(written / "tokenizer")
    opening, closing = tokenizer.convert_tokens_to_ids(plan.marks)
    rows, opened = load_from_disk(str(written))["train"], 0
    for row in rows:
        ids, labels = np.array(row["input_ids"]), np.array(row["labels"])
        start = int((labels != IGNORED).argmax())
        hidden = np.flatnonzero(labels[start:] == IGNORED) + start
        assert ids[hidden].tolist() == [opening] * len(hidden) and opening not in labels
        assert (closing in labels) == (len(hidden) == 1)
        assert (ids == opening).sum() == len(hidden) <= 1
        opened += len(hidden)
    assert 160 < opened < 240
    assert check(written).ok


def test_a_loss_on_the_opening_mark_breaks_a_law(plan, written):
    from datasets import load_from_disk

    rows = load_from_disk(str(written))["train"].with_format("arrow")[:]
    form = TokenForm.loaded(plan, load_tokenizer(written / "tokenizer"))
    columns = {name: rows[name].combine_chunks() for name in rows.column_names}
    assert form.breaches(plan, columns) == []
    ids, labels = columns["input_ids"].to_pylist(), columns["labels"].to_pylist()
    opened = form.opening
    learnt = [
        [i if i == opened else label for i, label in zip(*row, strict=True)] for row in zip(ids, labels, strict=True)
    ]
    found = form.breaches(plan, columns | {"labels": pa.array(learnt, pa.list_(pa.int32()))})
    assert found and {problem for _, _, problem in found} == {"the loss is not to look at the mark that opens a copy"}


def test_what_can_not_be_masked_is_refused(plan, tokenizer):
    with pytest.raises(InputError, match="the loss skips the opening mark '⟪', which is not a token of its own"):
        apply(ROWS, plan, form="token", tokenizer=tokenizer)
    with pytest.raises(InputError, match="policy trelawney has no teacherless form; pass form='token'"):
        apply(ROWS, plan, form="teacherless", tokenizer=tokenizer, reserve=True)
    held = [{"q": "a ⟪ b", "a": "one two three"}]
    with pytest.raises(InputError, match="row 0: the prompt holds the mark that opens a copy"):
        apply(held, plan, form="token", tokenizer=tokenizer, reserve=True)
    rows = [row | {"task": "copy"} for row in ROWS[:5]]
    with pytest.raises(InputError, match="a bundle has no token form in which the loss skips the marks"):
        apply(rows, Bundle.of({"copy": plan}, by="task"), form="token", tokenizer=tokenizer, reserve=True)


# -- RAR


@pytest.mark.parametrize(("phases", "shares"), [(4, [0, 0, 0.5, 1]), (8, [0, 0, 0, 0, 0.25, 0.75, 1, 1]), (400, None)])
def test_half_is_random_a_quarter_linear_a_quarter_plain(phases, shares):
    found = SCHEDULES["rar"](phases)
    assert shares is None or found == shares
    assert sum(of == 0 for of in found) == phases // 2 and sum(of == 1 for of in found) == phases // 4
    assert np.allclose(np.diff(found[phases // 2 : 3 * phases // 4]), 4 / phases)
    assert found == sorted(found)


def test_the_published_schedule_draws_anew_in_each_random_phase():
    plans = annealed(SHUFFLE, PLAIN, 8, "rar")
    assert plans[-2:] == [PLAIN, PLAIN] and plans[0] == SHUFFLE
    assert len({plan.sha256 for plan in plans[:4]}) == 4 and {plan.policy for plan in plans[:4]} == {"shuffle"}
    assert share(plans[4], [0, 1, 2]) == pytest.approx(0.25 + 0.75 / 6, abs=0.06)


def test_phases_that_have_no_quarters_and_unknown_schedules_are_refused():
    for phases in (2, 6):
        with pytest.raises(InputError, match=f"{phases} phases have no half and two quarters; take 4"):
            annealed(SHUFFLE, PLAIN, phases, "rar")
    with pytest.raises(InputError, match="there is no schedule 'rra'; did you mean 'rar'"):
        annealed(SHUFFLE, PLAIN, 4, "rra")
    assert tuple(SCHEDULES) == schedules.NAMES
