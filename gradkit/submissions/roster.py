"""Whose an entry of a class's folder is, as its name, its platform or a roster tells.

The names that learning platforms give in their bulk downloads, NUMBER being the platform's own:

    Canvas       doejane_12345_678901_softmax.zip          the sortable name in small letters, the
                 doejane_LATE_12345_678901_softmax-1.zip   user's number, the file's; -1, -2: handed
                 anon_a1B2c_678901_softmax.zip             in again; graded anonymously
    Moodle       Jane Doe_123456_assignsubmission_file_/   a folder for each student, or
                 Jane Doe_123456_assignsubmission_file_softmax.zip
                 ..._assignsubmission_onlinetext_...       what was typed into a text field
    Gradescope   assignment_123_export/submission_456789/  with a submission_metadata.yml beside it,
                                                           which says who that is

What follows in these is the student's own name for the file, and is never asked whose it is.
Canvas and Moodle give a student's last attempt only, every file of it an entry. In any other name
the student is what is left without the exercise's own words and a time: `jane_softmax.zip` and
`softmax-submission_jane 2026-03-01 23-59-10.tar.gz` are both jane's.
"""

import csv
import hashlib
import itertools
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from assignment.checks.check import Exercise
from gradkit.errors import GradkitError
from gradkit.files import open_file, shown

MAX_ID = 80  # characters of a student's id: it goes into file names, which may have 255 bytes
MAX_ROSTER = 10_000_000  # bytes
GRADESCOPE = "submission_metadata.yml"

ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar")
# What is not read, but is an archive all the same: to be refused, not taken for a stray file.
_OTHER_ARCHIVES = (".rar", ".7z", ".gz", ".bz2", ".xz", ".tbz2", ".txz", ".zst")
_DOCUMENTS = (".py", ".ipynb", ".pdf", ".txt", ".md", ".html", ".docx", ".json", ".csv")

_CANVAS = re.compile(
    r"(?:(?P<late_too>LATE_)?(?P<anonymous>anon_[A-Za-z0-9]+)"
    r"|(?P<name>\w+?)(?P<late>_LATE)?_(?P<user>\d+))"
    r"_(?P<file>\d+)_(?P<rest>.+)"
)
_MOODLE = re.compile(
    r"(?P<name>.+?_\d+)_assignsubmission_(?P<kind>file|onlinetext)(?:_(?P<rest>.*))?"
)
_GRADESCOPE = re.compile(r"submission_\d+")
_TIME = re.compile(
    r"(?<!\d)(?P<year>20\d\d)(?P<dash>[-_.]?)(?P<month>\d\d)(?P=dash)(?P<day>\d\d)"
    r"(?:[T _.-]+(?P<hour>\d\d)[-_:.h]?(?P<minute>\d\d)(?:[-_:.m]?(?P<second>\d\d)(?:[.,]\d+)?)?"
    r" ?(?P<zone>Z|UTC|[+-]\d\d:\d\d)?)?(?!\d)"
)
AGAIN = r"(?:[ _-]?\(\d+\)|-\d+)?"  # what browsers, file managers and Canvas put behind a name
BETWEEN = "[ _+.-]"
_EDGES = rf"^{BETWEEN}+|{BETWEEN}+$"


class RosterError(GradkitError):
    """A roster cannot be used; the text says what was found, where, and what to do."""


@dataclass(frozen=True)
class Label:
    """What the name of an entry tells.

    Attributes
    ----------
    student : str
        Who it is by its name.
    searched : str
        The part of the name in which a student of a roster may be found.
    given : str
        What the student called it, as in ``softmax-1.py``; all of it where no platform tells.
    platform : str
        Which bulk download it comes from, if from any.
    file : int
        Canvas's number of it: a later file has a larger one.
    when : datetime, optional
        The time in its name.
    typed : bool
        It is what somebody typed into Moodle's text field.
    late : bool
        Canvas says that it came late.
    """

    student: str
    searched: str
    given: str
    platform: str = ""
    file: int = 0
    when: datetime | None = None
    typed: bool = False
    late: bool = False


