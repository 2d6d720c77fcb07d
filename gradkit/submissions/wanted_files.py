"""The files of an exercise, recognized in a submission by their names and folders."""

import re
import unicodedata
from enum import IntEnum
from functools import cache
from pathlib import PurePosixPath
from typing import NamedTuple

from assignment import PROJECT
from assignment.checks.check import Exercise
from assignment.workspace.starter import STARTER_MANIFEST
from gradkit.submissions.archives import Member
from gradkit.submissions.names import COPY_NUMBER, SEPARATOR, is_archive

# Words, the ending, and what stands behind it, as in `softmax - Copy (2).py.txt`.
_NAME = re.compile(r"(?P<words>.+?)(?P<ending>\.py|\.ipynb)(?P<rest>(?![a-z0-9]).*)", re.DOTALL)
_PRINTED = re.compile(r".*\.(pdf|html?|docx?|png|jpe?g)", re.DOTALL)  # pages and pictures of a file


class NameFit(IntEnum):
    """The similarity of a file's name to the expected one; a smaller value fits better."""

    EXACT = 0
    SIMILAR = 1  # in another case, or a number behind it, as copies have
    PREFIXED = 2  # more before it
    RENAMED = 3  # the expected name anywhere in it, or one more ending
    OTHER = 4  # a notebook of another name


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
        wanted = (*exercise.files, exercise.notebook)
        self.course_files = _course_files() - {*map(last_two_parts, wanted)}
        # `softmax_linear_classifier.py` is the linear classifier of the exercise softmax.
        paths = sorted(wanted, key=lambda path: (-len(PurePosixPath(path).stem), path))
        self._paths = {path: PurePosixPath(path) for path in paths}
        own = {path.name for path in self._paths.values()}
        self._other_names = {PurePosixPath(path).name for path in _course_files()} - own

    def match_name(self, name: str) -> tuple[str, NameFit] | None:
        """Return the wanted file that a file of this name may be, and how well the name fits."""
        if name == PurePosixPath(STARTER_MANIFEST).name:
            return STARTER_MANIFEST, NameFit.EXACT
        folded = unicodedata.normalize("NFC", name).casefold()
        match = _NAME.fullmatch(folded)
        if match is None or is_archive(folded) or _PRINTED.fullmatch(folded):
            return None
        words, ending = match["words"], match["ending"]
        if words.startswith("test_") or words.endswith("_test"):
            return None
        for target, path in self._paths.items():
            before, found, after = words.rpartition(path.stem.casefold())
            if found and path.suffix == ending:
                if self._names_another(words, ending, found):
                    return None
                is_copy = not match["rest"] and re.fullmatch(COPY_NUMBER, after)
                if not is_copy or (before and not re.fullmatch(SEPARATOR, before[-1])):
                    return target, NameFit.RENAMED
                if before:
                    return target, NameFit.PREFIXED
                return target, NameFit.EXACT if name == path.name else NameFit.SIMILAR
        if ending != ".ipynb" or self._names_another(words, ending):
            return None
        return self.notebook, NameFit.OTHER

    def _names_another(self, words: str, ending: str, stem: str = "") -> bool:
        """Return whether another course file's name, with `stem` in it, is in a file's name."""
        others = (name.removesuffix(ending) for name in self._other_names if name.endswith(ending))
        return any(stem in other and other in words for other in others)

    def candidate(self, member: Member) -> Candidate | None:
        """Return the member as a candidate if it may be a wanted file."""
        *folders, name = member.name.split("/")
        match = self.match_name(name)
        if match is None:
            return None
        target, fit = match
        *expected, expected_name = target.split("/")
        if "/".join([*folders[-1:], expected_name]) in self.course_files:  # or a copy of it
            return None
        while expected and folders and folders[-1].casefold() == expected[-1].casefold():
            folders.pop()
            expected.pop()
        return Candidate(member, target, (*folders,), fit)


@cache
def _course_files() -> set[str]:
    paths = [*(PROJECT / "assignment").rglob("*.py"), *(PROJECT / "notebooks").glob("*.ipynb")]
    return {last_two_parts(path.as_posix()) for path in paths}


def last_two_parts(path: str) -> str:
    """Return the last folder and the name of a path, which people keep when they repack files."""
    return "/".join(path.split("/")[-2:])
