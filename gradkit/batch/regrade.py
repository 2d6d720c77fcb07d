"""gradkit.batch.regrade: to be described."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from assignment.checks.check import load_exercise
from assignment.checks.verdict import Verdict
from gradkit.autograder.sandbox import Isolation, self_test
from gradkit.autograder.version import kit_digest
from gradkit.batch.grade_class import open_spec
from gradkit.errors import GradkitError
from gradkit.gradebook.database import GradebookDatabase, GradebookFolder, GradingResult
from gradkit.submissions.discover import single_submission
from gradkit.submissions.extract import read_submission

# --- before and after ----------------------------------------------------------------------------


def delete_results(grades: GradebookFolder, student: str) -> None:
    """Delete the results of a student, or of all where none is named, so that they are graded anew.

    Raises
    ------
    GradkitError
        Nothing is known of that student.
    """
    database = GradebookDatabase(grades.out, grades.exercise)
    try:
        known = {record.student for record in database.records()}
        if student and student not in known:
            raise GradkitError(
                f"{database.path} knows no student {student!r}, so nothing was done."
            )
        database.delete_results(student or None)
    finally:
        database.close()


def debug_submission(
    grades: GradebookFolder, submission: Path, workdir: Path, isolation: Isolation
) -> Path:
    """Lay out one submission for `pytest --nbval`, with the ledger's seed; the notebook's path.

    Raises
    ------
    GradkitError
        The submission cannot be opened, or something is at that place already.
    """
    from gradkit.autograder.debug import prepare_debug_workdir

    if workdir.exists():
        raise GradkitError(f"{workdir} is there already. Name a new folder.")
    if isolation is not Isolation.NONE:
        self_test(isolation)
    work = read_submission(single_submission(submission), load_exercise(grades.exercise))
    database = GradebookDatabase(grades.out, grades.exercise)
    try:
        with tempfile.TemporaryDirectory() as folder:
            spec = open_spec(grades, database, Path(folder))
            return prepare_debug_workdir(spec, work.files, work.cells, workdir, isolation)
    finally:
        database.close()


def rejudge(grades: GradebookFolder) -> Iterator[str]:
    """Judge all results by the exam as it is now, from what the checks returned; what changed."""
    from gradkit.autograder.runner import judge

    database = GradebookDatabase(grades.out, grades.exercise)
    kit = kit_digest()
    try:
        with tempfile.TemporaryDirectory() as folder:
            spec = open_spec(grades, database, Path(folder))
            for result in list(database.results()):
                files = {
                    path: text.encode("latin-1") for path, text in result.handed_in["files"].items()
                }
                judge_ = judge(spec, files, result.outcomes)
                verdicts = {name: judge_.verdict(name) for name in spec.exercise.names}
                key = result.key._replace(spec=spec.digest, kit=kit)
                database.replace_verdicts(result, key, verdicts)
                yield from _changes(result, verdicts)
    finally:
        database.close()


def _changes(result: GradingResult, verdicts: Mapping[str, Verdict]) -> Iterator[str]:
    for name, after in verdicts.items():
        before = result.verdicts.get(name)
        if before is None or before.points != after.points:
            points = before.points if before else "no"
            yield f"{result.key.student:24} {name}: {points} points before, {after.points} now"