def label(name: str, exercise: Exercise) -> Label:
    """What the name of an entry tells; see the module's description."""
    name = unicodedata.normalize("NFC", name)
    if canvas := canvas_name(name):
        who = canvas["anonymous"] or f"{canvas['name']}_{canvas['user']}"
        file, late = int(canvas["file"][:18]), bool(canvas["late"] or canvas["late_too"])
        return Label(student_id(who), who, canvas["rest"], "Canvas", file, late=late)
    if moodle := moodle_name(name):
        who, rest, typed = moodle["name"], moodle["rest"] or "", moodle["kind"] == "onlinetext"
        return Label(student_id(who), who, rest, platform="Moodle", typed=typed)
    if _GRADESCOPE.fullmatch(stem(name)):
        return Label(stem(name), name, name, platform="Gradescope")
    texts, when = _without_time(stem(name))
    words = "|".join(map(re.escape, sorted(_own_words(exercise), key=len, reverse=True)))
    own = rf"(?i)(?:(?<={BETWEEN})|^)(?:{words}){AGAIN}(?={BETWEEN}|$)"
    pieces = [piece for text in texts for piece in re.split(own, text)]
    student = "_".join(filter(None, (re.sub(_EDGES, "", piece) for piece in pieces)))
    return Label(student_id(student or stem(name)), name, name, when=when)


def canvas_name(name: str) -> re.Match[str] | None:
    """The parts of a name that Canvas gave (anonymous, or name and user; file; rest), if it did."""
    canvas = _CANVAS.fullmatch(name)
    return canvas if canvas and not _is_compact_time(canvas) else None


def moodle_name(name: str) -> re.Match[str] | None:
    """The parts of a name that Moodle gave (name, which ends with the number; kind; rest)."""
    return _MOODLE.fullmatch(name)


def _without_time(text: str) -> tuple[list[str], datetime | None]:
    """What stands before and behind the time in a text, and the time, if there is one."""
    for match in _TIME.finditer(text):
        if when := _moment(match):
            return [text[: match.start()], text[match.end() :]], when
    return [text], None


def stem(name: str) -> str:
    """A name without what tells the kind of file."""
    for ending in (*ARCHIVES, *_OTHER_ARCHIVES, *_DOCUMENTS):
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return name


def is_archive(name: str) -> bool:
    return name.lower().endswith((*ARCHIVES, *_OTHER_ARCHIVES))


def _own_words(exercise: Exercise) -> set[str]:
    """The words in names of files that come from the exercise, not from the student."""
    paths = (*exercise.files, exercise.notebook)
    return {exercise.name, *(Path(path).stem for path in paths), "submission", "starter"}


def student_id(text: str) -> str:
    """An id made of a text; see `distinct`."""
    return distinct(text, MAX_ID)


def distinct(text: str, most: int) -> str:
    """A text as it can be printed, in at most so many characters; another one for another text."""
    text = unicodedata.normalize("NFC", text)
    clean = shown(text, 2 * most).strip()
    if clean == text and len(clean) <= most:
        return clean
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{clean[: most - len(mark) - 1]}~{mark}"


def _is_compact_time(canvas: re.Match[str]) -> bool:
    """Whether two numbers are a date and a time, as in `jane_20260301_235910_softmax.py`."""
    return bool(
        canvas["user"]
        and len(canvas["file"]) == 6
        and (match := _TIME.fullmatch(f"{canvas['user']}_{canvas['file']}"))
        and _moment(match)
    )


