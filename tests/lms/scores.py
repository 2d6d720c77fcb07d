"""Final scores of a class, and what its platform makes of the text that is exported."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from gradkit.lms import PLATFORMS, export_scores
from gradkit.lms.platform import Assignment, Export, FinalScore, ItemPoints

ASSIGNMENT = Assignment("Softmax", 30)
PLATFORM = {platform.name.lower(): platform for platform in PLATFORMS}
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
    return export_scores(PLATFORM[form], ASSIGNMENT, scores, roster)


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def write(folder: Path, text: str) -> Path:
    path = folder / "roster.csv"
    path.write_text(text, encoding="utf-8")
    return path


def cells_of(texts: Sequence[str]) -> list[str]:
    return [cell for text in texts for row in rows_of(text) for cell in row]
