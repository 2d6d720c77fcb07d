"""Rows of `gradkit verify` on what `grade` and `release` would refuse, or take points for.

notebook_problems    checks and questions without cells, other points, unknown parameters
unknown_mistakes     mistakes that tracebacks show, and mistakes.toml does not have
starter_leaks        the leaks of a starter with this exercise
graded_problems      points that the solution loses where it is graded as submissions are
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from assignment.checks.check import Exercise, load_exercise, with_noun
from assignment.workspace.fresh_copy import names_in
from assignment.workspace.regions import (
    Notebook,
    check_of,
    purpose_of,
    read_notebook,
    region_of,
    source_of,
)
from gradkit.autograder.grade_submission import grade_submission
from gradkit.autograder.sandbox import Isolation, SandboxError, self_test
from gradkit.autograder.spec import build_spec
from gradkit.course.answer_key import compute_answer_key
from gradkit.course.exercise_config import CONFIG, read_config
from gradkit.course.exercises import read_solution
from gradkit.course.instructor_tree import CourseError, read_text
from gradkit.course.mistakes import Bank
from gradkit.course.questions import read_questions
from gradkit.course.starter import starter_files
from gradkit.errors import GradkitError
from gradkit.files import temporary_folder
from gradkit.release.leaks import find_leaks, read_guard, record_path

_POINTS = re.compile(r"\((\d{1,6}) points?\)")  # in a question's text

SECRET = 1 << 127  # the same in every run, so that the proof depends on the tree only


def notebook_problems(name: str, project: Path) -> Iterator[tuple[str, str]]:
    """Yield a file and a sentence for each part of an exercise that does not fit to another."""
    exercise, config = load_exercise(name), read_config(project, name)
    path, settings = exercise.notebook, f"grading/{name}/{CONFIG}"
    notebook = read_notebook(read_text(project, path), path)
    for problem in _check_cell_problems(exercise, notebook):
        yield path, problem
    try:
        read_questions(notebook, config.questions)
    except CourseError as error:
        yield settings, str(error)
    else:
        for above, cell in pairwise(notebook["cells"]):
            answer = region_of(cell) if cell["cell_type"] == "markdown" else None
            stated = [int(n) for n in _POINTS.findall(source_of(above))]
            points = config.questions.get(answer or "", 0)
            if answer and stated and points not in (*stated, sum(stated)):
                yield (
                    settings,
                    f"[questions] gives {answer} {with_noun(points, 'point')}, and its question in "
                    f"{path} says {stated[0]}. Correct one of them.",
                )
    cells = [cell for cell in notebook["cells"] if purpose_of(cell).get("role") == "parameters"]
    assigned = {name for cell in cells for name in names_in(source_of(cell))[1]}
    for table, parameters in (("parameters", config.parameters), ("quick", config.quick)):
        for parameter in sorted(parameters.keys() - assigned):
            yield (
                settings,
                f'[{table}] has {parameter}, but no cell of {path} with the role "parameters" '
                "assigns it. Assign it there, or correct the name.",
            )


def _check_cell_problems(exercise: Exercise, notebook: Notebook) -> Iterator[str]:
    there = Counter(check for cell in notebook["cells"] if (check := check_of(cell)))
    for name in exercise.names:
        if there[name] != 1:
            yield (
                f"the check {name!r} has {there[name] or 'no'} cells. Give it one: a cell of code "
                f'with the only line `check("{name}")`.'
            )
    for name in sorted(there.keys() - {*exercise.names}):
        yield (
            f"a cell has the check {name!r}, which assignment/checks/{exercise.name}.py does not "
            "list. Correct the name, remove the cell, or give a check without points the metadata "
            '`"gradkit": {"role": "display"}`.'
        )


def unknown_mistakes(bank: Bank) -> Iterator[tuple[str, str]]:
    """Yield the checks' file and a sentence for each mistake in `raises` without a form."""
    for check in bank.exercise.checks:
        for id in sorted({*check.raises.values()} - {*bank.mistakes}):
            yield (
                bank.exercise.path,
                f"the check {check.name!r} names the mistake {id!r} in raises=, but mistakes.toml "
                f"has only: {', '.join(bank.mistakes) or 'none'}.",
            )


def starter_leaks(name: str, project: Path) -> list[str]:
    """Return the leaks of a starter; without a record, new lines are left to the first release."""
    accept = [] if record_path(project, name).exists() else [name]
    return find_leaks(starter_files(project, [name]), [read_guard(project, name)], project, accept)


def graded_problems(bank: Bank, project: Path) -> Iterator[str]:
    """Grade the solution as a submission; yield a sentence for each check that takes points.

    It runs without a sandbox where the machine has none.
    """
    isolation = Isolation.SANDBOX
    try:
        self_test(isolation)
    except SandboxError:
        isolation = Isolation.NONE
    name = bank.exercise.name
    try:
        with temporary_folder() as folder:
            folder.chmod(0o711)  # the sandbox reads the data in it
            answer_key = compute_answer_key(replace(bank, mutants=()), SECRET)
            spec = build_spec(name, project, SECRET, folder, answer_key)
            graded = grade_submission(spec, *read_solution(bank.exercise, project), isolation)
    except GradkitError as error:
        yield str(error)
    else:
        for verdict in graded.verdicts.values():
            if not verdict.passed:
                yield (
                    f"{verdict.check} takes its points, with the seed and the parameters of a "
                    f"graded run ({verdict.headline}: {verdict.text}). Correct the check, or "
                    f"[parameters], [bounds] and [limits] in grading/{name}/{CONFIG}."
                )
