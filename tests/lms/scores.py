"""Final scores of a class, and what its platform makes of the text that is exported."""

import csv
import io
import unicodedata
from pathlib import Path

from gradkit.lms import PLATFORMS, read_student_list
from gradkit.lms.platform import Export, FinalScore, ItemPoints

WRONG = ItemPoints("Naive loss", 0.0, 8, "Row-wise result without keepdims=True.")
# The name that each platform gives to a submission of user, or on Gradescope submission, 12345.
NAMES = {
    "canvas": "doejane_12345_678901_softmax.zip",
    "moodle": "Jane Doe_12345_assignsubmission_file_",
    "gradescope": "assignment_9_export/submission_12345",
}
# Two family names that differ in their marks alone, and a first name.
SCRIPTS = {
    "Devanagari": ("कमल", "कोमल", "अनीता"),
    "Bengali": ("রায", "রায়", "সুমিত্রা"),
    "Tamil": ("மணி", "மாணி", "கிருஷ்ணன்"),
    "Telugu": ("రవ", "రవి", "శ్రీదేవి"),
    "Thai": ("ใจดี", "ใจดำ", "สมชาย"),
    "Lao": ("ແກວ", "ແກ້ວ", "ບຸນມີ"),
    "Khmer": ("សុខ", "សខ", "ចាន់ថា"),
    "Burmese": ("မင", "မင်း", "အောင်ဆန်း"),
    "Arabic": ("عُمَر", "عَمْر", "مُحَمَّد"),
    "Hebrew": ("דָּוִד", "דּוֹד", "שָׂרָה"),
    "Latin, decomposed": ("Mu\u0308ller", "Muller", "Zoe\u0308"),
}


def canvas_name(sortable_name: str) -> str:
    """Return a name as Canvas puts it into file names: Ruby's [[:word:]], in small letters."""
    classes = ("L", "M", "Nd", "Pc")
    return "".join(c for c in sortable_name.lower() if unicodedata.category(c).startswith(classes))


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
