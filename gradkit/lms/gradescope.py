"""Gradescope: an export of submissions with its metadata, and an autograder that returns scores.

An export is a folder `assignment_123_export` of folders `submission_456789`, beside which
`submission_metadata.yml` names the people of each.

Gradescope documents one import of scores only: the `results.json` that an autograder writes. So the
export of scores is a `run_autograder`, to be packed with an empty `setup.sh` and uploaded to a
programming assignment. Run on the submissions there, it finds the results by the submission's
number, else by the e-mail address, and fails for any other submission.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gradkit.files import open_file
from gradkit.lms.platform import (
    Assignment,
    Export,
    FinalScore,
    ParsedName,
    Platform,
    Submitters,
    folded,
)
from gradkit.lms.tables import RosterError, StudentList, number_cell, plain_number
from gradkit.lms.times import find_time

METADATA = "submission_metadata.yml"

_NAME = re.compile(r"(?P<student>submission_(?P<user>\d+))(?:\.\w+)*")
_EXPORT_FOLDER = re.compile(r"assignment_\d+_export")
_SUBMISSION = re.compile(rf"(?:{_EXPORT_FOLDER.pattern}/)?submission_(\d+)(?:\W.*)?")
_AUTOGRADER = Path(__file__).with_name("gradescope_autograder.py")
_EMAIL = re.compile(r"[^\s@,;<>]+@[^\s@,;<>]+")


def parse_name(name: str) -> ParsedName | None:
    """Return the parts of a name that Gradescope gave, else None."""
    match = _NAME.fullmatch(name)
    return ParsedName(match["student"], name, name, user=match["user"]) if match else None


def read_submitters(folder: Path) -> dict[str, Submitters]:
    """Read the metadata of an export, by the names of its submissions.

    It is YAML as Ruby writes it. A few lines matter, and all that comes from students, such as the
    output of their programs, is indented further than these:

        submission_409194023:
          :submitters:
          - :name: Jane Doe
            :sid: '123456789'
            :email: jane@example.edu
          :created_at: 2026-04-26 17:34:00.861687000 Z
    """
    try:
        with open_file(folder / METADATA) as file:
            lines = [line.decode("utf-8", "replace").rstrip() for line in file if line[:5].strip()]
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise RosterError(
            f"{folder / METADATA} cannot be read ({error.strerror}). It names the students of the "
            "submissions."
        ) from error
    return _parse_metadata(lines)


def _parse_metadata(lines: Sequence[str]) -> dict[str, Submitters]:
    people: dict[str, list[dict[str, str]]] = {}
    times = {}
    name = section = ""
    for line in lines:
        if match := re.fullmatch(r"([^\s:#-][^:]*|\"[^\"]+\"):", line):
            name, section = _unquoted(match[1]), ""
            people[name] = []
        elif (match := re.match(r"  :(\w+):(.*)", line)) and name:
            section = match[1]
            if section == "created_at" and (time := find_time(match[2])):
                times[name] = time[0]
        elif section == "submitters" and (
            match := re.match(r"  (- |  ):(name|sid|email): *(.+)", line)
        ):
            if match[1] == "- ":
                people[name].append({})
            if people[name]:
                people[name][-1][match[2]] = _unquoted(match[3])
    return {
        name: Submitters(tuple(map(_ids, submitters)), times.get(name))
        for name, submitters in people.items()
    }


def _ids(person: dict[str, str]) -> tuple[str, ...]:
    return tuple(person[key] for key in ("sid", "email", "name") if person.get(key))


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text[1:-1]
    return text


def export_scores(
    assignment: Assignment, scores: Sequence[FinalScore], roster: StudentList | None
) -> Export:
    """Return the `run_autograder` with the results in it; `roster` gives e-mail addresses."""
    notes: list[str] = []
    addresses = _addresses(roster)
    by_number: dict[str, list[FinalScore]] = {}
    by_address: dict[str, list[FinalScore]] = {}
    for score in scores:
        if match := _SUBMISSION.fullmatch(score.submission):
            by_number.setdefault(match[1], []).append(score)
            continue
        theirs = addresses.get(score.student, set())
        if _EMAIL.fullmatch(score.student):
            theirs = theirs | {folded(score.student)}
        for address in theirs:
            by_address.setdefault(address, []).append(score)
        if not theirs:
            notes.append(
                f"{score.student} is left out: their submission and e-mail address on Gradescope "
                "are unknown. Give --roster a CSV with a column `student` and one of addresses."
            )
    known = {
        "submissions": _results_of(by_number, notes),
        "addresses": _results_of(by_address, notes),
    }
    script = _AUTOGRADER.read_text(encoding="utf-8")
    return Export(script.replace('"{}"', repr(json.dumps(known)), 1), notes)


def _addresses(roster: StudentList | None) -> dict[str, set[str]]:
    """Return the e-mail addresses of a roster's students, by id."""
    return {
        student.id: {folded(cell) for cell in student.row.cells if _EMAIL.fullmatch(cell.strip())}
        for student in (roster.students if roster else ())
    }


def _results_of(
    owners: Mapping[str, Sequence[FinalScore]], notes: list[str]
) -> dict[str, dict[str, Any]]:
    """Return results by key. Students of one key, such as a group, must have the same."""
    results = {}
    for key, scores in owners.items():
        first, *others = map(_results, scores)
        if all(each == first for each in others):
            results[key] = first
        else:
            students = " and ".join(score.student for score in scores)
            notes.append(
                f"{students} are left out: Gradescope has one score for them, not several."
            )
    return results


def _results(score: FinalScore) -> dict[str, Any]:
    """Return a results.json. Its score counts, whatever the tests add up to."""
    return {
        "score": plain_number(score.score),
        "output": score.late,
        "output_format": "text",
        "stdout_visibility": "hidden",
        "visibility": "after_published",
        "tests": [
            {
                "name": item.title,
                "score": number_cell(item.points),
                "max_score": item.out_of,
                "output": item.remark,
            }
            for item in score.items
            if item.out_of
        ],
    }


PLATFORM = Platform(
    "Gradescope",
    parse_name,
    export_scores,
    metadata_file=METADATA,
    read_submitters=read_submitters,
    download_folder=_EXPORT_FOLDER,
)
