"""A class's roster, and the students whom a submission's name matches.

    student,name,email,file,submitted
    u123,Jane Doe,jane@example.edu,jane.zip,2026-03-01T23:10:00+01:00

Column `student` is the id. Every other cell is a text by which a student may be known, except
`submitted`, the time of submission, UTC unless it has an offset. A platform's own list of students
is a roster too, if `gradkit.lms` reads it.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gradkit.files import shown
from gradkit.lms import read_student_list
from gradkit.lms.tables import RosterError, Row, Table
from gradkit.lms.times import find_time
from gradkit.lms.words import split_words

MAX_WORDS = 20  # of a text that is searched in names, except if they are joined

Words = tuple[str, ...]


@dataclass(frozen=True)
class Roster:
    """The students of a class, by id."""

    students: tuple[str, ...]
    owners: Mapping[Words, set[str]]  # of each text by which students are known
    submitted: Mapping[str, datetime]  # the times of submission that the roster gives

    def match(self, name: str) -> tuple[list[str], list[str]]:
        """Return the students with the longest text in a name, and others who are in it too.

        A text is in a name if its words are there one after the other, in any case, or joined, as
        Canvas joins names. The last words may come first, as family names do. Among several
        students with the same text, a second text, such as a number, decides. The others are found
        elsewhere in the name, by texts of theirs alone.
        """
        words = split_words(name)
        matches = [
            (sum(map(len, words[start:end])), {*range(start, end)}, owners)
            for start in range(len(words))
            for end in range(start + 1, min(start + MAX_WORDS, len(words)) + 1)
            if (owners := self._owners(words[start:end]))
        ]
        longest = max((length for length, _, _ in matches), default=0)
        best = [(places, owners) for length, places, owners in matches if length == longest]
        students = {student for _, owners in best for student in owners}
        decided = [owners & students for *_, owners in matches if len(owners & students) == 1]
        if decided and all(each == decided[0] for each in decided):
            students = decided[0]
        used = {place for places, _ in best for place in places}
        others = {
            student
            for _, places, owners in matches
            for student in owners
            if len(owners) == 1 and student not in students and not places & used
        }
        return sorted(students), sorted(others)

    def _owners(self, words: Sequence[str]) -> set[str]:
        """Return the students with a text of these words."""
        joined = "".join(words)
        owners = self.owners.get((*words,), set())
        # Scripts without capitals, such as Japanese, may do without blanks between names.
        if not owners and joined == joined.upper() and not re.search(r"\d", joined):
            owners = self.owners.get((joined,), owners)
        return owners


def read_roster(path: Path) -> Roster:
    """Read a roster; raise RosterError if it cannot be used as it is."""
    table, students = read_student_list(path)
    if not students:
        raise RosterError(f"{path} lists no students.")
    owners: dict[Words, set[str]] = defaultdict(set)
    turned: dict[Words, set[str]] = defaultdict(set)  # by texts with the last words first
    submitted: dict[str, datetime] = {}
    for student in students:
        for words in {tuple(split_words(text)) for text in (student.id, *student.aliases)}:
            owners[words].add(student.id)
            for start in range(min(len(words), MAX_WORDS)):
                text = words[start:] + words[:start]
                turned[text].add(student.id)
                owners["".join(text),].add(student.id)  # where nothing tells the order
        if time := table.cell(student.row, "submitted"):
            submitted[student.id] = _submission_time(table, student.row, time)
        elif student.submitted:
            submitted[student.id] = student.submitted
    return Roster(tuple(student.id for student in students), turned | owners, submitted)


def _submission_time(table: Table, row: Row, text: str) -> datetime:
    found = find_time(text)
    if not found or found[1:] != (0, len(text)) or len(text) == len("2026-03-01"):
        raise RosterError(
            f"{table.place(row)}: {shown(text)!r} in the column `submitted` is not a time. Write "
            "it as in 2026-03-01T23:59:00+01:00; without an offset it is UTC."
        )
    return found[0] if found[0].tzinfo else found[0].replace(tzinfo=UTC)
