"""Times in texts that people and platforms write, such as `2026-03-01 23-59-10` in a file name."""

import re
from datetime import UTC, datetime

_TIME = re.compile(
    r"(?<!\d)(?P<year>20\d\d)(?P<dash>[-_.]?)(?P<month>\d\d)(?P=dash)(?P<day>\d\d)"
    r"(?:[T _.-]+(?P<hour>\d\d)[-_:.h]?(?P<minute>\d\d)(?:[-_:.m]?(?P<second>\d\d)(?:[.,]\d+)?)?"
    r" ?(?P<zone>Z|UTC|[+-]\d\d:\d\d)?)?(?!\d)"
)


def find_time(text: str) -> tuple[datetime, int, int] | None:
    """Return the first time in a text, with its start and end.

    It is UTC, or without a zone if the text names none.
    """
    for match in _TIME.finditer(text):
        if time := _time_of(match):
            return time, match.start(), match.end()
    return None


def _time_of(match: re.Match[str]) -> datetime | None:
    # Eight digits alone, or with four more, are as likely to be a student's number.
    if not match["dash"] and not match["second"]:
        return None
    date = f"{match['year']}-{match['month']}-{match['day']}"
    time = f"{match['hour'] or '00'}:{match['minute'] or '00'}:{match['second'] or '00'}"
    zone = "+00:00" if match["zone"] in ("Z", "UTC") else match["zone"]
    try:
        found = datetime.fromisoformat(f"{date}T{time}{zone or ''}")
        return found.astimezone(UTC) if zone else found
    except (ValueError, OverflowError):
        return None
