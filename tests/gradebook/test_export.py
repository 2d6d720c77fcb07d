"""What the platforms import: read again by their own rules, it is what students have earned."""

import contextlib
import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from assignment import PROJECT
from assignment.checks.check import Outcome
from assignment.checks.softmax import EXERCISE
from assignment.checks.verdict import Status, Verdict
from gradkit.autograder.version import kit_digest
from gradkit.course.answer_key import spec_digest
from gradkit.course.config import ExerciseConfig, read_config
from gradkit.course.late_policy import LatePolicy
from gradkit.course.starter import starter_files
from gradkit.errors import GradkitError
from gradkit.gradebook.database import (
    GradebookDatabase,
    GradingResult,
    ManualGrade,
    ResultKey,
    SubmissionRecord,
)
from gradkit.gradebook.export import Export, format_grades, upload_name
from gradkit.gradebook.grades import ClassGrades, read_grades
from gradkit.submissions.roster import read_roster

TITLE = EXERCISE.title
ALL = sum(check.points for check in EXERCISE.checks)
QUESTION = "answer_initial_loss"
WORTH = 4  # points of that question
DUE = "2026-03-01T23:59:00+00:00"
IN_TIME = "2026-03-01T20:00:00+00:00"


@pytest.fixture(scope="module")
def digests() -> tuple[str, str]:
    """Of the exam and the kit, without which a result is an old one."""
    starter = starter_files(PROJECT, ["softmax"])
    return spec_digest("softmax", PROJECT, starter), kit_digest()


class SandboxConfig:
    """A class whose ledger is filled by hand."""

    def __init__(self, database: GradebookDatabase, digests: tuple[str, str]) -> None:
        self.database, self.digests = database, digests

    def graded(
        self,
        student: str,
        submission: str,
        *,
        wrong: str = "",
        received: str = IN_TIME,
        answer: str = "**Your answer:** logarithm",
    ) -> None:
        """A submission that has all points, but for the check `wrong`."""
        key = ResultKey(student, f"work of {student}", *self.digests)
        verdicts = {
            check.name: Verdict(check.name, check.title, Status.PASSED, check.points, check.points)
            for check in EXERCISE.checks
        }
        if wrong:
            headline, mistake = "a row's number without keepdims", "no_keepdims"
            verdicts[wrong] = replace(
                verdicts[wrong], status=Status.WRONG, points=0, headline=headline, mistake=mistake
            )
        handed_in = {"files": {}, "cells": {}, "answers": {QUESTION: answer}}
        outcomes = {name: Outcome() for name in verdicts}
        self.database.save_result(key, GradingResult(key, verdicts, outcomes, handed_in))
        self.database.save_submission(
            SubmissionRecord(submission, student, received, "graded", key.work, (), "told")
        )

    def save_submission(self, student: str, submission: str, status: str, *notes: str) -> None:
        self.database.save_submission(
            SubmissionRecord(submission, student, "", status, None, notes)
        )

    def save_manual_grades(
        self, student: str, item: str, points: float | None, comment: str = ""
    ) -> None:
        self.database.save_manual_grades([ManualGrade(student, item, points, comment)])

    def class_grades(self) -> ClassGrades:
        return read_grades(self.database, "softmax", PROJECT)

    def export(self, form: str, roster: Path | None = None) -> Export:
        return format_grades(self.class_grades(), self.database.records(), form, roster)


@pytest.fixture
def room(tmp_path: Path, digests: tuple[str, str]) -> Iterator[SandboxConfig]:
    with contextlib.closing(GradebookDatabase(tmp_path / "grades", "softmax")) as database:
        yield SandboxConfig(database, digests)


Declare = Callable[..., None]


@pytest.fixture(autouse=True)
def declare(monkeypatch: pytest.MonkeyPatch) -> Declare:
    """Says in the manifest's place what questions are worth and what lateness costs: nothing."""

    def declare(**values: Any) -> None:
        def read(project: Path, name: str) -> ExerciseConfig:
            config = read_config(project, name)
            return structs.replace(config, **{"questions": {}, "late": LatePolicy(), **values})

        monkeypatch.setattr("gradkit.gradebook.grades.read_config", read)

    declare()
    return declare


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def table_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def write(folder: Path, text: str) -> Path:
    path = folder / "roster.csv"
    path.write_text(text, encoding="utf-8")
    return path


