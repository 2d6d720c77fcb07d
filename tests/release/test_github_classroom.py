"""The template repository for GitHub Classroom: its workflow's commands, run as they run there."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from assignment import PROJECT
from assignment.checks.check import Exercise
from assignment.checks.linear import LINEAR_CLASSIFIER
from assignment.checks.softmax import EXERCISE, SOFTMAX
from assignment.workspace import regions
from assignment.workspace.starter import pack_zip
from gradkit.course.starter import starter_files
from gradkit.release.build import release
from gradkit.release.errors import ReleaseError
from gradkit.release.github_classroom import IGNORED, WORKFLOW, classroom_files, is_as_built
from tests.notebooks.solved import shorten
from tests.trees import contents

NAME = "softmax-starter-github"
GRADER = "classroom-resources/autograding-command-grader@v1"
REPORTER = "classroom-resources/autograding-grading-reporter@v1"
Step = dict[str, Any]
yaml: Any = import_module("yaml")  # without types


@pytest.fixture(scope="session")
def template(small_tree: Path, shared: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """The folder as `gradkit release --github` leaves it; only to be read."""

    def build(folder: Path) -> None:
        assert f"{folder / NAME}\n" in release(small_tree, folder, github=True)

    return shared("softmax-github", build) / NAME


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    """The workflow's only job; the workflow may write results and nothing else."""
    workflow = yaml.safe_load(classroom_files([EXERCISE])[WORKFLOW])
    assert workflow["permissions"] == {"checks": "write", "actions": "read", "contents": "read"}
    assert "push" in workflow[True]  # `on` means true in YAML 1.1
    [job] = workflow["jobs"].values()
    return dict(job)


@pytest.fixture
def repository(template: Path, tmp_path: Path) -> Path:
    """A student's repository, checked out."""
    return Path(shutil.copytree(template, tmp_path / "repository"))


def graders(job: dict[str, Any]) -> dict[str, Step]:
    """Return the steps that are worth points, by id."""
    return {step["id"]: step["with"] for step in job["steps"] if step.get("uses") == GRADER}


