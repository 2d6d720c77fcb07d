"""From a class's folder, as anyone fills it, to what is graded: a student's files and regions.

    find     the class's folder -> who handed in what, and which of it counts
    read     one submission -> the exercise's files in it, the cells and answers of its notebook

What a name tells is in `roster`, what is in a folder or archive in `archives`.
Nothing else of a submission is used: no other file, no cell outside a region. What is missing
counts as not attempted; what is wrong with a part of it is a note, with all of it a `SubmissionRejected`.
"""

import hashlib
import itertools
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assignment.checks.check import Exercise
from assignment.workspace.regions import (
    Notebook,
    RegionError,
    decode,
    extract_cells,
    read_notebook,
    region_of,
)
from assignment.workspace.starter import (
    STARTER_MANIFEST,
    TOP_LEVEL,
    StarterError,
    StarterManifest,
    read_manifest,
)
from assignment.workspace.submit import MAX_CELL_BYTES, MAX_NOTEBOOK_BYTES, MAX_SOURCE_BYTES
from gradkit.files import shown
from gradkit.submissions.archives import (
    HOSTILE,
    Member,
    Source,
    SubmissionRejected,
    is_aside,
    megabytes,
    opened,
    read_file,
)
from gradkit.submissions.discover import Submission
from gradkit.submissions.roster import (
    is_archive,
    label,
)
from gradkit.submissions.wanted_files import _ending, _Found, _is_single, _told, _Wanted

MAX_FOUND = 1_000  # files of the wanted names that are looked at

MAX_NOTEBOOKS = 3  # that are opened in search of the exercise's cells

MAX_REGIONS = 100  # of a notebook; the softmax exercise has 6

MAX_OTHERS = 2_000  # names of other files that are kept, to tell of them

# Texts, lists, objects and commas in a notebook. A line of output needs two of them. What has many
# more may be 20 MB of empty lists, which would take 600 MB of memory.
MAX_TOKENS = 2_000_000

# A text takes one to four bytes a character, as many as its widest one does, and reading it makes
# some five copies of it.
MAX_TEXT_MEMORY = 2 * MAX_NOTEBOOK_BYTES


@dataclass(frozen=True)
class SubmissionContent:
    """What is graded of a submission.

    Attributes
    ----------
    files : dict
        The exercise's files that were handed in, by their paths in the project.
    cells, answers : dict
        The texts of the notebook's regions, by name: of code, and of prose.
    version : str or None
        Of the starter it was made from, where it tells.
    notes : list of str
        What a grader should know: sentences.
    digest : str
        SHA-256 of files, cells and answers.
    """

    files: dict[str, bytes]
    cells: dict[str, str]
    written_answers: dict[str, str]
    version: str | None
    notes: list[str]
    digest: str


# --- one submission ------------------------------------------------------------------------------


def read_submission(submission: Submission, exercise: Exercise) -> SubmissionContent:
    """What is graded of a submission.

    Raises
    ------
    Refused
        It cannot be read, or holds nothing of the exercise. The text is a sentence that says why.
    """
    if submission.path is None:
        raise SubmissionRejected("Nothing was handed in.")
    try:
        return _read(submission, submission.path, exercise)
    except SubmissionRejected as error:
        raise SubmissionRejected(" ".join([str(error), *submission.notes])) from error


def _read(submission: Submission, path: Path, exercise: Exercise) -> SubmissionContent:
    reading = _Reading(exercise, list(submission.notes))
    parts = submission.parts or (path,)
    singles = [path for path in parts if _is_single(path)]
    if singles:
        reading.take(_Singles(singles, exercise))
    for path in parts:
        if path not in singles:
            reading.open(path, shown(path.name))
    reading.open_inner()
    return reading.work()


class _Singles(Source):
    """Single files that were handed in together, by what their students called them."""

    def __init__(self, paths: list[Path], exercise: Exercise) -> None:
        super().__init__("the files")
        self.paths, self.exercise = paths, exercise

    def members(self) -> Iterator[Member]:
        wanted = _Wanted(self.exercise)
        for number, path in enumerate(self.paths):  # the last one is the newest
            name = label(path.name, self.exercise).given
            target, called = wanted.named(name) or ("", 0)
            yield Member(Path(target).name if called in (1, 2) else name, number, path=path)

    def read_submission(self, wanted: Mapping[Member, int]) -> dict[Member, bytes | str]:
        return {member: read_file(member.path, most) for member, most in wanted.items()}