# --- the gradebook -------------------------------------------------------------------------------


def test_every_submission_has_a_row_and_no_score_is_empty(room: SandboxConfig) -> None:
    room.save_submission("ada", "old.zip", "superseded")
    room.graded("ada", "new.zip", wrong="naive_loss")
    room.save_submission("bob", "", "nothing handed in", "Nothing was handed in.")
    room.save_submission("eve", "eve.zip", "refused", "It is damaged.")
    rows = table_of(room.export("csv").text)
    assert list(rows[0])[:5] == ["student", "score", "maximum", "status", "submission"]
    assert list(rows[0])[-3:] == ["late", "deduction", "notes"]
    assert QUESTION in rows[0]
    points = EXERCISE.check("naive_loss").points
    assert [(row["submission"], row["score"], row["naive_loss"]) for row in rows] == [
        *(("old.zip", "", ""), ("new.zip", str(ALL - points), "0")),
        *(("", "", ""), ("eve.zip", "", "")),
    ]
    assert rows[3]["notes"] == "It is damaged."


def test_numbers_are_written_as_people_write_them(room: SandboxConfig, declare: Declare) -> None:
    declare(questions={QUESTION: WORTH})
    for student, points in (("ada", 2.5), ("bob", 3.0)):
        room.graded(student, f"{student}.zip")
        room.save_manual_grades(student, QUESTION, points)
    ada, bob = table_of(room.export("csv").text)
    assert (ada[QUESTION], ada["score"]) == ("2.5", f"{ALL + 2.5}")
    assert (bob[QUESTION], bob["score"]) == ("3", f"{ALL + 3}")


def test_what_lateness_costs_is_in_the_gradebook(room: SandboxConfig, declare: Declare) -> None:
    declare(late=_late("per day", 10))
    room.graded("ada", "ada.zip", received="2026-03-03T01:00:00+00:00")
    room.graded("bob", "bob.zip")
    ada, bob = table_of(room.export("csv").text)
    lost = round(2 * 0.1 * ALL, 2)
    assert (ada["late"], float(ada["deduction"])) == ("1 d 1 h 1 min", lost)
    assert float(ada["score"]) == round(ALL - lost, 2)
    assert (bob["late"], bob["deduction"], bob["score"]) == ("", "", str(ALL))
    object_ = json.loads(room.export("json").text)[0]
    assert (object_["late"], object_["earned"]) == (25 * 3600 + 60, ALL)


def _late(policy: str, percent: float) -> LatePolicy:
    return LatePolicy(due=datetime.fromisoformat(DUE), policy=policy, percent=percent)


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "%x", "|x"])
def test_no_cell_is_a_formula_in_any_form(name: str, room: SandboxConfig, tmp_path: Path) -> None:
    room.graded(name, f"{name}_12345_678_softmax.zip")
    texts = [room.export("csv").text, room.export("canvas").text]
    roster = write(tmp_path, f'Student,ID,SIS Login ID,Section\n"{name}",12345,x,"=A"\n')
    texts.append(room.export("canvas", roster).text)
    room.graded(name, f"{name}_12345_assignsubmission_file_")
    texts.append(room.export("moodle").text)
    for text in texts:
        for row in rows_of(text):
            for cell in row:
                assert cell.lstrip()[:1] not in tuple("=+@|%") or not cell
                assert not cell.startswith("-") or cell == "-"