def run(command: str, repository: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as the service does: with little more than a PATH and a HOME."""
    bin_folder = repository.parent / "bin"
    bin_folder.mkdir(exist_ok=True)
    python = bin_folder / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    env = {"PATH": f"{bin_folder}:/usr/bin:/bin", "HOME": str(repository.parent), "CI": "true"}
    env |= {"FORCE_COLOR": "true", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        ["sh", "-c", command], cwd=repository, env=env, capture_output=True, text=True, check=False
    )


def solve(repository: Path, *paths: str) -> None:
    for path in paths:
        shutil.copy(PROJECT / path, repository / path)


def solve_notebook(repository: Path) -> None:
    path = EXERCISE.notebook
    solved = regions.read_notebook((PROJECT / path).read_text("utf-8"), path)
    nb = regions.read_notebook((repository / path).read_text("utf-8"), path)
    grafted = regions.graft_cells(nb, regions.extract_cells(solved, path), path)
    (repository / path).write_text(regions.write_notebook(grafted), encoding="utf-8")


# --- the workflow --------------------------------------------------------------------------------


def test_workflow_has_a_step_with_points_for_each_check_and_reports_all(
    job: dict[str, Any],
) -> None:
    assert job["runs-on"] == "ubuntu-latest"
    uses = [step["uses"].split("@")[0] for step in job["steps"] if "uses" in step]
    assert uses[:2] == ["actions/checkout", "actions/setup-python"]
    alone = [check for check in EXERCISE.checks if not check.in_notebook]
    steps = graders(job)
    assert list(steps) == [*(f"softmax_{check.name}" for check in alone), "softmax_notebook"]
    for check in alone:
        step = steps[f"softmax_{check.name}"]
        assert (step["test-name"], step["max-score"]) == (check.title, check.points)
        assert step["command"] == f"python -m assignment check softmax {check.name}"
    assert sum(step["max-score"] for step in steps.values()) == 100
    [reporter] = [step for step in job["steps"] if step.get("uses") == REPORTER]
    assert reporter["with"]["runners"].split(",") == list(steps)
    assert reporter["env"] == {
        f"{name.upper()}_RESULTS": f"${{{{ steps.{name}.outputs.result }}}}" for name in steps
    }


def test_exercise_without_images_and_notebook_checks_has_no_steps_for_them() -> None:
    exercise = Exercise("any", "Any", "", "any.ipynb", (), EXERCISE.checks[:1], 1)
    workflow = yaml.safe_load(classroom_files([exercise], images=False)[WORKFLOW])
    [job] = workflow["jobs"].values()
    assert list(graders(job)) == ["any_naive_loss"]
    assert not [step for step in job["steps"] if "assignment data" in step.get("run", "")]


def test_steps_of_two_exercises_have_different_names(job: dict[str, Any]) -> None:
    other = Exercise("svm", "SVM", "", "notebooks/svm.ipynb", (), EXERCISE.checks, 1)
    workflow = yaml.safe_load(classroom_files([EXERCISE, other])[WORKFLOW])
    [both] = workflow["jobs"].values()
    assert len(graders(both)) == 2 * len(graders(job))
    assert graders(both)["svm_naive_loss"]["command"].endswith("check svm naive_loss")


def test_each_check_fails_on_the_starter_and_passes_on_the_solution(
    job: dict[str, Any], repository: Path
) -> None:
    steps = {name: step for name, step in graders(job).items() if name != "softmax_notebook"}
    for step in (steps["softmax_naive_loss"], steps["softmax_predict"]):
        ran = run(step["command"], repository)
        assert ran.returncode == 1
        assert "not attempted yet" in ran.stdout
    solve(repository, SOFTMAX)  # half of the exercise
    assert run(steps["softmax_predict"]["command"], repository).returncode == 1
    solve(repository, LINEAR_CLASSIFIER)
    for step in steps.values():
        ran = run(step["command"], repository)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        points = f"({step['max-score']} of {step['max-score']} point"
        assert ran.stdout.startswith(f"✓ {step['test-name']} {points}")


def test_steps_before_the_checks_and_of_the_notebook_run(
    job: dict[str, Any], repository: Path, stand_in: Callable[[Path], None]
) -> None:
    install, draw = [step["run"] for step in job["steps"] if "run" in step]
    assert install == "python -m pip install -r requirements.txt"
    assert (repository / "requirements.txt").is_file()
    stand_in(repository / "datasets")  # drawn already, which takes the service a minute
    ran = run(draw, repository)
    assert ran.returncode == 0, ran.stderr
    command = graders(job)["softmax_notebook"]["command"]
    ran = run(command, repository)
    assert ran.returncode == 1
    assert "1 failed" in ran.stdout
    solve(repository, SOFTMAX, LINEAR_CLASSIFIER)
    solve_notebook(repository)
    shorten(repository / EXERCISE.notebook)
    ran = run(command, repository)
    assert ran.returncode == 0, ran.stdout[-2000:]


# --- the folder ----------------------------------------------------------------------------------


def test_folder_is_the_starter_with_two_more_files(template: Path, small_tree: Path) -> None:
    files = contents(template)
    extra = {path: files.pop(path).decode() for path in (WORKFLOW, IGNORED)}
    assert files == starter_files(small_tree, ["softmax"])
    assert is_as_built(extra)
    assert os.access(template / "get_datasets.sh", os.X_OK)
    assert not (template.parent / "softmax-starter" / ".github").exists()


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git")
def test_git_ignores_data_and_environments_in_a_students_repository(
    repository: Path, small_tree: Path
) -> None:
    for name in ("datasets/cifar-10-batches-py/x", ".venv/x", "notebooks/best_softmax.npz"):
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text("x")
    subprocess.run(["git", "init", "--quiet"], cwd=repository, check=True)
    command = ["git", "ls-files", "--others", "--exclude-standard"]
    ran = subprocess.run(command, cwd=repository, check=True, capture_output=True, text=True)
    assert set(ran.stdout.splitlines()) == {
        *starter_files(small_tree, ["softmax"]),
        WORKFLOW,
        IGNORED,
    }


def test_template_whose_workflow_was_changed_is_not_replaced(tree: Path) -> None:
    release(tree, tree / "dist", github=True)
    workflow = tree / "dist" / NAME / WORKFLOW
    built = workflow.read_text("utf-8")
    for text in (built.replace("timeout: 5", "timeout: 50"), f"{built}  # mine\n", ""):
        workflow.write_text(text, encoding="utf-8")
        with pytest.raises(ReleaseError, match=r"github was changed since .* move it away"):
            release(tree, tree / "dist", github=True)
        assert workflow.read_text("utf-8") == text


def test_update_leaves_the_workflow_alone(repository: Path, tmp_path: Path) -> None:
    archive = tmp_path / "softmax-starter.zip"
    archive.write_bytes(pack_zip(starter_files(PROJECT, ["softmax"])))
    solve(repository, SOFTMAX)
    before = contents(repository)
    (repository / "README.md").write_text("an older one")
    ran = run(f"python -m assignment update {archive}", repository)
    assert ran.returncode == 0, ran.stderr
    after = contents(repository)
    for path in (WORKFLOW, IGNORED, SOFTMAX):
        assert after[path] == before[path]
