"""gradkit.batch.regrade: to be described."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from assignment.checks.check import load_exercise
from assignment.checks.verdict import Verdict
from gradkit import GradkitError
from gradkit.autograder.sandbox import Enclosure, probe
from gradkit.autograder.version import kit_digest
from gradkit.batch.grade_class import open_exam
from gradkit.gradebook.database import Grades, Ledger, Result
from gradkit.submissions.discover import one
from gradkit.submissions.extract import read

# --- before and after ----------------------------------------------------------------------------


def forget(grades: Grades, student: str) -> None:
    """Delete the results of a student, or of all where none is named, so that they are graded anew.

    Raises
    ------
    GradkitError
        Nothing is known of that student.
    """
    ledger = Ledger(grades.out, grades.exercise)
    try:
        known = {entry.student for entry in ledger.entries()}
        if student and student not in known:
            raise GradkitError(f"{ledger.path} knows no student {student!r}, so nothing was done.")
        ledger.forget(student or None)
    finally:
        ledger.close()


def look(grades: Grades, submission: Path, desk: Path, enclosure: Enclosure) -> Path:
    """Lay out one submission for `pytest --nbval`, with the ledger's seed; the notebook's path.

    Raises
    ------
    GradkitError
        The submission cannot be opened, or something is at that place already.
    """
    from gradkit.autograder.debug import lay_for_a_look

    if desk.exists():
        raise GradkitError(f"{desk} is there already. Name a new folder.")
    if enclosure is not Enclosure.NONE:
        probe(enclosure)
    work = read(one(submission), load_exercise(grades.exercise))
    ledger = Ledger(grades.out, grades.exercise)
    try:
        with tempfile.TemporaryDirectory() as folder:
            exam = open_exam(grades, ledger, Path(folder))
            return lay_for_a_look(exam, work.files, work.cells, desk, enclosure)
    finally:
        ledger.close()


def reverdict(grades: Grades) -> Iterator[str]:
    """Judge all results by the exam as it is now, from what the checks returned; what changed."""
    from gradkit.autograder.runner import judge

    ledger = Ledger(grades.out, grades.exercise)
    kit = kit_digest()
    try:
        with tempfile.TemporaryDirectory() as folder:
            exam = open_exam(grades, ledger, Path(folder))
            for result in list(ledger.results()):
                files = {
                    path: text.encode("latin-1") for path, text in result.handed_in["files"].items()
                }
                judge_ = judge(exam, files, result.outcomes)
                verdicts = {name: judge_.verdict(name) for name in exam.exercise.names}
                key = result.key._replace(exam=exam.digest, kit=kit)
                ledger.judged_again(result, key, verdicts)
                yield from _changes(result, verdicts)
    finally:
        ledger.close()


def _changes(result: Result, verdicts: Mapping[str, Verdict]) -> Iterator[str]:
    for name, after in verdicts.items():
        before = result.verdicts.get(name)
        if before is None or before.points != after.points:
            points = before.points if before else "no"
            yield f"{result.key.student:24} {name}: {points} points before, {after.points} now"
