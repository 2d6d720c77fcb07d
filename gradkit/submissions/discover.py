"""gradkit.submissions.discover: to be described."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from assignment.checks.check import Exercise
from gradkit.errors import GradkitError
from gradkit.submissions.archives import (
    SubmissionRejected,
    is_aside,
    moment,
    opened,
)
from gradkit.submissions.roster import (
    GRADESCOPE,
    Label,
    Roster,
    Submitters,
    distinct,
    label,
    read_gradescope,
    read_roster,
    stem,
    student_id,
)
from gradkit.submissions.wanted_files import _is_folder, _is_single, _told, _Wanted

MAX_NAME = 200  # characters of a submission's name, as it is shown


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


# --- the class's folder --------------------------------------------------------------------------


def find_submissions(
    folder: Path, exercise: Exercise, roster: Path | None = None
) -> list[Submission]:
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


def single_submission(path: Path) -> Submission:
    """The submission at a path, whoever's it is."""
    place = path.absolute()
    if not os.path.lexists(place):
        raise SubmissionsError(f"{path} is not there. Name a folder, an archive or a file.")
    student = student_id(stem(place.name))
    return Submission(student, distinct(place.name, MAX_NAME), place, None)


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
        except (SubmissionRejected, OSError):
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
            distinct(hand[0].name, MAX_NAME)
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
