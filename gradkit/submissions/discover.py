"""Find the submissions in a class's folder, as anyone fills it: by student, and which one counts.

    entries of the folder -> owners (names, platform's metadata, roster) -> attempts -> submissions

Each folder or archive is an attempt. So are all single files of a student together, and all that a
platform received at one time.
"""

import contextlib
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from assignment.checks.check import Exercise
from gradkit.errors import GradkitError
from gradkit.files import distinct, shown_names
from gradkit.lms import DOWNLOADS, parse_platform_name
from gradkit.lms.platform import ParsedName, Submitters
from gradkit.lms.tables import student_id
from gradkit.submissions.archives import SubmissionRejected, is_ignored, open_source
from gradkit.submissions.names import COPY_NUMBER, is_archive, name_stem, parse_name
from gradkit.submissions.roster import Roster, read_roster
from gradkit.submissions.wanted_files import NameFit, WantedFiles

MAX_NAME = 200  # characters of a submission's name
MAX_SEARCHED = 1000  # characters of a name that are compared with a roster

# What is known of the time of submission, the best first: a time, a platform's mark without one, a
# time that a student may have written, one that a download may have made, or nothing.
_SOURCES = ("roster", "platform", "late mark", "no late mark", "name", "files", "")
_README = re.compile(r"(?i)read[ _-]?me(?:\.\w+)?")
_EARLIEST = datetime.min.replace(tzinfo=UTC)


class SubmissionsError(GradkitError):
    """A class's folder that cannot be used; the text says what was found, and what to do."""


@dataclass(frozen=True)
class Submission:
    """One attempt of a student."""

    student: str
    name: str  # of its first entry in the folder, printable; empty if nothing was handed in
    paths: tuple[Path, ...] = ()  # of its entries
    received: datetime | None = None  # UTC, or without a zone if nothing tells it
    time_source: str = ""  # one of _SOURCES
    superseded: bool = False  # a later attempt of the student counts
    notes: tuple[str, ...] = ()  # sentences for the grader on how it was found


def find_submissions(
    folder: Path, exercise: Exercise, roster: Path | None = None
) -> list[Submission]:
    """Return the submissions in a class's folder, by student; the last one of a student counts.

    Students of the roster without a submission come without a name. Raise SubmissionsError or
    RosterError if the folder or the roster cannot be used.
    """
    known = read_roster(roster) if roster else None
    owned: dict[str, list[tuple[_Entry, list[str]]]]
    owned = {student: [] for student in known.students} if known else {}
    entries = _without_downloads([*_list_folder(folder, exercise, roster)], exercise)
    entries = [*_join_copies(entries)]
    _require_no_classes([entry for entry in entries if entry.is_useful(exercise)], exercise)
    for entry in entries:
        for student, notes in _owners(entry, known):
            owned.setdefault(student, []).append((entry, notes))
    if not owned:
        raise SubmissionsError(f"{folder} holds no submissions. Name the folder that does.")
    submissions = []
    for student in sorted(owned, key=lambda student: (student.casefold(), student)):
        submissions += _submissions(student, owned[student], exercise)
        if known and (time := known.submitted.get(student)) and owned[student]:
            submissions[-1] = replace(submissions[-1], received=time, time_source="roster")
    return submissions


def single_submission(path: Path) -> Submission:
    """Return the submission at a path, whatever lies beside it."""
    place = path.absolute()
    if not os.path.lexists(place):
        raise SubmissionsError(f"{path} does not exist. Name a folder, an archive or a file.")
    return Submission(student_id(name_stem(place.name)), distinct(place.name, MAX_NAME), (place,))


def is_single_file(path: Path) -> bool:
    """Return whether an entry is neither a folder nor an archive, nor a link."""
    return not (is_archive(path.name) or path.is_dir() or path.is_symlink())


