"""The gradebook in the forms that others read: spreadsheets, programs, and the three platforms.

    standings (+ the platform's own list of students) -> text, and sentences on who is not in it

csv         A row for each submission, superseded ones too; where there is no score it is empty. No
            cell of it is a formula.

json        A list with an object for each submission, superseded ones too:
                student, submission, status, received (ISO 8601 or ""), dated, maximum, notes,
                score, earned, deduction (null where nothing was graded), late (seconds),
                final (whether it is all graded),
                items: name, title, kind ("check" or "question"), points (or null), out_of, status
                (of a check: "passed", "wrong", ..., else null), mistake, headline (of a check; ""
                where there is none), by_hand (whether a person gave the points), comment.

canvas      What the gradebook's Import takes. Canvas knows a student by ID, its own number, else by
            SIS User ID, SIS Login ID, else by the name in Student; it wants the columns Student,
            ID, SIS Login ID and Section, and a row `Points Possible` under them. A column with the
            header `Title (number)`, as in its exports, is that assignment; one of another name
            makes a new one. A student without a row keeps the score there is, while an empty cell
            would take it away: so who has no score has no row.

moodle      An assignment's offline grading worksheet. Moodle knows a student by the number in
            Identifier, and wants the columns Identifier, Grade and Last modified (grade), in the
            language of whoever uploads it; English here. It passes over grades above the
            assignment's maximum, and students who were graded later than that column says.

gradescope  Gradescope documents no import of scores but one: what an autograder writes into
            results.json. So this is a `run_autograder`, which goes into a zip file with an empty
            `setup.sh`, and that into a programming assignment. Run on the submissions that are
            there, it writes each its results, finding them by the submission's number, or the
            e-mail address where no number was known; for any other it writes none, and fails.

For the platforms a student counts who has a final score. The others are told of, and never get a 0.
"""

import csv
import html
import io
import json
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from gradkit.course.late_policy import format_lateness
from gradkit.errors import GradkitError
from gradkit.gradebook.database import GradebookFolder, SubmissionRecord
from gradkit.gradebook.grades import ClassGrades, ItemScore, StudentGrade, opened
from gradkit.submissions.roster import (
    CANVAS_IDS,
    Table,
    canvas_name,
    is_canvas_gradebook,
    moodle_name,
    read_table,
    students_of,
)

FORMS = ("csv", "json", "canvas", "moodle", "gradescope")


Cell = str | int | float

K = TypeVar("K", bound=Hashable)


class ExportError(GradkitError):
    """The gradebook cannot be had in this form; the text says why, and what to do."""


class Export(NamedTuple):
    """A gradebook's text, and sentences on who is not in it, and on what does not fit."""

    text: str
    told: list[str]


def format_grades(
    class_grades: ClassGrades, records: list[SubmissionRecord], form: str, roster: Path | None
) -> Export:
    """The gradebook in one of the FORMS; see the module's description.

    Parameters
    ----------
    class_ : Class
    entries : list of Entry
        All submissions of its ledger, those that do not count included.
    form : str
    roster : Path, optional
        For a platform: its own list, as it exports it, whose rows and ids are taken over.

    Raises
    ------
    ExportError, RosterError
        There is no such form, or the roster is not what this platform exports.
    """
    if form in ("csv", "json"):
        if roster is not None:
            raise ExportError(
                f"A roster says who is who on a platform; {form} is for none of them."
            )
        table = _standings(class_grades, records)
        return Export(
            _gradebook(class_grades, table) if form == "csv" else _json(class_grades, table), []
        )
    platforms = {"canvas": _canvas, "moodle": _moodle, "gradescope": _gradescope}
    if form not in platforms:
        raise ExportError(f"There is no form {form!r}. There are: {', '.join(FORMS)}.")
    return platforms[form](class_grades, roster)


def upload_name(record: SubmissionRecord, page: str) -> str:
    """What a student's page is called in an archive of feedback, so that the platform takes it.

    Canvas reads the user's and the file's number in a name, Moodle the participant's and what kind
    of thing it answers; both as they were in the name of the submission. The rest of the name is
    ours in Moodle; Canvas shows the page by the name of the student's own file. Where the name is
    neither's, it is the page's own.
    """
    ending = Path(page).suffix
    if canvas := canvas_name(record.submission):
        return f"{record.submission[: canvas.start('rest')]}feedback{ending}"
    if moodle := moodle_name(record.submission):
        return f"{moodle['name']}_assignsubmission_{moodle['kind']}_feedback{ending}"
    return page