def test_the_json_says_what_every_point_is_for(room: SandboxConfig, declare: Declare) -> None:
    declare(questions={QUESTION: WORTH})
    room.save_submission("ada", "old.zip", "superseded")
    room.graded("ada", "new.zip", wrong="naive_loss")
    room.save_manual_grades("ada", QUESTION, 2.5, "Half of it.")
    room.save_manual_grades("ada", "vectorized_loss", 1, "Copied from a friend.")
    old, new = json.loads(room.export("json").text)
    assert (old["score"], old["final"], old["items"]) == (None, False, [])
    assert (new["student"], new["received"], new["dated"]) == ("ada", IN_TIME, "told")
    assert (new["maximum"], new["final"], new["deduction"]) == (ALL + WORTH, True, 0)
    items = {item["name"]: item for item in new["items"]}
    assert list(items)[: len(EXERCISE.names)] == EXERCISE.names
    assert items["naive_loss"] == {
        **{"name": "naive_loss", "title": "Naive loss", "kind": "check", "points": 0, "out_of": 8},
        **{"status": "wrong", "mistake": "no_keepdims", "by_hand": False, "comment": ""},
        "headline": "a row's number without keepdims",
    }
    by_hand = items["vectorized_loss"]
    assert (by_hand["points"], by_hand["by_hand"]) == (1, True)
    assert by_hand["comment"] == "Copied from a friend."
    assert items[QUESTION]["points"] == 2.5
    assert new["score"] == sum(item["points"] or 0 for item in new["items"])


def test_a_roster_or_a_form_that_makes_no_sense_is_refused(
    room: SandboxConfig, tmp_path: Path
) -> None:
    with pytest.raises(GradkitError, match="csv is for none of them"):
        room.export("csv", tmp_path / "roster.csv")
    with pytest.raises(GradkitError, match=r"no form 'blackboard'\. There are: csv, json, canvas"):
        room.export("blackboard")


# --- who is left out -----------------------------------------------------------------------------

# A platform, and the name that it gives a student's submission.
NAMES = {
    "canvas": "doejane_12345_678901_softmax.zip",
    "moodle": "Jane Doe_12345_assignsubmission_file_",
    "gradescope": "assignment_9_export/submission_12345",
}


@pytest.mark.parametrize("form", NAMES)
def test_who_has_no_final_score_is_told_of_and_has_none(
    form: str, room: SandboxConfig, declare: Declare
) -> None:
    declare(questions={QUESTION: WORTH})
    room.graded("jane", NAMES[form])
    room.save_manual_grades("jane", QUESTION, 0)
    room.graded("open", NAMES[form].replace("12345", "2"))
    room.save_submission("refused", NAMES[form].replace("12345", "3"), "refused", "It is damaged.")
    room.save_manual_grades("refused", QUESTION, 4)
    room.save_submission("absent", "", "nothing handed in")
    room.save_submission("waits", NAMES[form].replace("12345", "4"), "waiting")
    text, told = room.export(form)
    assert "12345" in text
    for absent in ("open", "refused", "absent", "waits"):
        assert absent not in re.sub("[\"']run_autograder.*", "", text.split("KNOWN")[0])
        assert len([sentence for sentence in told if sentence.startswith(absent)]) == 1
    [still_open] = [sentence for sentence in told if sentence.startswith("open")]
    assert re.fullmatch(r"open is left out: not graded yet: .+\.", still_open)
    assert "absent is left out: nothing was handed in." in told


@pytest.mark.parametrize("form", NAMES)
def test_whose_identity_nothing_tells_is_told_of(form: str, room: SandboxConfig) -> None:
    room.graded("jane", NAMES[form])
    room.graded("mail", "mail.zip")
    text, told = room.export(form)
    assert "mail.zip" not in text
    [sentence] = told
    assert sentence.startswith("mail is left out: nothing tells their")
    assert "--roster" in sentence


@pytest.mark.parametrize("form", NAMES)
def test_two_students_who_are_one_on_the_platform_get_no_score(
    form: str, room: SandboxConfig
) -> None:
    room.graded("jane", NAMES[form])
    room.graded("joe", NAMES[form], wrong="naive_loss")
    text, told = room.export(form)
    assert str(ALL) not in [cell for row in rows_of(text)[2:] for cell in row]
    assert '"12345": {' not in text
    assert told[0].startswith("jane and joe are left out: they")


