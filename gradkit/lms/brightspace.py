"""Brightspace (D2L): names in the download of an assignment's submissions, and grades as CSV.

    12345-67890 - Jane Doe - Mar 1, 2026 1159 PM/                a folder for each submission, or
    12345-67890 - Jane Doe - Mar 1, 2026 1159 PM - softmax.zip   every file by itself
    index.html                                                   the list of them

The first number is the student's, as tools that read these names have it. The time has no zone; it
is read in English. Source: README.md and d2lmf/d2lmf.py of cgmb/d2lmf; D2L documents no names.

The import of grades knows a user by OrgDefinedId or Username, which are not in these names but in
an export of grades, there behind a "#". A column `Title Points Grade` is made if it is missing.
Sources: "Importing grades" (community.d2l.com/brightspace/kb/articles/3538), and for "#" "Function
of Pound Signs" (kb.wisc.edu/page.php?id=4330).
"""

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from gradkit.lms.platform import Export, FinalScore, ParsedName, Platform, SheetRow
from gradkit.lms.tables import RosterError, Student, StudentList, Table, format_csv, number_cell

_NAME = re.compile(
    r"(?P<user>\d+)-\d+ - (?P<who>.+?) - (?P<month>[A-Z][a-z]{2})[a-z]*\s(?P<day>\d{1,2}),"
    r"\s(?P<year>\d{4})\s(?P<hour>\d{1,2})[:._]?(?P<minute>\d\d)\s(?P<half>[AP]M)"
    r"(?: - (?P<rest>.+))?"
)
_KEYS = ("OrgDefinedId", "Username")
_END = "End-of-Line Indicator"


class Brightspace(Platform):
    name = "Brightspace"
    list_column = _END
    list_advice = "Give the grades as Brightspace exports them, with OrgDefinedId or Username."

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

    def read_students(self, table: Table) -> Iterable[Student] | None:
        """Return the users of an export of grades, without the "#" before their ids."""
        if not (table.has(_END) and any(map(table.has, _KEYS))):
            return None
        students = []
        for row in table.rows:
            ids = [cell.removeprefix("#") for cell in table.cells(row, _KEYS)]
            name = " ".join(table.cells(row, ("First Name", "Last Name")))
            students.append(Student(ids[1] or ids[0], (*ids, name, table.cell(row, "Email")), row))
        return students

    def export_scores(
        self, title: str, maximum: int, scores: Sequence[FinalScore], roster: StudentList | None
    ) -> Export:
        """Return the CSV for the import of grades; `roster` is an export of grades."""
        if roster is None:
            raise RosterError(
                f"Brightspace's downloads name nobody as its import does. {self.list_advice}"
            )
        keys = [key for key in _KEYS if roster.table.has(key)]
        rows = [
            SheetRow("", (student.id, *student.aliases), roster.table.cells(student.row, keys))
            for student in roster.students
        ]
        matched, notes = self.match_rows(rows, scores, str(roster.table.path))
        lines = [[*cells, number_cell(score.score), "#"] for cells, score in matched]
        return Export(format_csv([[*keys, f"{title} Points Grade", _END], *lines]), notes)
