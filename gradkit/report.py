"""After grading: everything that is made from a ledger, again and again, and changes nothing in it
but what people give.

    write_pages     class.html, and a page for each student in feedback/
    write_answers   answers.html, on which people grade answers in words
    import_manual   what they gave, and points that they changed, into the ledger
    export          the gradebook, in the forms of spreadsheets, programs and platforms
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from gradkit.answers_page import answers_page, whose_names
from gradkit.class_page import class_page
from gradkit.exports import Export
from gradkit.exports import export as export_class
from gradkit.feedback import FOLDER, pack, page_names, write_feedback
from gradkit.gradebook import Grades, Ledger
from gradkit.manual import read_manual
from gradkit.pages import write
from gradkit.standing import Class, read_class

CLASS_PAGE = "class.html"
ANSWERS_PAGE = "answers.html"


@contextlib.contextmanager
def opened(grades: Grades) -> Iterator[tuple[Ledger, Class]]:
    """The ledger of a class, and what it says of the class."""
    ledger = Ledger(grades.out, grades.exercise)
    try:
        yield ledger, read_class(ledger, grades.exercise, grades.project)
    finally:
        ledger.close()


def write_pages(grades: Grades, zipped: bool = False) -> tuple[Class, list[Path]]:
    """Write the page of the class and those of its students; what was written."""
    with opened(grades) as (ledger, class_):
        folder = write_feedback(class_, ledger, grades.out)
        links = {student: f"{FOLDER}/{name}" for student, name in page_names(class_).items()}
        place = grades.out / CLASS_PAGE
        write(place, class_page(class_, links))
        return class_, [place, folder, *([pack(class_, grades.out)] if zipped else [])]


def write_answers(grades: Grades, hide_names: bool) -> Path:
    """Write the page on which the answers in words are graded; where it is."""
    with opened(grades) as (ledger, class_):
        names = whose_names(class_, ledger.secret(None), hide_names)
        place = grades.out / ANSWERS_PAGE
        write(place, answers_page(class_, names))
        return place


def import_manual(grades: Grades, path: Path) -> str:
    """Take what people gave from a CSV into the ledger, all of it or nothing; what there was.

    Raises
    ------
    ManualError
        A row is not as it should be.
    """
    with opened(grades) as (ledger, class_):
        hidden = whose_names(class_, ledger.secret(None), hide_names=True)
        read = read_manual(path, class_, hidden)
        ledger.give(read.given, read.taken_back)
        return read.told()


def write_gradebook(grades: Grades) -> Path:
    """Write gradebook.csv beside the ledger, in the place of an older one; its path."""
    path = grades.out / "gradebook.csv"
    unfinished = path.with_suffix(".tmp")
    text = export(grades, "csv").text
    unfinished.write_text(text, encoding="utf-8", newline="")
    unfinished.replace(path)
    return path


def export(grades: Grades, form: str, roster: Path | None = None) -> Export:
    """The gradebook in a form of `gradkit.exports`; the roster is the platform's list.

    Raises
    ------
    GradkitError
        It cannot be had in that form.
    """
    with opened(grades) as (ledger, class_):
        return export_class(class_, ledger.entries(), form, roster)
