"""Deductions for late work: more for later, none in the grace hours, never above the points."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradkit.course.late_policy import LatePolicy, format_lateness

DUE = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
MAXIMUM = 110

policies = st.builds(
    LatePolicy,
    due=st.just(DUE),
    grace_hours=st.floats(0, 100),
    policy=st.sampled_from(["fixed", "per day"]),
    percent=st.floats(0, 100),
)
delays = st.timedeltas(timedelta(days=-30), timedelta(days=400))
earnings = st.floats(0, MAXIMUM)


@given(policies, delays, delays, earnings)
def test_later_submission_loses_no_less_and_never_more_than_its_points(
    late: LatePolicy, one: timedelta, other: timedelta, earned: float
) -> None:
    sooner, later = (late.deduction(DUE + delay, earned, MAXIMUM) for delay in sorted((one, other)))
    assert 0 <= sooner <= later <= earned


@given(policies, st.floats(0, 1), earnings)
def test_submission_within_the_grace_hours_loses_nothing(
    late: LatePolicy, part: float, earned: float
) -> None:
    received = DUE + part * timedelta(hours=late.grace_hours)
    assert late.lateness(received) == timedelta(0)
    assert late.deduction(received, earned, MAXIMUM) == 0


@given(
    st.one_of(
        st.builds(LatePolicy, policy=st.sampled_from(["fixed", "per day"]), percent=st.just(50.0)),
        st.builds(LatePolicy, due=st.just(DUE), percent=st.just(50.0)),
    ),
    delays,
    earnings,
)
def test_submission_without_due_date_or_policy_loses_nothing(
    late: LatePolicy, delay: timedelta, earned: float
) -> None:
    assert late.deduction(DUE + delay, earned, MAXIMUM) == 0


@given(policies, earnings)
def test_submission_without_a_time_loses_nothing(late: LatePolicy, earned: float) -> None:
    assert late.lateness(None) == timedelta(0)
    assert late.deduction(None, earned, MAXIMUM) == 0


def test_policy_per_day_counts_each_day_begun() -> None:
    fixed = LatePolicy(due=DUE, policy="fixed", percent=10)
    per_day = LatePolicy(due=DUE, policy="per day", percent=10)
    for late, hours, lost in (
        *((fixed, 1, 11), (fixed, 100, 11)),
        *((per_day, 1, 11), (per_day, 24, 11), (per_day, 25, 22), (per_day, 1000, 50)),
    ):
        assert late.deduction(DUE + timedelta(hours=hours), 50, MAXIMUM) == lost


def test_due_date_in_another_time_zone_is_the_same_moment() -> None:
    late = LatePolicy(
        due=datetime.fromisoformat("2026-03-02T00:59:00+01:00"), policy="fixed", percent=10
    )
    assert late.deduction(DUE, 50, MAXIMUM) == 0
    assert late.deduction(DUE + timedelta(seconds=1), 50, MAXIMUM) == 11


@pytest.mark.parametrize(
    ("lateness", "text"),
    [
        (timedelta(seconds=1), "1 min"),
        (timedelta(minutes=65), "1 h 5 min"),
        (timedelta(days=2, hours=3), "2 d 3 h"),
        (timedelta(days=1), "1 d"),
    ],
)
def test_lateness_is_formatted_in_days_hours_and_minutes(lateness: timedelta, text: str) -> None:
    assert format_lateness(lateness) == text
