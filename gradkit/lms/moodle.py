"""Moodle: names in the download of an assignment's submissions, and the offline grading worksheet.

Names of the download, which contains the last attempt only:

    Jane Doe_123456_assignsubmission_file_/             a folder for each participant, or
    Jane Doe_123456_assignsubmission_file_softmax.zip   every file by itself
    ..._assignsubmission_onlinetext_...                 the text that was typed into a text field

In an upload of feedback files Moodle reads the participant's number and the kind of submission in
each name, and shows the rest to the student.

Moodle's worksheet is the list of students for an export. It knows a participant by the number in
Identifier, and wants the columns Identifier, Grade and Last modified (grade) in the language of the
user who uploads it, English here. Moodle ignores grades above the assignment's maximum, and
participants who were graded later than the worksheet's last column.
"""

import html
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from gradkit.lms.platform import (
    Assignment,
    Export,
    FinalScore,
    ParsedName,
    Platform,
    SheetRow,
    compare_maximum,
    fill_rows,
    rows_from_names,
)
from gradkit.lms.tables import (
    Cell,
    RosterError,
    Student,
    StudentList,
    Table,
    format_csv,
    number_cell,
)

_NAME = re.compile(
    r"(?P<who>(?P<name>.+?)_(?P<user>\d+))_assignsubmission_(?P<kind>file|onlinetext)"
    r"(?:_(?P<rest>.*))?"
)
_IDENTIFIER, _MODIFIED, _FEEDBACK = "Identifier", "Last modified (grade)", "Feedback comments"
_COLUMNS: tuple[str, ...] = (
    _IDENTIFIER,
    "Full name",
    "Grade",
    "Maximum Grade",
    _MODIFIED,
    _FEEDBACK,
)
_ADVICE = (
    "Give the grading worksheet that Moodle offers for the assignment, with Moodle in English."
)


def parse_name(name: str) -> ParsedName | None:
    """Return the parts of a name that Moodle gave, else None."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    return ParsedName(
        match["who"],
        match["who"],
        match["rest"] or "",
        user=match["user"],
        is_online_text=match["kind"] == "onlinetext",
    )


def feedback_name(submission: str, page: str) -> str:
    """Return the submission's name as far as the kind of submission, with `feedback` behind it."""
    match = _NAME.fullmatch(submission)
    assert match
    return f"{match['who']}_assignsubmission_{match['kind']}_feedback{Path(page).suffix}"


def read_students(table: Table) -> Iterator[Student] | None:
    """Return the participants of a grading worksheet; None for other tables."""
    return _participants(table) if table.has(_IDENTIFIER) else None


def _participants(table: Table) -> Iterator[Student]:
    names = ("Full name", "Email address", "ID number", "Username")
    for row in table.rows:
        yield Student(table.cell(row, _IDENTIFIER), (*table.cells(row, names),), row)


def export_scores(
    assignment: Assignment, scores: Sequence[FinalScore], roster: StudentList | None
) -> Export:
    """Return the grading worksheet with grades and feedback comments filled in.

    Without a worksheet, students are known by the numbers in the names of their submissions.
    """
    if roster is None:
        header, notes = _COLUMNS, []
        rows = rows_from_names(
            scores, parse_name, lambda score, number: _new_row(score, number, assignment)
        )
        where = "the names that Moodle gave. Give --roster the assignment's grading worksheet"
    else:
        header, where = roster.table.header, str(roster.table.path)
        notes = _check_worksheet(roster.table, assignment)
        rows = [
            SheetRow(_last_number(student.id), student.aliases, student.row.cells)
            for student in roster.students
        ]
    filled, left_out = fill_rows(
        rows, scores, parse_name, lambda cells, score: _filled(header, cells, score), where
    )
    return Export(format_csv([header, *filled]), notes + left_out)


def _new_row(score: FinalScore, number: str, assignment: Assignment) -> tuple[str, ...]:
    match = _NAME.fullmatch(score.submission)
    name = match["name"] if match else ""
    return f"Participant {number}", name, "", str(assignment.maximum), "-", ""


def _check_worksheet(table: Table, assignment: Assignment) -> list[str]:
    """Return notes on what does not fit; raise RosterError if Moodle would refuse the worksheet."""
    if missing := [column for column in ("Grade", _MODIFIED) if not table.has(column)]:
        raise RosterError(f"{table.path} has no column {' and no '.join(missing)}. {_ADVICE}")
    if table.has("Scale"):
        raise RosterError(
            f"{table.path} is from an assignment that Moodle grades by a scale, not in points. "
            "Change that in the assignment's settings, and download the worksheet again."
        )
    notes = []
    if not table.has(_FEEDBACK):
        notes.append(
            f"{table.path} has no column {_FEEDBACK}, so there are grades only. Feedback comments "
            "are turned on in the assignment's settings."
        )
    for maximum in sorted({table.cell(row, "Maximum Grade") for row in table.rows}):
        notes += compare_maximum(maximum, assignment.maximum, "Moodle")
    return notes


def _filled(header: Sequence[str], cells: Sequence[Cell], score: FinalScore) -> list[Cell]:
    """Return a row of the worksheet with a student's grade and feedback comments."""
    filled = {
        "Grade": number_cell(score.score),
        _FEEDBACK: html.escape(_comments(score), quote=False),
    }
    return [filled.get(column.strip(), cell) for column, cell in zip(header, cells, strict=True)]


def _comments(score: FinalScore) -> str:
    sentences = [
        f"{item.title}: {number_cell(item.points)} of {item.out_of}. {item.remark}".strip()
        for item in score.items
    ]
    return " ".join([*sentences, *([score.late] if score.late else [])])


def _last_number(identifier: str) -> str:
    match = re.search(r"\d+$", identifier)
    return match[0] if match else ""


PLATFORM = Platform(
    "Moodle",
    parse_name,
    export_scores,
    feedback_name=feedback_name,
    read_students=read_students,
    list_column=_IDENTIFIER,
    list_advice=_ADVICE,
    keeps_last_attempt_only=True,
)