# --- csv and json --------------------------------------------------------------------------------


def _standings(
    class_grades: ClassGrades, records: list[SubmissionRecord]
) -> list[tuple[SubmissionRecord, StudentGrade | None]]:
    """Every submission, with what its student stands at if it is the one that counts."""
    known = {(each.student, each.record.submission): each for each in class_grades.student_grades}
    return [(record, known.get((record.student, record.submission))) for record in records]


def _gradebook(
    class_grades: ClassGrades, table: list[tuple[SubmissionRecord, StudentGrade | None]]
) -> str:
    names = [*class_grades.exercise.names, *(question.name for question in class_grades.questions)]
    header = ["student", "score", "maximum", "status", "submission", *names]
    rows: list[Sequence[Cell]] = [[*header, "late", "deduction", "notes"]]
    for record, student_grade in table:
        points = {item.name: item.points for item in student_grade.items} if student_grade else {}
        rows.append(
            [
                record.student,
                _number(student_grade.score if student_grade else None),
                class_grades.maximum,
                record.status,
                record.submission,
                *(_number(points.get(name)) for name in names),
                format_lateness(student_grade.late) if student_grade and student_grade.late else "",
                _number((student_grade and student_grade.deduction) or None),
                " ".join(_notes(record, student_grade)),
            ]
        )
    return _as_csv(rows)


def _notes(record: SubmissionRecord, student_grade: StudentGrade | None) -> Iterator[str]:
    yield from student_grade.notes if student_grade else record.notes
    if student_grade and student_grade.score is not None and student_grade.open:
        yield f"Still to be graded by hand: {_titles(student_grade.open)}."


def _json(
    class_grades: ClassGrades, table: list[tuple[SubmissionRecord, StudentGrade | None]]
) -> str:
    objects = [
        {
            "student": record.student,
            "submission": record.submission,
            "status": record.status,
            "received": record.received,
            "dated": record.dated,
            "maximum": class_grades.maximum,
            **(_worth(student_grade) if student_grade else _worth_nothing()),
            "notes": list(_notes(record, student_grade)),
        }
        for record, student_grade in table
    ]
    return json.dumps(objects, ensure_ascii=False, indent=1) + "\n"


def _worth(student_grade: StudentGrade) -> dict[str, Any]:
    return {
        "score": _plain(student_grade.score),
        "earned": _plain(student_grade.earned),
        "late": round(student_grade.late.total_seconds()),
        "deduction": None if student_grade.score is None else _plain(student_grade.deduction),
        "final": student_grade.is_final,
        "items": [
            *(_as_object(item, "check") for item in student_grade.checks),
            *(_as_object(item, "question") for item in student_grade.questions),
        ],
    }


def _worth_nothing() -> dict[str, Any]:
    """What a submission comes to that does not count."""
    nothing: dict[str, Any] = dict.fromkeys(("score", "earned", "late", "deduction"))
    return {**nothing, "late": 0, "final": False, "items": []}


def _as_object(item: ItemScore, kind: str) -> dict[str, Any]:
    return {
        "name": item.name,
        "title": item.title,
        "kind": kind,
        "points": _plain(item.points),
        "out_of": item.out_of,
        "status": item.verdict.status.value if item.verdict else None,
        "mistake": item.verdict.mistake if item.verdict else "",
        "headline": item.verdict.headline if item.verdict else "",
        "by_hand": item.manual is not None and item.manual.points is not None,
        "comment": item.manual.comment if item.manual else "",
    }


def _plain(points: float | None) -> float | None:
    """Points as people write them: 3, not 3.0; at most two decimals."""
    if points is None:
        return None
    return int(points) if points == int(points) else round(points, 2)


def _number(points: float | None) -> Cell:
    plain = _plain(points)
    return "" if plain is None else plain


def _as_csv(rows: Iterable[Sequence[Cell]]) -> str:
    """A table as CSV that no spreadsheet takes for formulas."""
    text = io.StringIO()
    csv.writer(text).writerows([_harmless(cell) for cell in row] for row in rows)
    return text.getvalue()


