"""Lists of students as CSV: read from any spreadsheet, written so that no cell is a formula."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from gradkit.errors import GradkitError
from gradkit.files import distinct, plain
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

    @cached_property
    def _places(self) -> dict[str, int]:
        return {folded(name): place for place, name in reversed([*enumerate(self.header)])}

    def has(self, *columns: str) -> bool:
        """Return whether all of these columns exist, in any case."""
        return all(folded(column) in self._places for column in columns)

    def original(self, row: Row, column: str) -> str:
        """Return the cell of a column as it is in the file; "" where the column is missing."""
        place = self._places.get(folded(column))
        return "" if place is None else row.cells[place]

    def cell(self, row: Row, column: str) -> str:
        """Return the stripped cell of a column; "" where the column is missing."""
        return self.original(row, column).strip()

    def cells(self, row: Row, columns: Iterable[str]) -> list[str]:
        return [self.cell(row, column) for column in columns]

    def place(self, row: Row) -> str:
        return f"{self.path}, row {row.number}"


class Student(NamedTuple):
    """A student of a list: the id, all texts by which others may call the student, the row."""

    id: str
    aliases: tuple[str, ...]
    row: Row
    submitted: datetime | None = None  # in a platform's list


class StudentList(NamedTuple):
    """A course's roster or a platform's own list of students."""

    table: Table
    students: tuple[Student, ...]


def student_id(text: str) -> str:
    """Return the id made of a text: printable, at most MAX_ID characters."""
    return distinct(text, MAX_ID)


def read_tables(path: Path) -> Iterator[Table]:
    """Yield a CSV file as a table for each delimiter that it may have; raise RosterError.

    It is UTF-8, or Excel's "Unicode Text". A first line `sep=;`, which Excel reads and writes,
    names the delimiter; without it, commas, semicolons and tabs are tried.
    """
    try:
        content = path.read_bytes()
        is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except OSError as error:
        raise RosterError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise RosterError(f"{path} is not UTF-8. Save it as `CSV UTF-8`.") from None
    stated = re.match(r'"?sep=([^\w\s"]|\t)"?[ ,;\t]*\r?\n', text)
    problem, most_columns = None, 0
    for delimiter in stated[1] if stated else ",;\t":
        lines = io.StringIO(text[stated.end() :] if stated else text, newline="")
        try:
            header, *rows = [*csv.reader(lines, delimiter=delimiter, strict=True)] or [[]]
        except csv.Error as error:
            problem = problem or error
            continue
        width = len(header)
        most_columns = max(most_columns, width)
        padded = tuple(
            Row(number, (*row[:width], *[""] * (width - len(row))))
            for number, row in enumerate(rows, start=3 if stated else 2)
            if any(cell.strip() for cell in row)
        )
        yield Table(path, tuple(header), padded)
    if problem and most_columns < 2:  # otherwise another delimiter is the right one
        raise RosterError(f"{path} is not CSV: {problem}.")


def roster_students(table: Table) -> list[Student]:
    """Return the students of a roster: column `student` is the id, all other cells are aliases."""
    kept = [index for index, name in enumerate(table.header) if folded(name) != "submitted"]
    return [
        Student(table.cell(row, "student"), tuple(row.cells[index] for index in kept), row)
        for row in table.rows
    ]


def make_student_list(table: Table, students: Iterable[Student]) -> StudentList:
    """Return the list, with an id for each student that is printable, short and unique.

    Raise RosterError for a student without an id, or with the same as another.
    """
    students = [*students]
    counts = Counter(plain(student.id).strip() for student in students)
    checked: dict[str, Student] = {}
    for student in students:
        name = plain(student.id).strip()
        if not name:
            raise RosterError(f"{table.place(student.row)}: '' cannot be a student's id.")
        # Names that differ in their blanks alone are two, as they would be in file names.
        id = student_id(name if counts[name] == 1 else student.id)
        if other := checked.get(id):
            raise RosterError(
                f"{table.place(student.row)}: student {id!r} is listed twice, first in row "
                f"{other.row.number}."
            )
        checked[id] = student._replace(id=id)
    return StudentList(table, tuple(checked.values()))


def read_number(text: str) -> float | None:
    """Return a number with the decimal and thousands marks of any country; None for other texts.

    A mark that has three digits behind it, and none of another kind before it, is for thousands.
    """
    match = re.fullmatch(r"([\d.,]*?)([.,]?)(\d+)", re.sub(r"[\s'’]", "", text[:40]))
    if match is None:
        return None
    whole, mark, last = match.groups()
    is_thousand = len(last) == 3 and whole.strip("0.,") and {*whole} & {*".,"} <= {mark}
    whole = re.sub("[.,]", "", whole)
    return float(whole + last if is_thousand or not mark else f"{whole}.{last}")


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
    cell = re.sub(
        r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", " ", cell
    )  # what would steer a terminal
    start = folded(cell[:200])
    is_formula = start.startswith(tuple("=+-@|%")) or cell.startswith(("\t", "\r"))
    return f"'{cell}" if is_formula and start != "-" else cell  # "-" is Moodle's empty cell
