"""The due date, and the points that a late submission loses."""

import math
from datetime import datetime, timedelta
from typing import Annotated, Literal

from msgspec import Meta, Struct

DAY = timedelta(days=1)


class LatePolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """The table [late] of exercise.toml.

    A deduction is a percentage of the maximum, not of the points earned, so that a day costs every
    student the same. It never exceeds the points earned.
    """

    due: Annotated[datetime, Meta(tz=True)] | None = None  # with its offset from UTC
    grace_hours: Annotated[float, Meta(ge=0, le=1e6)] = 0.0  # after `due`, still in time
    policy: Literal["none", "fixed", "per day"] = "none"  # lost once, or for each day begun
    percent: Annotated[float, Meta(ge=0, le=100)] = 0.0

    def lateness(self, received: datetime | None) -> timedelta:
        """Return how late a submission came: 0 in time, without a due date, or without a time.

        A time without an offset is read in the offset of the due date.
        """
        if self.due is None or received is None:
            return timedelta(0)
        received = received if received.tzinfo else received.replace(tzinfo=self.due.tzinfo)
        lateness = received - self.due
        return lateness if lateness > timedelta(hours=self.grace_hours) else timedelta(0)

    def deduction(
        self, received: datetime | None, earned: float, maximum: float, marked_late: bool = False
    ) -> float:
        """Return the points that a submission loses, at most the points `earned`.

        A platform's mark "late" without a time counts if nothing depends on the time: under the
        policy "fixed" without grace hours.
        """
        lateness = self.lateness(received)
        counts_mark = self.due and self.policy == "fixed" and not self.grace_hours
        if self.policy == "none" or not (lateness or (marked_late and counts_mark)):
            return 0.0
        times = 1 if self.policy == "fixed" else math.ceil(lateness / DAY)
        return min(earned, round(times * self.percent / 100 * maximum, 2))


def format_lateness(lateness: timedelta) -> str:
    """Return a duration as text, rounded up to minutes, such as "2 d 3 h" or "1 h 5 min"."""
    minutes = max(1, math.ceil(lateness / timedelta(minutes=1)))
    days, minutes = divmod(minutes, 24 * 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number)
