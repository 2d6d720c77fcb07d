"""From a class's folder, as anyone fills it, to what is graded: a student's files and regions.

    find     the class's folder -> who handed in what, and which of it counts
    read     one submission -> the exercise's files in it, the cells and answers of its notebook

What a name tells is in `gradkit.students`, what is in a folder or archive in `gradkit.archives`.
Nothing else of a submission is used: no other file, no cell outside a region. What is missing
counts as not attempted; what is wrong with a part of it is a note, with all of it a `Refused`.
"""

import hashlib
import itertools
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from assignment import PROJECT
from assignment.checks.check import Exercise
from assignment.regions import (
    Notebook,
    RegionError,
    decode,
    extract_cells,
    read_notebook,
    region_of,
)
from assignment.starter import RECORD, TOP_LEVEL, Starter, StarterError, read_record
from assignment.submit import MOST_CELL_BYTES, MOST_NOTEBOOK_BYTES, MOST_SOURCE_BYTES
from gradkit import GradkitError
from gradkit.archives import (
    HOSTILE,
    Member,
    Refused,
    Source,
    is_aside,
    megabytes,
    moment,
    opened,
    read_file,
    shown,
)
from gradkit.students import (
    AGAIN,
    BETWEEN,
    GRADESCOPE,
    Label,
    Roster,
    Submitters,
    distinct,
    is_archive,
    label,
    read_gradescope,
    read_roster,
    stem,
    student_id,
)

__all__ = ["Refused", "Submission", "Work", "find", "one", "read"]

MOST_NAME = 200  # characters of a submission's name, as it is shown
MOST_FOLDERS = 3  # that the project may lie in, one in another, inside a submission
MOST_FOUND = 1_000  # files of the wanted names that are looked at
MOST_NOTEBOOKS = 3  # that are opened in search of the exercise's cells
MOST_REGIONS = 100  # of a notebook; the softmax exercise has 6
MOST_OTHERS = 2_000  # names of other files that are kept, to tell of them
MOST_TOLD = 3  # names in a note
# Texts, lists, objects and commas in a notebook. A line of output needs two of them. What has many
# more may be 20 MB of empty lists, which would take 600 MB of memory.
MOST_TOKENS = 2_000_000
# A text takes one to four bytes a character, as many as its widest one does, and reading it makes
# some five copies of it.
MOST_TEXT_MEMORY = 2 * MOST_NOTEBOOK_BYTES

_EXPORT = re.compile(r"assignment_\d+_export")  # of Gradescope
_EARLIEST = datetime.min.replace(tzinfo=UTC)


class SubmissionsError(GradkitError):
    """The class's folder cannot be used; the text says what was found, and what to do."""


@dataclass(frozen=True)
class Submission:
    """What a student handed in at one go.

    Attributes
    ----------
    student : str
        The id.
    name : str
        That of its entry in the class's folder, as it can be printed; empty if nothing was handed
        in, by a student of the roster.
    path : Path or None
        Where it is.
    when : datetime, optional
        When it was handed in, UTC: by the roster, else by its name or platform, else by its newest
        file.
    superseded : bool
        Another one of the student counts.
    parts : tuple of Path
        All its entries, where it is several: single files, with an archive or without.
    notes : tuple of str
        What a grader should know of how it was found: sentences.
    dated : str
        What `when` is known by: "told" (by name, platform or roster), "files" (by its newest one);
        empty where it is not known.
    """

    student: str
    name: str
    path: Path | None
    when: datetime | None
    superseded: bool = False
    parts: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    dated: str = ""


@dataclass(frozen=True)
class Work:
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
    answers: dict[str, str]
    version: str | None
    notes: list[str]
    digest: str


# --- the class's folder --------------------------------------------------------------------------


def find(folder: Path, exercise: Exercise, roster: Path | None = None) -> list[Submission]:
    """The submissions in a class's folder, by student, the one that counts last.

    Each entry of the folder is one: a folder, an archive, or a single file. Single files of one
    student go together. A roster's students who handed in nothing come without a name.

    Raises
    ------
    SubmissionsError, RosterError
        The folder or the roster cannot be used.
    """
    known = read_roster(roster) if roster else None
    entries = [
        _Entry(path, name, label(path.name, exercise), submitters)
        for path, name, submitters in _listed(folder, exercise, roster)
    ]
    if not entries and not known:
        raise SubmissionsError(f"{folder} holds no submissions. Name the folder that does.")
    theirs: dict[str, list[tuple[_Entry, list[str]]]] = {}
    for entry in entries:
        for student, notes in _whose(entry, known):
            theirs.setdefault(student, []).append((entry, notes))
    for student in known.students if known else ():
        theirs.setdefault(student, [])
    students = sorted(theirs, key=lambda student: (student.casefold(), student))
    return [
        _timed(submission, known)
        for student in students
        for submission in _submissions(student, theirs[student], exercise)
    ]


