"""The interface of a learning platform, and the plain data that goes through it.

A platform is one file of this room that builds one `Platform`, which `gradkit.lms` lists. All that
differs between platforms is in that file: names in the bulk download, columns of the platform's own
list of students, lateness marks, the format of scores, names of feedback files.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from gradkit.lms.tables import Cell, Student, StudentList, Table, plain_number


@dataclass(frozen=True)
class ParsedName:
    """The parts of a submission's name."""

    student: str  # the id that it suggests
    searched: str  # the part in which a student of a roster may be found
    original_filename: str  # the student's name for the file; the whole name if no platform added
    user: str = ""  # the platform's number of the student, or of Gradescope's submission
    file: int = 0  # Canvas's number of the file, larger for a later file
    time: datetime | None = None  # in the name
    is_online_text: bool = False  # typed into the platform's own text field
    is_late: bool = False  # marked as late by the platform
    platform: "Platform | None" = None


class Submitters(NamedTuple):
    """The people of a submission, each by id, e-mail address and name; the time of submission."""

    people: tuple[tuple[str, ...], ...]
    time: datetime | None


class Assignment(NamedTuple):
    """An assignment as platforms call it, and its maximum points."""

    title: str
    maximum: int


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


NameParser = Callable[[str], ParsedName | None]


@dataclass(frozen=True)
class Platform:
    """A learning platform: all that its file adds to the kit, with defaults for what it lacks."""

    name: str  # in small letters the format of `gradkit export`

    # Returns the parts of a name that the platform's bulk download gave, else None.
    parse_name: NameParser

    # Returns the text that the platform imports; the list of students is None if there is none.
    export_scores: Callable[[Assignment, Sequence[FinalScore], StudentList | None], Export]

    # Returns, for a submission's name and a page's, the page's name in an upload of feedback.
    feedback_name: Callable[[str, str], str] = lambda submission, page: page

    # Returns the students of the platform's own list, or None for any other table.
    read_students: Callable[[Table], Iterable[Student] | None] = lambda table: None

    # The column that the list for an export must have, and advice if it is missing.
    list_column: str = "student"
    list_advice: str = "Give the column with the ids this name."

    # The bulk download contains no earlier attempts, so all files of a student belong together.
    keeps_last_attempt_only: bool = False

    # The bulk download is a folder of this name, with a file that names the people of each entry.
    download_folder: re.Pattern[str] | None = None
    metadata_file: str = ""
    read_submitters: Callable[[Path], dict[str, Submitters]] = lambda folder: {}


# --- matching scores with the platform's students ------------------------------------------------


class SheetRow(NamedTuple):
    """A student's row of a table for import: the platform's number, other ids, empty cells."""

    number: str
    ids: Iterable[str]
    cells: Sequence[Cell]


def rows_from_names(
    scores: Sequence[FinalScore],
    parse_name: NameParser,
    new_row: Callable[[FinalScore, str], Sequence[Cell]],
) -> list[SheetRow]:
    """Return a row for each number in the names of submissions."""
    first: dict[str, FinalScore] = {}
    for score in scores:
        first.setdefault(_number(score, parse_name), score)
    return [
        SheetRow(number, (), new_row(score, number)) for number, score in first.items() if number
    ]


def fill_rows(
    rows: Sequence[SheetRow],
    scores: Sequence[FinalScore],
    parse_name: NameParser,
    fill: Callable[[Sequence[Cell], FinalScore], Sequence[Cell]],
    where: str,
) -> tuple[list[Sequence[Cell]], list[str]]:
    """Return the rows of students with a score, filled, and notes on students left out.

    A score belongs to the row with the number in its submission's name, else to the row with its
    student's id. `where` names the rows in notes.
    """
    by_number: dict[str, list[int]] = {}
    by_id: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        by_number.setdefault(row.number, []).append(index)
        for each in {folded(text) for text in row.ids if text}:
            by_id.setdefault(each, []).append(index)
    owners: dict[int, list[FinalScore]] = {}
    notes = []
    for score in scores:
        number = _number(score, parse_name)
        found = (by_number.get(number) if number else None) or by_id.get(folded(score.student), [])
        if len(found) == 1:
            owners.setdefault(found[0], []).append(score)
        else:
            problem = "found more than once" if found else "not found"
            notes.append(f"{score.student} is left out: {problem} in {where}.")
    filled = []
    for index, claims in sorted(owners.items()):
        if len(claims) == 1:
            filled.append(fill(rows[index].cells, claims[0]))
        else:
            students = " and ".join(score.student for score in claims)
            notes.append(f"{students} are left out: they are one student in {where}.")
    return filled, notes


def _number(score: FinalScore, parse_name: NameParser) -> str:
    parsed = parse_name(score.submission)
    return parsed.user if parsed else ""


def compare_maximum(found: str, maximum: int, where: str) -> list[str]:
    """Return a note if the platform's maximum points differ from the assignment's."""
    try:
        theirs = float(found.replace(",", "."))
    except ValueError:
        return []
    if theirs == maximum:
        return []
    return [
        f"In {where} the assignment has {plain_number(theirs)} points, and here {maximum}. The "
        "scores are exported unchanged."
    ]


def folded(text: str) -> str:
    """Return a text as ids are compared: without blanks around it, in any case."""
    return text.strip().casefold()
