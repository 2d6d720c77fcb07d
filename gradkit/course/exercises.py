"""The exercises of a tree, the paths that belong to each, and the starters that hold them.

grading/EXERCISE/exercise.toml   makes EXERCISE an exercise (`gradkit.course.exercise_config`)
grading/starters.toml            lists the exercises of each starter
"""

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from assignment.checks.check import Exercise, load_exercise
from assignment.workspace import regions
from gradkit.course.instructor_tree import CourseError, find_file, read_text, read_toml

STARTERS = "grading/starters.toml"

StarterName = Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\Z")]
Starters = dict[StarterName, Annotated[tuple[str, ...], Meta(min_length=1)]]


def exercise_names(project: Path) -> list[str]:
    """Return the names of a tree's exercises, sorted.

    Raise CourseError if there is no exercise, or one has no checks.
    """
    names = sorted(path.parent.name for path in (project / "grading").glob("*/exercise.toml"))
    if not names:
        raise CourseError(
            f"{project / 'grading'} holds no exercise: give one a folder with an exercise.toml."
        )
    for name in names:
        find_file(project, f"assignment/checks/{name}.py")
    return names


def solved_paths(exercise: Exercise) -> tuple[str, ...]:
    """Return the paths of the files that hold an exercise's regions."""
    return (*exercise.files, exercise.notebook)


def uses_images(exercise: Exercise, project: Path) -> bool:
    """Return whether an exercise works with CIFAR-10: its files import assignment.data_utils."""
    return any("assignment.data_utils" in read_text(project, x) for x in solved_paths(exercise))


def read_solution(exercise: Exercise, project: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the solution as a submission: its files by path, its cells by region."""
    files = {path: (project / path).read_bytes() for path in exercise.files}
    text = regions.read_source(project / exercise.notebook)
    notebook = regions.read_notebook(text, exercise.notebook)
    return files, regions.extract_cells(notebook, exercise.notebook)


def starter_paths(name: str) -> tuple[str, ...]:
    """Return the paths that a starter with this exercise needs besides those of every starter."""
    exercise = load_exercise(name)
    checks = (f"assignment/checks/{name}.py", f"assignment/checks/{name}.json")
    return (*solved_paths(exercise), *exercise.modules, *checks)


def read_starters(project: Path) -> dict[str, tuple[str, ...]]:
    """Read the starters of a tree: the names of the exercises in each.

    Raise CourseError if starters.toml is not valid, has no starter, or an unknown exercise.
    """
    starters = read_toml(find_file(project, STARTERS), Starters)
    if not starters:
        raise CourseError(
            f"{STARTERS} has no starter. Write a line for each, such as "
            '`softmax-starter = ["softmax"]`.'
        )
    known = exercise_names(project)
    for starter, names in starters.items():
        if unknown := [name for name in names if name not in known]:
            raise CourseError(
                f"{STARTERS}: {starter} has the unknown exercise {unknown[0]!r}. The exercises "
                f"are: {', '.join(known)}."
            )
    return starters
