"""The fuzzers' targets, for a moment each, and what they have found."""

import fuzz
import pytest
import test_odd_plans  # noqa: F401 (hypothesis would not have tests imported within a run)
import test_standalone  # noqa: F401
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize("name", fuzz.NAMES)
@settings(max_examples=25)
@given(data=st.data())
def test_nothing_is_found(name, data):
    begun = st.sampled_from(fuzz.seeds(name))
    fuzz.TARGETS[name](data.draw(st.binary(max_size=80) | st.text(max_size=40).map(str.encode) | begun))


@pytest.mark.parametrize("name", fuzz.NAMES)
def test_what_a_target_begins_with_is_sound(name):
    for seed in fuzz.seeds(name):
        fuzz.TARGETS[name](seed)
