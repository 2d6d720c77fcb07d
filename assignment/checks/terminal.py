"""python -m assignment check: print progress, the first problem, and the next step."""

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

SLOW_TIMEOUT = 5.0  # seconds until a note that code still runs; all checks take 0.2 s together
POLL_INTERVAL = 0.1  # seconds between two looks at the files, too short to be noticed


def check(name: str, only: Collection[str] = (), project: Path = PROJECT) -> bool:
    """Run the checks of an exercise once, print the verdicts, and return whether all pass.

    If `only` names some checks, print each of these in full, and ignore the others.
    """
    return _run_and_print(load_exercise(name), load_answer_key(name), only, project)


def watch(name: str, only: Collection[str] = (), project: Path = PROJECT) -> None:
    """Run the checks now and after every save, until interrupted."""
    exercise, answer_key = load_exercise(name), load_answer_key(name)
    seen = None
    while True:
        stamps = _file_stamps(exercise, project)
        if stamps != seen:
            seen = stamps
            if sys.stdout.isatty():
                print("\x1b[2J\x1b[3J\x1b[H", end="")  # clear the screen
            _run_and_print(exercise, answer_key, only, project)
            print(f"\nWatching {', '.join(exercise.files)}. Ctrl-C ends it.", flush=True)
        time.sleep(POLL_INTERVAL)


def _run_and_print(
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
    with _note_when_slow(student):
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
    print(f"{_progress_line(verdicts)}\n")
    for verdict in verdicts:
        print(f"  {headline(verdict)}")
    print(f"\n{_next_step(exercise, verdicts)}")
    return all(verdict.passed for verdict in verdicts)


@contextlib.contextmanager
def _note_when_slow(student: Student) -> Iterator[None]:
    """Print a note after a while that code still runs; if interrupted, print the running line."""

    terminal = sys.stdout  # a running check captures sys.stdout

    def print_note() -> None:
        text = "Your code is still running. An endless loop? Ctrl-C stops it and shows the line."
        print(text, file=terminal, flush=True)

    timer = threading.Timer(SLOW_TIMEOUT, print_note)
    timer.start()
    try:
        yield
    except KeyboardInterrupt as stopped:
        own = [f for f in traceback.extract_tb(stopped.__traceback__) if student.owns(f.filename)]
        if own:
            print(f"\nStopped at {own[-1].filename}, line {own[-1].lineno}: {own[-1].line}")
        raise
    finally:
        timer.cancel()


def _progress_line(verdicts: list[Verdict]) -> str:
    marks = "".join(MARKS[verdict.status] for verdict in verdicts)
    passed = sum(verdict.passed for verdict in verdicts)
    points, out_of = sum(v.points for v in verdicts), sum(v.out_of for v in verdicts)
    return f"  {marks}  {passed} of {len(verdicts)} checks, {points} of {out_of} points"


def _next_step(exercise: Exercise, verdicts: list[Verdict]) -> str:
    """Write the first failed check in full; or, if all pass, where the remaining ones run."""
    for verdict in verdicts:
        if not verdict.passed:
            return f"Next:\n{as_text(verdict)}"
    remaining = [check for check in exercise.checks if check.in_notebook]
    titles = ", ".join(check.title.lower() for check in remaining)
    return (
        f"All of these pass. Next: {exercise.notebook}, which checks the rest ({titles}: "
        f"{sum(check.points for check in remaining)} points)."
    )


def _file_stamps(exercise: Exercise, project: Path) -> dict[Path, tuple[int, int]]:
    """Return times and sizes of the student's files and of all modules beside them."""
    folders = {(project / path).parent for path in exercise.files}
    stamps = {}
    for path in (path for folder in folders for path in folder.glob("*.py")):
        with contextlib.suppress(OSError):  # an editor is just replacing it
            status = path.stat()
            stamps[path] = status.st_mtime_ns, status.st_size
    return stamps
