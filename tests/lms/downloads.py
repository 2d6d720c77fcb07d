"""A platform's download, and the submissions that are found in it."""

from pathlib import Path

from gradkit.submissions.discover import Submission, find_submissions
from tests.submissions.packing import SOFTMAX, write_files


def found_in(folder: Path, *names: str, **contents: str) -> dict[tuple[str, str], Submission]:
    """Return the submissions of a class of these files, by student and name."""
    write_files(dict.fromkeys(names, b"") | {n: t.encode() for n, t in contents.items()}, folder)
    return {(each.student, each.name): each for each in find_submissions(folder, SOFTMAX)}


def counting(found: dict[tuple[str, str], Submission]) -> dict[str, Submission]:
    return {student: each for (student, _), each in found.items() if not each.superseded}
