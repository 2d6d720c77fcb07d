"""The settings of an exercise, grading/EXERCISE/exercise.toml: each key, its type and default."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from gradkit.course.late_policy import LatePolicy
from gradkit.course.toml_files import convert_table, read_toml

MB = 1_000_000

CONFIG = "exercise.toml"

Count = Annotated[int, Meta(gt=0, description="a whole number above 0")]
Seconds = Annotated[float, Meta(gt=0, le=1e6, description="seconds, above 0")]
Number = Annotated[float, Meta(ge=-1e300, le=1e300)]  # not nan, not infinite
Identifier = Annotated[str, Meta(pattern=r"^[^\W\d]\w*$")]
Parameters = Annotated[
    dict[Identifier, bool | int | float | str | list[bool | int | float | str]],
    Meta(description="a table of the notebook's parameters: numbers, texts, or lists of those"),
]


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """The table [limits]: how much time, memory and disk a submission may use."""

    check_seconds: Seconds = 10.0  # one check
    cell_seconds: Seconds = 30.0  # one other cell
    memory_mb: Count = 2000  # all processes together
    files_mb: Count = 64  # what it writes to /tmp
    processes: Count = 64  # processes and threads


class ExerciseConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The content of exercise.toml.

    `quick` replaces some of the notebook's parameters when `gradkit verify` runs it. `bounds` are
    what training has to reach with `parameters`, by the bounds' names in the checks.
    """

    images_per_batch: Annotated[
        int,
        Meta(ge=0, description="a whole number, the images in each of the stand-in's six files"),
    ] = 0
    unseen_images: Annotated[
        int,
        Meta(
            gt=0, description="a whole number above 0, the images on which classifiers are judged"
        ),
    ] = 2000
    shared: Annotated[
        tuple[str, ...],
        Meta(description="a list of folders in grading/ whose mistakes and variants apply as well"),
    ] = ()
    parameters: Parameters = {}
    quick: Parameters = {}
    bounds: Annotated[
        dict[str, Number], Meta(description="a table of names in the checks with finite numbers")
    ] = {}
    questions: Annotated[
        dict[str, Count],
        Meta(description="a table of answer cells' names with points, whole numbers above 0"),
    ] = {}
    limits: Limits = Limits()
    late: LatePolicy = LatePolicy()


def read_config(project: Path, name: str) -> ExerciseConfig:
    """Read the exercise.toml of an exercise.

    Raises
    ------
    CourseError
        It is missing or not TOML, has an unknown key, or a value that does not fit.
    """
    path = project / "grading" / name / CONFIG
    return convert_table(read_toml(path), ExerciseConfig, str(path))