def _harmless(cell: Cell) -> Cell:
    if isinstance(cell, str):
        first = cell[:1]
        cell = "".join(c if c.isprintable() else " " for c in cell)
        if cell.strip() == "-":  # with which Moodle says that there is nothing
            return cell
        if cell.lstrip()[:1] in tuple("=+-@|%") or first in ("\t", "\r"):
            return f"'{cell}" if cell else cell
    return cell


# --- who has a final score -----------------------------------------------------------------------


def _finals(class_grades: ClassGrades) -> tuple[list[StudentGrade], list[str]]:
    """The standings with a final score, one of each student, and sentences on who has none."""
    finals, told = [], []
    for student_grade in class_grades.student_grades:
        if student_grade.is_final:
            finals.append(student_grade)
        else:
            told.append(f"{student_grade.student} is left out: {_why(student_grade)}")
    return finals, told


def _why(student_grade: StudentGrade) -> str:
    """Why a student has no final score: a sentence's end."""
    record = student_grade.record
    if student_grade.score is not None:
        missing = [item for item in student_grade.items if item.out_of and item.points is None]
        return f"not graded yet: {_titles(missing)}."
    if record.status in ("refused", "failed"):
        return " ".join([f"{record.submission} could not be graded.", *record.notes])
    if not record.submission:
        return "nothing was handed in."
    return f"{record.submission} has not been graded yet."


def _titles(items: Iterable[ItemScore]) -> str:
    return ", ".join(item.title for item in items)


def _alone(
    places: Mapping[K, list[StudentGrade]], where: str, told: list[str]
) -> dict[K, StudentGrade]:
    """Who has a place to themselves. Who shares one is left out: nobody knows whose score it is."""
    for student_grades in places.values():
        if len(student_grades) > 1:
            students = " and ".join(each.student for each in student_grades)
            told.append(f"{students} are left out: they are one and the same student {where}.")
    return {
        place: student_grades[0]
        for place, student_grades in places.items()
        if len(student_grades) == 1
    }


def _rows_of(
    finals: list[StudentGrade],
    number_of: Callable[[StudentGrade], str],
    known: list[tuple[str, set[str]]],
    where: str,
    told: list[str],
) -> dict[int, StudentGrade]:
    """Whose each row of a platform's list is; `known` are its number and its other ids, folded.

    `number_of` gives the platform's number of a student, where it is known.
    """
    by_number: dict[str, list[int]] = {}
    by_id: dict[str, list[int]] = {}
    for row, (number, ids) in enumerate(known):
        by_number.setdefault(number, []).append(row)
        for each in ids:
            by_id.setdefault(each, []).append(row)
    places: dict[int, list[StudentGrade]] = {}
    for student_grade in finals:
        number = number_of(student_grade)
        rows = by_number.get(number, []) if number else []
        rows = rows or by_id.get(_folded(student_grade.student), [])
        if len(rows) == 1:
            places.setdefault(rows[0], []).append(student_grade)
        else:
            found = (
                f"several rows of {where} are theirs." if rows else f"no row of {where} is theirs."
            )
            told.append(f"{student_grade.student} is left out: {found}")
    return _alone(places, f"in {where}", told)


def _folded(text: str) -> str:
    return text.strip().casefold()


# --- Canvas --------------------------------------------------------------------------------------

_POINTS_POSSIBLE = "    Points Possible"  # with the blanks that Canvas itself writes

_CANVAS_COLUMNS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")

# In the order in which Canvas looks for them. The last two are in the exports of few.
_CANVAS_ORDER = (*_CANVAS_COLUMNS[:4], "Integration ID", "Root Account", "Section")


def _canvas(class_grades: ClassGrades, roster: Path | None) -> Export:
    finals, told = _finals(class_grades)
    if roster is None:
        return Export(_canvas_of_numbers(class_grades, finals, told), told)
    table = read_table(roster, "student")
    if not any(table.has(column) for column in CANVAS_IDS):
        raise ExportError(
            f"{roster} has none of the columns {', '.join(CANVAS_IDS)}, so Canvas would know "
            "nobody in it. Export the gradebook of the course from Canvas, and give that."
        )
    students = students_of(table)
    known = [
        (
            table.cell(row, "ID"),
            {_folded(id) for id in (student, *(table.cell(row, c) for c in CANVAS_IDS)) if id},
        )
        for student, row in students
    ]
    columns: tuple[str, ...] = _CANVAS_COLUMNS
    if is_canvas_gradebook(table):
        columns = tuple(column for column in _CANVAS_ORDER if table.has(column))
    header, possible = _assignment(class_grades, table, told)
    owners = _rows_of(finals, _canvas_user, known, str(roster), told)
    rows: list[Sequence[Cell]] = [
        [*columns, header],
        [_POINTS_POSSIBLE, *[""] * (len(columns) - 1), possible],
    ]
    for number, (_, row) in enumerate(students):
        if number in owners:
            ids = [table.cell(row, column) for column in columns]
            rows.append([*ids, _number(owners[number].score)])
    return Export(_as_csv(rows), told)


