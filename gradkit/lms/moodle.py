"""Moodle: names in the download of an assignment's submissions, and the offline grading worksheet.

Names of the download, which contains the last attempt only:

    Jane Doe_123456_assignsubmission_file_/             a folder for each participant, or
    Jane Doe_123456_assignsubmission_file_softmax.zip   every file by itself
    ..._assignsubmission_onlinetext_...                 the text that was typed into a text field

Moodle's worksheet is the list of students for an export, and a roster with times of submission, in
the zone of the user who downloads it. It knows a participant by the number in
Identifier, and wants the columns Identifier, Grade and Last modified (grade) in the language of the
user who uploads it, English here. Moodle ignores grades above the assignment's maximum, and
participants who were graded later than the worksheet's last column.
"""

import html
import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from gradkit.lms.platform import Export, FinalScore, ParsedName, Platform, SheetRow
from gradkit.lms.tables import RosterError, Student, StudentList, Table, format_csv, number_cell

_NAME = re.compile(
    r"(?P<who>.+?_(?P<user>\d+))_assignsubmission_(?P<kind>file|onlinetext)(?:_(?P<rest>.*))?"
)
_MODIFIED, _FEEDBACK = "Last modified (grade)", "Feedback comments"
_COLUMNS = ("Identifier", "Full name", "Grade", "Maximum Grade", _MODIFIED, _FEEDBACK)
_ALIASES = ("Full name", "Email address", "ID number", "Username")


class Moodle(Platform):
    name = "Moodle"
    shows_checks = True
    list_column = "Identifier"
    list_advice = (
        "Give the grading worksheet that Moodle offers for the assignment, with Moodle in English."
    )
    keeps_last_attempt_only = True
    takes_feedback = True

    def parse_name(self, name: str) -> ParsedName | None:
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

    def read_students(self, table: Table) -> Iterable[Student] | None:
        if not table.has("Identifier"):
            return None
        students = []
        for row in table.rows:
            identifier, aliases = table.cell(row, "Identifier"), table.cells(row, _ALIASES)
            name_in_download = f"{aliases[0]} {identifier.split()[-1]}" if identifier else ""
            time = _read_time(table.cell(row, "Last modified (submission)"))
            students.append(Student(identifier, (*aliases, name_in_download), row, time))
        return students

    def export_scores(
        self, title: str, maximum: int, scores: Sequence[FinalScore], roster: StudentList | None
    ) -> Export:
        """Return the grading worksheet with grades and feedback comments filled in.

        Without a worksheet, students are known by the numbers in the names of their submissions.
        """
        header: Sequence[str] = _COLUMNS
        notes: list[str] = []
        if roster is None:
            people = {
                self.number_of(score): score.submission.partition("_assignsubmission_")[0]
                for score in scores
            }
            rows = [
                SheetRow(id, (), (f"Participant {id}", who[: -len(id) - 1], "", maximum, "-", ""))
                for id, who in people.items()
            ]
            where = "the names that Moodle gave. Give --roster the assignment's grading worksheet"
        else:
            header, where = roster.table.header, str(roster.table.path)
            notes = self._check_worksheet(roster.table, maximum)
            rows = [
                SheetRow(student.id.split()[-1], student.aliases, student.row.cells)
                for student in roster.students
            ]
        matched, left_out = self.match_rows(rows, scores, where)
        lines = []
        for cells, score in matched:
            comments = html.escape(_comments(score), quote=False)
            new_cells = {"Grade": number_cell(score.score), _FEEDBACK: comments}
            columns = zip(header, cells, strict=True)
            lines.append([new_cells.get(column.strip(), cell) for column, cell in columns])
        return Export(format_csv([header, *lines]), notes + left_out)

    def _check_worksheet(self, table: Table, maximum: int) -> list[str]:
        """Return notes on what does not fit; raise RosterError if Moodle would refuse it."""
        if missing := [column for column in ("Grade", _MODIFIED) if not table.has(column)]:
            raise RosterError(
                f"{table.path} has no column {' and no '.join(missing)}. {self.list_advice}"
            )
        if table.has("Scale"):
            raise RosterError(
                f"{table.path} is from an assignment that Moodle grades by a scale, not in points. "
                "Change that in the assignment's settings, and download the worksheet again."
            )
        notes = []
        if not table.has(_FEEDBACK):
            notes.append(
                f"{table.path} has no column {_FEEDBACK}, so there are grades only. Feedback "
                "comments are turned on in the assignment's settings."
            )
        for theirs in sorted({table.cell(row, "Maximum Grade") for row in table.rows}):
            notes += self.compare_maximum(theirs, maximum)
        return notes


def _read_time(text: str) -> datetime | None:
    """Return a time as in "Sunday, 1 March 2026, 8:00 PM", without a zone; None for any other."""
    try:
        return datetime.strptime(text, "%A, %d %B %Y, %I:%M %p")
    except ValueError:
        return None


def _comments(score: FinalScore) -> str:
    sentences = [
        f"{item.title}: {number_cell(item.points)} of {item.out_of}. {item.remark}".strip()
        for item in score.items
    ]
    return " ".join([*sentences, score.late]).strip()
