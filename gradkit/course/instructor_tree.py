"""Files of the instructor's tree, read only from the tree itself: links are refused."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from assignment.workspace.regions import RegionError, decode
from assignment.workspace.starter import LITTER
from gradkit.errors import GradkitError

# What notebooks and downloads leave behind belongs to nobody.
LEFTOVERS = re.compile(rf"{LITTER.pattern}|\..*|cifar-10-.*|.*\.npz")


T = TypeVar("T")


class CourseError(GradkitError):
    """A file of the course is missing or wrong; the message names it and says what to do."""


def list_files(project: Path, folder: str) -> Iterator[str]:
    """Yield the path of each file below a folder of the project, sorted, without leftovers.

    Raise CourseError if the folder is missing, or something in it is neither a file nor a folder.
    """
    for entry in sorted(os.scandir(find_file(project, folder)), key=lambda entry: entry.name):
        path = f"{folder}/{entry.name}"
        if LEFTOVERS.fullmatch(entry.name):
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from list_files(project, path)
        else:
            find_file(project, path)
            yield path


def find_file(project: Path, path: str) -> Path:
    """Return the place of a file or folder of the project; raise CourseError as `list_files`."""
    place = project
    for part in path.split("/"):
        place /= part
        if place.is_symlink():
            raise CourseError(
                f"{place} is a link. A starter is made of the project's own files: put the file "
                "itself there, or remove the link."
            )
    if not place.exists():
        raise CourseError(f"{place} is missing. Put it back.")
    if not place.is_dir() and not place.is_file():
        raise CourseError(f"{place} is neither a file nor a folder. Remove it.")
    return place


def read_text(project: Path, path: str) -> str:
    """Read a text file of the project; raise CourseError if it cannot be read as UTF-8."""
    place = find_file(project, path)
    try:
        return decode(place.read_bytes(), path)
    except RegionError as error:
        raise CourseError(str(error)) from error
    except OSError as error:
        raise CourseError(f"{place} cannot be read: {error.strerror}.") from error


def read_toml(path: Path, kind: type[T]) -> T:
    """Read a TOML file as a msgspec type, such as a struct that refuses unknown keys.

    Raise CourseError if the file is missing, not TOML, or does not fit the type.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise CourseError(f"{path} is missing. Put it back.") from None
    except msgspec.ValidationError as error:
        raise CourseError(
            f"{path} does not fit: {error}. docs/new-exercise.md shows how."
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CourseError(f"{path} is not valid TOML: {error}.") from None
