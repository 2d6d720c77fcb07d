"""Final scores of a class, and what its platform makes of the text that is exported."""

import csv
import io
from pathlib import Path

from gradkit.lms import PLATFORMS, read_student_list
from gradkit.lms.platform import Export, FinalScore, ItemPoints

WRONG = ItemPoints("Naive loss", 0.0, 8, "A row's number without keepdims.")
# The name that each platform gives to a submission of user, or on Gradescope submission, 12345.
NAMES = {
    "canvas": "doejane_12345_678901_softmax.zip",
    "moodle": "Jane Doe_12345_assignsubmission_file_",
    "gradescope": "assignment_9_export/submission_12345",
}


def final(
    student: str, submission: str, score: float = 30, *items: ItemPoints, late: str = ""
) -> FinalScore:
    return FinalScore(student, submission, score, items, late)


def exported(form: str, *scores: FinalScore, roster: Path | None = None) -> Export:
    students = read_student_list(roster, PLATFORMS[form]) if roster else None
    return PLATFORMS[form].export_scores("Softmax", 30, scores, students)


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def table_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def write(folder: Path, text: str) -> Path:
    path = folder / "roster.csv"
    path.write_text(text, encoding="utf-8")
    return path