# --- entries and their owners --------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Entry:
    """An entry of the class's folder, with its printable name and all that is known of it."""

    path: Path
    name: str
    parsed: ParsedName
    submitters: Submitters | None

    def is_useful(self, exercise: Exercise) -> bool:
        """Return whether it may hold something of the exercise: not a PDF, for example."""
        if self.parsed.is_online_text:
            return False
        if not is_single_file(self.path):
            return True
        return WantedFiles(exercise).match_name(self.parsed.original_filename) is not None

    def is_part_beside(self, other: "_Entry") -> bool:
        """Return whether the same account gave two entries names that are not copies' names."""
        one, two = self.parsed, other.parsed
        stems = {
            re.sub(rf"{COPY_NUMBER}$", "", name_stem(each.original_filename)) for each in (one, two)
        }
        return (one.platform, one.student) == (two.platform, two.student) and len(stems) > 1

    def platform_time(self) -> datetime | None:
        """Return the time of submission in a platform's name."""
        return self.parsed.time if self.parsed.platform else None

    def time(self) -> tuple[datetime | None, str]:
        """Return the time of submission, else that of the newest file; and the source."""
        if self.submitters and self.submitters.time:
            return self.submitters.time, "platform"
        if self.parsed.time:
            return self.parsed.time, "platform" if self.parsed.platform else "name"
        source = {None: "files", True: "late mark", False: "no late mark"}[self.parsed.is_late]
        try:
            if self.path.is_dir() and not self.path.is_symlink():
                newest = max(m.time for m in open_source(self.path, self.name).members())
            else:
                newest = self.path.lstat().st_mtime
            return datetime.fromtimestamp(newest, UTC), source
        except (SubmissionRejected, OSError, ValueError, OverflowError):  # such as an empty folder
            return None, source.replace("files", "")


def _list_folder(
    folder: Path, exercise: Exercise, roster: Path | None, prefix: str = ""
) -> Iterator[_Entry]:
    """Yield the entries of a class's folder, with their people if a platform names them."""
    if any((folder / path).is_file() for path in (*exercise.files, exercise.notebook)):
        raise SubmissionsError(
            f"{folder} is a single submission. Name the folder that holds those of all students."
        )
    if folder.is_file():
        raise SubmissionsError(f"{folder} is a file. Unpack it, and name the folder that it gives.")
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise SubmissionsError(
            f"{folder} cannot be read: {error.strerror}. Name the folder with the submissions."
        ) from error
    not_submissions = set().union(*(platform.own_files(names) for platform in DOWNLOADS))
    download_folders = [p.download_folder for p in DOWNLOADS if p.download_folder]
    submitters: dict[str, Submitters] = {}
    for platform in DOWNLOADS:
        submitters |= platform.read_submitters(folder)
    for name in names:
        path = folder / name
        is_roster = roster and os.path.realpath(path) == os.path.realpath(roster)
        is_readme = _README.fullmatch(name) and is_single_file(path)
        if is_ignored(name) or name in not_submissions or is_readme or is_roster:
            continue
        is_download = any(pattern.fullmatch(name) for pattern in download_folders)
        if is_download and path.is_dir() and not path.is_symlink():
            yield from _list_folder(path, exercise, roster, f"{prefix}{name}/")
        else:
            parsed = parse_name(name, exercise)
            if parsed.platform and not path.is_symlink():
                inner = path / parsed.platform.submission_folder
                path = inner if inner.is_dir() else path
            yield _Entry(path, prefix + name, parsed, submitters.get(name))


def _without_downloads(entries: list[_Entry], exercise: Exercise) -> list[_Entry]:
    """Leave out an archive whose entries lie beside it: a platform's download, unpacked there."""
    beside = {entry.name.rpartition("/")[2] for entry in entries if entry.parsed.platform}
    downloads = {
        entry
        for entry in entries
        if beside and is_archive(entry.name) and not entry.parsed.platform
        if (names := _class_inside(entry, exercise)[0]) and names <= beside
    }
    return [entry for entry in entries if entry not in downloads]