def _canvas_of_numbers(
    class_grades: ClassGrades, finals: list[StudentGrade], told: list[str]
) -> str:
    """What can be had without Canvas's gradebook: its numbers are in the names that it gives."""
    places: dict[str, list[StudentGrade]] = {}
    for student_grade in finals:
        if number := _canvas_user(student_grade):
            places.setdefault(number, []).append(student_grade)
        else:
            told.append(
                f"{student_grade.student} is left out: nothing tells their number in Canvas. Give "
                "--roster the gradebook as Canvas exports it."
            )
    rows: list[Sequence[Cell]] = [
        [*_CANVAS_COLUMNS, class_grades.exercise.title],
        [_POINTS_POSSIBLE, "", "", "", "", class_grades.maximum],
    ]
    for number, student_grade in _alone(places, "in Canvas", told).items():
        rows.append([student_grade.student, number, "", "", "", _number(student_grade.score)])
    return _as_csv(rows)


def _assignment(class_grades: ClassGrades, table: Table, told: list[str]) -> tuple[str, Cell]:
    """The header of the assignment's column, and the points that Canvas has for it."""
    title = class_grades.exercise.title
    called = [
        header
        for header in table.header
        if _folded(re.sub(r"\s\(\d+\)$", "", header.strip())) == _folded(title)
    ]
    if len(called) > 1:
        raise ExportError(
            f"{table.path} has {len(called)} assignments {title!r}: {', '.join(called)}. Delete "
            "the columns of all but one."
        )
    if not called:
        told.append(f"{table.path} has no assignment {title!r}, so Canvas will make a new one.")
        return title, class_grades.maximum
    about = [row for row in table.rows if _folded(row[0]) == _folded(_POINTS_POSSIBLE)]
    possible = table.cell(about[0], called[0].strip()) if about else ""
    if "read only" in possible.casefold():
        raise ExportError(f"In Canvas the scores of {called[0]!r} can only be read.")
    _compare(possible, class_grades.maximum, "Canvas", told)
    return called[0], possible or class_grades.maximum


def _compare(found: str, maximum: int, where: str, told: list[str]) -> None:
    """Tell of it if a platform has other points for the assignment than there are."""
    try:
        theirs = float(found.replace(",", "."))
    except ValueError:
        return
    if theirs != maximum:
        told.append(
            f"In {where} the assignment has {_plain(theirs)} points, and here {maximum}. The "
            "scores are exported as they are."
        )


def _canvas_user(student_grade: StudentGrade) -> str:
    """Canvas's number of a student, where its name for the submission tells."""
    canvas = canvas_name(student_grade.record.submission)
    return str(canvas["user"] or "") if canvas else ""


# --- Moodle --------------------------------------------------------------------------------------

_IDENTIFIER, _MODIFIED, _FEEDBACK = "Identifier", "Last modified (grade)", "Feedback comments"


