"""The gamma function and its kin against scipy's."""

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from mireorder.information.special import digamma, log_gamma, scaled_exp1, trigamma_of_next, x_log_x

POSITIVE = st.floats(1e-9, 1e18)


def scaled_by_scipy(x):
    return float(scipy.special.exp1(x) * np.exp(x)) if x < 500 else (1 - (1 - (2 - (6 - 24 / x) / x) / x) / x) / x


OF_SCIPY = {
    log_gamma: scipy.special.gammaln,
    digamma: scipy.special.psi,
    trigamma_of_next: lambda x: scipy.special.polygamma(1, x + 1),
    scaled_exp1: scaled_by_scipy,
    x_log_x: lambda x: scipy.special.xlogy(x, x),
}


@pytest.mark.parametrize("ours", OF_SCIPY, ids=lambda of: of.__name__)
@given(st.lists(POSITIVE, min_size=1, max_size=9))
def test_as_scipy(ours, x):
    found = ours(np.array(x))
    assert found.shape == (len(x),)
    for of, value in zip(x, found, strict=True):
        assert value == pytest.approx(OF_SCIPY[ours](of), rel=2e-11, abs=1e-13), of


def test_known_values():
    assert digamma(1.0) == pytest.approx(-np.euler_gamma, rel=1e-15)
    assert digamma(np.arange(2, 6)) == pytest.approx(-np.euler_gamma + np.array([1, 3 / 2, 11 / 6, 25 / 12]), rel=1e-15)
    assert np.exp(log_gamma(np.array([1, 2, 5, 11]))) == pytest.approx([1, 1, 24, 3628800], rel=1e-13)
    assert trigamma_of_next(np.zeros(1))[0] == pytest.approx(np.pi**2 / 6, rel=1e-14)
    assert scaled_exp1(1.0) == pytest.approx(np.e * 0.21938393439552027, rel=1e-14)
    assert x_log_x(np.array([0, 1, 2])) == pytest.approx([0, 0, 2 * np.log(2)], rel=1e-15)


@given(st.lists(POSITIVE, min_size=4, max_size=4))
def test_any_shape(x):
    table = np.array(x).reshape(2, 2)
    for ours in OF_SCIPY:
        assert (ours(table) == ours(table.ravel()).reshape(2, 2)).all()
