"""gradkit.course.exercises: to be described."""

import re
import tomllib
from pathlib import Path

from assignment.checks.check import load_exercise
from gradkit.course.instructor_tree import CourseError, read_text

STARTERS = "grading/starters.toml"


# --- what goes in --------------------------------------------------------------------------------


def read_starters(project: Path) -> dict[str, tuple[str, ...]]:
    """The starters that the manifest names, each with its exercises.

    Raises
    ------
    CourseError
        The manifest is not as it should be: the text says what is wanted.
    """
    wanted = 'It has a line for each starter, as in `softmax-starter = ["softmax"]`.'
    try:
        stored = tomllib.loads(read_text(project, STARTERS))
    except tomllib.TOMLDecodeError as error:
        raise CourseError(f"{STARTERS} is not valid TOML: {error}. {wanted}") from None
    if not stored:
        raise CourseError(f"{STARTERS} names no starter. {wanted}")
    known = exercise_names(project)
    for name, exercises in stored.items():
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
            raise CourseError(
                f"{STARTERS}: {name!r} is no name for a starter. Take small letters, digits and -."
            )
        if not isinstance(exercises, list) or not exercises:
            raise CourseError(f"{STARTERS}: {name} does not list its exercises. {wanted}")
        for exercise in exercises:
            if exercise not in known:
                raise CourseError(
                    f"{STARTERS}: {name} has the exercise {exercise!r}, which is not there. There "
                    f"are: {', '.join(known)}."
                )
    return {name: tuple(exercises) for name, exercises in stored.items()}


def exercise_paths(name: str) -> tuple[str, ...]:
    """The paths of what belongs to an exercise, to it alone or with others."""
    exercise = load_exercise(name)
    checks = (f"assignment/checks/{name}.py", f"assignment/checks/{name}.json")
    return (*exercise.files, *exercise.modules, exercise.notebook, *checks)


def exercise_names(project: Path) -> list[str]:
    """The exercises of a tree; CourseError where there is none, or one lacks its checks."""
    names = sorted(path.parent.name for path in (project / "grading").glob("*/exercise.toml"))
    if not names:
        raise CourseError(
            f"{project / 'grading'} holds no exercise: a folder with an exercise.toml is one."
        )
    for name in names:
        read_text(project, f"assignment/checks/{name}.py")
    return names
