"""The gradebook as csv and json, and the final scores that platforms get."""

import contextlib
import csv
import io
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from assignment import PROJECT
from assignment.checks.answer_key import AnswerKey
from assignment.checks.check import Outcome
from assignment.checks.softmax import EXERCISE
from assignment.checks.verdict import Status, Verdict
from gradkit.autograder.version import kit_digest
from gradkit.cli import cli
from gradkit.course.answer_key import spec_digest
from gradkit.course.exercise_config import read_config
from gradkit.course.late_policy import LatePolicy
from gradkit.course.starter import starter_files
from gradkit.errors import GradkitError
from gradkit.gradebook.database import (
    GradebookDatabase,
    GradebookFolder,
    GradingResult,
    ManualGrade,
    ResultKey,
    SubmissionRecord,
)
from gradkit.gradebook.export import export, final_scores, write_gradebook
from gradkit.gradebook.grades import read_grades
from gradkit.lms import PLATFORMS
from gradkit.lms.platform import FinalScore

ALL = sum(check.points for check in EXERCISE.checks)
QUESTION = "answer_initial_loss"
WORTH = 4  # points of that question
IN_TIME = "2026-03-01T20:00:00+00:00"


class FilledGradebook:
    """A class whose gradebook database is filled by hand."""

    def __init__(
        self, folder: GradebookFolder, digests: tuple[str, str], patch: pytest.MonkeyPatch
    ) -> None:
        self.folder, self.digests, self.patch = folder, digests, patch
        self.database = GradebookDatabase(folder.out, folder.exercise)

    def configure(self, **values: Any) -> None:
        """Set points of questions and lateness in place of the exercise's: none by default."""
        values = {"questions": {}, "late": LatePolicy(), **values}
        config = msgspec.structs.replace(read_config(PROJECT, "softmax"), **values)
        self.patch.setattr("gradkit.gradebook.grades.read_config", lambda *_: config)

    def add_graded(
        self,
        student: str,
        submission: str,
        *,
        wrong: bool = False,
        received: str = IN_TIME,
        time_source: str = "platform",
    ) -> None:
        """Add a submission that has all points, or all except those for naive_loss."""
        key = ResultKey(student, f"content of {student}", *self.digests)
        verdicts = {
            check.name: Verdict(check.name, check.title, Status.PASSED, check.points, check.points)
            for check in EXERCISE.checks
        }
        if wrong:
            title, headline = "Naive loss", "row-wise result without keepdims=True"
            verdicts["naive_loss"] = Verdict(
                "naive_loss", title, Status.WRONG, 0, 8, headline=headline, mistake="no_keepdims"
            )
        handed_in = {"files": {}, "cells": {}, "answers": {QUESTION: "**Your answer:** logarithm"}}
        outcomes = {name: Outcome() for name in verdicts}
        self.database.save_result(GradingResult(key, verdicts, outcomes, handed_in))
        self.database.save_submission(
            SubmissionRecord(
                submission, student, received, "graded", key.content_digest, (), time_source
            )
        )

    def add_ungraded(self, student: str, submission: str, status: str, *notes: str) -> None:
        record = SubmissionRecord(submission, student, "", status, None, notes)
        self.database.save_submission(record)

    def add_manual(self, student: str, item: str, points: float, comment: str = "") -> None:
        self.database.save_manual_grades([ManualGrade(student, item, points, comment)])

    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(export(self.folder, "csv").text, newline="")))

    def objects(self) -> Any:
        return json.loads(export(self.folder, "json").text)

    def final_scores(self) -> tuple[dict[str, FinalScore], list[str]]:
        scores, notes = final_scores(read_grades(self.database, "softmax", PROJECT))
        return {score.student: score for score in scores}, notes


@pytest.fixture(scope="module")
def digests() -> tuple[str, str]:
    """The digests of the grading spec and the kit, without which a result is an old one."""
    starter = starter_files(PROJECT, ["softmax"])
    return spec_digest("softmax", PROJECT, starter), kit_digest()


