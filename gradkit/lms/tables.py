"""Lists of students as CSV: read from any spreadsheet, written so that no cell is a formula."""

import csv
import io
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gradkit.errors import GradkitError
from gradkit.files import distinct, shown
from gradkit.lms.words import folded

MAX_ID = 80  # characters of a student's id: it goes into file names, which may have 255 bytes

Cell = str | int | float


class RosterError(GradkitError):
    """A list of students cannot be used; the text says what was found, where, and what to do."""


class Row(NamedTuple):
    """A row of a table, with its number in the file; the header is row 1."""

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A CSV file: its header, and the rows that are not blank, each as long as the header."""

    path: Path
    header: tuple[str, ...]
    rows: tuple[Row, ...]

    def has(self, *columns: str) -> bool:
        """Return whether all of these columns exist, in any case."""
        return {column.casefold() for column in columns} <= {*map(folded, self.header)}

    def cell(self, row: Row, column: str) -> str:
        """Return the stripped cell of a column; "" where the column is missing."""
        names = [*map(folded, self.header)]
        return row.cells[names.index(column.casefold())].strip() if self.has(column) else ""

    def cells(self, row: Row, columns: Iterable[str]) -> list[str]:
        return [self.cell(row, column) for column in columns]

    def place(self, row: Row) -> str:
        return f"{self.path}, row {row.number}"


class Student(NamedTuple):
    """A student of a list: the id, all texts by which others may call the student, the row."""

    id: str
    aliases: tuple[str, ...]
    row: Row


class StudentList(NamedTuple):
    """A course's roster or a platform's own list of students."""

    table: Table
    students: tuple[Student, ...]


def student_id(text: str) -> str:
    """Return the id made of a text: printable, at most MAX_ID characters."""
    return distinct(text, MAX_ID)


def read_table(path: Path, column: str, advice: str) -> Table:
    """Read a CSV file with commas, semicolons or tabs, which must have a certain column.

    Raise RosterError if it cannot be read, or, with `advice`, if the column is missing.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise RosterError(f"The roster {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise RosterError(f"{path} is not UTF-8. Save it as `CSV UTF-8`.") from None
    for delimiter in ",;\t":
        try:
            lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
            header, *rows = [*lines] or [[]]
        except csv.Error as error:
            raise RosterError(f"{path} is not CSV: {error}.") from None
        width = len(header)
        padded = tuple(
            Row(number, (*row[:width], *[""] * (width - len(row))))
            for number, row in enumerate(rows, start=2)
            if any(cell.strip() for cell in row)
        )
        table = Table(path, tuple(header), padded)
        if table.has(column):
            return table
    first = shown(text.partition("\n")[0].strip())
    raise RosterError(f"{path} has no column `{column}` in its first row, {first!r}. {advice}")


def roster_students(table: Table) -> list[Student]:
    """Return the students of a roster: column `student` is the id, all other cells are aliases."""
    kept = [index for index, name in enumerate(table.header) if folded(name) != "submitted"]
    return [
        Student(table.cell(row, "student"), tuple(row.cells[index] for index in kept), row)
        for row in table.rows
    ]


def make_student_list(table: Table, students: Iterable[Student]) -> StudentList:
    """Return the list; raise RosterError unless ids are printable, short and unique."""
    checked: dict[str, Student] = {}
    for student in students:
        name = unicodedata.normalize("NFC", student.id)
        if not name or name != student_id(name):
            raise RosterError(
                f"{table.place(student.row)}: {shown(name)!r} cannot be a student's id. An id has "
                f"1 to {MAX_ID} printable characters."
            )
        if name in checked:
            raise RosterError(f"{table.place(student.row)}: student {name!r} is listed twice.")
        checked[name] = student._replace(id=name)
    return StudentList(table, tuple(checked.values()))


def plain_number(points: float | None) -> float | None:
    """Return points as people write them: 3 for 3.0, and at most two decimals."""
    if points is None:
        return None
    return int(points) if points == int(points) else round(points, 2)


def number_cell(points: float | None) -> Cell:
    """Return points as a cell, empty for None."""
    plain = plain_number(points)
    return "" if plain is None else plain


def format_csv(rows: Iterable[Sequence[Cell]]) -> str:
    """Return rows as CSV in which no spreadsheet finds a formula."""
    text = io.StringIO()
    csv.writer(text).writerows([_without_formula(cell) for cell in row] for row in rows)
    return text.getvalue()


def _without_formula(cell: Cell) -> Cell:
    if not isinstance(cell, str):
        return cell
    printable = "".join(c if c.isprintable() else " " for c in cell)
    if printable.strip() == "-":  # Moodle's sign for an empty cell
        return printable
    is_formula = printable.lstrip().startswith(tuple("=+-@|%")) or cell.startswith(("\t", "\r"))
    return f"'{printable}" if is_formula else printable
