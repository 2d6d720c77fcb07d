"""How an exercise is graded: grading/EXERCISE/exercise.toml, each key of it declared here."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradkit.course.declared import ConfigError, checked, declared, is_number
from gradkit.course.late_policy import LatePolicy

MB = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What a sandbox may take: bytes of memory and of /tmp, and how many processes and threads."""

    memory: int = 2000 * MB
    files: int = 64 * MB
    processes: int = 64


def _count(description: str, default: int) -> Any:
    def check(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value > 0

    return declared(description, check, "a whole number above 0", default=default)


def _is_count_or_none(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _are_names(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


def _seconds(description: str, default: float) -> Any:
    return declared(
        description, lambda value: is_number(value) and value > 0, "seconds", default=default
    )


@dataclass(frozen=True)
class LimitsOfTime:
    """[limits]: what a submission may take."""

    check_seconds: float = _seconds("the most that a check may take", 10.0)
    cell_seconds: float = _seconds("the most that any other cell may take", 30.0)
    memory_mb: int = _count("memory of a submission's processes together, in MB", 2000)
    files_mb: int = _count("what it may write to /tmp, in MB", 64)
    processes: int = _count("how many processes and threads it may have", 64)


def _are_parameters(values: Any) -> bool:
    def is_plain(value: Any) -> bool:
        return isinstance(value, int | float | str) or (
            isinstance(value, list) and all(map(is_plain, value))
        )

    return isinstance(values, dict) and all(
        name.isidentifier() and is_plain(value) for name, value in values.items()
    )


def _are_points(values: Any) -> bool:
    return isinstance(values, dict) and all(
        isinstance(points, int) and not isinstance(points, bool) and points > 0
        for points in values.values()
    )


def _table(description: str, kind: type) -> Any:
    return declared(description, lambda v: isinstance(v, dict), "a table", default_factory=kind)


@dataclass(frozen=True)
class ExerciseConfig:
    """An exercise's manifest; see the descriptions of its keys."""

    images_per_batch: int = declared(
        "pictures in each of the stand-in's six files; 0 for an exercise without pictures",
        _is_count_or_none,
        "a whole number from 0 on",
        default=0,
    )
    unseen_images: int = _count("pictures on which classifiers are judged", 2000)
    shared: Sequence[str] = declared(
        "folders in grading/ whose mistakes and variants are this exercise's as well",
        _are_names,
        "a list of names",
        default=(),
    )
    parameters: Mapping[str, Any] = declared(
        "what the notebook's parameters are when it is graded",
        _are_parameters,
        "a table of names with numbers, texts, or lists of those",
        default_factory=dict,
    )
    quick: Mapping[str, Any] = declared(
        "what of the notebook's parameters is other when `verify` runs it, to be quick; the bounds "
        "of its own parameters hold for these as well",
        _are_parameters,
        "a table of names with numbers, texts, or lists of those",
        default_factory=dict,
    )
    bounds: Mapping[str, float] = declared(
        "what training has to reach with these parameters, by the names in the checks",
        lambda values: isinstance(values, dict) and all(map(is_number, values.values())),
        "a table of names with numbers",
        default_factory=dict,
    )
    questions: Mapping[str, int] = declared(
        "the inline questions, by the names of their answers' cells, with the points of each",
        _are_points,
        "a table of names with whole numbers above 0",
        default_factory=dict,
    )
    limits: LimitsOfTime = _table("what a submission may take", LimitsOfTime)
    late: LatePolicy = _table("when the work is due, and what late work loses", LatePolicy)

    @property
    def sandbox_limits(self) -> Limits:
        limits = self.limits
        return Limits(limits.memory_mb * MB, limits.files_mb * MB, limits.processes)


def read_config(path: Path) -> ExerciseConfig:
    """Read a manifest.

    Raises
    ------
    ManifestError
        It is missing or not TOML, or has a key that is unknown, or a value that is not wanted.
    """
    try:
        stored = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing: it says how the exercise is graded.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None
    values = checked(ExerciseConfig, stored, str(path))
    for name, kind in (("limits", LimitsOfTime), ("late", LatePolicy)):
        if name in values:
            values[name] = kind(**checked(kind, values[name], f"{path}, [{name}]"))
    return ExerciseConfig(**values)
