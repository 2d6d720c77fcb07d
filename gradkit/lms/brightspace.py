"""Brightspace (D2L): names in the download of an assignment's submissions.

    12345-67890 - Jane Doe - Mar 1, 2026 1159 PM/                a folder for each submission, or
    12345-67890 - Jane Doe - Mar 1, 2026 1159 PM - softmax.zip   every file by itself
    index.html                                                   the list of them

The first number is the student's, as tools that read these names have it. The time has no zone; it
is read in English. Source: README.md and d2lmf/d2lmf.py of cgmb/d2lmf; D2L documents no names. Its
import of scores needs a name or number of each user that these names do not contain.
"""

import re
from collections.abc import Collection
from datetime import datetime

from gradkit.lms.platform import ParsedName, Platform

_NAME = re.compile(
    r"(?P<user>\d+)-\d+ - (?P<who>.+?) - (?P<month>[A-Z][a-z]{2})[a-z]*\s(?P<day>\d{1,2}),"
    r"\s(?P<year>\d{4})\s(?P<hour>\d{1,2})[:._]?(?P<minute>\d\d)\s(?P<half>[AP]M)"
    r"(?: - (?P<rest>.+))?"
)


class Brightspace(Platform):
    name = "Brightspace"

    def parse_name(self, name: str) -> ParsedName | None:
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        text = "{month} {day} {year} {hour}:{minute} {half}".format_map(match.groupdict())
        try:
            time = datetime.strptime(text, "%b %d %Y %I:%M %p")
        except ValueError:
            return None
        student = f"{match['who']}_{match['user']}"
        return ParsedName(student, match["who"], match["rest"] or "", user=match["user"], time=time)

    def own_files(self, names: Collection[str]) -> set[str]:
        return {"index.html"}
