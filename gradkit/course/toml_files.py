"""TOML files of a course, read into msgspec structs that refuse unknown keys and unfit values.

A key is a field of a struct. Its type is `Annotated` with a `msgspec.Meta` whose description says
what to write there; messages quote it.
"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from gradkit.course.instructor_tree import CourseError

T = TypeVar("T", bound=msgspec.Struct)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    CourseError
        The file is missing, or not TOML in UTF-8.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CourseError(f"{path} is missing. Put it back.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CourseError(f"{path} is not valid TOML: {error}.") from None


def convert_table(table: object, kind: type[T], where: str) -> T:
    """Convert a table of a TOML file to a struct; `where` names the table in messages.

    Raises
    ------
    CourseError
        A key is unknown or missing, or its value does not fit.
    """
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise CourseError(where + _explain(str(error), table, kind)) from None


def _explain(message: str, value: Any, kind: Any) -> str:
    """Continue a message with the key that msgspec refused, its value, and what to write."""
    problem, _, path = message.partition(" - at ")
    places, description = [""], ""
    for key, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        value = value[key or int(index)]
        if key:
            hint = _hints(kind)[key]
            places.append(key)
            description, kind = _description(hint), _struct(hint)
        else:
            places[-1] += f" {int(index) + 1}"
    table = "".join(f", [{place}]" for place in places[1:])
    if unknown := re.search(r"unknown field `(.*)`", problem):
        known = "; ".join(f"{key} ({_description(hint)})" for key, hint in _hints(kind).items())
        return f"{table} has the unknown key {unknown[1]!r}. The keys are: {known}."
    if missing := re.search(r"missing required field `(.*)`", problem):
        return f"{table} has no {missing[1]!r}. Write {_description(_hints(kind)[missing[1]])}."
    above = "".join(f", [{place}]" for place in places[1:-1])
    name = f": {places[-1]}" if places[-1] else ""
    return f"{above}{name} = {value!r:.80} does not fit. Write {description or 'a table'}."


def _hints(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _parts(hint: Any) -> Iterator[Any]:
    """Yield a type hint and all that it is made of, its own metadata first."""
    yield hint
    yield from getattr(hint, "__metadata__", ())
    for part in get_args(hint):
        yield from _parts(part)


def _description(hint: Any) -> str:
    metas = (part for part in _parts(hint) if isinstance(part, msgspec.Meta))
    return next((meta.description for meta in metas if meta.description), "a table")


def _struct(hint: Any) -> Any:
    types = (part for part in _parts(hint) if isinstance(part, type))
    return next((part for part in types if issubclass(part, msgspec.Struct)), None)
