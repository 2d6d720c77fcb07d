"""Grade the one submission of a Gradescope container: `gradkit gradescope`.

    submission/ -> files and cells -> a grading spec of its own -> verdicts -> results/results.json

The archive that `gradkit release --gradescope` makes calls this. Every run draws its own secret
seed, so that nothing that a submission learns in one run is of use in the next. Whatever happens
there is a results.json, which names a failure that is not the student's.
"""

import json
import os
import secrets
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec.structs

from assignment import PROJECT
from assignment.checks.check import load_exercise
from assignment.checks.display import as_text
from assignment.checks.verdict import Verdict
from gradkit.autograder.grade_submission import GradedSubmission, GradingError, grade_submission
from gradkit.autograder.sandbox import Isolation, SandboxError, self_test
from gradkit.autograder.spec import GradingSpec, build_spec
from gradkit.batch.grade_class import verify_solution
from gradkit.course.exercise_config import MB, ExerciseConfig
from gradkit.files import temporary_folder, write_atomic
from gradkit.submissions.archives import SubmissionRejected
from gradkit.submissions.discover import single_submission
from gradkit.submissions.extract import SubmissionContent, read_submission

# The container's limit on memory, in both versions of control groups.
MEMORY_LIMIT_FILES = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
GRADER_MEMORY = 300 * MB  # twice what it needs
MIN_MEMORY = 300 * MB  # for a submission; the solution runs in it

NOT_GRADED = (
    "This submission could not be graded, through no fault of its own. The 0 is no grade: ask your "
    "course to run the autograder again."
)
REJECTED = "Nothing of this submission could be graded, so the 0 is no verdict on your code."


def grade_upload(autograder: Path, exercise: str) -> int:
    """Grade `autograder`/submission into `autograder`/results/results.json.

    Return the exit status: 1 if the submission could not be graded, through no fault of its own.
    """
    path = autograder / "results" / "results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o750)
    _write_results(path, _results_without_checks(NOT_GRADED))  # stays if this process is killed
    start = time.monotonic()
    try:
        submission = single_submission(autograder / "submission")
        content = read_submission(submission, load_exercise(exercise))
        with _open_spec(exercise) as spec:
            graded = _grade(spec, content, find_isolation())
        results = _results(content, graded, time.monotonic() - start)
    except SubmissionRejected as error:
        results = _results_without_checks(f"{error} {REJECTED}")
    except Exception:  # the student's results say that it is not the student's fault
        traceback.print_exc()
        return 1
    _write_results(path, results)
    return 0


def prove_image(exercise: str) -> None:
    """Grade the solution as submissions are graded; raise GradkitError unless it has all points."""
    isolation = find_isolation()
    with _open_spec(exercise) as spec:
        verify_solution(
            spec, PROJECT, lambda c: grade_submission(spec, c.files, c.cells, isolation)
        )
    print("The solution passes.")


def find_isolation() -> Isolation:
    """Return and print the isolation that this container allows: sandbox, else a separate user.

    Raise SandboxError if a separate user cannot run a submission, or could read the solutions.
    """
    try:
        self_test(Isolation.SANDBOX)
    except SandboxError as error:
        reason = str(error).split(". ")[0]
        self_test(Isolation.SEPARATE_USER)
        print(
            f"{reason}. So submissions run as another user: without network, and unable to read "
            "this tree, but in sight of the container's other files and processes."
        )
        return Isolation.SEPARATE_USER
    print("Submissions run in the sandbox.")
    return Isolation.SANDBOX


@contextmanager
def _open_spec(exercise: str) -> Iterator[GradingSpec]:
    """Build a grading spec of a fresh secret seed, which exists for this run only."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with temporary_folder() as folder:
        folder.chmod(0o711)  # submissions read the stand-in data in it
        spec = build_spec(exercise, PROJECT, secrets.randbits(128), folder)
        yield replace(spec, config=limit_memory(spec.config))


def limit_memory(config: ExerciseConfig) -> ExerciseConfig:
    """Limit a submission's memory to what the container leaves for it.

    Else the container would be ended with the grader in it, and no reason given.
    """
    memory = config.limits.memory_mb * MB
    for path in MEMORY_LIMIT_FILES:
        with suppress(OSError, ValueError):  # the file is missing, or holds "max"
            memory = min(memory, int(path.read_text()) - GRADER_MEMORY)
    limits = msgspec.structs.replace(config.limits, memory_mb=max(memory, MIN_MEMORY) // MB)
    return msgspec.structs.replace(config, limits=limits)


def _grade(spec: GradingSpec, content: SubmissionContent, isolation: Isolation) -> GradedSubmission:
    """Grade a submission, and once more if that failed: the container may have killed a kernel."""
    with suppress(GradingError):
        return grade_submission(spec, content.files, content.cells, isolation)
    return grade_submission(spec, content.files, content.cells, isolation)


# --- results.json --------------------------------------------------------------------------------


def _results(
    content: SubmissionContent, graded: GradedSubmission, seconds: float
) -> dict[str, Any]:
    out_of = sum(verdict.out_of for verdict in graded.verdicts.values())
    points = sum(verdict.points for verdict in graded.verdicts.values())
    summary = f"{points} of {out_of} points, without the written answers."
    return {
        "output": "\n".join([summary, *content.notes]),
        "output_format": "text",
        "stdout_visibility": "hidden",  # it is for instructors
        "execution_time": round(seconds),
        "tests": [_test(verdict) for verdict in graded.verdicts.values()],
    }


def _test(verdict: Verdict) -> dict[str, Any]:
    return {
        "name": verdict.title,
        "score": verdict.points,
        "max_score": verdict.out_of,
        "status": "passed" if verdict.passed else "failed",
        "output": as_text(verdict),
        "output_format": "text",
        "visibility": "visible",
    }


def _results_without_checks(message: str) -> dict[str, Any]:
    """Return results with a message alone, and the score that Gradescope requires."""
    return {"score": 0, "output": message, "output_format": "text", "stdout_visibility": "hidden"}


def _write_results(path: Path, results: dict[str, Any]) -> None:
    write_atomic(path, json.dumps(results, ensure_ascii=False, indent=1) + "\n")
