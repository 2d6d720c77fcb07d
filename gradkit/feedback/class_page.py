"""The page of a class: scores, checks, recognised mistakes, stuck students, and a table of all."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from assignment.checks.display import MARKS
from assignment.checks.verdict import Status, Verdict
from gradkit.course.late_policy import format_lateness
from gradkit.feedback.html import INK, as_svg, render
from gradkit.feedback.student_page import FOLDER, page_names, write_student_pages, zip_pages
from gradkit.files import write_atomic
from gradkit.gradebook.database import GradebookFolder
from gradkit.gradebook.grades import ClassGrades, StudentGrade, open_grades

CLASS_PAGE = "class.html"
BLUE, GREY = "#2f7fc1", "#8c959f"  # visible on white and on black
NOT_JUDGED = (Status.NOT_ATTEMPTED, Status.WAITING)
FAILED_TO_RUN = (Status.RAISED, Status.TIMED_OUT, Status.CRASHED)
# Groups of statuses in the order of the bars. Hatches distinguish them without colours.
OUTCOMES = (
    ("passed", (Status.PASSED,), "#2f8f4e", ""),
    ("wrong", (Status.WRONG,), "#d1495b", "///"),
    ("raised, timed out, crashed", FAILED_TO_RUN, "#b8860b", "xx"),
    ("open", NOT_JUDGED, GREY, ".."),
)


def write_pages(
    grades: GradebookFolder, zipped: bool = False, jobs: int = 1
) -> tuple[ClassGrades, list[Path]]:
    """Write the pages of a class and of its students; return the grades and the paths.

    `zipped` also packs the students' pages; `jobs` is the largest number of processes.
    """
    with open_grades(grades) as (_, class_grades):
        folder = write_student_pages(grades, class_grades, jobs)
        links = {student: f"{FOLDER}/{name}" for student, name in page_names(class_grades).items()}
        path = write_atomic(grades.out / CLASS_PAGE, class_page(class_grades, links))
    return class_grades, [path, folder, *([zip_pages(class_grades, grades.out)] if zipped else [])]


@dataclass(frozen=True)
class Row:
    """A student on the page.

    Attributes
    ----------
    grade : StudentGrade
    link : str
        The URL of the student's page.
    verdicts : dict
        By the number of the check; incomplete if checks were added since the grading.
    marks : str
        A character for each verdict.
    next : str
        Title of the first check that is not passed.
    mistakes : tuple of str
        Names of the recognised mistakes.
    late, status : str
    """

    grade: StudentGrade
    link: str
    verdicts: dict[int, Verdict]
    marks: str
    next: str
    mistakes: tuple[str, ...]
    late: str
    status: str

    @property
    def searchable(self) -> str:
        parts = (self.grade.student, self.next, self.status, *self.mistakes, *self.grade.notes)
        return "\n".join(parts).lower()


def class_page(class_grades: ClassGrades, links: Mapping[str, str]) -> str:
    """Return the page; `links` maps students to the paths of their pages."""
    rows = [_row(grade, links[grade.student]) for grade in class_grades.student_grades]
    graded = [row for row in rows if row.grade.result is not None]
    scores = [row.grade.score for row in graded if row.grade.score is not None]
    titles = [check.title for check in class_grades.exercise.checks]
    outcomes = [_count_outcomes(graded, number) for number in range(len(titles))]
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
        histogram=_histogram(scores, class_grades.maximum) if scores else "",
        bars=_bars(titles, np.array(outcomes)) if graded else "",
        outcome_names=[name for name, *_ in OUTCOMES],
        outcomes=list(zip(titles, outcomes, strict=True)),
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
    late = grade.late and grade.result
    return Row(
        grade,
        quote(link),
        verdicts,
        "".join(MARKS[verdict.status] for verdict in verdicts.values()),
        not_passed[0] if not_passed and grade.result else "",
        tuple(dict.fromkeys(v.headline for v in verdicts.values() if v.mistake)),
        format_lateness(grade.late) if late else "",
        "late" if late else grade.record.status,
    )


def _count_outcomes(graded: list[Row], number: int) -> list[int]:
    """Count the students in each of OUTCOMES, for the check of this number."""
    counts = Counter(row.verdicts[number].status for row in graded if number in row.verdicts)
    return [sum(counts[status] for status in statuses) for _, statuses, *_ in OUTCOMES]


def _mistakes(graded: list[Row]) -> list[tuple[str, int, list[str]]]:
    """List each mistake's name, its number of students and its checks, the most frequent first."""
    students = Counter(name for row in graded for name in row.mistakes)
    checks: dict[str, dict[str, None]] = defaultdict(dict)
    for row in graded:
        for verdict in row.verdicts.values():
            if verdict.mistake:
                checks[verdict.headline][verdict.title] = None
    ordered = sorted(students.items(), key=lambda pair: (-pair[1], pair[0]))
    return [(name, count, list(checks[name])) for name, count in ordered]


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


# --- plots ---------------------------------------------------------------------------------------


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
    _use_page_colours(axes)
    bins = [
        f"{int(count)} from {low:g} to {low + width:g}"
        for low, count in zip(edges, np.asarray(counts), strict=False)
        if count
    ]
    return as_svg(figure, f"Number of students by points: {', '.join(bins)}.")


def _bars(titles: Sequence[str], outcomes: NDArray[np.int_]) -> Markup:
    """Draw the outcomes, (check, outcome), as one stacked bar for each check."""
    figure = Figure(figsize=(7.2, 0.9 + 0.28 * len(titles)), layout="constrained")
    axes = figure.subplots()
    rows, left = np.arange(len(titles)), np.zeros(len(titles))
    for counts, (name, _, colour, hatch) in zip(outcomes.T, OUTCOMES, strict=True):
        axes.barh(
            rows, counts, left=left, height=0.75, color=colour, hatch=hatch, label=name,
            edgecolor="#ffffff", linewidth=0.5,
        )  # fmt: skip
        left += counts
    axes.set_yticks(rows, titles)
    axes.invert_yaxis()
    axes.set_xlabel("students")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(0, max(left.max(), 1))
    _use_page_colours(axes)
    legend = figure.legend(loc="outside upper left", ncols=4, frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_color(INK)
    failed = 1 - outcomes[:, 0] / np.maximum(outcomes.sum(axis=1), 1)
    worst = int(failed.argmax())
    sentence = (
        "Outcomes of each check; the table below has the numbers. Most often failed: "
        f"{titles[worst]}, by {failed[worst]:.0%}."
    )
    return as_svg(figure, sentence)


def _use_page_colours(axes: Axes) -> None:
    """Draw axes in the page's text colour, on its background."""
    axes.figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    for side, spine in axes.spines.items():
        spine.set_color(INK)
        spine.set_visible(side in ("left", "bottom"))
    axes.tick_params(colors=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
