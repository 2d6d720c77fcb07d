"""python -m assignment check: where one is, what is wrong, what to do next."""

import contextlib
import sys
import threading
import time
import traceback
from collections.abc import Collection, Iterator
from pathlib import Path

from assignment import PROJECT
from assignment.checks.answer_key import AnswerKey, load_answer_key
from assignment.checks.check import LOADING, Exercise, load_exercise
from assignment.checks.display import MARKS, as_text, headline
from assignment.checks.student import InvalidResult, Student
from assignment.checks.verdict import Judge, Verdict

PATIENCE = 5.0  # seconds; all checks together take a fifth of one
POLL = 0.1  # seconds between two looks at the files; far less than one notices


def check(name: str, only: Collection[str] = (), project: Path = PROJECT) -> bool:
    """Run the checks of an exercise once and print what is said; whether all of them pass.

    Where `only` some of them are named, each of these is told in full, and no other counts.
    """
    return _report(load_exercise(name), load_answer_key(name), only, project)


def watch(name: str, only: Collection[str] = (), project: Path = PROJECT) -> None:
    """Run the checks now and on every save, until interrupted."""
    exercise, answer_key = load_exercise(name), load_answer_key(name)
    seen = None
    while True:
        state = _state(exercise, project)
        if state != seen:
            seen = state
            if sys.stdout.isatty():
                print("\x1b[2J\x1b[3J\x1b[H", end="")  # a clean screen
            _report(exercise, answer_key, only, project)
            print(f"\nWatching {', '.join(exercise.files)}. Ctrl-C ends it.", flush=True)
        time.sleep(POLL)


def _report(
    exercise: Exercise, answer_key: AnswerKey, only: Collection[str], project: Path
) -> bool:
    try:
        student = Student.from_folder(project, exercise.files)
    except InvalidResult as error:
        print(f"✗ {error}")
        return False
    judge = Judge.of_student(exercise, answer_key, student)
    checks = [check for check in exercise.checks if not check.in_notebook]
    if only:
        checks = [check for check in checks if check.name in only]
    with _patience(student):
        loading = judge.verdict_on(LOADING)
        verdicts = [judge.verdict(check.name) for check in checks] if loading.passed else []
    if not only:
        print(f"{exercise.title}\n")
    if not loading.passed:
        waits = "check waits" if len(checks) == 1 else "checks wait"
        print(f"{as_text(loading)}\n\nThe {len(checks)} {waits} until this file can be loaded.")
        return False
    if only:
        print("\n\n".join(map(as_text, verdicts)))
        return all(verdict.passed for verdict in verdicts)
    print(f"{_progress(verdicts)}\n")
    for verdict in verdicts:
        print(f"  {headline(verdict)}")
    print(f"\n{_next(exercise, verdicts)}")
    return all(verdict.passed for verdict in verdicts)


@contextlib.contextmanager
def _patience(student: Student) -> Iterator[None]:
    """Say after a while that something still runs; when it is stopped, say where it was."""

    terminal = sys.stdout  # while a check runs, sys.stdout is where its prints are kept

    def say() -> None:
        text = "Your code is still running. An endless loop? Ctrl-C stops it, and says where it is."
        print(text, file=terminal, flush=True)

    timer = threading.Timer(PATIENCE, say)
    timer.start()
    try:
        yield
    except KeyboardInterrupt as stopped:
        own = [f for f in traceback.extract_tb(stopped.__traceback__) if student.owns(f.filename)]
        if own:
            print(f"\nIt was here: {own[-1].filename}, line {own[-1].lineno}: {own[-1].line}")
        raise
    finally:
        timer.cancel()


def _progress(verdicts: list[Verdict]) -> str:
    marks = "".join(MARKS[verdict.status] for verdict in verdicts)
    passed = sum(verdict.passed for verdict in verdicts)
    points, out_of = sum(v.points for v in verdicts), sum(v.out_of for v in verdicts)
    return f"  {marks}  {passed} of {len(verdicts)} checks, {points} of {out_of} points"


def _next(exercise: Exercise, verdicts: list[Verdict]) -> str:
    """The first thing that is not right yet, in full; or where to go when all is."""
    for verdict in verdicts:
        if not verdict.passed:
            return f"Next:\n{as_text(verdict)}"
    left = [check for check in exercise.checks if check.in_notebook]
    titles = ", ".join(check.title.lower() for check in left)
    return (
        f"All of these pass. Next: {exercise.notebook}, which checks the rest ({titles}: "
        f"{sum(check.points for check in left)} points)."
    )


def _state(exercise: Exercise, project: Path) -> dict[Path, tuple[int, int]]:
    """What changes when one of the student's files is saved, or a module of their own beside it."""
    folders = {(project / path).parent for path in exercise.files}
    state = {}
    for path in (path for folder in folders for path in folder.glob("*.py")):
        with contextlib.suppress(OSError):  # it is just being replaced
            about = path.stat()
            state[path] = about.st_mtime_ns, about.st_size
    return state