def _join_copies(entries: Sequence[_Entry]) -> Iterator[_Entry]:
    """Give a copy such as `kim (1).zip` the student of `kim.zip`, and a single one its id.

    Several without that one stay students of their own: systems number different files so, too.
    """
    students = {entry.parsed.student: entry.parsed.original_student for entry in entries}
    copies = Counter(students.values())
    for entry in entries:
        original = entry.parsed.original_student
        if original and (original in students or copies[original] == 1):
            entry = replace(entry, parsed=replace(entry.parsed, student=original))
        yield entry


def _require_no_classes(entries: list[_Entry], exercise: Exercise) -> None:
    """Raise SubmissionsError if everything in a folder looks like a class, or a section of one.

    Sections hold different names, while versions of students may have the same.
    """
    problem, seen = "", set[str]()
    by_student = sorted(entries, key=lambda entry: entry.parsed.student)
    for _, theirs in groupby(by_student, key=lambda entry: entry.parsed.student):
        inside = [_class_inside(entry, exercise) for entry in theirs]
        names = set[str]().union(*(names for names, _ in inside))
        if not names or names & seen:
            return
        problem = problem or next(filter(None, (error for _, error in inside)))
        seen |= names
    if problem:
        raise SubmissionsError(problem)


def _class_inside(entry: _Entry, exercise: Exercise) -> tuple[set[str], str]:
    """Return the entries of a whole class's submissions in a folder or archive, and an error.

    These have a platform's names; else they are archives, or hold the same file each. An archive
    with files of the exercise in it is one student's, in which each folder may be a version.
    """
    if entry.parsed.platform or is_single_file(entry.path):
        return set(), ""
    match_name = WantedFiles(exercise).match_name
    paths: dict[tuple[str, ...], tuple[str, NameFit] | None] = {}
    with contextlib.suppress(SubmissionRejected):
        for member in open_source(entry.path, entry.name).members():
            if member.problem or is_ignored(member.name):
                continue
            name = member.name.rpartition("/")[2]
            match = match_name(parse_name(name, exercise).original_filename)
            if match or is_archive(name):
                paths[(*member.name.split("/"),)] = match
    around = os.path.commonprefix([path[:-1] for path in paths])  # noqa: RUF071  # of tuples
    named: list[tuple[str, ...]] = []
    holders: dict[str, dict[str, str]] = {}  # student -> name, by the file; archives by ""
    for path, found in paths.items():
        named += [path[:n] for n, part in enumerate(path, 1) if parse_platform_name(part)][:1]
        name = path[len(around)]
        student = parse_name(name, exercise).original_student  # "" for softmax-starter
        if student and (name != path[-1] or not found):
            holders.setdefault(found[0] if found else "", {})[student] = name
    is_folder = entry.path.is_dir()
    most = max(holders.values(), key=len, default={})
    names = {path[-1] for path in named} or {*most.values()}
    if not named and (len(names) < 2 or (not is_folder and any(paths.values()))):
        return set(), ""
    place = entry.path.joinpath(*(min(named)[:-1] if named else around))
    advice = f"Name {place}; or, if it is one student's, pack it into an archive."
    return names, (
        f"{entry.path} looks like the submissions of a whole class: it holds "
        f"{shown_names(sorted(names))}. "
        + (advice if is_folder else "Unpack it, and name the folder that it gives.")
    )


def _owners(entry: _Entry, roster: Roster | None) -> Iterator[tuple[str, list[str]]]:
    """Yield each owner of an entry, with notes on how it was matched, and on lateness."""
    platform = entry.parsed.platform
    people = [(entry.parsed.student, entry.parsed.searched)]
    if entry.submitters and any(entry.submitters.people):
        people = [(student_id(ids[0]), " ".join(ids)) for ids in entry.submitters.people if ids]
    for student, searched in people:
        notes: list[str] = []
        if roster:
            student, notes = _match_roster(student, searched, roster)
        elif platform and platform.metadata_file and not entry.submitters:
            notes = [f"The student is unknown: there is no {platform.metadata_file} beside it."]
        if platform and entry.parsed.is_late:
            notes.append(f"{platform.name} marks it as late.")
        yield student, notes


