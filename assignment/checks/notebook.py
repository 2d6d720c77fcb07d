"""Checks in a notebook, one line each.

    check = Checks("softmax", globals())     in the setup cell
    check("naive_loss")                      in the cell of a check

A check that passes displays a line. A check that fails raises `CheckFailed`, which stops Run All;
Jupyter shows its message without a traceback.
"""

from collections.abc import Mapping
from typing import Any

from IPython.display import display

from assignment import PROJECT
from assignment.checks.answer_key import load_answer_key
from assignment.checks.check import LOADING, load_exercise
from assignment.checks.display import as_html, as_text
from assignment.checks.student import InvalidResult, Student
from assignment.checks.verdict import Judge, Verdict


class CheckFailed(Exception):
    """A check did not pass; the message is the verdict."""

    def _render_traceback_(self) -> list[str]:
        """Return the lines that Jupyter shows in place of a traceback."""
        return str(self).splitlines()


class Checks:
    """The checks of an exercise (such as ``softmax``), on the saved files and a notebook's globals.

    Raises CheckFailed if a student's file cannot be loaded, with the reason and the line.
    """

    def __init__(self, exercise: str, variables: Mapping[str, Any]) -> None:
        self.exercise, self.variables = load_exercise(exercise), variables
        self.answer_key = load_answer_key(exercise)
        loading = self._judge().verdict_on(LOADING)
        if not loading.passed:
            raise CheckFailed(as_text(loading))

    def __call__(self, name: str) -> None:
        """Run one check, and display a line if it passes; else raise its verdict as CheckFailed."""
        verdict = self._judge().verdict(name)
        if not verdict.passed:
            raise CheckFailed(as_text(verdict))
        show(verdict)

    def _judge(self) -> Judge:
        try:
            student = Student.from_folder(PROJECT, self.exercise.files, self.variables)
        except InvalidResult as error:
            raise CheckFailed(f"✗ {error}") from None
        return Judge.of_student(self.exercise, self.answer_key, student, self.variables)


def show(verdict: Verdict) -> None:
    """Display a line in Jupyter, or the same as plain text elsewhere."""
    data = {"text/plain": as_text(verdict), "text/html": as_html(verdict)}
    display(data, raw=True)
