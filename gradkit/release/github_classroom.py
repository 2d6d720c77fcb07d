"""What a template repository for GitHub Classroom has beside the starter: a workflow.

    classroom_files   exercises -> .github/workflows/classroom.yml and .gitignore, as texts
    is_as_built       whether the two are still as they came from here

On every push the workflow runs the checks that students can run themselves, on a fresh machine, a
step for each, with its points. They are the public checks, on the public seed: good for telling
students where they are; grades that count are for `python -m gradkit grade`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

from assignment.checks.check import Check, Exercise

WORKFLOW = ".github/workflows/classroom.yml"
IGNORED = ".gitignore"
PYTHON = "3.12"
CHECK_MINUTES = 5  # a check takes a second, and the start of Python
NOTEBOOK_MINUTES = 20  # a minute, if it comes to its end
_SEAL = "# As it was built: "

# What a student's machine leaves in the folder, the data set of 170 MB before all.
_IGNORED = """\
/.venv*/
/backup-*/
/datasets/*
!/datasets/README.md
/notebooks/best_*.npz
/*-submission.zip
__pycache__/
.ipynb_checkpoints/
"""


def classroom_files(exercises: Sequence[Exercise]) -> dict[str, str]:
    """The files, by their paths; the same for the same exercises."""
    texts = {WORKFLOW: _workflow(exercises), IGNORED: _IGNORED}
    return {**texts, WORKFLOW: texts[WORKFLOW] + f"{_SEAL}{_digest(texts)}\n"}


def is_as_built(texts: Mapping[str, str]) -> bool:
    """Whether these are files as `classroom_files` has made them, for whatever exercises."""
    workflow, seal, digest = texts.get(WORKFLOW, "").rpartition(_SEAL)
    return bool(seal) and digest.strip() == _digest({**texts, WORKFLOW: workflow})


def _digest(texts: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()[:10]


def _workflow(exercises: Sequence[Exercise]) -> str:
    steps, runners = [], []
    for exercise in exercises:
        alone = [check for check in exercise.checks if not check.in_notebook]
        for check in alone:
            runners.append(f"{exercise.name}_{check.name}")
            command = f"python -m assignment check {exercise.name} {check.name}"
            steps.append(_step(runners[-1], check.title, command, CHECK_MINUTES, [check]))
        left = [check for check in exercise.checks if check.in_notebook]
        runners.append(f"{exercise.name}_notebook")
        command = f"python -m pytest -x --nbval-lax {exercise.notebook}"
        title = f"{exercise.notebook}: " + ", ".join(check.title.lower() for check in left)
        steps.append(_step(runners[-1], title, command, NOTEBOOK_MINUTES, left))
    results = "".join(
        f"          {runner.upper()}_RESULTS: ${{{{ steps.{runner}.outputs.result }}}}\n"
        for runner in runners
    )
    return f"""\
# The checks of your own copy, on every push: see the tab "Actions" of this repository.
name: Checks
on: [push, workflow_dispatch, repository_dispatch]
permissions:
  checks: write
  actions: read
  contents: read
jobs:
  checks:
    runs-on: ubuntu-latest
    if: github.actor != 'github-classroom[bot]'
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "{PYTHON}"
          cache: pip
      - name: Install the packages
        run: python -m pip install -r requirements.txt
      - name: Draw the stand-in for the pictures
        run: python -m assignment data --synthetic
{"".join(steps)}\
      - name: Report the points
        uses: classroom-resources/autograding-grading-reporter@v1
        env:
{results}\
        with:
          runners: {",".join(runners)}
"""


def _step(runner: str, title: str, command: str, minutes: int, checks: Sequence[Check]) -> str:
    """A step that is worth the points of these checks if its command ends with status 0."""
    name = json.dumps(title, ensure_ascii=False)  # which is a text for YAML as well
    return f"""\
      - name: {name}
        id: {runner}
        uses: classroom-resources/autograding-command-grader@v1
        with:
          test-name: {name}
          command: {command}
          timeout: {minutes}
          max-score: {sum(check.points for check in checks)}
"""
