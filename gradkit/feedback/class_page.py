"""The page of a class: how it is doing, what it gets wrong, who is stuck, what was not graded."""

import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from assignment.checks.display import MARKS
from assignment.checks.verdict import Status
from gradkit.course.late_policy import format_lateness
from gradkit.feedback.html import INK, as_svg, render, write
from gradkit.feedback.student_page import FOLDER, pack, page_names, write_feedback
from gradkit.gradebook.database import GradebookFolder
from gradkit.gradebook.grades import ClassGrades, ItemScore, StudentGrade, opened

BLUE, GREY = "#2f7fc1", "#8c959f"  # to be seen on white and on black

# What a check can come to, in the order in which it is drawn. The hatches are for those who do not
# tell the colours apart.
OUTCOMES = (
    ("passed", (Status.PASSED,), "#2f8f4e", ""),
    ("wrong", (Status.WRONG,), "#d1495b", "///"),
    (
        "raised, timed out, crashed",
        (Status.RAISED, Status.TIMED_OUT, Status.CRASHED),
        "#b8860b",
        "xx",
    ),
    ("open", (Status.NOT_ATTEMPTED, Status.WAITING), GREY, ".."),
)


@dataclass(frozen=True)
class Row:
    """A student on the page."""

    student_grade: StudentGrade
    link: str
    strip: str  # a mark for each check
    spoken: str  # the same for those who hear it
    next: str  # the first check that is not passed
    mistakes: tuple[str, ...]
    late: str
    status: str

    @property
    def words(self) -> str:
        """What a filter looks at."""
        parts = (
            self.student_grade.student,
            self.next,
            self.status,
            *self.mistakes,
            *self.student_grade.notes,
        )
        return "\n".join(parts).lower()


@dataclass(frozen=True)
class Failing:
    """A check, and what came of it in the class: how many of each of OUTCOMES."""

    title: str
    counts: tuple[int, ...]

    @property
    def rate(self) -> float:
        return 1 - self.counts[0] / max(1, sum(self.counts))


@dataclass(frozen=True)
class Mistake:
    """A mistake by its name: the students who made it, and the checks that called it so."""

    name: str
    students: int
    titles: tuple[str, ...]
    share: float


@dataclass(frozen=True)
class Stuck:
    """A check that some students came to, tried, did not pass, and got past in nothing."""

    title: str
    rows: tuple[tuple[Row, str], ...]  # and what is said to them


def class_page(class_grades: ClassGrades, links: Mapping[str, str]) -> str:
    """The page; `links` lead from it to the students' own."""
    rows = tuple(
        _row(student_grade, links[student_grade.student])
        for student_grade in class_grades.student_grades
    )
    graded = [row for row in rows if row.student_grade.result is not None]
    scores = [row.student_grade.score for row in graded if row.student_grade.score is not None]
    failing = _failing(class_grades, graded)
    return render(
        "class",
        title=class_grades.exercise.title,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        maximum=class_grades.maximum,
        rows=rows,
        graded=graded,
        numbers=_numbers(class_grades, rows, graded, scores),
        histogram=_histogram(scores, class_grades.maximum) if scores else "",
        bars=_bars(failing) if graded else "",
        failing=failing,
        outcomes=[name for name, *_ in OUTCOMES],
        mistakes=_mistakes(graded),
        stuck=_stuck(class_grades, graded),
        untouched=[row for row in graded if not _attempted(row.student_grade)],
        ungraded=[row for row in rows if row.student_grade.result is None],
        checks=class_grades.exercise.checks,
        open=sum(len(row.student_grade.open) for row in rows),
        statuses=sorted({row.status for row in rows}),
    )


def _numbers(
    class_grades: ClassGrades, rows: tuple[Row, ...], graded: list[Row], scores: list[float]
) -> list[tuple[str, str]]:
    numbers = [("students", str(len(rows))), ("graded", str(len(graded)))]
    if scores:
        numbers += [
            (f"median, of {class_grades.maximum}", f"{statistics.median(scores):g}"),
            ("mean", f"{statistics.fmean(scores):.1f}"),
        ]
    late = sum(bool(row.late) for row in rows)
    return numbers + [("late", str(late))] * bool(late)


def _row(student_grade: StudentGrade, link: str) -> Row:
    verdicts = [item.verdict for item in student_grade.checks if item.verdict]
    passed = sum(verdict.passed for verdict in verdicts)
    late = bool(student_grade.late and student_grade.result)
    ahead = [item for item in student_grade.checks if not _passes(item)]
    return Row(
        student_grade,
        quote(link),
        "".join(MARKS[verdict.status] for verdict in verdicts),
        f"{passed} of {len(student_grade.checks)} checks passed" if verdicts else "no checks",
        ahead[0].title if ahead and student_grade.result else "",
        tuple(dict.fromkeys(v.headline for v in verdicts if v.mistake)),
        format_lateness(student_grade.late) if late else "",
        "late" if late else student_grade.record.status,
    )


