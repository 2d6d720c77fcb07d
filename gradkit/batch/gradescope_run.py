"""python -m gradkit gradescope: grade the one submission of a Gradescope container.

    submission/ -> files and cells -> an exam of its own -> verdicts -> results/results.json

`python -m gradkit release --gradescope` packs this tree with `setup.sh` and `run_autograder`, which
call it. Every run draws a secret seed: what a submission carries out of its run is worth nothing in
the next one. results.json is there whatever happens, and what could not be graded says so in it.
"""

import json
import os
import secrets
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import structs

from assignment import PROJECT
from assignment.checks.check import load_exercise
from assignment.checks.display import as_text
from assignment.checks.verdict import Verdict
from gradkit.autograder.grade_submission import GradedSubmission, grade_submission
from gradkit.autograder.sandbox import Isolation, SandboxError, self_test
from gradkit.autograder.spec import GradingSpec, build_spec
from gradkit.batch.grade_class import prove
from gradkit.course.config import MB, ExerciseConfig
from gradkit.feedback.redact import redact_for_student
from gradkit.submissions.archives import SubmissionRejected
from gradkit.submissions.discover import single_submission
from gradkit.submissions.extract import SubmissionContent, read_submission

# What ran out of time is graded once more, since a container shares its processors. But not where
# that took long: Gradescope ends a container after ten minutes, if it is not told otherwise.
MAX_SECONDS_TO_TRY_AGAIN = 90.0

# Where a container's limit on memory stands, in the newer and the older kind of control groups.
CONTAINERS_MEMORY = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
GRADERS_MEMORY = 300 * MB  # of which it needs half
LEAST_MEMORY = 300 * MB  # for a submission, which the solution runs in

NO_FAULT = (
    "This submission could not be graded, through no fault of its own. The 0 is no grade: ask your "
    "course to run the autograder again."
)
REFUSED = "Nothing of this submission could be graded, so the 0 is no verdict on your code."


def grade_upload(autograder: Path, exercise: str) -> int:
    """Grade `autograder`/submission into `autograder`/results/results.json; the exit status.

    It is 1 where the submission could not be graded, through no fault of its own.
    """
    results = autograder / "results" / "results.json"
    results.parent.mkdir(parents=True, exist_ok=True)
    results.parent.chmod(0o750)
    _write(results, _of_nothing(NO_FAULT))  # to be replaced, unless this is ended from outside
    start = time.monotonic()
    try:
        work = read_submission(
            single_submission(autograder / "submission"), load_exercise(exercise)
        )
        with _exam(exercise) as spec:
            graded = _graded(spec, work, isolation())
        report = _report(work, graded, time.monotonic() - start)
    except SubmissionRejected as error:
        report = _of_nothing(f"{error} {REFUSED}")
    except Exception:  # whatever it is, the student is told whose fault it is not
        traceback.print_exc()
        return 1
    _write(results, report)
    return 0


def prove_image(exercise: str) -> None:
    """See the solution pass, graded as submissions are.

    Raises
    ------
    GradkitError
        It does not, or submissions cannot be kept from the solution here.
    """
    found = isolation()
    with _exam(exercise) as spec:
        prove(spec, PROJECT, partial(grade_submission, spec, isolation=found))
    print("The solution passes.")


def isolation() -> Isolation:
    """The sandbox, or, where the container forbids it, another user; what it is, is printed.

    Raises
    ------
    SandboxError
        Another user could not run a submission either, or could read the solutions.
    """
    try:
        self_test(Isolation.SANDBOX)
    except SandboxError as error:
        reason = str(error).split(". ")[0]
        self_test(Isolation.OTHER_USER)
        print(
            f"{reason}. So submissions run as another user: without network, and unable to read "
            "this tree, but in sight of the container's other files and processes."
        )
        return Isolation.OTHER_USER
    print("Submissions run in the sandbox.")
    return Isolation.SANDBOX


@contextmanager
def _exam(exercise: str) -> Iterator[GradingSpec]:
    """An exam of a fresh secret seed, which is gone with the run."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory(prefix="gradkit-") as folder:
        Path(folder).chmod(0o711)  # the stand-in in it is for submissions to read
        spec = build_spec(exercise, PROJECT, secrets.randbits(128), Path(folder))
        yield replace(spec, config=_within_the_container(spec.config))


def _within_the_container(config: ExerciseConfig) -> ExerciseConfig:
    """The manifest with no more memory for a submission than the container has for it.

    The container would be ended with the grader in it, and nobody told whose fault it was.
    """
    most = config.limits.memory_mb * MB
    for path in CONTAINERS_MEMORY:
        with suppress(OSError, ValueError):  # it is not there, or it is "max"
            most = min(most, int(path.read_text()) - GRADERS_MEMORY)
    memory_mb = max(most, LEAST_MEMORY) // MB
    return structs.replace(config, limits=structs.replace(config.limits, memory_mb=memory_mb))


def _graded(spec: GradingSpec, work: SubmissionContent, found: Isolation) -> GradedSubmission:
    graded = grade_submission(spec, work.files, work.cells, found)
    if graded.may_be_the_neighbours(spec) and graded.seconds < MAX_SECONDS_TO_TRY_AGAIN:
        again = grade_submission(spec, work.files, work.cells, found)
        return max(graded, again, key=_points)
    return graded


def _points(graded: GradedSubmission) -> int:
    return sum(verdict.points for verdict in graded.verdicts.values())


# --- results.json --------------------------------------------------------------------------------


def _report(work: SubmissionContent, graded: GradedSubmission, seconds: float) -> dict[str, Any]:
    verdicts = [
        redact_for_student(verdict, work.files, work.cells) for verdict in graded.verdicts.values()
    ]
    out_of = sum(verdict.out_of for verdict in verdicts)
    said = [f"{_points(graded)} of {out_of} points, without the answers in words.", *work.notes]
    return {
        "output": "\n".join(said),
        "output_format": "text",
        "stdout_visibility": "hidden",  # it is the instructor's
        "execution_time": round(seconds),
        "tests": [_test(verdict) for verdict in verdicts],
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


def _of_nothing(why: str) -> dict[str, Any]:
    """What is said where there are no checks' results; Gradescope wants a score, all the same."""
    return {"score": 0, "output": why, "output_format": "text", "stdout_visibility": "hidden"}


def _write(path: Path, report: dict[str, Any]) -> None:
    """Put a report in its place at one blow: half of one is never read."""
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(path)
