"""The files of an exercise, recognised in a submission by their names and folders."""

import re
from enum import IntEnum
from functools import cache
from pathlib import PurePosixPath
from typing import NamedTuple

from assignment import PROJECT
from assignment.checks.check import Exercise
from assignment.workspace.starter import STARTER_MANIFEST
from gradkit.submissions.archives import Member
from gradkit.submissions.names import COPY_NUMBER, SEPARATOR

MAX_FOLDERS = 3  # around the project inside a submission


class NameFit(IntEnum):
    """The similarity of a file's name to the expected one; a smaller value fits better."""

    EXACT = 0
    NUMBERED = 1  # a number behind it, as copies have
    PREFIXED = 2  # more before it
    OTHER = 3  # a notebook of another name


class Candidate(NamedTuple):
    """A member that may be a wanted file."""

    member: Member
    target: str  # the wanted file's path in the project
    root: tuple[str, ...]  # the folder in which the project would begin, by that path
    fit: NameFit


class WantedFiles:
    """The files of an exercise, and the starter manifest, with the names that students give them.

    The course's other files are in submissions as well, and some have the same name as a wanted
    file in another folder: `course_files` are the last two parts of their paths.
    """

    def __init__(self, exercise: Exercise) -> None:
        self.notebook = exercise.notebook
        self._patterns = {
            STARTER_MANIFEST: re.compile("()()" + re.escape(PurePosixPath(STARTER_MANIFEST).name))
        }
        for path in map(PurePosixPath, (*exercise.files, exercise.notebook)):
            stem, suffix = re.escape(path.stem), re.escape(path.suffix)
            pattern = rf"(?i)(.*{SEPARATOR}|){stem}({COPY_NUMBER}){suffix}"
            self._patterns[str(path)] = re.compile(pattern)
        self.course_files = _course_files() - {*map(last_two_parts, self._patterns)}

    def match_name(self, name: str) -> tuple[str, NameFit] | None:
        """Return the wanted file that a file of this name may be, and how well the name fits."""
        if not name.lower().endswith((".py", ".ipynb", ".json")):
            return None
        for path, pattern in self._patterns.items():
            if match := pattern.fullmatch(name):
                fit = NameFit.NUMBERED if match[2] else NameFit.EXACT
                return path, NameFit.PREFIXED if match[1] else fit
        return (self.notebook, NameFit.OTHER) if name.lower().endswith(".ipynb") else None

    def candidate(self, member: Member) -> Candidate | None:
        """Return the member as a candidate if it may be a wanted file."""
        *folders, name = member.name.split("/")
        match = self.match_name(name)
        if match is None or last_two_parts(member.name) in self.course_files:
            return None
        target, fit = match
        expected = target.split("/")[:-1]
        while expected and folders and folders[-1].casefold() == expected[-1].casefold():
            folders.pop()
            expected.pop()
        return Candidate(member, target, (*folders,), fit) if len(folders) <= MAX_FOLDERS else None


@cache
def _course_files() -> set[str]:
    return {last_two_parts(path.as_posix()) for path in (PROJECT / "assignment").rglob("*.py")}


def last_two_parts(path: str) -> str:
    """Return the last folder and the name of a path, which people keep when they repack files."""
    return "/".join(path.split("/")[-2:])
