"""How an exercise is graded: grading/EXERCISE/exercise.toml, each key of it declared here."""

import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from gradkit import GradkitError
from gradkit.sandbox import MB, Limits


class ManifestError(GradkitError):
    """A manifest is not what it should be; the text names the key and says what is wanted."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _key(description: str, check: Callable[[Any], bool], wanted: str, **default: Any) -> Any:
    return field(metadata={"description": description, "check": check, "wanted": wanted}, **default)


def _count(description: str, default: int) -> Any:
    def check(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value > 0

    return _key(description, check, "a whole number above 0", default=default)


def _seconds(description: str, default: float) -> Any:
    return _key(
        description, lambda value: _is_number(value) and value > 0, "seconds", default=default
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


@dataclass(frozen=True)
class Manifest:
    """An exercise's manifest; see the descriptions of its keys."""

    pictures_per_batch: int = _count("pictures in each of the stand-in's six files", 2000)
    unseen_pictures: int = _count("pictures on which classifiers are judged", 2000)
    parameters: Mapping[str, Any] = _key(
        "what the notebook's parameters are when it is graded",
        _are_parameters,
        "a table of names with numbers, texts, or lists of those",
        default_factory=dict,
    )
    bounds: Mapping[str, float] = _key(
        "what training has to reach with these parameters, by the names in the checks",
        lambda values: isinstance(values, dict) and all(map(_is_number, values.values())),
        "a table of names with numbers",
        default_factory=dict,
    )
    limits: LimitsOfTime = _key(  # noqa: RUF009 - it is a field
        "what a submission may take",
        lambda value: isinstance(value, dict),
        "a table",
        default_factory=LimitsOfTime,
    )

    @property
    def sandbox_limits(self) -> Limits:
        limits = self.limits
        return Limits(limits.memory_mb * MB, limits.files_mb * MB, limits.processes)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises
    ------
    ManifestError
        It is missing or not TOML, or has a key that is unknown, or a value that is not wanted.
    """
    try:
        stored = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ManifestError(f"{path} is missing: it says how the exercise is graded.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} is not valid TOML: {error}.") from None
    values = _checked(Manifest, stored, str(path))
    if "limits" in values:
        where = f"{path}, [limits]"
        values["limits"] = LimitsOfTime(**_checked(LimitsOfTime, values["limits"], where))
    return Manifest(**values)


def _checked(kind: type, stored: Mapping[str, Any], where: str) -> dict[str, Any]:
    declared: dict[str, Field[Any]] = {key.name: key for key in fields(kind)}
    for name, value in stored.items():
        if name not in declared:
            known = "; ".join(
                f"{key.name} ({key.metadata['description']})" for key in declared.values()
            )
            raise ManifestError(f"{where} has the unknown key {name!r}. There are: {known}.")
        about = declared[name].metadata
        if not about["check"](value):
            raise ManifestError(
                f"{where}: {name} = {value!r:.80} is not {about['wanted']}. It is "
                f"{about['description']}."
            )
    return dict(stored)