def _timed(submission: Submission, roster: Roster | None) -> Submission:
    """A submission with the time that the roster tells, if it is the one that counts."""
    when = roster.submitted.get(submission.student) if roster else None
    if when is None or submission.superseded or not submission.name:
        return submission
    return replace(submission, when=when, dated="told")


def one(path: Path) -> Submission:
    """The submission at a path, whoever's it is."""
    place = path.absolute()
    if not os.path.lexists(place):
        raise SubmissionsError(f"{path} is not there. Name a folder, an archive or a file.")
    student = student_id(stem(place.name))
    return Submission(student, distinct(place.name, MOST_NAME), place, None)


@dataclass(frozen=True, eq=False)
class _Entry:
    """An entry of the class's folder: its path, its name for people, and what that tells."""

    path: Path
    name: str
    label: Label
    submitters: Submitters | None

    @property
    def is_single(self) -> bool:
        """Whether it is a single file, neither a folder nor an archive."""
        return _is_single(self.path)

    def is_of_use(self, exercise: Exercise) -> bool:
        if self.label.typed:
            return False
        return not self.is_single or _Wanted(exercise).named(self.label.given) is not None

    def told(self) -> datetime | None:
        """When it was handed in, by its name or its platform."""
        return self.label.when or (self.submitters.when if self.submitters else None)

    def when(self) -> datetime | None:
        """When it was handed in, by its newest file where nothing else tells."""
        if told := self.told():
            return told
        try:
            if not _is_folder(self.path):
                return moment(self.path.lstat().st_mtime)
            members = opened(self.path, self.name).members()
            newest = max((m.time for m in members if not is_aside(m.name)), default=None)
        except (Refused, OSError):
            return None
        return None if newest is None else moment(newest)


def _listed(
    folder: Path, exercise: Exercise, roster: Path | None
) -> Iterator[tuple[Path, str, Submitters | None]]:
    """The entries of a class's folder, with their names, and what Gradescope says of them."""
    if not folder.is_dir():
        found = "is no folder" if folder.exists() else "is not there"
        raise SubmissionsError(f"{folder} {found}. Name the folder that holds the submissions.")
    if any((folder / path).is_file() for path in (*exercise.files, exercise.notebook)):
        raise SubmissionsError(
            f"{folder} is a single submission. Name the folder that holds those of all students."
        )
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise SubmissionsError(f"{folder} cannot be read: {error.strerror}.") from error
    metadata = read_gradescope(folder)
    for name in names:
        path = folder / name
        if is_aside(name) or name == GRADESCOPE or (roster and _is_same(path, roster)):
            continue
        if _EXPORT.fullmatch(name) and path.is_dir() and not path.is_symlink():
            inside = _listed(path, exercise, roster)
            yield from ((place, f"{name}/{inner}", said) for place, inner, said in inside)
        else:
            yield path, name, metadata.get(name)


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False


def _whose(entry: _Entry, roster: Roster | None) -> Iterator[tuple[str, list[str]]]:
    """The students whose an entry is, with what there is to say of how that was found out."""
    people = [(entry.label.student, entry.label.searched)]
    if entry.submitters and entry.submitters.people:
        told = [
            [person[key] for key in ("sid", "email", "name") if person.get(key)]
            for person in entry.submitters.people
        ]
        people = [(student_id(words[0]), " ".join(words)) for words in told if words] or people
    for student, searched in people:
        if roster is None:
            nameless = entry.label.platform == "Gradescope" and not entry.submitters
            note = f"Nothing tells whose it is: there is no {GRADESCOPE} beside it."
            yield student, [note] if nameless else []
            continue
        first, others = roster.whose(searched[:1000])
        if len(first) == 1:
            note = f"Its name also names {_told(others)} of the roster."
            yield first[0], [note] if others else []
            continue
        if student in roster.students:
            student = student_id(f"{student}?")
        note = "Its name names no student of the roster, so the id was made from the name."
        if first:
            note = f"By the roster it may be {_told(first, ' or ')}'s, so the id is from its name."
        yield student, [note]


