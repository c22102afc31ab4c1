"""Scores of label sets: hand-derived, and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, hamming_loss, precision_score, recall_score

from mireorder.errors import InputError
from mireorder.evaluate.labels import score_labels

NAMES = ("joy", "anger", "fear")


def test_scores_by_hand():
    found = score_labels([{"joy"}, ["joy", "anger"], None, set()], [{"joy"}, {"anger"}, {"joy"}, set()], names=NAMES)
    assert (found.several, found.several_accuracy) == (0, 0)
    assert (found.rows, found.whole) == (4, 3)
    assert found.label_accuracy == 8 / 12  # 3 + 2 + 0 for the one that is no set + 3
    assert found.subset_accuracy == 2 / 4
    joy, anger, fear = found.labels
    assert (joy.support, joy.predicted, joy.hits) == (2, 2, 1)
    assert (joy.precision, joy.recall, joy.f1) == (1 / 2, 1 / 2, 1 / 2)
    assert (anger.precision, anger.recall, anger.f1) == (1, 1, 1)
    assert (fear.precision, fear.recall, fear.f1) == (0, 0, 0)
    assert found.micro_f1 == 2 * 2 / (3 + 3)
    assert found.macro_f1 == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert found.as_dict()["whole"] == 3 / 4


SETS = st.lists(st.sets(st.sampled_from(NAMES)), min_size=1, max_size=20)


@given(SETS, st.data())
def test_scores_are_those_of_scikit_learn(targets, data):
    answers = data.draw(st.lists(st.sets(st.sampled_from(NAMES)), min_size=len(targets), max_size=len(targets)))
    found = score_labels(answers, targets, NAMES)
    true, predicted = (
        np.array([[name in labels for name in NAMES] for labels in sets], int) for sets in (targets, answers)
    )
    assert found.label_accuracy == pytest.approx(1 - hamming_loss(true, predicted))
    assert found.subset_accuracy == pytest.approx(accuracy_score(true, predicted))
    several = true.sum(1) > 1
    assert found.several == several.sum()
    if several.any():
        assert found.several_accuracy == pytest.approx(accuracy_score(true[several], predicted[several]))
    for average, value in {"micro": found.micro_f1, "macro": found.macro_f1}.items():
        assert value == pytest.approx(f1_score(true, predicted, average=average, zero_division=0))
    for score, of in ((precision_score, "precision"), (recall_score, "recall"), (f1_score, "f1")):
        expected = score(true, predicted, average=None, zero_division=0)
        assert [getattr(one, of) for one in found.labels] == pytest.approx(list(expected))
    assert [one.support for one in found.labels] == true.sum(0).tolist()


@given(SETS)
def test_the_truth_scores_1(targets):
    found = score_labels(targets, targets, NAMES)
    assert (found.label_accuracy, found.subset_accuracy, found.whole) == (1, 1, len(targets))
    assert all(one.f1 == (1 if one.support else 0) for one in found.labels)


def test_labels_that_nobody_named_are_refused():
    with pytest.raises(InputError, match="row 1: label 'hate' is not among the 3 names"):
        score_labels([{"joy"}, {"hate"}], [set(), set()], NAMES)
    with pytest.raises(InputError, match="no labels"):
        score_labels([], [], ())


def test_no_rows_score_nothing():
    assert score_labels([], [], NAMES).as_dict() == {
        "label_accuracy": 0,
        "subset_accuracy": 0,
        "several_accuracy": 0,
        "micro_f1": 0,
        "macro_f1": 0,
        "whole": 0,
    }
