"""The interface of a learning platform, and the plain data that goes through it.

A platform is one file of this room that builds one `Platform`, which `gradkit.lms` lists. All that
differs between platforms is in that file: names in the bulk download, columns of the platform's own
list of students, lateness marks, the format of scores, names of feedback files.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

from gradkit.lms.tables import Student, StudentList, Table, plain_number

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class ParsedName:
    """The parts of a submission's name.

    Attributes
    ----------
    student : str
        The id that the name suggests.
    searched : str
        The part of the name in which a student of a roster may be found.
    original_filename : str
        The student's own name for the file, such as ``softmax-1.py``; the whole name where no
        platform has added to it.
    user : str
        The platform's number of the student, or of the submission on Gradescope; "" if unknown.
    file : int
        Canvas's number of the file, larger for a later file.
    when : datetime, optional
        The time in the name.
    is_online_text : bool
        The text was typed into the platform's own text field.
    is_late : bool
        The platform marks the submission as late.
    platform : Platform, optional
        The platform that made the name.
    """

    student: str
    searched: str
    original_filename: str
    user: str = ""
    file: int = 0
    when: datetime | None = None
    is_online_text: bool = False
    is_late: bool = False
    platform: "Platform | None" = None


class Submitters(NamedTuple):
    """The people of a submission, each by id, e-mail address and name; the time of submission."""

    people: tuple[tuple[str, ...], ...]
    when: datetime | None


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
    """A learning platform.

    Attributes
    ----------
    name : str
        As people call it; in small letters the format of ``gradkit export``.
    parse_name : function of a name
        Returns the parts of a name that the platform's bulk download gave, else None.
    export_scores : function of (assignment, scores, list of students or None)
        Returns the text that the platform imports.
    feedback_name : function of (submission, page)
        Returns the name that a page must have in the archive of feedback that is uploaded.
    read_students : function of a table
        Returns the students of the platform's own list, or None for any other table.
    list_column, list_advice : str
        The column that the list of students for an export must have, and advice if it is missing.
    keeps_last_attempt_only : bool
        The bulk download contains no earlier attempts, so all files of a student belong together.
    metadata_file, read_submitters : str, function of a folder
        The file of the download that names the people of each entry; its content by entry.
    download_folder : pattern, optional
        The name of the folder that the download consists of.
    """

    name: str
    parse_name: NameParser
    export_scores: Callable[[Assignment, Sequence[FinalScore], StudentList | None], Export]
    feedback_name: Callable[[str, str], str] = lambda submission, page: page
    read_students: Callable[[Table], Iterable[Student] | None] = lambda table: None
    list_column: str = "student"
    list_advice: str = "Give the column with the ids this name."
    keeps_last_attempt_only: bool = False
    metadata_file: str = ""
    read_submitters: Callable[[Path], dict[str, Submitters]] = lambda folder: {}
    download_folder: re.Pattern[str] | None = None


# --- matching scores with the platform's students ------------------------------------------------


def match_numbers(
    scores: Sequence[FinalScore], parse_name: NameParser, where: str, advice: str
) -> tuple[dict[str, FinalScore], list[str]]:
    """Return the scores by the platform's numbers, and notes on students without a number."""
    owners: dict[str, list[FinalScore]] = {}
    notes = []
    for score in scores:
        if user := _user(score, parse_name):
            owners.setdefault(user, []).append(score)
        else:
            notes.append(
                f"{score.student} is left out: their number in {where} is unknown. {advice}"
            )
    return drop_shared(owners, f"in {where}", notes), notes


def match_rows(
    scores: Sequence[FinalScore],
    parse_name: NameParser,
    rows: Sequence[tuple[str, Iterable[str]]],
    where: str,
) -> tuple[dict[int, FinalScore], list[str]]:
    """Return the scores by index of a row, and notes on students without a row of their own.

    `rows` are the platform's number and the other ids of each student. A score belongs to the row
    with its number, else to the row with its student's id.
    """
    by_number: dict[str, list[int]] = {}
    by_id: dict[str, list[int]] = {}
    for index, (number, ids) in enumerate(rows):
        by_number.setdefault(number, []).append(index)
        for each in {folded(text) for text in ids if text}:
            by_id.setdefault(each, []).append(index)
    owners: dict[int, list[FinalScore]] = {}
    notes = []
    for score in scores:
        user = _user(score, parse_name)
        found = (by_number.get(user) if user else None) or by_id.get(folded(score.student), [])
        if len(found) == 1:
            owners.setdefault(found[0], []).append(score)
        else:
            count = "several rows" if found else "no row"
            notes.append(f"{score.student} is left out: {count} of {where} match.")
    return drop_shared(owners, f"in {where}", notes), notes


def _user(score: FinalScore, parse_name: NameParser) -> str:
    parsed = parse_name(score.submission)
    return parsed.user if parsed else ""


def drop_shared(
    owners: Mapping[K, Sequence[FinalScore]], where: str, notes: list[str]
) -> dict[K, FinalScore]:
    """Drop keys claimed by more than one student, with a note on each."""
    for scores in owners.values():
        if len(scores) > 1:
            students = " and ".join(score.student for score in scores)
            notes.append(f"{students} are left out: they are the same student {where}.")
    return {key: scores[0] for key, scores in owners.items() if len(scores) == 1}


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
