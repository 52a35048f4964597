"""The policy alarms only where a difference is both certain and large enough to matter."""

from __future__ import annotations

import pytest

from jupyter_mlops.errors import BadInput
from jupyter_mlops.statistics import DriftPolicy, Evidence


def test_significance_alone_is_no_alarm_and_neither_is_size():
    certain_but_small = Evidence(p_value=1e-9, effect=0.01, floor=0.05)
    large_but_uncertain = Evidence(p_value=0.3, effect=0.4, floor=0.05)
    both = Evidence(p_value=1e-9, effect=0.05, floor=0.05)

    verdicts = DriftPolicy().judge([certain_but_small, large_but_uncertain, both])

    assert [alarm for _, alarm in verdicts] == [False, False, True]


def test_the_same_test_needs_more_certainty_in_a_larger_batch():
    one = Evidence(p_value=0.01, effect=0.3, floor=0.05)
    quiet = [Evidence(p_value=0.9, effect=0.3, floor=0.05)] * 99

    assert DriftPolicy().judge([one])[0] == (0.01, True)
    adjusted, alarm = DriftPolicy().judge([one, *quiet])[0]
    assert adjusted == pytest.approx(0.9)
    assert not alarm


def test_nothing_to_judge_is_no_alarm():
    assert DriftPolicy().judge([]) == []


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"alpha": 0}, "alpha 0 "),
        ({"alpha": 1.5}, "alpha 1.5"),
        ({"numeric_floor": -0.1}, "numeric_floor"),
        ({"categorical_floor": 2}, "categorical_floor"),
        ({"least_rows": 50}, "least_rows 50 and enough_rows 30"),
        ({"least_rows": 0}, "least_rows 0"),
    ],
)
def test_a_policy_that_cannot_work_is_refused(settings, says):
    with pytest.raises(BadInput, match=says):
        DriftPolicy(**settings)