def test_of_two_submissions_that_count_the_last_is_taken(room: SandboxConfig) -> None:
    room.graded("jane", "doejane_12345_1_softmax.zip", received="2026-01-01T00:00:00+00:00")
    room.save_submission("jane", "", "nothing handed in")
    room.graded("jane", "doejane_12345_2_softmax.zip", wrong="naive_loss")
    text, told = room.export("canvas")
    assert len(rows_of(text)) == 3
    assert str(ALL) not in rows_of(text)[2]
    assert told == []


# --- Canvas --------------------------------------------------------------------------------------


def canvas_reads(text: str, people: dict[str, str]) -> dict[str, tuple[str, dict[str, str]]]:
    """What Canvas makes of a CSV: by column its points, and the score of each of these people.

    `people` are the course's, by Canvas's number, with their sortable names.
    """
    header, *rows = rows_of(text)
    assert "Student" in header[0]
    assert "ID" in header[1]
    columns = 3
    if header[2] == "SIS Login ID":
        columns = 4
    elif (header[2], header[3]) == ("SIS User ID", "SIS Login ID"):
        columns = 5 + (header[4] == "Integration ID")
    assert header[columns - 1] == "Section"
    found = {}
    for column, name in enumerate(header[columns:], start=columns):
        [points] = [row[column] for row in rows if "Points Possible" in row[0]]
        scores = {}
        for row in rows:
            if "Points Possible" not in row[0]:
                [person] = [id for id, who in people.items() if row[1] == id or row[0] == who]
                assert row[column] != "", "an empty cell takes the score away that there is"
                scores[person] = row[column]
        found[name] = (points, scores)
    return found


def test_canvas_finds_everyone_by_the_numbers_in_its_names(room: SandboxConfig) -> None:
    room.graded("doejane_12345", "doejane_12345_678901_softmax.zip")
    room.graded("müllerzoë_22", "müllerzoë_LATE_22_678902_softmax-1.zip", wrong="naive_loss")
    room.graded("anon_a1B2c", "anon_a1B2c_678_softmax.zip")
    text, told = room.export("canvas")
    read = canvas_reads(text, {"12345": "Doe, Jane", "22": "Müller, Zoë"})
    assert read == {TITLE: (str(ALL), {"12345": str(ALL), "22": str(ALL - 8)})}
    assert [sentence.split()[0] for sentence in told] == ["anon_a1B2c"]


CANVAS = f"""\
\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,Warm-up (1),{TITLE} (678),Current Score
,,,,,,Manual Posting,
    Points Possible,,,,,10.00,{ALL}.00,(read only)
"Doe, Jane",12345,s1,jdoe,"A, and B",9.00,,90.00
"Müller, ""Zo"" Zoë",22,s2,zm@example.edu,B,,50.00,
"Wang, Wei",31,s3,wei1,B,,,
"Wang, Wei",32,s4,wei2,B,,7.00,
"Student, Test",99,,f00,B,,,
"""


def test_canvass_own_gradebook_comes_back_with_one_column_filled(
    room: SandboxConfig, tmp_path: Path
) -> None:
    roster = write(tmp_path, CANVAS)
    room.graded("wangwei_32", "wangwei_32_5_softmax.zip", wrong="naive_loss")
    room.graded("zm@example.edu", "Zoë.zip")
    room.graded("Doe, Jane", "jane.zip")
    room.graded("mallory", "mallory.zip")
    text, told = room.export("canvas", roster)
    header, points, *rows = rows_of(text)
    assert header[-1] == f"{TITLE} (678)"
    assert len(header) == 6
    assert points[0] == "    Points Possible"
    assert [row[1] for row in rows] == ["12345", "22", "32"]
    assert rows[0] == ["Doe, Jane", "12345", "s1", "jdoe", "A, and B", str(ALL)]
    assert rows[1][0] == 'Müller, "Zo" Zoë'
    people = {"12345": "Doe, Jane", "22": "Müller, Zoë", "31": "", "32": ""}
    [(possible, scores)] = canvas_reads(text, people).values()
    assert float(possible) == ALL
    assert scores == {"12345": str(ALL), "22": str(ALL), "32": str(ALL - 8)}
    assert told == [f"mallory is left out: no row of {roster} is theirs."]


