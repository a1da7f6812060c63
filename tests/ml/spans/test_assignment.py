from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.spans.assignment import eval_quota, new_in_eval

shares = st.floats(0.01, 0.99)


@pytest.mark.parametrize(
    ("samples", "share", "quota"), [(0, 0.2, 0), (1, 0.9, 0), (2, 0.2, 1), (2, 0.9, 1), (10, 0.2, 2), (1000, 0.25, 250)]
)
def test_the_quota_of_a_stratum(samples: int, share: float, quota: int) -> None:
    assert eval_quota(samples, share) == quota


@given(st.integers(2, 10**6), shares)
def test_a_stratum_of_two_or_more_is_on_both_sides(samples: int, share: float) -> None:
    assert 1 <= eval_quota(samples, share) <= samples - 1


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000), shares)
def test_new_samples_meet_the_quota_wherever_placed_ones_leave_room(
    new: int, in_eval: int, in_train: int, share: float
) -> None:
    to_eval = new_in_eval(new=new, known_in_eval=in_eval, known_in_train=in_train, share=share)
    quota = eval_quota(new + in_eval + in_train, share)
    assert 0 <= to_eval <= new
    if in_eval <= quota <= in_eval + new:
        assert in_eval + to_eval == quota
    else:
        assert to_eval == (0 if in_eval > quota else new)
