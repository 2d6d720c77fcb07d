"""Checks in a notebook, one line each.

    check = Checks("softmax", globals())     in the setup cell
    check("naive_loss")                      in the cell of a check
    check()                                  all of them at a glance

Each displays its verdict. One that does not pass raises `CheckFailed` as well, which stops Run All,
nbconvert and nbval. From the setup cell on, the student's modules are reloaded before a cell runs
if their files have changed.
"""

import ast
import traceback
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from IPython import get_ipython
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import clear_output, display

from assignment import PROJECT
from assignment.checks.answer_key import load_answer_key
from assignment.checks.check import (
    LOADING,
    Check,
    Exercise,
    Outcome,
    describe_exception,
    load_exercise,
    run_check_for,
)
from assignment.checks.display import as_html, as_text, overview_html, overview_text
from assignment.checks.reloading import Reloader
from assignment.checks.student import InvalidResult, Student
from assignment.checks.verdict import Judge, Status, Verdict
from assignment.workspace.cells import STUB
from assignment.workspace.regions import stub_line
from assignment.workspace.starter import marker_problems


class CheckFailed(Exception):
    """A check did not pass; the message is the verdict."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(as_text(verdict))
        self.verdict = verdict

    def _render_traceback_(self) -> list[str]:
        """Return the lines that nbval and nbconvert show in place of a traceback."""
        return str(self).splitlines()


class Checks:
    """The checks of an exercise (such as ``softmax``), on the saved files and a notebook's globals.

    Raises CheckFailed if a student's file cannot be loaded, with the reason and the line.
    """

    def __init__(self, exercise: str, variables: Mapping[str, Any]) -> None:
        self.exercise, self.variables = load_exercise(exercise), variables
        self.answer_key = load_answer_key(exercise)
        shell = get_ipython()
        if shell is not None:
            _register(shell, exercise)
        self._loaded()
        for problem in marker_problems(PROJECT, self.exercise.files):
            print(f"✗ {problem}")

    def __call__(self, name: str | None = None) -> None:
        """Run one check and display its verdict; raise CheckFailed if it does not pass.

        Without a name, display an overview of all checks. Those that read the notebook's variables
        do not run then: some take seconds.
        """
        if name is not None:
            verdict = self._judge().verdict(name)
            if not verdict.passed:
                raise CheckFailed(verdict)
            show(verdict)
            return
        judge, checks = self._loaded(), self.exercise.checks
        verdicts = [judge.verdict(check.name) for check in checks if not check.in_notebook]
        in_notebook = [check for check in checks if check.in_notebook]
        _display(overview_text(verdicts, in_notebook), overview_html(verdicts, in_notebook))

    def _loaded(self) -> Judge:
        """Return a judge of the student's files; raise CheckFailed if one cannot be loaded."""
        judge = self._judge()
        loading = judge.verdict_on(LOADING)
        if not loading.passed:
            raise CheckFailed(loading)
        return judge

    def _judge(self) -> Judge:
        try:
            student = Student.from_folder(PROJECT, self.exercise.files, self.variables)
        except InvalidResult as error:
            raise CheckFailed(Verdict(LOADING.name, str(error), Status.WRONG, 0, 0)) from None

        def outcome_of(check: Check) -> Outcome:
            try:
                return run_check_for(check, student, self.answer_key.seed)
            except KeyboardInterrupt as error:  # of an endless loop: show where it ran
                lines = describe_exception(error, student).traceback
                title, points = check.title, check.points
                raise CheckFailed(
                    Verdict(
                        check.name, title, Status.RAISED, 0, points, "interrupted", quoted=lines
                    )
                ) from None

        return Judge(self.exercise, self.answer_key, student.sources, outcome_of, self.variables)


@cache  # so that a setup cell that runs again registers nothing twice
def _register(shell: InteractiveShell, exercise: str) -> None:
    """Reload changed modules before each cell; show failed checks and stubs without a traceback."""
    reloader = Reloader(load_exercise(exercise).files, shell.user_ns)
    shell.events.register("pre_run_cell", lambda info: _reload(reloader, exercise))
    if hasattr(shell, "kernel"):
        shell.events.register("post_run_cell", _replace_traceback)


def _reload(reloader: Reloader, exercise_name: str) -> None:
    """Reload changed modules; display lost names and modules that cannot be loaded."""
    lost = set(reloader.lost)
    reloader.reload()
    for key in reloader.lost.keys() - lost:
        module, name = reloader.lost[key]
        file = f"{module.rpartition('.')[2]}.py"
        title = f"{file} no longer defines {name}: `{key}` is gone from this notebook, too"
        show(Verdict("", title, Status.WAITING, 0, 0))
    for path, error in reloader.errors.items():
        verdict = _verdict_on_loading(load_exercise(exercise_name), error)
        text = "The code from before this edit still runs."
        show(replace(verdict, title=f"{Path(path).name} cannot be loaded", text=text))


def _verdict_on_loading(exercise: Exercise, error: BaseException) -> Verdict:
    """Explain the exception of a module that could not be loaded."""
    student = Student(dict.fromkeys(exercise.files, ""))
    outcome = Outcome(raised=describe_exception(error, student))
    return Judge(exercise, load_answer_key(exercise.name), {}, lambda _: outcome).verdict_on(
        LOADING
    )


def _replace_traceback(result: Any) -> None:
    """Replace the traceback of a stub, or of a failed check that is a cell's only output, by a bar.

    The exception has been sent by now: what runs all cells has stopped.
    """
    error, cell = result.error_in_exec, str(result.info.raw_cell)
    if isinstance(error, CheckFailed) and _is_only_output(error, cell):
        verdict = error.verdict
    elif isinstance(error, NotImplementedError) and (text := _locate_stub(error, cell)):
        verdict = Verdict("", "Your code", Status.NOT_ATTEMPTED, 0, 0, "not attempted yet", text)
    else:
        return
    clear_output(wait=True)
    show(verdict)


def _locate_stub(error: NotImplementedError, cell: str) -> str:
    """Write where a cell met a stub, or "" if other code raised the exception."""
    if str(error) in STUB.findall(cell):
        return "Write it in this cell, between START OF YOUR CODE and END OF YOUR CODE."
    frame = traceback.extract_tb(error.__traceback__)[-1]
    path = Path(frame.filename).resolve()
    if frame.line == stub_line(str(error)) and path.is_relative_to(PROJECT / "assignment"):
        file = path.relative_to(PROJECT).as_posix()
        return f"Write `{frame.name}` in {file}, at line {frame.lineno}."
    return ""


def _is_only_output(error: CheckFailed, cell: str) -> bool:
    if error.verdict.check == LOADING.name:  # in the setup cell, before it displays anything
        return True
    try:
        return len(ast.parse(cell).body) == 1
    except SyntaxError:  # a magic command
        return False


def show(verdict: Verdict) -> None:
    """Display a verdict as a bar in Jupyter, or the same as plain text elsewhere."""
    _display(as_text(verdict), as_html(verdict))


def _display(text: str, html: str) -> None:
    display({"text/plain": text, "text/html": html}, raw=True)