def _moodle(class_grades: ClassGrades, roster: Path | None) -> Export:
    finals, told = _finals(class_grades)
    if roster is None:
        return Export(_moodle_of_numbers(class_grades, finals, told), told)
    advice = (
        "Give the grading worksheet that Moodle offers for the assignment, with Moodle in English."
    )
    table = read_table(roster, _IDENTIFIER, advice)
    if missing := [column for column in ("Grade", _MODIFIED) if not table.has(column)]:
        raise ExportError(f"{roster} has no column {' and none '.join(missing)}. {advice}")
    if table.has("Scale"):
        raise ExportError(
            f"By {roster} Moodle grades this assignment by a scale, not in points. Change that in "
            "the assignment's settings, and download the worksheet again."
        )
    if not table.has(_FEEDBACK):
        told.append(
            f"{roster} has no column {_FEEDBACK}, so there are grades only. Feedback comments are "
            "turned on in the assignment's settings."
        )
    names = ("Full name", "Email address", "ID number", "Username")
    known = [
        (
            _digits_at_end(table.cell(row, _IDENTIFIER)),
            {_folded(id) for name in names if (id := table.cell(row, name))},
        )
        for row in table.rows
    ]
    for maximum in {table.cell(row, "Maximum Grade") for row in table.rows}:
        _compare(maximum, class_grades.maximum, "Moodle", told)
    owners = _rows_of(finals, _moodle_number, known, str(roster), told)
    rows: list[Sequence[Cell]] = [table.header]
    for number, row in enumerate(table.rows):
        if number in owners:
            rows.append([*_filled(table.header, row, owners[number])])
    return Export(_as_csv(rows), told)


def _filled(
    header: Sequence[str], row: Sequence[str], student_grade: StudentGrade
) -> Iterator[Cell]:
    """A row of the worksheet with a student's grade and feedback in it."""
    ours = {
        "Grade": _number(student_grade.score),
        _FEEDBACK: html.escape(_comment(student_grade), quote=False),
    }
    for column, cell in zip(header, row, strict=True):
        yield ours.get(column.strip(), cell)


def _moodle_of_numbers(
    class_grades: ClassGrades, finals: list[StudentGrade], told: list[str]
) -> str:
    """What can be had without the worksheet: Moodle's numbers are in the names that it gives."""
    places: dict[str, list[StudentGrade]] = {}
    for student_grade in finals:
        if number := _moodle_number(student_grade):
            places.setdefault(number, []).append(student_grade)
        else:
            told.append(
                f"{student_grade.student} is left out: nothing tells their number in Moodle. Give "
                "--roster the grading worksheet that Moodle offers for the assignment."
            )
    header = (_IDENTIFIER, "Full name", "Grade", "Maximum Grade", _MODIFIED, _FEEDBACK)
    rows: list[Sequence[Cell]] = [header]
    for number, student_grade in _alone(places, "in Moodle", told).items():
        name, _ = _moodle_person(student_grade)
        row = (f"Participant {number}", name, "", str(class_grades.maximum), "-", "")
        rows.append([*_filled(header, row, student_grade)])
    return _as_csv(rows)


def _moodle_number(student_grade: StudentGrade) -> str:
    """Moodle's number of a participant, where its name for the submission tells."""
    return _moodle_person(student_grade)[1]


def _moodle_person(student_grade: StudentGrade) -> tuple[str, str]:
    """Name and number of a participant; empty where nothing tells."""
    moodle = moodle_name(student_grade.record.submission)
    name, _, number = moodle["name"].rpartition("_") if moodle else ("", "", "")
    return name, number


def _digits_at_end(text: str) -> str:
    found = re.search(r"\d+$", text)
    return found[0] if found else ""


def _comment(student_grade: StudentGrade) -> str:
    """What a student is told beside a score: plain sentences."""
    said = [
        f"{item.title}: {_number(item.points)} of {item.out_of}. {_remark(item)}".strip()
        for item in student_grade.items
        if item.out_of or item.manual
    ]
    if student_grade.late:
        said.append(
            f"Late by {format_lateness(student_grade.late)}: {_number(student_grade.deduction)} points less."
        )
    return " ".join(said)


def _remark(item: ItemScore) -> str:
    """What a person said of a check or answer, else what the mistake is called."""
    if item.manual and (item.manual.comment or item.manual.points is not None):
        return " ".join(item.manual.comment.split())
    headline = item.verdict.headline if item.verdict else ""
    return f"{headline[:1].upper()}{headline[1:]}." if headline else ""


# --- Gradescope ----------------------------------------------------------------------------------

_SUBMISSION = re.compile(r"(?:assignment_\d+_export/)?submission_(\d+)(?:\W.*)?")

_EMAIL = re.compile(r"[^\s@,;<>]+@[^\s@,;<>]+")


