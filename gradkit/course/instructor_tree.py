"""Files of the instructor's tree, read only from the tree itself: links are refused."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from assignment.workspace.regions import RegionError, decode
from assignment.workspace.starter import LITTER
from gradkit.errors import GradkitError

# What notebooks and downloads leave behind belongs to nobody.
LEFTOVERS = re.compile(rf"{LITTER.pattern}|\..*|cifar-10-.*|.*\.npz")


class CourseError(GradkitError):
    """A file of the course is missing or wrong; the message names it and says what to do."""


def list_files(project: Path, folder: str) -> Iterator[str]:
    """Yield the path of each file below a folder of the project, sorted, without leftovers.

    Raises
    ------
    CourseError
        The folder is missing, or something in it is neither a file nor a folder.
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
