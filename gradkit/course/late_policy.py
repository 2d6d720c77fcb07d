"""Late work: what a submission loses that came after the date on which it was due."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gradkit.course.declared import declared, is_number

POLICIES = ("none", "fixed", "per day")
DAY = timedelta(days=1)


def _is_moment(value: object) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None


def _is_percent(value: Any) -> bool:
    return is_number(value) and 0 <= value <= 100


@dataclass(frozen=True)
class LatePolicy:
    """[late]: when the work is due, and what becomes of work that comes later.

    What is lost is a part of all the points that can be earned, not of those that were, so that a
    day costs everyone the same; it is never more than what was earned.
    """

    due: datetime | None = declared(
        "when the work is due",
        _is_moment,
        "a date and time with its offset from UTC, as in 2026-03-01T23:59:00+01:00",
        default=None,
    )
    grace_hours: float = declared(
        "how many hours later still count as in time",
        lambda value: is_number(value) and value >= 0,
        "hours",
        default=0.0,
    )
    policy: str = declared(
        "what late work loses: nothing, `percent` once, or `percent` for each day that has begun",
        lambda value: value in POLICIES,
        f"one of {', '.join(map(repr, POLICIES))}",
        default="none",
    )
    percent: float = declared(
        "of all points that can be earned", _is_percent, "a number from 0 to 100", default=0.0
    )

    def by(self, received: datetime | None) -> timedelta:
        """How late a submission came: 0 if it was in time, if there is no due date, or no time."""
        if self.due is None or received is None:
            return timedelta(0)
        by = received - self.due
        return by if by > timedelta(hours=self.grace_hours) else timedelta(0)

    def deduction(self, received: datetime | None, earned: float, maximum: float) -> float:
        """The points that a submission loses of those that it has earned."""
        by = self.by(received)
        if not by or self.policy == "none":
            return 0.0
        times = 1 if self.policy == "fixed" else math.ceil(by / DAY)
        return min(earned, round(times * self.percent / 100 * maximum, 2))


def how_long(by: timedelta) -> str:
    """A stretch of time as people say it: "2 d 3 h", "1 h 5 min"."""
    minutes = max(1, math.ceil(by / timedelta(minutes=1)))
    days, minutes = divmod(minutes, 24 * 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number)