@dataclass
class _Reading:
    """Takes what is wanted from one source after the other; a later one gives what is missing."""

    exercise: Exercise
    notes: list[str]
    files: dict[str, bytes] = field(default_factory=dict)
    bodies: dict[str, tuple[bool, str]] = field(default_factory=dict)  # is it code; its text
    record: StarterManifest | None = None
    refusals: list[str] = field(default_factory=list)  # why a source could not be read
    faults: list[str] = field(default_factory=list)  # why what was found in one was not taken
    others: list[str] = field(default_factory=list)  # names of files that are not looked at
    inner: dict[Path, tuple[float, str]] = field(default_factory=dict)  # archives in a folder
    packed: list[str] = field(default_factory=list)  # archives in archives

    def missing(self) -> list[str]:
        names = [path for path in self.exercise.files if path not in self.files]
        return names if self.bodies else [*names, self.exercise.notebook]

    def open(self, path: Path, name: str) -> None:
        try:
            self.take(opened(path, name))
        except _Incomplete:
            raise
        except SubmissionRejected as error:
            self.refusals.append(str(error))

    def open_inner(self) -> None:
        """Take what is missing from the newest archive that lies in the folder: platforms make a
        folder round each upload."""
        if not self.missing() or not self.inner:
            return
        newest = max(self.inner, key=lambda path: (self.inner[path][0], path))
        name = self.inner[newest][1]
        before = set(self.missing())
        try:
            self.open(newest, shown(name))
        except _Incomplete as error:
            self.refusals.append(str(error))
        if taken := before - set(self.missing()):
            files = ", ".join(sorted(Path(path).name for path in taken))
            self.notes.append(f"Taken from {shown(name)}: {files}.")

    def take(self, source: Source) -> None:
        """Take from a source what is still missing."""
        chosen = _chosen(self._found(source))
        tries = {path: chosen.get(path, [])[:1] for path in self.missing()}
        tries[STARTER_MANIFEST] = [] if self.record else chosen.get(STARTER_MANIFEST, [])[:1]
        if self.exercise.notebook in tries:
            tries[self.exercise.notebook] = chosen.get(self.exercise.notebook, [])[:MAX_NOTEBOOKS]
        wanted = {found.member: self._most(path) for path in tries for found in tries[path]}
        contents = source.read(wanted) if wanted else {}
        for path in self.exercise.files:
            for found in tries.get(path, []):
                number = sum(other.called < 2 for other in chosen[path])
                self._take_file(found, contents[found.member], number)
        self._take_notebook(tries.get(self.exercise.notebook, []), contents)
        for found in tries[STARTER_MANIFEST]:
            self._take_record(contents[found.member])
        if source.cut and (left := self.missing()):
            names = ", ".join(Path(path).name for path in left)
            raise _Incomplete(
                f"{source.name} {source.cut}, and what was looked at of it has no {names}. Ask for "
                "it without data sets and environments."
            )
        if source.cut:
            self.notes.append(f"{source.name} {source.cut}: the rest was not looked at.")

    def _most(self, target: str) -> int:
        is_notebook = target == self.exercise.notebook
        return MAX_NOTEBOOK_BYTES if is_notebook else MAX_SOURCE_BYTES

    def _found(self, source: Source) -> list[_Found]:
        """What may be one of the wanted files; the others are only written down."""
        found: dict[str, _Found] = {}
        wanted, refused, again = _Wanted(self.exercise), [], []
        for member in source.members():
            if not member.name or is_aside(member.name):
                continue
            candidate = wanted.candidate(member)
            if member.fault and (candidate or member.fault in HOSTILE):
                refused.append(f"{shown(member.name)} {member.fault}")
            elif candidate is None:
                self._note_other(source, member)
            elif member.name in found or len(found) < MAX_FOUND:
                if member.name in found:
                    again.append(member.name)
                found[member.name] = candidate
        if refused:
            self._fail(f"Not taken from {source.name}: {_told(refused, '; ', 200)}.")
        if again:
            self.notes.append(
                f"Twice in {source.name}, of which the last one counts: {_told(again)}."
            )
        return list(found.values())

    def _note_other(self, source: Source, member: Member) -> None:
        if is_archive(member.name) and not member.fault:
            if member.path and member.name.count("/") <= 1:
                self.inner[member.path] = member.time, f"{source.name}/{member.name}"
            else:
                self.packed.append(member.name)
        if len(self.others) < MAX_OTHERS and "datasets" not in member.name.split("/"):
            self.others.append(member.name)

    def _take_file(self, found: _Found, content: bytes | str, number: int) -> None:
        name, wanted = shown(found.member.name), Path(found.target).name
        if isinstance(content, str):
            self._fail(f"{name} {content}, so it counts as not attempted.")
            return
        if number > 1:
            self.notes.append(f"{wanted} was found {number} times; {name} was taken.")
        elif found.called:
            self.notes.append(f"{name} was taken for {wanted}.")
        self.files[found.target] = content

    def _take_notebook(self, tries: list[_Found], contents: Mapping[Member, bytes | str]) -> None:
        """Take the regions of the first notebook that has any."""
        faults = []
        for found in tries:
            name, content = shown(found.member.name), contents[found.member]
            said = len(self.faults)
            try:
                if isinstance(content, str):
                    raise RegionError(f"{name} {content}.")
                self.bodies = self._bodies(content, name)
            except RegionError as error:
                faults.append(shown(str(error), 300))
                continue
            if self.bodies:
                if found.called or len(tries) > 1:
                    self.notes.append(f"{name} was taken for the notebook.")
                return
            if len(self.faults) == said:
                faults.append(f"{name} has no cell that is marked as one of the exercise.")
        if faults:
            self._fail(f"The notebook's cells count as not attempted: {faults[0]}")

    def _bodies(self, content: bytes, name: str) -> dict[str, tuple[bool, str]]:
        text = decode(content, name)
        if sys.getsizeof(text) > MAX_TEXT_MEMORY or _is_crowded(text):
            raise RegionError(f"{name} takes too much memory to be read. Clear its outputs.")
        nb = self._without_long_cells(read_notebook(text, name))
        code = {region for check in self.exercise.checks for region in check.regions}
        for cell in nb["cells"]:
            if cell["cell_type"] == "code" and (region := region_of(cell)):
                code.add(region)
        found = extract_cells(nb, name)
        return {region: (region in code, found[region]) for region in [*found][:MAX_REGIONS]}

    def _without_long_cells(self, nb: Notebook) -> Notebook:
        """A notebook without what is not to be graded, and the regions that are too long."""
        lengths: dict[str, int] = {}
        cells = [cell for cell in nb["cells"] if region_of(cell)]
        for cell in cells:
            lines = cell["source"] if isinstance(cell["source"], list) else [cell["source"]]
            length = sum(len(line.encode()) + 1 for line in lines)
            region = str(region_of(cell))
            lengths[region] = lengths.get(region, 0) + length
        long = {region for region, length in lengths.items() if length > MAX_CELL_BYTES}
        if long:
            most = megabytes(MAX_CELL_BYTES)
            self._fail(f"More than {most}, so it counts as not attempted: {_told(sorted(long))}.")
        return {**nb, "cells": [cell for cell in cells if region_of(cell) not in long]}

    def _take_record(self, content: bytes | str) -> None:
        try:
            if isinstance(content, str):
                raise StarterError(f"its {STARTER_MANIFEST} {content}")
            self.record = read_manifest(content.decode("utf-8"))
        except (StarterError, UnicodeDecodeError):
            self.notes.append(
                f"Its {STARTER_MANIFEST} is damaged, so nothing tells which starter it is from."
            )
            return
        if self.exercise.name not in self.record.exercises:
            self.notes.append(f"It was made from another exercise's starter, {self.record.name}.")

    def _fail(self, fault: str) -> None:
        self.faults.append(fault)
        self.notes.append(fault)

    def work(self) -> SubmissionContent:
        """What has been taken; Refused if that is nothing."""
        if not self.files and not self.bodies:
            raise SubmissionRejected(self._why_nothing())
        self.notes += self.refusals
        if ignored := self._ignored():
            self.notes.append(f"Ignored: {_told(ignored)}.")
        files = {path: self.files[path] for path in self.exercise.files if path in self.files}
        cells = {name: text for name, (is_code, text) in self.bodies.items() if is_code}
        written_answers = {
            name: text for name, (is_code, text) in self.bodies.items() if not is_code
        }
        version = self.record.version if self.record else None
        return SubmissionContent(
            files,
            cells,
            written_answers,
            version,
            self.notes,
            _digest(files, cells, written_answers),
        )

    def _why_nothing(self) -> str:
        if self.refusals or self.faults:
            nothing = ["Nothing in it can be graded."] if self.faults else []
            return " ".join([*self.refusals, *nothing, *self.faults])
        if self.packed:
            return (
                f"It holds another archive, {shown(self.packed[0])}, and archives in archives are "
                "not opened. Unpack the outer one once."
            )
        names = ", ".join(Path(path).name for path in self.exercise.files)
        there = f"; there is {_told(self.others)}" if self.others else ""
        notebook = Path(self.exercise.notebook).name
        return f"It holds none of {names} and {notebook}{there}."

    def _ignored(self) -> list[str]:
        """The files beside those of the exercise that are not the starter's either."""
        given = {_ending(path) for path in self.record.skeletons} if self.record else set()
        given |= _Wanted(self.exercise).others
        names = [
            name
            for name in self.others
            if _ending(name) not in given and name.split("/")[-1] not in TOP_LEVEL
        ]
        return sorted(names, key=lambda name: (not name.endswith(".py"), name.count("/"), name))


