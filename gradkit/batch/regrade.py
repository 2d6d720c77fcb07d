"""Grade or judge again what a gradebook holds: regrade, rejudge, and one submission to debug."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from assignment.checks.check import load_exercise
from gradkit.autograder.sandbox import Isolation, self_test
from gradkit.autograder.spec import GradingSpec
from gradkit.autograder.version import kit_digest
from gradkit.batch.grade_class import open_spec
from gradkit.errors import GradkitError
from gradkit.files import temporary_folder
from gradkit.gradebook.database import GradebookDatabase, GradebookFolder, GradingResult
from gradkit.submissions.discover import single_submission
from gradkit.submissions.extract import read_submission


def delete_results(folder: GradebookFolder, student: str) -> None:
    """Delete the results of a student, or of everyone if `student` is empty, to be graded again.

    Raise GradkitError if the gradebook has no such student.
    """
    with GradebookDatabase(folder.out, folder.exercise) as database:
        known = {record.student for record in database.submissions()}
        if student and student not in known:
            raise GradkitError(f"{database.path} has no student {student!r}. Nothing was deleted.")
        database.delete_results(student or None)


def debug_submission(
    folder: GradebookFolder, path: Path, workdir: Path, isolation: Isolation
) -> Path:
    """Prepare a submission for `pytest --nbval`; return its notebook.

    The seed is that of the epoch in which this content was graded last, else the current one.
    Raise GradkitError if the submission cannot be read, or `workdir` exists.
    """
    from gradkit.autograder.debug import prepare_debug_workdir

    if workdir.exists():
        raise GradkitError(f"{workdir} is there already. Name a new folder.")
    if isolation is not Isolation.NONE:
        self_test(isolation)
    content = read_submission(single_submission(path), load_exercise(folder.exercise))
    with _open_specs(folder) as (database, spec_of):
        spec = spec_of(database.epoch_of(content.digest))
        return prepare_debug_workdir(spec, content.files, content.cells, workdir, isolation)


def rejudge(folder: GradebookFolder) -> Iterator[str]:
    """Judge all results by the current grading spec, from what the checks returned.

    Yield a line for each check whose points changed. A result with a check that passed and would
    fail now stays as it is: new problems or a new solution say nothing of what was returned before.
    Raise DamagedResult at the first result that cannot be read.
    """
    kit = kit_digest()
    with _open_specs(folder) as (database, spec_of):
        for result in database.results():
            yield from _rejudge(database, result, spec_of(result.epoch), kit)


def _rejudge(
    database: GradebookDatabase, result: GradingResult, spec: GradingSpec, kit: str
) -> Iterator[str]:
    from gradkit.autograder.runner import judge

    files = {path: text.encode("latin-1") for path, text in result.handed_in["files"].items()}
    judge_ = judge(spec, files, result.outcomes)
    verdicts = {name: judge_.verdict(name) for name in spec.exercise.names}
    student = result.key.student
    passed = [name for name, before in result.verdicts.items() if before.passed]
    if failing := [name for name in passed if name in verdicts and not verdicts[name].passed]:
        yield (
            f"{student:24} {', '.join(failing)}: passed before, and would fail now. Left as it "
            "was: `gradkit grade --regrade` runs it again."
        )
        return
    key = result.key._replace(spec=spec.digest, kit=kit)
    database.save_result(replace(result, key=key, verdicts=verdicts), result.key)
    for name, after in verdicts.items():
        before = result.verdicts.get(name)
        if before is None or before.points != after.points:
            points = before.points if before else "no"
            change = f"points: {points} before, {after.points} now"
            yield f"{student:24} {name}: {change}"


@contextlib.contextmanager
def _open_specs(
    folder: GradebookFolder,
) -> Iterator[tuple[GradebookDatabase, Callable[[int], GradingSpec]]]:
    """Open a database, with a function that builds the grading spec of an epoch once."""
    database = GradebookDatabase(folder.out, folder.exercise)
    with database, temporary_folder() as data:
        yield database, cache(lambda epoch: open_spec(folder, database, data / str(epoch), epoch))