def test_canvass_gradebook_is_a_roster_too(tmp_path: Path) -> None:
    roster = read_roster(write(tmp_path, CANVAS))
    assert roster.students == (
        *("Doe, Jane", 'Müller, "Zo" Zoë', "Wang, Wei (31)", "Wang, Wei (32)", "Student, Test"),
    )
    assert roster.whose("wangwei_32") == (["Wang, Wei (32)"], [])
    assert roster.whose("Jane Doe") == (["Doe, Jane"], [])
    assert roster.whose("jdoe 9 00") == (["Doe, Jane"], [])
    assert roster.whose("warm-up 9 00") == ([], [])


def test_an_assignment_of_other_points_or_of_none_is_told_of(
    room: SandboxConfig, tmp_path: Path
) -> None:
    room.graded("Doe, Jane", "jane.zip")
    _, told = room.export("canvas", write(tmp_path, CANVAS.replace(f"{ALL}.00", "10,00")))
    assert told == [
        f"In Canvas the assignment has 10 points, and here {ALL}. The scores are exported as they "
        "are."
    ]
    text, told = room.export("canvas", write(tmp_path, CANVAS.replace(TITLE, "Other")))
    assert rows_of(text)[0][-1] == TITLE
    assert "so Canvas will make a new one" in told[0]
    with pytest.raises(GradkitError, match="has 2 assignments"):
        room.export("canvas", write(tmp_path, CANVAS.replace("Warm-up", TITLE)))
    with pytest.raises(GradkitError, match="has none of the columns ID, SIS User ID"):
        room.export("canvas", write(tmp_path, "student,name\nu1,Jane\n"))


def test_a_roster_of_ones_own_may_tell_the_ids_of_canvas(
    room: SandboxConfig, tmp_path: Path
) -> None:
    room.graded("u1", "u1.zip")
    text, told = room.export("canvas", write(tmp_path, "student;sis login id\nu1;jdoe\nu2;x\n"))
    assert rows_of(text)[0][:5] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
    assert rows_of(text)[2] == ["u1", "", "", "jdoe", "", str(ALL)]
    assert len(told) == 1


# --- Moodle --------------------------------------------------------------------------------------


def moodle_reads(text: str, participants: set[int], maximum: float) -> dict[int, tuple[float, str]]:
    """What Moodle's assignment makes of a worksheet: the grade and feedback of participants."""
    header, *rows = rows_of(text)
    at = {name: header.index(name) for name in ("Identifier", "Grade", "Last modified (grade)")}
    found = {}
    for row in rows:
        assert len(row) == len(header)
        number = int(row[at["Identifier"]][len("Participant ") :])
        grade = float(row[at["Grade"]])
        if number in participants and 0 <= grade <= maximum:
            found[number] = grade, row[header.index("Feedback comments")]
    return found


def test_moodle_finds_everyone_by_the_numbers_in_its_names(
    room: SandboxConfig, declare: Declare
) -> None:
    declare(late=_late("fixed", 10))
    room.graded("Jane Doe_12345", "Jane Doe_12345_assignsubmission_file_", wrong="naive_loss")
    late = "2026-03-02T00:59:00+00:00"
    name = "Zoë O'Neil, MA_22_assignsubmission_file_softmax.zip"
    room.graded("Zoë O'Neil, MA_22", name, received=late)
    text, told = room.export("moodle")
    read = moodle_reads(text, {12345, 22}, ALL)
    assert {number: grade for number, (grade, _) in read.items()} == {
        12345: ALL - 8,
        22: round(0.9 * ALL, 2),
    }
    assert "Naive loss: 0 of 8. A row's number without keepdims." in read[12345][1]
    assert "Late by 1 h:" in read[22][1]
    assert [row["Full name"] for row in table_of(text)] == ["Jane Doe", "Zoë O'Neil, MA"]
    assert told == []


