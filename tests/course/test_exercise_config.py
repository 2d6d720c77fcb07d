"""exercise.toml: what does not fit is refused with its file and key."""

import re
from pathlib import Path

import msgspec
import pytest

from assignment import PROJECT
from gradkit.course.exercise_config import ExerciseConfig, Limits, read_config
from gradkit.course.exercises import exercise_names
from gradkit.course.instructor_tree import CourseError
from gradkit.course.late_policy import LatePolicy


def write_config(project: Path, text: str) -> Path:
    path = project / "grading" / "softmax" / "exercise.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", exercise_names(PROJECT))
def test_every_exercise_has_a_config_that_fits(name: str) -> None:
    assert read_config(PROJECT, name).questions


def test_page_lists_every_key_with_its_default() -> None:
    page = (PROJECT / "docs" / "new-exercise.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `([\w.]+)` \| (.*?) \| ", page.partition("## Settings")[2], re.MULTILINE
    )
    defaults = {
        f"{prefix}{field.name}": getattr(kind(), field.name)
        for prefix, kind in (("", ExerciseConfig), ("limits.", Limits), ("late.", LatePolicy))
        for field in msgspec.structs.fields(kind)
        if field.name not in ("limits", "late")
    }
    written = {key: f"`{msgspec.json.encode(value).decode()}`" for key, value in defaults.items()}
    assert dict(rows) == {**written, "late.due": "no due date"}


def test_key_without_a_line_has_its_default(tmp_path: Path) -> None:
    write_config(tmp_path, "[limits]\nmemory_mb = 300\n[parameters]\nREGS = [1, 2.5]\n")
    expected = ExerciseConfig(limits=Limits(memory_mb=300), parameters={"REGS": [1, 2.5]})
    assert read_config(tmp_path, "softmax") == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("images_per_batch = 5", "unknown field `images_per_batch`"),
        ("[limits]\nprocesses = 0", "Expected `int` >= 1 - at `$.limits.processes`"),
        ("[limits]\nprocesses = true", "got `bool` - at `$.limits.processes`"),
        ("shared = ['a', 3]", "got `int` - at `$.shared[1]`"),
        ("limits = 3", "got `int` - at `$.limits`"),
        ("[limits]\ncheck_seconds = -1", "> 0.0 - at `$.limits.check_seconds`"),
        ("[limits]\ncheck_second = 1", "unknown field `check_second` - at `$.limits`"),
        ("[questions]\nwhy = 0", "Expected `int` >= 1 - at `$.questions"),
        ("[bounds]\nLOSS = 'x'", "got `str` - at `$.bounds"),
        ("[bounds]\nLOSS = nan", "at `$.bounds"),
        ("[bounds]\nLOSS = inf", "at `$.bounds"),
        ("[parameters]\n'a b' = 1", "at `key` in `$.parameters`"),
        ("[parameters]\na.b = 1", "got `object` - at `$.parameters"),
        ("[late]\ndue = 2026-03-01T23:59:00", "with a timezone component - at `$.late.due`"),
        ("[late]\npolicy = 'hard'", "'hard' - at `$.late.policy`"),
        ("[late]\npercent = 101", "<= 100.0 - at `$.late.percent`"),
        ("[parameters\n", "is not valid TOML: "),
    ],
)
def test_config_that_does_not_fit_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = write_config(tmp_path, text)
    with pytest.raises(CourseError) as caught:
        read_config(tmp_path, "softmax")
    assert str(caught.value).startswith(f"{path} ")
    assert problem in str(caught.value)


def test_missing_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match=r"softmax/exercise\.toml is missing"):
        read_config(tmp_path, "softmax")