def _moment(match: re.Match[str]) -> datetime | None:
    """The time that was found in a text, as UTC where it names no zone; None if it is none.

    Eight digits alone, or with four more, are as likely to be the number of a student.
    """
    if not match["dash"] and not match["second"]:
        return None
    date = f"{match['year']}-{match['month']}-{match['day']}"
    time = f"{match['hour'] or '00'}:{match['minute'] or '00'}:{match['second'] or '00'}"
    zone = {"Z": "+00:00", "UTC": "+00:00", None: "+00:00"}.get(match["zone"], match["zone"])
    try:
        return datetime.fromisoformat(f"{date}T{time}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


# --- Gradescope ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Submitters:
    """Who handed in a submission on Gradescope, each by sid, email and name; and when."""

    people: tuple[Mapping[str, str], ...]
    when: datetime | None


def read_gradescope(folder: Path) -> dict[str, Submitters]:
    """What the `submission_metadata.yml` of an export says, by the submissions' names.

    It is YAML as Ruby writes it. A few lines of it are wanted, and all that comes from students,
    the output of their programs, stands further to the right than those:

        submission_409194023:
          :submitters:
          - :name: Jane Doe
            :sid: '123456789'
            :email: jane@example.edu
          :created_at: 2026-04-26 17:34:00.861687000 Z
    """
    found: dict[str, Submitters] = {}
    name, section, people = "", "", list[dict[str, str]]()
    try:
        with open_file(folder / GRADESCOPE) as file:
            for raw in file:
                line = raw.decode("utf-8", "replace").rstrip()
                if match := re.fullmatch(r"([^\s:#-][^:]*|\"[^\"]+\"):", line):
                    name, section, people = _unquoted(match[1]), "", []
                    found[name] = Submitters((), None)
                elif (match := re.match(r"  :(\w+):(.*)", line)) and name:
                    section = match[1]
                    time = _TIME.search(match[2])
                    if section == "created_at" and time:
                        found[name] = replace(found[name], when=_moment(time))
                elif section == "submitters" and (
                    match := re.match(r"  (- |  ):(name|sid|email): *(.+)", line)
                ):
                    if match[1] == "- ":
                        people.append({})
                    if people:
                        people[-1][match[2]] = _unquoted(match[3])
                    found[name] = replace(found[name], people=tuple(people))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise RosterError(
            f"{folder / GRADESCOPE} cannot be read ({error.strerror}). It says whose the "
            "submissions are."
        ) from error
    return found


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text[1:-1]
    return text


# --- the roster ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """A CSV: its header, and the rows below it, as long as the header each."""

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def has(self, *columns: str) -> bool:
        return all(self._number(column) is not None for column in columns)

    def cell(self, row: tuple[str, ...], column: str) -> str:
        """What stands in a column of a row; nothing where there is no such column."""
        number = self._number(column)
        return "" if number is None else row[number].strip()

    def _number(self, column: str) -> int | None:
        names = [name.strip().casefold() for name in self.header]
        return names.index(column.casefold()) if column.casefold() in names else None


def read_table(path: Path, column: str, advice: str = "Call the column with the ids so.") -> Table:
    """The CSV at a path, which has this column. Between its columns: commas, semicolons or tabs.

    Raises
    ------
    RosterError
        It cannot be read, or has no such column.
    """
    try:
        with open_file(path.resolve()) as file:
            content = file.read(MAX_ROSTER + 1)
        if len(content) > MAX_ROSTER:
            raise RosterError(f"{path} has more than {MAX_ROSTER:,} bytes: it is no roster.")
        lines = content.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise RosterError(f"The roster {path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise RosterError(f"{path} is not UTF-8. Save it as `CSV UTF-8`.") from None
    header: list[str] = []
    for delimiter in ",;\t":
        try:
            header, *rows = list(csv.reader(lines, delimiter=delimiter)) or [[]]
        except csv.Error as error:
            raise RosterError(f"{path} is not CSV: {error}.") from None
        width = len(header)
        filled = (tuple(row[:width] + [""] * (width - len(row))) for row in rows)
        table = Table(path, tuple(header), tuple(filled))
        if table.has(column):
            return table
    said = ", ".join(cell.strip().casefold() for cell in header)
    raise RosterError(
        f"{path} has no column `{column}` in its first row, which is {shown(said)!r}. {advice}"
    )


@dataclass(frozen=True)
class Roster:
    """The students of a class, and to whom the values of their rows belong: words, folded.

    `submitted` are the times when students handed in, where the roster tells.
    """

    students: tuple[str, ...]
    owners: Mapping[tuple[str, ...], set[str]]
    submitted: Mapping[str, datetime]

    def whose(self, text: str) -> tuple[list[str], list[str]]:
        """The students of whom the longest value is found in a text, and others found in it.

        A value is found where its words stand in the text one after the other, whole, in any case;
        or where they are one word, as Canvas has a name. Of several students of one name it is the
        one of whom something else is found too, as a number. Others are those who are found
        elsewhere in the text, by what is theirs alone.
        """
        words = _words(text)
        found = [
            (sum(map(len, words[start:end])), {*range(start, end)}, owners)
            for start, end in itertools.combinations(range(len(words) + 1), 2)
            if (owners := self.owners.get(tuple(words[start:end])))
        ]
        longest = max((length for length, _, _ in found), default=0)
        first = {who for length, _, owners in found if length == longest for who in owners}
        singled = {
            who for *_, owners in found if len(owners & first) == 1 for who in owners & first
        }
        if len(singled) == 1:
            first = singled
        taken = {place for length, places, _ in found if length == longest for place in places}
        others = {
            who
            for _, places, owners in found
            for who in owners
            if len(owners) == 1 and who not in first and not places & taken
        }
        return sorted(first), sorted(others)


def _words(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.findall(r"[^\W_]+", folded)


def read_roster(path: Path) -> Roster:
    """A roster: CSV with a column `student`, the id, and any others by which students are known.

        student,name,email,file,submitted
        u123,Jane Doe,jane@example.edu,jane.zip,2026-03-01T23:10:00+01:00

    A column `submitted` tells when they handed in, as UTC where a time names no offset. The
    gradebook as Canvas exports it is a roster too.

    Raises
    ------
    RosterError
        It cannot be read, has no such column, two students of one id, or a time that is none.
    """
    table = read_table(path, "student")
    owners: dict[tuple[str, ...], set[str]] = {}
    students: list[str] = []
    submitted: dict[str, datetime] = {}
    for student, row in students_of(table):
        students.append(student)
        values = {tuple(_words(text)) for text in (student, *_known(table, row))}
        for value in values | {("".join(words),) for words in values}:
            owners.setdefault(value, set()).add(student)
        if time := table.cell(row, "submitted"):
            submitted[student] = _submitted(table, row, time)
    if not students:
        raise RosterError(f"{path} lists no students.")
    return Roster(tuple(students), owners, submitted)


def students_of(table: Table) -> list[tuple[str, tuple[str, ...]]]:
    """The students of a table with a column `student`, by id, each with the row.

    In Canvas's gradebook that column has names. Who shares one has Canvas's number behind it.

    Raises
    ------
    RosterError
        An id is none, or two students have the same.
    """
    canvas = is_canvas_gradebook(table)
    rows = [row for row in table.rows if not (canvas and _is_about_assignments(table, row))]
    names = Counter(table.cell(row, "student") for row in rows)
    students: dict[str, tuple[str, ...]] = {}
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        name = table.cell(row, "student")
        if canvas and names[name] > 1:
            name = f"{name} ({table.cell(row, 'ID')})"
        student = unicodedata.normalize("NFC", name)
        if not student or student != student_id(student):
            raise RosterError(
                f"{_row(table, row)}: {shown(student)!r} is no student's id. An id has 1 to "
                f"{MAX_ID} characters that can be printed."
            )
        if student in students:
            raise RosterError(
                f"{_row(table, row)}: there already is a student {student!r}. Ids must differ."
            )
        students[student] = row
    return list(students.items())


CANVAS_IDS = ("ID", "SIS User ID", "SIS Login ID", "Integration ID")


def is_canvas_gradebook(table: Table) -> bool:
    """Whether a table has the columns with which Canvas exports and imports its gradebook."""
    return table.has("Student", "ID", "SIS Login ID", "Section")


def _is_about_assignments(table: Table, row: tuple[str, ...]) -> bool:
    """Whether a row of Canvas's gradebook tells of the points or posting of the assignments."""
    student = table.cell(row, "Student")
    return not student or student.casefold() == "points possible"


def _known(table: Table, row: tuple[str, ...]) -> Iterator[str]:
    """By what a student of a roster is known: of Canvas's gradebook not by the grades in it."""
    if not is_canvas_gradebook(table):
        yield from (
            cell
            for column, cell in zip(table.header, row, strict=True)
            if column.strip().casefold() != "submitted"
        )
        return
    name = table.cell(row, "Student")
    yield name
    last, comma, first = name.partition(",")
    if comma:
        yield f"{first} {last}"
    yield from (table.cell(row, column) for column in CANVAS_IDS)


def _submitted(table: Table, row: tuple[str, ...], text: str) -> datetime:
    try:
        if len(text) <= len("2026-03-01"):
            raise ValueError("a day is no time")
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise RosterError(
            f"{_row(table, row)}: {shown(text)!r} in the column `submitted` is no time. Write it "
            "as in 2026-03-01T23:59:00+01:00; without an offset it is UTC."
        ) from None


def _row(table: Table, row: tuple[str, ...]) -> str:
    """Where a row is; the header is row 1."""
    number = next(n for n, other in enumerate(table.rows, start=2) if other is row)
    return f"{table.path}, row {number}"
