"""Sakai: names in the download of an assignment's submissions ("Download All").

    Doe, Jane(jdoe)/Submission attachment(s)/softmax.zip     a folder for each student, or
    Doe, Jane(jdoe)_Submission attachment(s)_softmax.zip     every file by itself
    Doe, Jane(jdoe)/timestamp.txt                            2026-03-01T22:59:10.123Z
    Doe, Jane(jdoe)/Feedback Attachment(s)/, comments.txt    of the graders
    grades.csv, grades.xls                                   the list of students

The folder holds all attachments of the last attempt. Its names are in the language of the user who
downloads, English here. Source: zipSubmissions in AssignmentServiceImpl.java, and
SpreadsheetExporter.java, of sakaiproject/sakai (assignment/impl).
"""

import contextlib
import re
from collections.abc import Collection
from pathlib import Path

from gradkit.files import open_file
from gradkit.lms.platform import ParsedName, Platform, Submitters
from gradkit.lms.times import find_time

# A number of one or two digits in parentheses is a copy's.
_NAME = re.compile(
    r"(?P<who>[^()]*,.*?\((?!\d\d?\))(?P<user>[^()]+)\))"
    r"(?:_(?:Submission attachment\(s\)_(?P<rest>.+)|.*))?"
)
_TIMESTAMP_BYTES = 100


class Sakai(Platform):
    name = "Sakai"
    keeps_last_attempt_only = True
    submission_folder = "Submission attachment(s)"

    def parse_name(self, name: str) -> ParsedName | None:
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        is_text = match["rest"] is None and name != match["who"]
        rest = match["rest"] or ""
        return ParsedName(
            match["user"], match["who"], rest, user=match["user"], is_online_text=is_text
        )

    def own_files(self, names: Collection[str]) -> set[str]:
        return {"grades.csv", "grades.xls"}

    def read_submitters(self, folder: Path) -> dict[str, Submitters]:
        """Return the time of submission in each student's folder."""
        found = {}
        for path in folder.iterdir():
            if _NAME.fullmatch(path.name):
                with contextlib.suppress(OSError), open_file(path / "timestamp.txt") as file:
                    text = file.read(_TIMESTAMP_BYTES).decode("utf-8", "replace")
                    if time := find_time(text):
                        found[path.name] = Submitters((), time[0])
        return found
