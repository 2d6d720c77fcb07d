"""The interface of a learning platform, and the plain data that goes through it.

A platform is one file of this room with a subclass of `Platform`, which `gradkit.lms` lists. All
that differs between platforms is in that file.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from gradkit.lms.tables import Cell, Student, StudentList, Table, plain_number, read_number
from gradkit.lms.words import folded


@dataclass(frozen=True)
class ParsedName:
    """The parts of a submission's name."""

    student: str  # the id that it suggests
    searched: str  # the part in which a student of a roster may be found
    original_filename: str  # the student's name for the file; the whole name if no platform added
    original_student: str = ""  # the id without the mark of a copy, such as (1)
    user: str = ""  # the platform's number of the student, or of Gradescope's submission
    file: int = 0  # Canvas's number of the file, or that of a copy; larger for a later file
    time: datetime | None = None  # in the name; without a zone if that tells none
    is_online_text: bool = False  # typed into the platform's own text field
    is_late: bool | None = None  # marked as late, or not, by a platform that marks it
    platform: "Platform | None" = None


class Submitters(NamedTuple):
    """The people of a submission, each by id, e-mail address and name; the time of submission.

    Both are empty where only the entry's name tells them.
    """

    people: tuple[tuple[str, ...], ...]
    time: datetime | None


class ItemPoints(NamedTuple):
    """The points of one check or question, with a sentence for the student."""

    title: str
    points: float | None
    out_of: int
    remark: str


class FinalScore(NamedTuple):
    """A student's final score: the submission's name, items, and a sentence about lateness."""

    student: str
    submission: str
    score: float
    items: tuple[ItemPoints, ...]
    late: str


class Export(NamedTuple):
    """A text for import, and sentences on students left out and on what does not fit."""

    text: str
    notes: list[str]


class SheetRow(NamedTuple):
    """A student's row of a table for import: the platform's number, other ids, cells."""

    number: str
    ids: Iterable[str]
    cells: Sequence[Cell]


class Platform:
    """A learning platform, with defaults for what it lacks."""

    name: str  # in small letters the format of `gradkit export`
    list_column = "student"  # of the list of students for an export
    list_advice = "Give the column with the ids this name."  # if that column is missing
    keeps_last_attempt_only = False  # so all files of a student in the download belong together
    download_folder: re.Pattern[str] | None = None  # the name of a folder with the whole download
    submission_folder = ""  # in a student's folder, if that contains more than the submission
    takes_feedback = False  # finds the student of a page by all that it put before the file's name
    shows_checks = False  # its import shows a student more than the total score
    metadata_file = ""  # in the download, without which the people of each entry are unknown

    def parse_name(self, name: str) -> ParsedName | None:
        """Return the parts of a name that the platform's bulk download gave, else None."""
        raise NotImplementedError

    def own_files(self, names: Collection[str]) -> set[str]:
        """Return those names in a download that are the platform's own, not a student's."""
        return {self.metadata_file}

    def export_scores(
        self, title: str, maximum: int, scores: Sequence[FinalScore], roster: StudentList | None
    ) -> Export:
        """Return the text that the platform imports, for an assignment of so many points.

        Raise RosterError for an unfit roster.
        """
        raise NotImplementedError

    def read_students(self, table: Table) -> Iterable[Student] | None:
        """Return the students of the platform's own list; None for any other table."""
        return None

    def read_submitters(self, folder: Path) -> dict[str, Submitters]:
        """Return what is known of entries of a download besides their names, by these."""
        return {}

    def number_of(self, score: FinalScore) -> str:
        """Return the platform's number in the name of a submission, or ""."""
        parsed = self.parse_name(score.submission)
        return parsed.user if parsed else ""

    def match_rows(
        self, rows: Sequence[SheetRow], scores: Sequence[FinalScore], where: str
    ) -> tuple[list[tuple[Sequence[Cell], FinalScore]], list[str]]:
        """Return the cells of each row that has a score, with it, and notes on students left out.

        A score belongs to the row with the number in its submission's name, else to the row with
        its student's id. `where` names the rows in notes.
        """
        by_number, by_id = defaultdict(list), defaultdict(list)
        for index, row in enumerate(rows):
            by_number[row.number].append(index)
            for each in {folded(text) for text in row.ids if text}:
                by_id[each].append(index)
        owners: dict[int, list[FinalScore]] = defaultdict(list)
        notes = []
        for score in scores:
            number = self.number_of(score)
            found = (number and by_number[number]) or by_id[folded(score.student)]
            if len(found) == 1:
                owners[found[0]].append(score)
            else:
                problem = "found more than once" if found else "not found"
                notes.append(f"{score.student} is left out: {problem} in {where}.")
        matched = []
        for index, claims in sorted(owners.items()):
            if len(claims) == 1:
                matched.append((rows[index].cells, claims[0]))
            else:
                students = " and ".join(score.student for score in claims)
                notes.append(f"{students} are left out: they are one student in {where}.")
        return matched, notes

    def compare_maximum(self, found: str, maximum: int) -> list[str]:
        """Return a note if the platform's maximum points differ from the assignment's."""
        theirs = read_number(found)
        if theirs in (None, maximum):
            return []
        return [
            f"In {self.name} the assignment has {plain_number(theirs)} points, and here {maximum}. "
            "The scores are exported unchanged."
        ]