_RUN_AUTOGRADER = '''\
#!/usr/bin/env python3
"""Gives each submission on Gradescope the results that it has got elsewhere.

Put it into a zip file, together with an empty setup.sh, and upload that as the assignment's
autograder. A submission that is not known gets no results, and is told of as a failure.
"""

import json
import sys
from pathlib import Path

KNOWN = json.loads(
    RESULTS
)

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "/autograder")
submission = json.loads((folder / "submission_metadata.json").read_text(encoding="utf-8"))
found = KNOWN["submissions"].get(str(submission["id"]))
if found is None:
    addresses = [str(user.get("email") or "").casefold() for user in submission["users"]]
    theirs = [KNOWN["addresses"][each] for each in addresses if each in KNOWN["addresses"]]
    found = theirs[0] if theirs and all(each == theirs[0] for each in theirs) else None
if found is None:
    print("There are no results for this submission, so it gets none.")
    sys.exit(1)
(folder / "results").mkdir(exist_ok=True)
(folder / "results" / "results.json").write_text(json.dumps(found), encoding="utf-8")
'''


def _gradescope(class_grades: ClassGrades, roster: Path | None) -> Export:
    finals, told = _finals(class_grades)
    addresses = _addresses(roster)
    submissions: dict[str, list[StudentGrade]] = {}
    by_address: dict[str, list[StudentGrade]] = {}
    for student_grade in finals:
        if match := _SUBMISSION.fullmatch(student_grade.record.submission):
            submissions.setdefault(match[1], []).append(student_grade)
            continue
        theirs = addresses.get(student_grade.student, set())
        if _EMAIL.fullmatch(student_grade.student):
            theirs = theirs | {_folded(student_grade.student)}
        for address in theirs:
            by_address.setdefault(address, []).append(student_grade)
        if not theirs:
            told.append(
                f"{student_grade.student} is left out: nothing tells their submission or e-mail address "
                "on Gradescope. Give --roster a CSV with a column `student` and one of addresses."
            )
    known = {
        "submissions": _of_groups(submissions, told),
        "addresses": {
            address: _results(student_grade)
            for address, student_grade in _alone(by_address, "by their address", told).items()
        },
    }
    return Export(_RUN_AUTOGRADER.replace("RESULTS", repr(json.dumps(known)), 1), told)


def _addresses(roster: Path | None) -> dict[str, set[str]]:
    """The e-mail addresses of a roster's students."""
    if roster is None:
        return {}
    students = students_of(read_table(roster, "student"))
    return {
        student: {_folded(cell) for cell in row if _EMAIL.fullmatch(cell.strip())}
        for student, row in students
    }


def _of_groups(submissions: Mapping[str, list[StudentGrade]], told: list[str]) -> dict[str, Any]:
    """The results of submissions, each of a student or of a group, who have one score together."""
    found = {}
    for number, student_grades in submissions.items():
        results = [_results(student_grade) for student_grade in student_grades]
        if all(each == results[0] for each in results):
            found[number] = results[0]
        else:
            students = " and ".join(student_grade.student for student_grade in student_grades)
            told.append(
                f"{students} are left out: they handed in together, which is one score on "
                "Gradescope, and have different ones."
            )
    return found


def _results(student_grade: StudentGrade) -> dict[str, Any]:
    """A student's results.json. The score in it counts, whatever the tests add up to."""
    late = (
        f"Late by {format_lateness(student_grade.late)}: {_number(student_grade.deduction)} points less."
    )
    return {
        "score": _plain(student_grade.score),
        "output": late if student_grade.late else "",
        "output_format": "text",
        "stdout_visibility": "hidden",
        "visibility": "after_published",
        "tests": [
            {
                "name": item.title,
                "score": _plain(item.points),
                "max_score": item.out_of,
                "output": _remark(item),
            }
            for item in student_grade.items
            if item.out_of
        ],
    }


def write_gradebook(grades: GradebookFolder) -> Path:
    """Write gradebook.csv beside the ledger, in the place of an older one; its path."""
    path = grades.out / "gradebook.csv"
    unfinished = path.with_suffix(".tmp")
    text = export(grades, "csv").text
    unfinished.write_text(text, encoding="utf-8", newline="")
    unfinished.replace(path)
    return path


def export(grades: GradebookFolder, form: str, roster: Path | None = None) -> Export:
    """The gradebook in a form of `gradkit.gradebook.export`; the roster is the platform's list.

    Raises
    ------
    GradkitError
        It cannot be had in that form.
    """
    with opened(grades) as (database, class_grades):
        return format_grades(class_grades, database.records(), form, roster)
