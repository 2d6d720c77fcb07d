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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradkit.files import open_file
from gradkit.lms.platform import Export, FinalScore, ParsedName, Platform, Submitters
from gradkit.lms.tables import RosterError, StudentList, number_cell, plain_number
from gradkit.lms.times import find_time

_NAME = re.compile(r"(?P<student>submission_(?P<user>\d+))(?:\.\w+)*")
_EXPORT_FOLDER = re.compile(r"assignment_\d+_export")
_SUBMISSION = re.compile(rf"(?:{_EXPORT_FOLDER.pattern}/)?submission_(\d+)(?:\W.*)?")
_AUTOGRADER = Path(__file__).with_name("gradescope_autograder.py")
_EMAIL = re.compile(r"[^\s@,;<>]+@[^\s@,;<>]+")


class Gradescope(Platform):
    name = "Gradescope"
    shows_checks = True
    metadata_file = "submission_metadata.yml"
    download_folder = _EXPORT_FOLDER

    def parse_name(self, name: str) -> ParsedName | None:
        match = _NAME.fullmatch(name)
        return ParsedName(match["student"], name, name, user=match["user"]) if match else None

    def read_submitters(self, folder: Path) -> dict[str, Submitters]:
        """Read the metadata of an export, by the names of its submissions.

        It is YAML as Ruby writes it. A few lines matter, and all that comes from students, such as
        the output of their programs, is indented further than these:

            submission_409194023:
              :submitters:
              - :name: Jane Doe
                :sid: '123456789'
                :email: jane@example.edu
              :created_at: 2026-04-26 17:34:00.861687000 Z
        """
        path = folder / self.metadata_file
        try:
            with open_file(path) as file:
                lines = [
                    line.rstrip().decode("utf-8", "replace") for line in file if line[:5].strip()
                ]
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise RosterError(
                f"{path} cannot be read ({error.strerror}). It names the students of the "
                "submissions."
            ) from error
        text = "".join(f"{line}\n" for line in lines)
        entries = re.findall(r"^(\w+):\n((?: .*\n)*)", text, re.MULTILINE)
        return {name: _submitters(entry) for name, entry in entries}

    def export_scores(
        self, title: str, maximum: int, scores: Sequence[FinalScore], roster: StudentList | None
    ) -> Export:
        """Return the `run_autograder` with the results in it; `roster` gives e-mail addresses."""
        addresses = {
            student.id: {*filter(None, map(_address, student.row.cells))}
            for student in (roster.students if roster else ())
        }
        notes = []
        owners: dict[str, list[FinalScore]] = {}  # by the submission's number, or by address
        for score in scores:
            keys = addresses.get(score.student, set())
            if match := _SUBMISSION.fullmatch(score.submission):
                keys = {match[1]}
            elif address := _address(score.student):
                keys = keys | {address}
            for key in keys:
                owners.setdefault(key, []).append(score)
            if not keys:
                notes.append(
                    f"{score.student} is left out: their submission and e-mail address on "
                    "Gradescope are unknown. Give --roster a CSV with a column `student` and one "
                    "of addresses."
                )
        results = {}
        for key, claims in owners.items():
            results[key], *others = map(_results, claims)
            if any(other != results[key] for other in others):  # unlike those of a group
                del results[key]
                students = " and ".join(score.student for score in claims)
                notes.append(
                    f"{students} are left out: Gradescope has one score for them, not several."
                )
        script = _AUTOGRADER.read_text(encoding="utf-8")
        return Export(script.replace('"{}"', repr(json.dumps(results)), 1), notes)


def _submitters(entry: str) -> Submitters:
    section = re.search(r"^  :submitters:\n((?:  - .*\n|    .*\n)*)", entry, re.MULTILINE)
    people = []
    for person in re.split("^  - ", section[1], flags=re.MULTILINE)[1:] if section else []:
        texts = dict(re.findall(r"^ *:(\w+): *(.+)$", person, re.MULTILINE))
        ids = [_unquoted(texts.get(key, "").strip()) for key in ("sid", "email", "name")]
        people.append(tuple(filter(None, ids)))
    created = re.search(r"^  :created_at:(.*)$", entry, re.MULTILINE)
    time = find_time(created[1]) if created else None
    return Submitters(tuple(people), time[0] if time else None)


def _unquoted(text: str) -> str:
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    try:
        return str(json.loads(text)) if text.startswith('"') else text
    except ValueError:
        return text[1:-1]


def _address(text: str) -> str:
    """Return an e-mail address as the exported autograder looks it up; "" for another text."""
    return text.strip().casefold() if _EMAIL.fullmatch(text.strip()) else ""


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
