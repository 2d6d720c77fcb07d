"""The settings of an exercise, grading/EXERCISE/exercise.toml: each key, its type and default."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from gradkit.course.instructor_tree import read_toml
from gradkit.course.late_policy import LatePolicy

MB = 1_000_000

CONFIG = "exercise.toml"

Count = Annotated[int, Meta(gt=0)]
Seconds = Annotated[float, Meta(gt=0, le=1e6)]
Number = Annotated[float, Meta(ge=-1e300, le=1e300)]  # not nan, not infinite
Identifier = Annotated[str, Meta(pattern=r"^[^\W\d]\w*$")]
Parameters = dict[Identifier, bool | int | float | str | list[bool | int | float | str]]


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """The table [limits]: how much time, memory and disk a submission may use.

    Seconds are those of its own time: processor time, and the time in which it sleeps. Right code
    takes a few seconds in all. Programs beside it lengthen them at most a few times, since they
    share the processor's caches.
    """

    check_seconds: Seconds = 10.0  # one check
    cell_seconds: Seconds = 30.0  # one other cell
    submission_seconds: Seconds = 120.0  # all together, cells that are run again included
    memory_mb: Count = 2000  # all processes together
    files_mb: Count = 64  # what it writes to /tmp
    processes: Count = 64  # processes and threads


class ExerciseConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The content of exercise.toml."""

    shared: tuple[str, ...] = ()  # folders in grading/ whose mistakes and variants apply as well
    parameters: Parameters = {}  # of the notebook, when it is graded
    quick: Parameters = {}  # instead of some of these when `gradkit verify` runs it
    bounds: dict[str, Number] = {}  # what training has to reach, by the names in the checks
    questions: dict[str, Count] = {}  # points, by the name of the answer's cell
    # The starter's folder on GitHub, OWNER/REPO/blob/BRANCH, for an "Open in Colab" badge.
    colab: Annotated[str, Meta(pattern=r"^([\w.-]+/[\w.-]+/blob(/[\w.-]+)+)?\Z")] = ""
    given: tuple[str, ...] = ()  # lines of solutions, as of old ones, that starters may hold
    limits: Limits = Limits()
    late: LatePolicy = LatePolicy()


def read_config(project: Path, name: str) -> ExerciseConfig:
    """Read the exercise.toml of an exercise.

    Raise CourseError if it is missing or not TOML, has an unknown key, or a value that does not
    fit.
    """
    return read_toml(project / "grading" / name / CONFIG, ExerciseConfig)