def _submissions(
    student: str, entries: list[tuple[_Entry, list[str]]], exercise: Exercise
) -> list[Submission]:
    """What a student handed in, the one that counts last."""
    if not entries:
        return [Submission(student, "", None, None, notes=("Nothing was handed in.",))]
    numbered = all(entry.label.file for entry, _ in entries)
    late = ["Canvas marks it as late."]
    notes = {entry: said + late * entry.label.late for entry, said in entries}
    times = {entry: entry.when() for entry in notes}

    def rank(entry: _Entry) -> tuple[int, datetime, str]:
        return entry.label.file if numbered else 0, times[entry] or _EARLIEST, entry.name

    hands = _hands(sorted(notes, key=rank), exercise)
    hands.sort(key=lambda hand: max(map(rank, hand)))
    submissions = [
        Submission(
            student,
            distinct(hand[0].name, MOST_NAME)
            + (f" and {len(hand) - 1} more" if len(hand) > 1 else ""),
            hand[0].path,
            when,
            superseded=hand is not hands[-1],
            parts=tuple(entry.path for entry in hand) if len(hand) > 1 else (),
            notes=tuple(dict.fromkeys(note for entry in hand for note in notes[entry])),
            dated=dated,
        )
        for hand in hands
        for when, dated in [_dated(hand, times)]
    ]
    if len(hands) > 1:
        before = _told([submission.name for submission in submissions[:-1]])
        note = f"The last of {len(hands)} submissions; before it came {before}."
        submissions[-1] = replace(submissions[-1], notes=(*submissions[-1].notes, note))
    return submissions


def _dated(
    hand: list[_Entry], times: Mapping[_Entry, datetime | None]
) -> tuple[datetime | None, str]:
    """When entries were handed in together, and what that is known by; see Submission."""
    known = [
        (time, "told" if entry.told() else "files") for entry in hand if (time := times[entry])
    ]
    return max(known, default=(None, ""))


def _hands(entries: list[_Entry], exercise: Exercise) -> list[list[_Entry]]:
    """A student's entries, in the order of time, as they were handed in together.

    Each folder or archive is a submission; so are all single files together. Canvas and Moodle hold
    one attempt only, so there a single file goes with the folder or archive. So does anywhere what
    is none of the exercise's files, as a PDF: it does not take the place of another submission.
    """
    useful = [entry for entry in entries if entry.is_of_use(exercise)]
    hands = [[entry] for entry in useful if not entry.is_single]
    singles = [entry for entry in useful if entry.is_single]
    if singles and hands and all(e.label.platform in ("Canvas", "Moodle") for e in entries):
        hands[-1] += singles
    elif singles:
        hands.append(singles)
    rest = [entry for entry in entries if entry not in useful]
    if rest and hands:
        hands[-1] += rest
    return hands or [rest]


def _told(names: list[str], between: str = ", ", most: int = 80) -> str:
    told = between.join(shown(name, most) for name in names[:MOST_TOLD])
    more = len(names) - MOST_TOLD
    return f"{told} and {more:,} more" if more > 0 else told


# --- one submission ------------------------------------------------------------------------------


def read(submission: Submission, exercise: Exercise) -> Work:
    """What is graded of a submission.

    Raises
    ------
    Refused
        It cannot be read, or holds nothing of the exercise. The text is a sentence that says why.
    """
    if submission.path is None:
        raise Refused("Nothing was handed in.")
    try:
        return _read(submission, submission.path, exercise)
    except Refused as error:
        raise Refused(" ".join([str(error), *submission.notes])) from error


def _read(submission: Submission, path: Path, exercise: Exercise) -> Work:
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


def _is_single(path: Path) -> bool:
    """Whether something is to be taken for a single file, not for a folder or an archive."""
    return not (is_archive(path.name) or path.is_dir() or path.is_symlink())


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


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

    def read(self, wanted: Mapping[Member, int]) -> dict[Member, bytes | str]:
        return {member: read_file(member.path, most) for member, most in wanted.items()}


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


