"""exercise.toml: what does not fit is refused with file, key, value and what to write."""

from pathlib import Path

import pytest

from assignment import PROJECT
from gradkit.course.config import ExerciseConfig, Limits, read_config
from gradkit.course.exercises import exercise_names
from gradkit.course.instructor_tree import CourseError


def write_config(project: Path, text: str) -> Path:
    path = project / "grading" / "softmax" / "exercise.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", exercise_names(PROJECT))
def test_every_exercise_has_a_config_that_fits(name: str) -> None:
    assert read_config(PROJECT, name).questions


def test_key_without_a_line_has_its_default(tmp_path: Path) -> None:
    write_config(tmp_path, "[limits]\nmemory_mb = 300\n[parameters]\nREGS = [1, 2.5]\n")
    expected = ExerciseConfig(limits=Limits(memory_mb=300), parameters={"REGS": [1, 2.5]})
    assert read_config(tmp_path, "softmax") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_per_batch = 5", " has the unknown key 'image_per_batch'. The keys are: images_per"),
        ("images_per_batch = -1", ": images_per_batch = -1 does not fit. Write a whole number"),
        ("images_per_batch = true", ": images_per_batch = True does not fit. Write a whole number"),
        ("shared = ['a', 3]", ": shared 2 = 3 does not fit. Write a list of folders"),
        ("limits = 3", ": limits = 3 does not fit. Write a table."),
        ("[limits]\ncheck_seconds = -1", ", [limits]: check_seconds = -1 does not fit. Write sec"),
        ("[limits]\ncheck_second = 1", ", [limits] has the unknown key 'check_second'. The keys"),
        ("[questions]\nwhy = 0", ": questions = {'why': 0} does not fit. Write a table of"),
        ("[bounds]\nLOSS = 'x'", ": bounds = {'LOSS': 'x'} does not fit. Write a table of names"),
        ("[bounds]\nLOSS = nan", ": bounds = {'LOSS': nan} does not fit. Write a table of names"),
        ("[bounds]\nLOSS = inf", ": bounds = {'LOSS': inf} does not fit. Write a table of names"),
        ("[parameters]\n'a b' = 1", ": parameters = {'a b': 1} does not fit. Write a table of"),
        ("[parameters]\na.b = 1", ": parameters = {'a': {'b': 1}} does not fit. Write a table of"),
        ("[late]\ndue = 2026-03-01T23:59:00", ", [late]: due = datetime.datetime(2026, 3, 1, 23,"),
        (
            "[late]\npolicy = 'hard'",
            ", [late]: policy = 'hard' does not fit. Write 'none', 'fixed'",
        ),
        ("[late]\npercent = 101", ", [late]: percent = 101 does not fit. Write a number from 0"),
        ("[parameters\n", " is not valid TOML: "),
    ],
)
def test_config_that_does_not_fit_is_refused_with_what_to_write(
    tmp_path: Path, text: str, message: str
) -> None:
    path = write_config(tmp_path, text)
    with pytest.raises(CourseError) as caught:
        read_config(tmp_path, "softmax")
    assert str(caught.value).startswith(f"{path}{message}")


def test_missing_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match=r"softmax/exercise\.toml is missing"):
        read_config(tmp_path, "softmax")