@pytest.fixture
def gradebook(
    tmp_path: Path, digests: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[FilledGradebook]:
    folder = GradebookFolder(PROJECT, "softmax", tmp_path / "grades")
    filled = FilledGradebook(folder, digests, monkeypatch)
    filled.configure()
    with contextlib.closing(filled.database):
        yield filled


def test_csv_has_a_row_for_every_submission(gradebook: FilledGradebook) -> None:
    gradebook.configure(questions={QUESTION: WORTH})
    gradebook.add_ungraded("ada", "old.zip", "superseded")
    gradebook.add_graded("ada", "new.zip", wrong=True)
    gradebook.add_manual("ada", QUESTION, 2.5)
    gradebook.add_ungraded("bob", "", "nothing handed in", "Nothing was handed in.")
    gradebook.add_ungraded("=eve", "=eve.zip", "refused", "It is damaged.")
    rows = gradebook.rows()
    assert list(rows[0])[:5] == ["student", "score", "maximum", "status", "submission"]
    assert list(rows[0])[-3:] == ["late", "deduction", "notes"]
    columns = ("submission", "score", "naive_loss", "vectorized_loss", QUESTION)
    assert [[row[column] for column in columns] for row in rows] == [
        ["'=eve.zip", "", "", "", ""],
        ["old.zip", "", "", "", ""],
        ["new.zip", f"{ALL - 8 + 2.5}", "0", "8", "2.5"],
        ["", "", "", "", ""],
    ]
    assert (rows[0]["student"], rows[0]["notes"]) == ("'=eve", "It is damaged.")


def test_exports_contain_lateness(gradebook: FilledGradebook) -> None:
    due = datetime.fromisoformat("2026-03-01T23:59:00+00:00")
    gradebook.configure(late=LatePolicy(due=due, policy="per day", percent=10))
    gradebook.add_graded("ada", "ada.zip", received="2026-03-03T01:00:00+00:00")
    gradebook.add_graded("bob", "bob.zip")
    ada, bob = gradebook.rows()
    lost = round(2 * 0.1 * ALL, 2)
    assert (ada["late"], float(ada["deduction"])) == ("1 d 1 h 1 min", lost)
    assert float(ada["score"]) == round(ALL - lost, 2)
    assert (bob["late"], bob["deduction"], bob["score"]) == ("", "", str(ALL))
    in_json = gradebook.objects()[0]
    assert (in_json["late"], in_json["earned"]) == (25 * 3600 + 60, ALL)
    scores, _ = gradebook.final_scores()
    assert scores["ada"].late == f"Late by 1 d 1 h 1 min: {lost:g} points less."
    assert scores["bob"].late == ""


LATE = "2026-03-03T01:00:00+00:00"


@pytest.mark.parametrize(
    ("time_source", "received", "lateness", "days", "note"),
    [
        ("roster", LATE, "1 d 2 h 1 min", 2, "Late by 1 d 2 h 1 min."),
        ("platform", LATE[:19], "1 d 1 h 1 min", 2, "if its time is in the offset of the due date"),
        ("platform", "2026-03-01T23:58:59", "", 0, ""),
        ("files", LATE, "", 0, "By the time of its newest file it would be late by 1 d 2 h 1 min"),
        ("files", IN_TIME, "", 0, ""),
        ("name", LATE, "", 0, "By the time in its name it would be late by"),
        ("no late mark", "", "", 0, ""),
        ("late mark", "", "", 0, "the roster's column `submitted`"),
        ("", "", "", 0, "is unknown, so no points were deducted"),
    ],
)
def test_only_a_known_time_of_submission_takes_points(
    time_source: str,
    received: str,
    lateness: str,
    days: int,
    note: str,
    gradebook: FilledGradebook,
) -> None:
    due = datetime.fromisoformat("2026-03-01T23:59:00+01:00")
    gradebook.configure(late=LatePolicy(due=due, policy="per day", percent=10))
    gradebook.add_graded("ada", "ada.zip", received=received, time_source=time_source)
    [ada] = gradebook.rows()
    lost = round(days * 0.1 * ALL, 2)
    assert (ada["late"], float(ada["deduction"] or 0)) == (lateness, lost)
    assert note in ada["notes"]
    assert bool(note) == bool(ada["notes"])


@pytest.mark.parametrize(
    ("policy", "grace", "lost"), [("fixed", 0, 10), ("fixed", 1, 0), ("none", 0, 0)]
)
def test_a_mark_without_a_time_takes_points_where_no_time_is_needed(
    policy: Any, grace: float, lost: float, gradebook: FilledGradebook
) -> None:
    due = datetime.fromisoformat("2026-03-01T23:59:00+00:00")
    late = LatePolicy(due=due, policy=policy, percent=10, grace_hours=grace)
    gradebook.configure(late=late)
    gradebook.add_graded("ada", "ada.zip", received="", time_source="late mark")
    [ada] = gradebook.rows()
    lost = round(lost / 100 * ALL, 2)
    assert (float(ada["deduction"] or 0), ada["late"] == "marked as late") == (lost, lost > 0)
    assert ("the roster's column `submitted`" in ada["notes"]) == (not lost)
    scores, _ = gradebook.final_scores()
    assert scores["ada"].late == (f"Marked as late: {lost:g} points less." if lost else "")


def test_json_contains_every_item(gradebook: FilledGradebook) -> None:
    gradebook.configure(questions={QUESTION: WORTH})
    gradebook.add_ungraded("ada", "old.zip", "superseded")
    gradebook.add_graded("ada", "new.zip", wrong=True)
    gradebook.add_manual("ada", QUESTION, 2.5, "Half of it.")
    gradebook.add_manual("ada", "vectorized_loss", 1, "Copied from a friend.")
    old, new = gradebook.objects()
    assert (old["score"], old["final"], old["items"]) == (None, False, [])
    assert (new["student"], new["received"], new["time_source"]) == ("ada", IN_TIME, "platform")
    assert (new["maximum"], new["final"], new["deduction"]) == (ALL + WORTH, True, 0)
    items = {item["name"]: item for item in new["items"]}
    assert list(items)[: len(EXERCISE.names)] == EXERCISE.names
    assert items["naive_loss"] == {
        **{"name": "naive_loss", "title": "Naive loss", "kind": "check", "points": 0, "out_of": 8},
        **{"status": "wrong", "mistake": "no_keepdims", "by_hand": False, "comment": ""},
        "headline": "row-wise result without keepdims=True",
    }
    by_hand = items["vectorized_loss"]
    assert (by_hand["points"], by_hand["by_hand"]) == (1, True)
    assert by_hand["comment"] == "Copied from a friend."
    assert items[QUESTION]["points"] == 2.5
    assert new["score"] == sum(item["points"] or 0 for item in new["items"])


def test_the_command_prints_the_export_and_lists_students_left_out(
    gradebook: FilledGradebook,
) -> None:
    gradebook.add_graded("jane", "doejane_12_34_softmax.zip")
    gradebook.add_ungraded("absent", "", "nothing handed in")
    options = ["--out", str(gradebook.folder.out), "--exercise", "softmax", "--format"]
    result = CliRunner().invoke(cli, ["export", *options, "canvas"])
    text = export(gradebook.folder, "canvas").text
    assert (result.exit_code, result.stdout_bytes) == (0, text.encode())
    assert result.stderr == "absent is left out: nothing was handed in.\n"
    [form] = [option for option in cli.commands["export"].params if option.name == "form"]
    assert list(form.to_info_dict()["type"]["choices"]) == ["csv", "json", *PLATFORMS]
    path = write_gradebook(gradebook.folder)
    assert path.read_bytes().decode() == export(gradebook.folder, "csv").text
    with pytest.raises(GradkitError, match="A roster is for a platform"):
        export(gradebook.folder, "csv", Path("roster.csv"))


def test_platforms_get_final_scores_only(gradebook: FilledGradebook) -> None:
    gradebook.configure(questions={QUESTION: WORTH})
    for student in ("jane", "open"):
        gradebook.add_graded(student, f"{student}_12_34_softmax.zip")
    gradebook.add_manual("jane", QUESTION, 0)
    gradebook.add_ungraded("refused", "x_1_2_softmax.zip", "refused", "It is damaged.")
    gradebook.add_manual("refused", QUESTION, 4)
    gradebook.add_ungraded("absent", "", "nothing handed in")
    gradebook.add_ungraded("waits", "y_3_4_softmax.zip", "waiting")
    scores, notes = gradebook.final_scores()
    assert {student: score.score for student, score in scores.items()} == {"jane": ALL}
    assert [note for note in notes if not note.startswith("refused")] == [
        "absent is left out: nothing was handed in.",
        "open is left out: not graded yet: Inline question 1.",
        "waits is left out: y_3_4_softmax.zip has not been graded yet.",
    ]
    assert len(notes) == 4
    text = export(gradebook.folder, "canvas").text
    assert "jane,12," in text
    assert "open" not in text


@pytest.mark.parametrize(
    ("form", "epoch"), [("csv", 1), ("json", 1), ("canvas", 1), ("moodle", 2), ("gradescope", 2)]
)
def test_an_export_that_shows_students_their_checks_closes_the_epoch(
    gradebook: FilledGradebook, tmp_path: Path, form: str, epoch: int
) -> None:
    gradebook.add_graded("jane", "Jane Doe_12_assignsubmission_file_", wrong=True)
    gradebook.database.save_answer_key("spec", 1, AnswerKey(1))  # the epoch has been graded in
    header = "Identifier,Full name,Grade,Maximum Grade,Last modified (grade),Feedback comments"
    (tmp_path / "worksheet.csv").write_text(f"{header}\nParticipant 12,Jane Doe,,,,\n")
    roster = tmp_path / "worksheet.csv" if form == "moodle" else None
    export(gradebook.folder, form, roster)
    assert gradebook.database.epoch() == epoch


def test_the_last_of_several_submissions_counts(gradebook: FilledGradebook) -> None:
    gradebook.add_graded("jane", "doejane_1_1_x.zip", received="2026-01-01T00:00:00+00:00")
    gradebook.add_ungraded("jane", "", "nothing handed in")
    gradebook.add_graded("jane", "doejane_1_2_x.zip", wrong=True)
    scores, notes = gradebook.final_scores()
    assert (scores["jane"].submission, scores["jane"].score) == ("doejane_1_2_x.zip", ALL - 8)
    assert notes == []


def test_final_scores_contain_a_remark_on_each_item(gradebook: FilledGradebook) -> None:
    gradebook.add_graded("jane", "jane.zip", wrong=True)
    gradebook.add_manual("jane", "naive_gradient", 1.5, "x < y\n& so on")
    gradebook.add_manual("jane", QUESTION, 0, "Well said.")
    items = {item.title: item for item in gradebook.final_scores()[0]["jane"].items}
    assert items["Naive loss"][1:] == (0, 8, "Row-wise result without keepdims=True.")
    assert items["Naive gradient"][1::2] == (1.5, "x < y & so on")
    assert items["Vectorized loss"].remark == ""
    assert "Well said." in [item.remark for item in items.values()]