@dataclass
class _Reading:
    """Takes what is wanted from one source after the other; a later one gives what is missing."""

    exercise: Exercise
    notes: list[str]
    files: dict[str, bytes] = field(default_factory=dict)
    bodies: dict[str, tuple[bool, str]] = field(default_factory=dict)  # is it code; its text
    record: Starter | None = None
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
        except Refused as error:
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
        tries[RECORD] = [] if self.record else chosen.get(RECORD, [])[:1]
        if self.exercise.notebook in tries:
            tries[self.exercise.notebook] = chosen.get(self.exercise.notebook, [])[:MOST_NOTEBOOKS]
        wanted = {found.member: self._most(path) for path in tries for found in tries[path]}
        contents = source.read(wanted) if wanted else {}
        for path in self.exercise.files:
            for found in tries.get(path, []):
                number = sum(other.called < 2 for other in chosen[path])
                self._take_file(found, contents[found.member], number)
        self._take_notebook(tries.get(self.exercise.notebook, []), contents)
        for found in tries[RECORD]:
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
        return MOST_NOTEBOOK_BYTES if is_notebook else MOST_SOURCE_BYTES

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
            elif member.name in found or len(found) < MOST_FOUND:
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
        if len(self.others) < MOST_OTHERS and "datasets" not in member.name.split("/"):
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
        if sys.getsizeof(text) > MOST_TEXT_MEMORY or _is_crowded(text):
            raise RegionError(f"{name} takes too much memory to be read. Clear its outputs.")
        nb = self._without_long_cells(read_notebook(text, name))
        code = {region for check in self.exercise.checks for region in check.regions}
        for cell in nb["cells"]:
            if cell["cell_type"] == "code" and (region := region_of(cell)):
                code.add(region)
        found = extract_cells(nb, name)
        return {region: (region in code, found[region]) for region in [*found][:MOST_REGIONS]}

    def _without_long_cells(self, nb: Notebook) -> Notebook:
        """A notebook without what is not to be graded, and the regions that are too long."""
        lengths: dict[str, int] = {}
        cells = [cell for cell in nb["cells"] if region_of(cell)]
        for cell in cells:
            lines = cell["source"] if isinstance(cell["source"], list) else [cell["source"]]
            length = sum(len(line.encode()) + 1 for line in lines)
            region = str(region_of(cell))
            lengths[region] = lengths.get(region, 0) + length
        long = {region for region, length in lengths.items() if length > MOST_CELL_BYTES}
        if long:
            most = megabytes(MOST_CELL_BYTES)
            self._fail(f"More than {most}, so it counts as not attempted: {_told(sorted(long))}.")
        return {**nb, "cells": [cell for cell in cells if region_of(cell) not in long]}

    def _take_record(self, content: bytes | str) -> None:
        try:
            if isinstance(content, str):
                raise StarterError(f"its {RECORD} {content}")
            self.record = read_record(content.decode("utf-8"))
        except (StarterError, UnicodeDecodeError):
            self.notes.append(
                f"Its {RECORD} is damaged, so nothing tells which starter it is from."
            )
            return
        if self.exercise.name not in self.record.exercises:
            self.notes.append(f"It was made from another exercise's starter, {self.record.name}.")

    def _fail(self, fault: str) -> None:
        self.faults.append(fault)
        self.notes.append(fault)

    def work(self) -> Work:
        """What has been taken; Refused if that is nothing."""
        if not self.files and not self.bodies:
            raise Refused(self._why_nothing())
        self.notes += self.refusals
        if ignored := self._ignored():
            self.notes.append(f"Ignored: {_told(ignored)}.")
        files = {path: self.files[path] for path in self.exercise.files if path in self.files}
        cells = {name: text for name, (is_code, text) in self.bodies.items() if is_code}
        answers = {name: text for name, (is_code, text) in self.bodies.items() if not is_code}
        version = self.record.version if self.record else None
        return Work(files, cells, answers, version, self.notes, _digest(files, cells, answers))

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


class _Incomplete(Refused):
    """A source was too large to be looked at in full, and something is missing."""


class _Wanted:
    """The files that are looked for, and what their names are like in submissions.

    The course's other files are in submissions as well, and one of them may have the same name.
    """

    def __init__(self, exercise: Exercise) -> None:
        self.notebook = exercise.notebook
        self.patterns = {RECORD: re.compile("()()" + re.escape(PurePosixPath(RECORD).name))}
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
            _Found(member, target, tuple(folders), called) if len(folders) <= MOST_FOLDERS else None
        )


@cache
def _course_endings() -> set[str]:
    return {_ending(path.as_posix()) for path in (PROJECT / "assignment").rglob("*.py")}


def _ending(path: str) -> str:
    """The last two parts of a path, which is what people leave of it."""
    return "/".join(path.split("/")[-2:])


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
    if len(text) <= MOST_TOKENS:
        return False
    tokens = itertools.islice(_TOKEN.finditer(text), MOST_TOKENS + 1)
    return sum(1 for _ in tokens) > MOST_TOKENS


def _digest(files: Mapping[str, bytes], *bodies: Mapping[str, str]) -> str:
    sha256 = hashlib.sha256()
    texts = [{name: text.encode() for name, text in by_name.items()} for by_name in bodies]
    for kind, contents in enumerate((files, *texts)):
        for name, content in sorted(contents.items()):
            sha256.update(f"{kind}\0{name}\0{len(content)}\0".encode() + content)
    return sha256.hexdigest()