MOODLE = f"""\
Identifier,"Full name","Email address",Status,Grade,"Maximum Grade","Grade can be changed",\
"Last modified (submission)","Last modified (grade)","Feedback comments"
"Participant 12345","Jane Doe",jane@example.edu,"Submitted for grading",,{ALL}.00,Yes,\
"Sunday, 1 March 2026, 8:00 PM",-,
"Participant 22","Zoë, Roe",zoe@example.edu,"No submission",3.00,{ALL}.00,Yes,-,\
"Monday, 2 March 2026, 8:00 PM","old words"
"Participant 23","Jim Poe",jim@example.edu,"No submission",5.00,{ALL}.00,Yes,-,-,keep
"""


def test_moodles_own_worksheet_comes_back_with_grades(room: SandboxConfig, tmp_path: Path) -> None:
    roster = write(tmp_path, MOODLE)
    room.graded("u7", "Jane Doe_12345_assignsubmission_file_x.zip")
    room.graded("zoe@example.edu", "zoe.zip")
    room.save_manual_grades("zoe@example.edu", "naive_loss", 1.5, "x < y & so on")
    room.graded("mallory", "mallory.zip")
    text, told = room.export("moodle", roster)
    read = moodle_reads(text, {12345, 22, 23}, ALL)
    assert {number: grade for number, (grade, _) in read.items()} == {12345: ALL, 22: ALL - 6.5}
    assert "Naive loss: 1.5 of 8. x &lt; y &amp; so on" in read[22][1]
    before, after = table_of(MOODLE)[1], table_of(text)[1]
    assert {name for name in before if before[name] != after[name]} == {
        *("Grade", "Feedback comments"),
    }
    assert told == [f"mallory is left out: no row of {roster} is theirs."]


def test_a_worksheet_that_does_not_fit_is_told_of_or_refused(
    room: SandboxConfig, tmp_path: Path
) -> None:
    room.graded("jane@example.edu", "jane.zip")
    _, told = room.export("moodle", write(tmp_path, MOODLE.replace(f"{ALL}.00", "10.00")))
    assert told[0].startswith("In Moodle the assignment has 10 points, and here")
    _, told = room.export("moodle", write(tmp_path, MOODLE.replace("Feedback comments", "X")))
    assert "has no column Feedback comments, so there are grades only" in told[0]
    for wrong, said in (
        (MOODLE.replace("Identifier", "Teilnehmer"), "with Moodle in English"),
        (MOODLE.replace("Last modified (grade)", "X"), "has no column Last modified"),
        (MOODLE.replace("Maximum Grade", "Scale"), "by a scale"),
    ):
        with pytest.raises(GradkitError, match=re.escape(said)):
            room.export("moodle", write(tmp_path, wrong))


# --- Gradescope ----------------------------------------------------------------------------------


