"""The page of a class: scores, checks, recognized mistakes, stuck students, and a table of all."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from assignment.checks.display import MARKS
from assignment.checks.verdict import Status, Verdict
from gradkit.feedback.html import render
from gradkit.feedback.student_page import FOLDER, page_names, write_student_pages, zip_pages
from gradkit.files import write_atomic
from gradkit.gradebook.database import GradebookFolder
from gradkit.gradebook.grades import ClassGrades, StudentGrade, open_grades

CLASS_PAGE = "class.html"
NOT_JUDGED = (Status.NOT_ATTEMPTED, Status.WAITING)
# Groups of statuses in the order of the bars, with colors visible on white and on black.
OUTCOMES = (
    ("passed", (Status.PASSED,), "#2f8f4e"),
    ("wrong", (Status.WRONG,), "#d1495b"),
    ("failed to run", (Status.RAISED, Status.TIMED_OUT, Status.CRASHED), "#b8860b"),
    ("open", NOT_JUDGED, "#8c959f"),
)


def write_pages(
    grades: GradebookFolder, zipped: bool = False, jobs: int = 1
) -> tuple[ClassGrades, list[Path]]:
    """Write the pages of a class and of its students; return the grades and the paths.

    What is graded from now on gets other problems: a student may learn those of before from a page.
    `zipped` also packs the students' pages; `jobs` is the largest number of processes.
    """
    with open_grades(grades) as (database, class_grades), database.closed_epoch():
        links = {student: f"{FOLDER}/{name}" for student, name in page_names(class_grades).items()}
        path = write_atomic(grades.out / CLASS_PAGE, class_page(class_grades, links))
        folder = write_student_pages(grades, class_grades, jobs)
    return class_grades, [path, folder, *([zip_pages(class_grades, grades.out)] if zipped else [])]


@dataclass(frozen=True)
class Row:
    """A student on the page."""

    grade: StudentGrade
    link: str  # URL of the student's page
    verdicts: dict[int, Verdict]  # by the number of the check, except checks added since grading
    marks: str  # a character for each verdict
    next: str  # title of the first check that is not passed
    mistakes: list[str]  # names of those recognized
    late: str
    status: str


def class_page(class_grades: ClassGrades, links: Mapping[str, str]) -> str:
    """Return the page; `links` maps students to the paths of their pages."""
    rows = [_row(grade, links[grade.student]) for grade in class_grades.student_grades]
    graded = [row for row in rows if row.grade.result is not None]
    scores = [row.grade.score for row in graded if row.grade.score is not None]
    titles = [check.title for check in class_grades.exercise.checks]
    return render(
        "class_page",
        title=class_grades.exercise.title,
        time=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        rows=rows,
        graded=graded,
        maximum=class_grades.maximum,
        median=statistics.median(scores) if scores else None,
        mean=statistics.fmean(scores) if scores else None,
        late=sum(bool(row.late) for row in rows),
        histogram=_histogram(scores, class_grades.maximum) if scores else [],
        outcomes=[(name, color) for name, _, color in OUTCOMES],
        counts=[(title, _count_outcomes(graded, n)) for n, title in enumerate(titles)],
        mistakes=_mistakes(graded),
        stuck=[(titles[number], stuck) for number, stuck in sorted(_stuck(graded).items())],
        untouched=[row for row in graded if not any(map(_is_judged, row.verdicts.values()))],
        ungraded=[row for row in rows if row.grade.result is None],
        checks=titles,
        open=sum(len(row.grade.open) for row in rows),
        statuses=sorted({row.status for row in rows}),
    )


def _row(grade: StudentGrade, link: str) -> Row:
    verdicts = {n: item.verdict for n, item in enumerate(grade.checks) if item.verdict}
    passed = {number for number, verdict in verdicts.items() if verdict.passed}
    not_passed = [item.title for n, item in enumerate(grade.checks) if n not in passed]
    late = grade.lateness if grade.result else ""
    return Row(
        grade,
        quote(link),
        verdicts,
        "".join(MARKS[verdict.status] for verdict in verdicts.values()),
        not_passed[0] if not_passed and grade.result else "",
        list(dict.fromkeys(v.headline for v in verdicts.values() if v.mistake)),
        late,
        "late" if late else grade.record.status,
    )


def _histogram(scores: list[float], maximum: int) -> list[tuple[int, int]]:
    """Count the scores in about twelve bins; return the lower edge and the count of each."""
    width = max(1, round(maximum / 12))
    counts = Counter(int(score // width) for score in scores)
    return [(number * width, counts[number]) for number in range(maximum // width + 1)]


def _count_outcomes(graded: list[Row], number: int) -> list[int]:
    """Count the students in each of OUTCOMES, for the check of this number."""
    counts = Counter(row.verdicts[number].status for row in graded if number in row.verdicts)
    return [sum(counts[status] for status in statuses) for _, statuses, _ in OUTCOMES]


def _mistakes(graded: list[Row]) -> list[tuple[str, int, list[str]]]:
    """List each mistake's name, its number of students and its checks, the most frequent first."""
    counts = Counter(name for row in graded for name in row.mistakes)
    verdicts = [verdict for row in graded for verdict in row.verdicts.values() if verdict.mistake]
    return [
        (name, count, list(dict.fromkeys(v.title for v in verdicts if v.headline == name)))
        for name, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def _is_judged(verdict: Verdict) -> bool:
    return verdict.status not in NOT_JUDGED


def _stuck(graded: list[Row]) -> dict[int, list[tuple[Row, str]]]:
    """Find stuck students, with their verdict's headline, by the number of the check.

    They attempted that check, did not pass it, and passed no later one.
    """
    stuck: dict[int, list[tuple[Row, str]]] = defaultdict(list)
    for row in graded:
        last_passed = max((n for n, v in row.verdicts.items() if v.passed), default=-1)
        for number, verdict in row.verdicts.items():
            if number > last_passed and _is_judged(verdict):
                stuck[number].append((row, verdict.headline))
                break
    return stuck
