"""The files that a template repository for GitHub Classroom has beside the starter.

    classroom_files   exercises -> .github/workflows/classroom.yml and .gitignore, as texts
    is_as_built       tells whether the two were changed since they were built

On every push the workflow runs the public checks on a fresh machine, a step for each, with its
points. They tell students where they are; grades come from `gradkit grade`.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from assignment.checks.check import Exercise

WORKFLOW = ".github/workflows/classroom.yml"
IGNORED = ".gitignore"
CHECK_MINUTES = 5  # a check takes a second, and the start of Python
NOTEBOOK_MINUTES = 20  # a notebook takes a minute, if it comes to its end
SEAL = "# As it was built: "

# GitHub's own expressions are in ${{ }}, so values are in << >> here.
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    variable_start_string="<<",
    variable_end_string=">>",
    line_statement_prefix="%%",
    keep_trailing_newline=True,
    undefined=StrictUndefined,
)


class Step(NamedTuple):
    """A step of the workflow: it is worth its points if its command ends with status 0."""

    runner: str
    name: str  # quoted for YAML
    command: str
    minutes: int
    points: int


def classroom_files(exercises: Sequence[Exercise], images: bool = True) -> dict[str, str]:
    """Return the workflow and .gitignore for these exercises, by path.

    With `images` the workflow draws some before the checks.
    """
    steps = [step for exercise in exercises for step in _steps(exercise)]
    texts = {
        WORKFLOW: TEMPLATES.get_template("classroom.yml").render(steps=steps, images=images),
        IGNORED: TEMPLATES.get_template("gitignore").render(),
    }
    return {**texts, WORKFLOW: texts[WORKFLOW] + f"{SEAL}{_digest(texts)}\n"}


def is_as_built(texts: Mapping[str, str]) -> bool:
    """Return whether these are files as `classroom_files` made them, for any exercises."""
    workflow, seal, digest = texts.get(WORKFLOW, "").rpartition(SEAL)
    return bool(seal) and digest.strip() == _digest({**texts, WORKFLOW: workflow})


def _digest(texts: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()[:10]


def _steps(exercise: Exercise) -> Iterator[Step]:
    """Yield a step for each check that runs alone, and one for all that need the notebook."""
    name = exercise.name
    for check in exercise.checks:
        if not check.in_notebook:
            command = f"python -m assignment check {name} {check.name}"
            runner, title = f"{name}_{check.name}", _quote(check.title)
            yield Step(runner, title, command, CHECK_MINUTES, check.points)
    checks = [check for check in exercise.checks if check.in_notebook]
    if not checks:
        return
    title = _quote(f"{exercise.notebook}: " + ", ".join(check.title.lower() for check in checks))
    command = f"python -m pytest -x --nbval-lax {exercise.notebook}"
    points = sum(check.points for check in checks)
    yield Step(f"{name}_notebook", title, command, NOTEBOOK_MINUTES, points)


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a JSON string is one of YAML as well