def gradescope_runs(text: str, folder: Path, **submission: Any) -> tuple[int, Any]:
    """Run an autograder on a submission: its exit status, and its results if there are any."""
    folder.mkdir()
    (folder / "run_autograder").write_text(text, encoding="utf-8")
    (folder / "submission_metadata.json").write_text(json.dumps(submission), encoding="utf-8")
    command = [sys.executable, str(folder / "run_autograder"), str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    results = folder / "results" / "results.json"
    return ran.returncode, json.loads(results.read_text()) if results.exists() else None


def test_gradescopes_submissions_get_their_results(
    room: SandboxConfig, declare: Declare, tmp_path: Path
) -> None:
    declare(late=_late("fixed", 10))
    room.graded("0123", "submission_77", wrong="naive_loss", received="2026-03-02T02:00:00+00:00")
    room.graded("jane@example.edu", 'jane\'s "work".zip')
    room.graded("u3", "zoe.zip", wrong="naive_gradient")
    roster = write(tmp_path, "student,mail\nu3,Zoe@Example.edu\n")
    text, told = room.export("gradescope", roster)
    assert text.startswith("#!/usr/bin/env python3\n")
    assert told == []
    status, results = gradescope_runs(text, tmp_path / "1", id=77, users=[])
    assert status == 0
    assert results["score"] == round(ALL - 8 - 0.1 * ALL, 2)
    assert results["output"].startswith("Late by 2 h 1 min")
    assert len(results["tests"]) == len(EXERCISE.checks)
    [wrong] = [test for test in results["tests"] if test["score"] < test["max_score"]]
    assert wrong["name"] == "Naive loss"
    assert "keepdims" in wrong["output"]
    for folder, address, score in (("2", "JANE@example.edu", ALL), ("3", "zoe@example.edu", None)):
        users = [{"email": address, "id": 1, "name": "x"}]
        status, results = gradescope_runs(text, tmp_path / folder, id=5, users=users)
        assert status == 0
        assert score in (None, results["score"])
    users = [{"email": "mallory@example.edu", "id": 1, "name": "0123"}]
    assert gradescope_runs(text, tmp_path / "4", id=78, users=users) == (1, None)


def test_a_group_has_one_score(room: SandboxConfig, tmp_path: Path) -> None:
    room.graded("a@x.edu", "submission_1", wrong="naive_loss")
    room.graded("b@x.edu", "submission_1", wrong="naive_loss")
    text, told = room.export("gradescope")
    assert told == []
    status, results = gradescope_runs(text, tmp_path / "1", id=1, users=[])
    assert (status, results["score"]) == (0, ALL - 8)
    room.save_manual_grades("b@x.edu", "naive_loss", 8)
    text, told = room.export("gradescope")
    assert told[0].startswith("a@x.edu and b@x.edu are left out: they handed in together")
    assert gradescope_runs(text, tmp_path / "2", id=1, users=[])[0] == 1


# --- feedback ------------------------------------------------------------------------------------


def canvas_knows(name: str) -> tuple[str, str]:
    """User and file that Canvas finds in the name of a file that is uploaded again."""
    parts = [part for part in Path(name).name.split("_") if part != "LATE"]
    assert not parts[-1].startswith("link")
    if parts[0] == "anon":
        return parts[1], parts[2]
    user, file = [part for part in parts if re.fullmatch(r"\d+", part)][:2]
    return user, file


def moodle_knows(name: str) -> tuple[int, str, str, str]:
    """Participant, kind and name that Moodle finds in the name of a feedback file."""
    for part in name.split("/"):
        pieces = part.split("_", 4)
        if len(pieces) >= 4 and pieces[1].isdecimal():
            return int(pieces[1]), pieces[2], pieces[3], "_".join(pieces[4:])
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("submission", "known"),
    [
        ("doejane_12345_678901_softmax.zip", ("12345", "678901")),
        ("doejane_LATE_12345_678901_softmax-1.zip", ("12345", "678901")),
        ("doejane_12345_678901_7_8_link.html and 2 more", ("12345", "678901")),
        ("anon_a1B2c_678901_softmax.zip", ("a1B2c", "678901")),
        ("müllerzoë_5_6_ü.py", ("5", "6")),
    ],
)
def test_canvas_knows_whose_a_page_is(submission: str, known: tuple[str, str]) -> None:
    name = upload_name(SubmissionRecord(submission, "u1", "", "graded"), "u1.html")
    assert canvas_knows(name) == known
    assert name.endswith("_feedback.html")


@pytest.mark.parametrize(
    "submission",
    [
        "Jane Doe_12345_assignsubmission_file_",
        "Jane Doe_12345_assignsubmission_file",
        "Jane Doe_12345_assignsubmission_file_softmax_1.zip and 1 more",
        "Zoë O'Neil-Öztürk_12345_assignsubmission_file_a/b.zip",
    ],
)
def test_moodle_knows_whose_a_page_is(submission: str) -> None:
    name = upload_name(SubmissionRecord(submission, "u1", "", "graded"), "u1.html")
    assert moodle_knows(name) == (12345, "assignsubmission", "file", "feedback.html")


@pytest.mark.parametrize("submission", ["", "a.zip", "submission_7", "jane_20260301_235910_x.py"])
def test_elsewhere_a_page_is_called_as_it_is(submission: str) -> None:
    assert (
        upload_name(SubmissionRecord(submission, "jane", "", "graded"), "jane.html") == "jane.html"
    )
