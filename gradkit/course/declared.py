"""Tables of settings, each key declared with what it is, its default, and what it may be."""

import math
from collections.abc import Callable, Mapping
from dataclasses import Field, field, fields
from typing import Any

from gradkit.errors import GradkitError


class ConfigError(GradkitError):
    """A manifest is not what it should be; the text names the key and says what is wanted."""


def declared(description: str, check: Callable[[Any], bool], wanted: str, **default: Any) -> Any:
    """A dataclass's field that is a key of a table."""
    return field(metadata={"description": description, "check": check, "wanted": wanted}, **default)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def checked(kind: type, stored: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A table as it is stored, once all of it is as declared.

    Raises
    ------
    ManifestError
        A key is unknown, or its value not wanted.
    """
    keys: dict[str, Field[Any]] = {key.name: key for key in fields(kind)}
    for name, value in stored.items():
        if name not in keys:
            known = "; ".join(
                f"{key.name} ({key.metadata['description']})" for key in keys.values()
            )
            raise ConfigError(f"{where} has the unknown key {name!r}. There are: {known}.")
        about = keys[name].metadata
        if not about["check"](value):
            raise ConfigError(
                f"{where}: {name} = {value!r:.80} is not {about['wanted']}. It is "
                f"{about['description']}."
            )
    return dict(stored)
