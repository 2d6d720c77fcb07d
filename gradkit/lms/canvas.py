"""Canvas: names in the download of an assignment's submissions, and the gradebook's CSV.

Names of the download; every file of a student is an entry, of the last attempt only:

    doejane_12345_678901_softmax.zip          the sortable name in small letters, the numbers of the
    doejane_LATE_12345_678901_softmax-1.zip   user and the file; -1, -2: handed in again;
    anon_a1B2c_678901_softmax.zip             graded anonymously
    doejane_12345_text.html, ..._link.html    a text or an address that was typed

Of a name Canvas keeps letters, marks, digits and "_" (Ruby's [[:word:]]), in any script.

The times of the files are those of the download (content_zipper.rb of instructure/canvas-lms), so
LATE is all that is known of the time.

The gradebook's Import knows a student by ID, Canvas's own number, else by SIS User ID, SIS Login
ID, else by the name in Student, or in LastName and FirstName. ID comes behind the name, Section
last, in between nothing, SIS Login ID, or both SIS columns and more. Then there may be custom
columns. Below the header it wants a row `Points Possible`. A column `Title (number)`, as in
exports, is that assignment; a column of another name makes a new one. A student without a row keeps
the old score, while an empty cell would remove it: a student without a score gets no row, and nor
does one who is excused (EX) or to whom the assignment is not assigned (N/A).
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from gradkit.lms.platform import Export, FinalScore, ParsedName, Platform, SheetRow
from gradkit.lms.tables import (
    RosterError,
    Row,
    Student,
    StudentList,
    Table,
    format_csv,
    number_cell,
    read_number,
)
from gradkit.lms.times import find_time
from gradkit.lms.words import folded, is_identifier

_NAME = re.compile(
    r"(?:(?P<late_anonymous>LATE_)?(?P<anonymous>anon_[A-Za-z0-9]+)"
    r"|(?P<name>.*?)(?P<late>_LATE)?_(?P<user>\d+))"
    r"_(?:(?P<file>\d+)_(?P<rest>.+)|(?P<typed>text\.html|link\.html))"
)
_NUMBER = re.compile(r"\s\(\d+\)\s*$")  # of an assignment, behind its title
_IDS = ("ID", "SIS User ID", "SIS Login ID", "Integration ID")
_SIS = ("SIS User ID", "SIS Login ID", "Integration ID", "Root Account")
_POINTS_POSSIBLE = "    Points Possible"  # with the blanks that Canvas itself writes


class Canvas(Platform):
    name = "Canvas"
    keeps_last_attempt_only = True
    takes_feedback = True

    def parse_name(self, name: str) -> ParsedName | None:
        match = _NAME.fullmatch(name)
        if match is None or not is_identifier(match["name"] or "") or _is_time(match):
            return None
        who = match["anonymous"] or f"{match['name']}_{match['user']}"
        return ParsedName(
            who,
            who,
            match["rest"] or match["typed"],
            user=match["user"] or "",
            file=int((match["file"] or "0")[:18]),
            is_online_text=bool(match["typed"]),
            is_late=bool(match["late"] or match["late_anonymous"]),
        )

    def read_students(self, table: Table) -> Iterable[Student] | None:
        """Return students of a gradebook by name, with Canvas's number behind one that is shared.

        Their grades are not aliases.
        """
        rows = [row for row in table.rows if not _is_points_row(table, row)]
        has_names = table.has("Student") or table.has("LastName", "FirstName")
        has_columns = table.has("ID", "SIS Login ID", "Section") or (
            table.has("ID") and any(map(_NUMBER.search, table.header))
        )
        if not (has_names and (has_columns or len(rows) < len(table.rows))):
            return None
        names = {row: _sortable_name(table, row) for row in rows}
        counts = Counter(map(folded, names.values()))
        students = []
        for row, name in names.items():
            ids = [*filter(None, table.cells(row, _IDS))]
            if not (name or ids):  # such as the row `Manual Posting`
                continue
            last, comma, first = name.partition(",")
            unique = f"{name} ({ids[0]})" if ids and counts[folded(name)] > 1 else name or ids[0]
            aliases = (name, *([f"{first} {last}"] if comma else []), *ids)
            students.append(Student(unique, aliases, row))
        return students

    def export_scores(
        self, title: str, maximum: int, scores: Sequence[FinalScore], roster: StudentList | None
    ) -> Export:
        """Return the CSV for the gradebook's Import.

        `roster` is the gradebook as Canvas exports it, or a roster with one of Canvas's ids.
        Without it, students are known by the numbers in the names of their submissions.
        """
        header, possible, columns = title, str(maximum), ["Student", "ID", "Section"]
        notes: list[str] = []
        if roster is None:
            students = {self.number_of(score): score.student for score in scores}
            rows = [SheetRow(id, (), (name, id, "", "")) for id, name in students.items()]
            where = "the names that Canvas gave. Give --roster the gradebook as Canvas exports it"
        else:
            where, table = str(roster.table.path), roster.table
            if not any(map(table.has, _IDS)):
                raise RosterError(
                    f"{where} has none of the columns {', '.join(_IDS)}, so Canvas could identify "
                    "nobody. Export the gradebook of the course from Canvas, and give that."
                )
            header, possible, notes = self._assignment_column(title, maximum, table)
            columns = _identifying_columns(table)
            rows = [
                SheetRow(
                    table.cell(row, "ID"),
                    (id, *table.cells(row, _IDS)),
                    [table.original(row, column) for column in (*columns, header)],
                )
                for id, _, row, _ in roster.students
            ]
        matched, left_out = self.match_rows(rows, scores, where)
        lines = []
        for (*cells, old), score in matched:
            if folded(str(old)) in ("ex", "n/a"):
                left_out.append(
                    f"{score.student} is left out: {where} has {old} in the column {header!r}. "
                    "Change that in Canvas first if the score is to count."
                )
            else:
                lines.append([*cells, number_cell(score.score)])
        points_row = [_POINTS_POSSIBLE, *[""] * (len(columns) - 1), possible]
        return Export(format_csv([[*columns, header], points_row, *lines]), notes + left_out)

    def _assignment_column(
        self, title: str, maximum: int, table: Table
    ) -> tuple[str, str, list[str]]:
        """Return the header of the assignment's column, its points in Canvas, and notes on both."""
        headers = [
            header
            for header in table.header
            if folded(title) in (folded(header), folded(_NUMBER.sub("", header)))
        ]
        if len(headers) > 1:
            raise RosterError(
                f"{table.path} has {len(headers)} assignments {title!r}: {', '.join(headers)}. "
                "Delete the columns of all but one."
            )
        if not headers:
            note = f"{table.path} has no assignment {title!r}, so Canvas will make a new one."
            return title, str(maximum), [note]
        [header] = headers
        found = [table.cell(row, header) for row in table.rows if _is_points_row(table, row)]
        if any("read only" in text for text in map(folded, found)):
            raise RosterError(
                f"The column {header!r} of {table.path} is read-only, so Canvas would import no "
                "score. Give the assignment another title than this column."
            )
        numbers = [number for number in map(read_number, found) if number is not None]
        possible = f"{numbers[0]:.2f}" if numbers else str(maximum)
        return header, possible, self.compare_maximum(possible, maximum)


def _is_points_row(table: Table, row: Row) -> bool:
    names = table.cells(row, ("Student", "LastName"))
    # In another language it still is indented, and without ids.
    is_indented = row.cells[0].startswith("    ") and not any(table.cells(row, _IDS))
    return is_indented or "points possible" in map(folded, (*row.cells[:1], *names))


def _sortable_name(table: Table, row: Row) -> str:
    name = table.cell(row, "Student")
    return name or ", ".join(filter(None, table.cells(row, ("LastName", "FirstName"))))


def _identifying_columns(table: Table) -> list[str]:
    """Return the columns of a table by which the Import knows students, as far as it takes them."""
    names = ["Student"] if table.has("Student") else ["LastName", "FirstName"]
    sis = [column for column in _SIS if table.has(column)]
    if {*sis} - {"SIS Login ID"}:
        sis = [column for column in _SIS if column in (*sis, "SIS User ID", "SIS Login ID")]
    return [*names, "ID", *sis, "Section"]


def _is_time(match: re.Match[str]) -> bool:
    """Return whether the numbers belong to a time, as in jane_20260301_235910_softmax.py."""
    time = find_time(match[0])
    return bool(
        time and match["user"] and time[1] < match.end("file") and time[2] > match.start("user")
    )
