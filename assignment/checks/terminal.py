"""python -m assignment check: print progress, the first problem, and the next step.

    watch -> starts python -m assignment.checks.terminal, which waits -> a save -> one line to it
          -> it runs the checks, prints the report and ends -> watch starts the next one

A process of its own runs the checks under `watch`, so that the next save can end an endless loop.
It has imported numpy before the save, and ends when its standard input does: with the watch.
"""

import contextlib
import os
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Collection, Iterator
from pathlib import Path

from assignment import PROJECT
from assignment.checks.answer_key import AnswerKey, load_answer_key
from assignment.checks.check import LOADING, Exercise, load_exercise, with_noun
from assignment.checks.display import as_text, overview_text
from assignment.checks.student import InvalidResult, Student, read_modules
from assignment.checks.verdict import Judge, Verdict
from assignment.output import prepare_output
from assignment.workspace.starter import marker_problems

SLOW_TIMEOUT = 5.0  # seconds until a note that code still runs; all checks take 0.2 s together
END_OF_REPORT = "Ctrl-C ends the watch."
POLL_INTERVAL = 0.1  # seconds between two looks at the files, too short to be noticed

STOP_HINT = "Ctrl-C stops it."
SAVE_HINT = "Your next save stops it and runs the checks again; Ctrl-C ends the watch."


def check(name: str, only: Collection[str] = (), project: Path = PROJECT) -> bool:
    """Run the checks of an exercise once, print the verdicts, and return whether all pass.

    If `only` names some checks, print each of these in full, and ignore the others.
    """
    return _run_and_print(load_exercise(name), load_answer_key(name), only, project, STOP_HINT)


def watch(name: str, only: Collection[str] = ()) -> None:
    """Run the checks now and after every save, until interrupted."""
    files = load_exercise(name).files
    folders = {(PROJECT / path).parent for path in files}
    process, is_running, seen = _start_waiting(name, only), False, dict[Path, bytes]()
    try:
        while True:
            before, seen = seen, read_modules(folders, seen)
            if seen != before:
                if is_running:
                    _end(process)
                    process = _start_waiting(name, only)
                if sys.stdout.isatty():
                    print("\x1b[2J\x1b[3J\x1b[H", end="", flush=True)  # clear the screen
                _let_run(process)
                is_running = True
            if not is_running:
                time.sleep(POLL_INTERVAL)
                continue
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = process.wait(timeout=POLL_INTERVAL)
                if status not in (0, 1):
                    print(f"Your code ended the checks: exit status {status}.")
                print(f"\nWatching {', '.join(files)}. {END_OF_REPORT}", flush=True)
                process, is_running = _start_waiting(name, only), False
    finally:
        _end(process)


def _start_waiting(name: str, only: Collection[str]) -> "subprocess.Popen[bytes]":
    """Start a process that runs the checks once `_let_run` writes to it."""
    return subprocess.Popen(
        # Without -B a helper module saved twice within a second would be taken from its .pyc file.
        [sys.executable, "-B", "-m", "assignment.checks.terminal", name, *only],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        # Ctrl-C reaches the watch alone, which ends the process.
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )


def _let_run(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin
    with contextlib.suppress(OSError):  # it has ended
        process.stdin.write(b"\n")
        process.stdin.flush()


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.communicate()


def _wait_and_run(name: str, *only: str) -> None:
    """Wait for a line on standard input, run the checks, and end; end at once when it is closed."""
    prepare_output()
    exercise, answer_key = load_exercise(name), load_answer_key(name)

    def end_with_watch() -> None:
        os.read(0, 1)
        os._exit(1)

    if os.read(0, 1):
        threading.Thread(target=end_with_watch, daemon=True).start()
        passed = False
        with contextlib.suppress(BrokenPipeError):
            passed = _run_and_print(exercise, answer_key, only, PROJECT, SAVE_HINT)
            sys.stdout.flush()
        os._exit(0 if passed else 1)  # whatever threads the code has started


def _run_and_print(
    exercise: Exercise,
    answer_key: AnswerKey,
    only: Collection[str],
    project: Path,
    stop_hint: str,
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
    with _note_when_slow(student, stop_hint):
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
    in_notebook = [check for check in exercise.checks if check.in_notebook]
    print(textwrap.indent(overview_text(verdicts, in_notebook), "  "))
    print(f"\n{_next_step(exercise, verdicts)}")
    for problem in marker_problems(project, exercise.files):
        print(f"\n✗ {problem}")
    return all(verdict.passed for verdict in verdicts)


@contextlib.contextmanager
def _note_when_slow(student: Student, stop_hint: str) -> Iterator[None]:
    """Print the running line after a while that code still runs, and when it is interrupted."""
    terminal = sys.stdout  # a running check captures sys.stdout
    thread = threading.get_ident()

    def print_note() -> None:
        place = _innermost(student, traceback.extract_stack(sys._current_frames()[thread]))
        text = f"Your code is still running{place and ', now at '}{place}\nAn endless loop? "
        print(f"{text}{stop_hint}", file=terminal, flush=True)

    timer = threading.Timer(SLOW_TIMEOUT, print_note)
    timer.start()
    try:
        yield
    except KeyboardInterrupt as stopped:
        if place := _innermost(student, traceback.extract_tb(stopped.__traceback__)):
            print(f"\nStopped at {place}")
        raise
    finally:
        timer.cancel()


def _innermost(student: Student, stack: traceback.StackSummary) -> str:
    """Write file, number and text of the student's line that runs, or "" if it is elsewhere."""
    own = [frame for frame in stack if student.owns(frame.filename)]
    return f"{own[-1].filename}, line {own[-1].lineno}: {own[-1].line}" if own else ""


def _next_step(exercise: Exercise, verdicts: list[Verdict]) -> str:
    """Write the first failed check in full; or, if all pass, where the remaining ones run."""
    for verdict in verdicts:
        if not verdict.passed:
            return f"Next:\n{as_text(verdict)}"
    remaining = [check for check in exercise.checks if check.in_notebook]
    if not remaining:
        return (
            f"All of these pass. Next: the questions in {exercise.notebook}, if it asks some, then "
            f"`python -m assignment submit {exercise.name}`."
        )
    titles = ", ".join(check.title.lower() for check in remaining)
    return (
        f"All of these pass. Next: {exercise.notebook}, which checks the rest ({titles}: "
        f"{with_noun(sum(check.points for check in remaining), 'point')})."
    )


if __name__ == "__main__":
    _wait_and_run(*sys.argv[1:])