def _match_roster(student: str, searched: str, roster: Roster) -> tuple[str, list[str]]:
    """Return the student of the roster in a name, else the id made from it; and notes."""
    matches, others = roster.match(searched[:MAX_SEARCHED])
    if len(matches) == 1:
        note = f"Its name also matches {shown_names(others)} of the roster."
        return matches[0], [note] if others else []
    if student in roster.students:
        student = student_id(f"{student}?")
    matched = shown_names(matches, " or ") if matches else "no student"
    return student, [f"Its name matches {matched} of the roster, so the id was made from the name."]


# --- attempts ------------------------------------------------------------------------------------


def _submissions(
    student: str, entries: list[tuple[_Entry, list[str]]], exercise: Exercise
) -> list[Submission]:
    """Return a student's submissions, the last one counting."""
    if not entries:
        return [Submission(student, "", notes=("Nothing was handed in.",))]
    notes = dict(entries)
    times = {entry: entry.time() for entry in notes}
    # A number tells more than the time of a file, which depends on how the file came here.
    are_numbered = {source for _, source in times.values()} <= {"files", ""} or all(
        entry.parsed.file for entry in notes
    )

    def comparable(time: datetime | None) -> datetime:
        return (time if time.tzinfo else time.replace(tzinfo=UTC)) if time else _EARLIEST

    def rank(entry: _Entry) -> tuple[int, datetime, str]:
        number = entry.parsed.file if are_numbered else 0
        return number, comparable(times[entry][0]), entry.name

    ranked = sorted(notes, key=rank)
    useful = dict.fromkeys(entry for entry in ranked if entry.is_useful(exercise))
    attempts = _attempts(ranked, useful)
    attempts.sort(key=lambda attempt: max(map(rank, attempt)))
    submissions = []
    for attempt in attempts:
        received, time_source = max(
            (times[entry] for entry in attempt if entry in useful or not useful),
            key=lambda known: (-_SOURCES.index(known[1]), comparable(known[0])),
        )
        if time_source.endswith("mark"):  # the time is that of a file
            received = None
        more = f" and {len(attempt) - 1} more" if len(attempt) > 1 else ""
        submissions.append(
            Submission(
                student,
                distinct(attempt[0].name, MAX_NAME) + more,
                tuple(entry.path for entry in attempt),
                received,
                time_source,
                superseded=attempt is not attempts[-1],
                notes=tuple(dict.fromkeys(note for entry in attempt for note in notes[entry])),
            )
        )
    if len(attempts) > 1:
        earlier = shown_names([submission.name for submission in submissions[:-1]])
        note = f"The last of {len(attempts)} submissions; superseded: {earlier}."
        submissions[-1] = replace(submissions[-1], notes=(*submissions[-1].notes, note))
    return submissions


def _attempts(entries: list[_Entry], useful: Collection[_Entry]) -> list[list[_Entry]]:
    """Group a student's entries, sorted by time, into attempts.

    Entries of one time that the platform tells are one attempt. If it keeps the last attempt only,
    single files belong to its folder or archive, and so do archives of other names, such as code
    beside a notebook. So does everywhere what is not useful, such as a PDF: it replaces no other
    submission.
    """
    groups: dict[object, list[_Entry]] = {}
    for entry in useful:
        key = entry.platform_time() or (None if is_single_file(entry.path) else entry)
        groups.setdefault(key, []).append(entry)
    singles = groups.pop(None, [])
    attempts = [*groups.values()]
    platforms = [entry.parsed.platform for entry in entries]
    if attempts and all(each and each.keeps_last_attempt_only for each in platforms):
        *earlier, last = attempts
        attempts = [each for each in earlier if not each[0].is_part_beside(last[0])] + [last]
        last += [entry for each in reversed(earlier) if each not in attempts for entry in each]
        last += singles
    elif singles:
        attempts.append(singles)
    if not attempts:
        return [entries]
    for entry in entries:
        if entry not in useful:
            groups.get(entry.platform_time(), attempts[-1]).append(entry)
    return attempts
