"""gradkit.submissions.wanted_files: to be described."""

import re
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from assignment import PROJECT
from assignment.checks.check import Exercise
from assignment.workspace.starter import STARTER_MANIFEST
from gradkit.files import shown
from gradkit.submissions.archives import Member
from gradkit.submissions.roster import AGAIN, BETWEEN, is_archive

MAX_FOLDERS = 3  # that the project may lie in, one in another, inside a submission

MAX_TOLD = 3  # names in a note


def _told(names: list[str], between: str = ", ", most: int = 80) -> str:
    told = between.join(shown(name, most) for name in names[:MAX_TOLD])
    more = len(names) - MAX_TOLD
    return f"{told} and {more:,} more" if more > 0 else told


def _is_single(path: Path) -> bool:
    """Whether something is to be taken for a single file, not for a folder or an archive."""
    return not (is_archive(path.name) or path.is_dir() or path.is_symlink())


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


class _Found(NamedTuple):
    """A member that may be one of the wanted files.

    `target` is which one, by its path in the project; `root` the folder where the project would
    begin, by the folders of that path that are there; `called` says how its name fits: 0 as it
    should be, 1 with a number as copies have, 2 with more before it, 3 not at all, which only a
    notebook's may.
    """

    member: Member
    target: str
    root: tuple[str, ...]
    called: int


class _Wanted:
    """The files that are looked for, and what their names are like in submissions.

    The course's other files are in submissions as well, and one of them may have the same name.
    """

    def __init__(self, exercise: Exercise) -> None:
        self.notebook = exercise.notebook
        self.patterns = {
            STARTER_MANIFEST: re.compile("()()" + re.escape(PurePosixPath(STARTER_MANIFEST).name))
        }
        for path in map(PurePosixPath, (*exercise.files, exercise.notebook)):
            stem, suffix = re.escape(path.stem), re.escape(path.suffix)
            self.patterns[str(path)] = re.compile(rf"(?i)(.*{BETWEEN}|){stem}({AGAIN}){suffix}")
        self.others = _course_endings() - {*map(_ending, self.patterns)}

    def named(self, name: str) -> tuple[str, int] | None:
        """Which of them a file of this name is, and how its name fits; see `_Found`."""
        if not name.lower().endswith((".py", ".ipynb", ".json")):
            return None
        for path, pattern in self.patterns.items():
            if match := pattern.fullmatch(name):
                return path, 2 if match[1] else 1 if match[2] else 0
        return (self.notebook, 3) if name.lower().endswith(".ipynb") else None

    def candidate(self, member: Member) -> _Found | None:
        """The one that a member may be, if it may be one."""
        *folders, name = member.name.split("/")
        named = self.named(name)
        if named is None or _ending(member.name) in self.others:
            return None
        target, called = named
        expected = target.split("/")[:-1]
        while expected and folders and folders[-1].casefold() == expected[-1].casefold():
            folders.pop()
            expected.pop()
        return (
            _Found(member, target, tuple(folders), called) if len(folders) <= MAX_FOLDERS else None
        )


@cache
def _course_endings() -> set[str]:
    return {_ending(path.as_posix()) for path in (PROJECT / "assignment").rglob("*.py")}


def _ending(path: str) -> str:
    """The last two parts of a path, which is what people leave of it."""
    return "/".join(path.split("/")[-2:])