def _passes(item: ItemScore) -> bool:
    return item.verdict is not None and item.verdict.passed


def _failing(class_grades: ClassGrades, graded: list[Row]) -> list[Failing]:
    failing = []
    for number, check in enumerate(class_grades.exercise.checks):
        verdicts = [row.student_grade.checks[number].verdict for row in graded]
        counted = Counter(verdict.status for verdict in verdicts if verdict)
        counts = (sum(counted[status] for status in statuses) for _, statuses, *_ in OUTCOMES)
        failing.append(Failing(check.title, tuple(counts)))
    return failing


def _mistakes(graded: list[Row]) -> list[Mistake]:
    students: Counter[str] = Counter()
    titles: dict[str, dict[str, None]] = {}
    for row in graded:
        students.update(row.mistakes)
        for item in row.student_grade.checks:
            if item.verdict and item.verdict.mistake:
                titles.setdefault(item.verdict.headline, {})[item.title] = None
    most = max(students.values(), default=1)
    return [
        Mistake(name, count, tuple(titles[name]), count / most)
        for name, count in sorted(students.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def _attempted(student_grade: StudentGrade) -> list[int]:
    """The numbers of the checks for which there is anything to judge."""
    idle = (Status.NOT_ATTEMPTED, Status.WAITING)
    return [
        number
        for number, item in enumerate(student_grade.checks)
        if item.verdict and item.verdict.status not in idle
    ]


def _stuck(class_grades: ClassGrades, graded: list[Row]) -> list[Stuck]:
    """Who has come to a check, has not passed it, and has passed nothing that comes after it."""
    found: dict[int, list[tuple[Row, str]]] = {}
    for row in graded:
        checks = row.student_grade.checks
        passed = [number for number, item in enumerate(checks) if _passes(item)]
        last = passed[-1] if passed else -1
        beyond = [number for number in _attempted(row.student_grade) if number > last]
        if beyond and last + 1 < len(checks):
            verdict = checks[beyond[0]].verdict
            found.setdefault(beyond[0], []).append((row, verdict.headline if verdict else ""))
    titles = [check.title for check in class_grades.exercise.checks]
    return [Stuck(titles[number], tuple(rows)) for number, rows in sorted(found.items())]


# --- pictures ------------------------------------------------------------------------------------


def _histogram(scores: list[float], maximum: int) -> Markup:
    figure = Figure(figsize=(7.2, 2.8), layout="constrained")
    axes = figure.subplots()
    width = max(1, round(maximum / 12))
    edges = np.arange(0, maximum + width + 1e-9, width)
    counts, _, _ = axes.hist(scores, edges.tolist(), color=BLUE, rwidth=0.92)
    axes.set_xlabel("points")
    axes.set_ylabel("students")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(0, edges[-1])
    _plain(axes)
    told = [
        f"{int(count)} from {low:g} to {low + width:g}"
        for low, count in zip(edges, np.asarray(counts), strict=False)
        if count
    ]
    return as_svg(figure, f"How many students have how many points: {', '.join(told)}.")


def _bars(failing: list[Failing]) -> Markup:
    figure = Figure(figsize=(7.2, 0.9 + 0.28 * len(failing)), layout="constrained")
    axes = figure.subplots()
    left = np.zeros(len(failing))
    rows = np.arange(len(failing))
    for number, (name, _, colour, hatch) in enumerate(OUTCOMES):
        counts = np.array([check.counts[number] for check in failing])
        axes.barh(
            rows, counts, left=left, height=0.75, color=colour, hatch=hatch, label=name,
            edgecolor="#ffffff", linewidth=0.5,
        )  # fmt: skip
        left += counts
    axes.set_yticks(rows, [check.title for check in failing])
    axes.invert_yaxis()
    axes.set_xlabel("students")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(0, max(left.max(), 1))
    _plain(axes)
    legend = figure.legend(loc="outside upper left", ncols=4, frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_color(INK)
    worst = max(failing, key=lambda check: check.rate)
    sentence = (
        "What came of each check; the table below has the numbers. Most often failed: "
        f"{worst.title}, by {worst.rate:.0%}."
    )
    return as_svg(figure, sentence)


def _plain(axes: Axes) -> None:
    """Axes in the colour of the text around, on no ground of their own."""
    axes.figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    for side, spine in axes.spines.items():
        spine.set_color(INK)
        spine.set_visible(side in ("left", "bottom"))
    axes.tick_params(colors=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)


CLASS_PAGE = "class.html"


def write_pages(grades: GradebookFolder, zipped: bool = False) -> tuple[ClassGrades, list[Path]]:
    """Write the page of the class and those of its students; what was written."""
    with opened(grades) as (database, class_grades):
        folder = write_feedback(class_grades, database, grades.out)
        links = {student: f"{FOLDER}/{name}" for student, name in page_names(class_grades).items()}
        place = grades.out / CLASS_PAGE
        write(place, class_page(class_grades, links))
        return class_grades, [place, folder, *([pack(class_grades, grades.out)] if zipped else [])]
