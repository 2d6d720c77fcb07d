"""Canvas: names in the download of an assignment's submissions, and the gradebook's CSV.

Names of the download; every file of a student is an entry, of the last attempt only:

    doejane_12345_678901_softmax.zip          the sortable name in small letters, the numbers of the
    doejane_LATE_12345_678901_softmax-1.zip   user and the file; -1, -2: handed in again;
    anon_a1B2c_678901_softmax.zip             graded anonymously

Feedback files are uploaded under the same name, as far as the file's number.

The gradebook's Import knows a student by ID, Canvas's own number, else by SIS User ID, SIS Login
ID, else by the name in Student. It wants the columns Student, ID, SIS Login ID and Section, and
below the header a row `Points Possible`. A column `Title (number)`, as in exports, is that
assignment; a column of another name makes a new one. A student without a row keeps the old score,
while an empty cell would remove it: a student without a score gets no row.
"""

import re
from collections import Counter
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
    folded,
    rows_from_names,
)
from gradkit.lms.tables import (
    RosterError,
    Student,
    StudentList,
    Table,
    format_csv,
    number_cell,
)
from gradkit.lms.times import find_time

_NAME = re.compile(
    r"(?:(?P<late_anonymous>LATE_)?(?P<anonymous>anon_[A-Za-z0-9]+)"
    r"|(?P<name>\w+?)(?P<late>_LATE)?_(?P<user>\d+))"
    r"_(?P<file>\d+)_(?P<rest>.+)"
)
_IDS = ("ID", "SIS User ID", "SIS Login ID", "Integration ID")
_COLUMNS: tuple[str, ...] = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
# The order in which Canvas looks for them. Few exports have the integration id and the account.
_ALL_COLUMNS = (*_COLUMNS[:4], "Integration ID", "Root Account", "Section")
_POINTS_POSSIBLE = "    Points Possible"  # with the blanks that Canvas itself writes


def parse_name(name: str) -> ParsedName | None:
    """Return the parts of a name that Canvas gave, else None."""
    match = _NAME.fullmatch(name)
    if match is None or _is_compact_time(match):
        return None
    who = match["anonymous"] or f"{match['name']}_{match['user']}"
    return ParsedName(
        who,
        who,
        match["rest"],
        user=match["user"] or "",
        file=int(match["file"][:18]),
        is_late=bool(match["late"] or match["late_anonymous"]),
    )


def _is_compact_time(match: re.Match[str]) -> bool:
    """Return whether the numbers are a date and a time, as in jane_20260301_235910_softmax.py."""
    numbers = f"{match['user']}_{match['file']}"
    time = find_time(numbers) if match["user"] and len(match["file"]) == 6 else None
    return bool(time and time[1:] == (0, len(numbers)))


def feedback_name(submission: str, page: str) -> str:
    """Return the submission's name as far as the file's number, with `feedback` behind it."""
    parsed = parse_name(submission)
    assert parsed
    return f"{submission.removesuffix(parsed.original_filename)}feedback{Path(page).suffix}"


def read_students(table: Table) -> Iterator[Student] | None:
    """Return the students of a gradebook as Canvas exports it, by name; None for other tables.

    Students who share a name have Canvas's number behind it. Their grades are not aliases.
    """
    return _gradebook_students(table) if _is_gradebook(table) else None


def _is_gradebook(table: Table) -> bool:
    return table.has("Student", "ID", "SIS Login ID", "Section")


def _gradebook_students(table: Table) -> Iterator[Student]:
    rows = [
        row
        for row in table.rows
        if table.cell(row, "Student").casefold() not in ("", "points possible")
    ]
    counts = Counter(table.cell(row, "Student") for row in rows)
    for row in rows:
        name = table.cell(row, "Student")
        last, comma, first = name.partition(",")
        ids = table.cells(row, _IDS)
        unique = f"{name} ({ids[0]})" if counts[name] > 1 else name
        yield Student(unique, (name, *([f"{first} {last}"] if comma else []), *ids), row)


def export_scores(
    assignment: Assignment, scores: Sequence[FinalScore], roster: StudentList | None
) -> Export:
    """Return the CSV for the gradebook's Import.

    `roster` is the gradebook as Canvas exports it, or a roster with one of Canvas's ids. Without
    it, students are known by the numbers in the names of their submissions.
    """
    columns, header, possible = _COLUMNS, assignment.title, str(assignment.maximum)
    notes: list[str] = []
    if roster is None:
        rows = rows_from_names(
            scores, parse_name, lambda score, id: (score.student, id, "", "", "")
        )
        where = "the names that Canvas gave. Give --roster the gradebook as Canvas exports it"
    else:
        where, table = str(roster.table.path), roster.table
        if not any(map(table.has, _IDS)):
            raise RosterError(
                f"{where} has none of the columns {', '.join(_IDS)}, so Canvas could identify "
                "nobody. Export the gradebook of the course from Canvas, and give that."
            )
        columns = tuple(filter(table.has, _ALL_COLUMNS)) if _is_gradebook(table) else _COLUMNS
        header, possible, notes = _assignment_column(assignment, table)
        rows = [
            SheetRow(
                table.cell(row, "ID"), (id, *table.cells(row, _IDS)), table.cells(row, columns)
            )
            for id, _, row in roster.students
        ]
    filled, left_out = fill_rows(
        rows, scores, parse_name, lambda cells, score: [*cells, number_cell(score.score)], where
    )
    blanks = [""] * (len(columns) - 1)
    text = format_csv([[*columns, header], [_POINTS_POSSIBLE, *blanks, possible], *filled])
    return Export(text, notes + left_out)


def _assignment_column(assignment: Assignment, table: Table) -> tuple[str, str, list[str]]:
    """Return the header of the assignment's column, its points in Canvas, and notes on both."""
    title = assignment.title
    headers = [
        header
        for header in table.header
        if folded(re.sub(r"\s\(\d+\)$", "", header.strip())) == folded(title)
    ]
    if len(headers) > 1:
        raise RosterError(
            f"{table.path} has {len(headers)} assignments {title!r}: {', '.join(headers)}. Delete "
            "the columns of all but one."
        )
    if not headers:
        note = f"{table.path} has no assignment {title!r}, so Canvas will make a new one."
        return title, str(assignment.maximum), [note]
    possible_rows = [row for row in table.rows if folded(row.cells[0]) == folded(_POINTS_POSSIBLE)]
    possible = table.cell(possible_rows[0], headers[0].strip()) if possible_rows else ""
    if "read only" in possible.casefold():
        raise RosterError(f"Canvas does not let anyone import scores of {headers[0]!r}.")
    notes = compare_maximum(possible, assignment.maximum, "Canvas")
    return headers[0], possible or str(assignment.maximum), notes


PLATFORM = Platform(
    "Canvas",
    parse_name,
    export_scores,
    feedback_name=feedback_name,
    read_students=read_students,
    keeps_last_attempt_only=True,
)