class _Incomplete(SubmissionRejected):
    """A source was too large to be looked at in full, and something is missing."""


def _chosen(found: list[_Found]) -> dict[str, list[_Found]]:
    """For each wanted file the members that may be it, the best first.

    All are taken from one folder, if it has them: that with the most of them, the outermost, the
    newest.
    """
    roots: dict[tuple[str, ...], set[str]] = {}
    newest: dict[tuple[str, ...], float] = {}
    for each in found:
        roots.setdefault(each.root, set()).add(each.target)
        newest[each.root] = max(newest.get(each.root, 0.0), each.member.time)
    order = sorted(roots, key=lambda root: (-len(roots[root]), len(root), -newest[root], root))
    places = {root: place for place, root in enumerate(order)}

    def rank(each: _Found) -> tuple[Any, ...]:
        depth = each.member.name.count("/")  # the deeper one is where the project has it
        unlike = each.called if each.called >= 2 else 0
        return unlike, places[each.root], each.called, -depth, -each.member.time

    chosen: dict[str, list[_Found]] = {}
    for each in sorted(found, key=lambda each: (*rank(each), each.member.name)):
        chosen.setdefault(each.target, []).append(each)
    return chosen


# Always comes to an end at once: where a text is not closed, all that is left is taken for it.
_TOKEN = re.compile(r'[,\[{]|"[^"\\]*+(?:\\.[^"\\]*+)*+"?+', re.DOTALL)


def _is_crowded(text: str) -> bool:
    """Whether a JSON text has more tokens that take memory than a notebook."""
    if len(text) <= MAX_TOKENS:
        return False
    tokens = itertools.islice(_TOKEN.finditer(text), MAX_TOKENS + 1)
    return sum(1 for _ in tokens) > MAX_TOKENS


def _digest(files: Mapping[str, bytes], *bodies: Mapping[str, str]) -> str:
    sha256 = hashlib.sha256()
    texts = [{name: text.encode() for name, text in by_name.items()} for by_name in bodies]
    for kind, contents in enumerate((files, *texts)):
        for name, content in sorted(contents.items()):
            sha256.update(f"{kind}\0{name}\0{len(content)}\0".encode() + content)
    return sha256.hexdigest()
