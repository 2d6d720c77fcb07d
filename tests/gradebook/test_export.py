"""The gradebook as csv and json, and the final scores that platforms get."""

import contextlib
import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from assignment import PROJECT
from assignment.checks.check import Outcome
from assignment.checks.softmax import EXERCISE
from assignment.checks.verdict import Status, Verdict
from gradkit.autograder.version import kit_digest
from gradkit.cli import cli
from gradkit.course.answer_key import spec_digest
from gradkit.course.config import ExerciseConfig, read_config
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
from gradkit.gradebook.export import final_scores, format_grades, write_gradebook
from gradkit.gradebook.grades import ClassGrades, read_grades
from gradkit.lms.platform import FinalScore

ALL = sum(check.points for check in EXERCISE.checks)
QUESTION = "answer_initial_loss"
WORTH = 4  # points of that question
DUE = "2026-03-01T23:59:00+00:00"
IN_TIME = "2026-03-01T20:00:00+00:00"


@pytest.fixture(scope="module")
def digests() -> tuple[str, str]:
    """The digests of the grading spec and the kit, without which a result is an old one."""
    starter = starter_files(PROJECT, ["softmax"])
    return spec_digest("softmax", PROJECT, starter), kit_digest()


class FilledGradebook:
    """A class whose gradebook database is filled by hand."""

    def __init__(self, database: GradebookDatabase, digests: tuple[str, str]) -> None:
        self.database, self.digests = database, digests

    def add_graded(
        self, student: str, submission: str, *, wrong: str = "", received: str = IN_TIME
    ) -> None:
        """Add a submission that has all points, except for the check `wrong`."""
        key = ResultKey(student, f"content of {student}", *self.digests)
        verdicts = {
            check.name: Verdict(check.name, check.title, Status.PASSED, check.points, check.points)
            for check in EXERCISE.checks
        }
        if wrong:
            headline, mistake = "a row's number without keepdims", "no_keepdims"
            verdicts[wrong] = replace(
                verdicts[wrong], status=Status.WRONG, points=0, headline=headline, mistake=mistake
            )
        handed_in = {"files": {}, "cells": {}, "answers": {QUESTION: "**Your answer:** logarithm"}}
        outcomes = {name: Outcome() for name in verdicts}
        self.database.save_result(GradingResult(key, verdicts, outcomes, handed_in))
        self.database.save_submission(
            SubmissionRecord(
                submission, student, received, "graded", key.content_digest, (), "told"
            )
        )

    def add_ungraded(self, student: str, submission: str, status: str, *notes: str) -> None:
        record = SubmissionRecord(submission, student, "", status, None, notes)
        self.database.save_submission(record)

    def add_manual(self, student: str, item: str, points: float, comment: str = "") -> None:
        self.database.save_manual_grades([ManualGrade(student, item, points, comment)])

    def class_grades(self) -> ClassGrades:
        return read_grades(self.database, "softmax", PROJECT)

    def export(self, form: str, roster: Path | None = None) -> str:
        records = self.database.submissions()
        return format_grades(self.class_grades(), records, form, roster).text

    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.export("csv"), newline="")))

    def final_score(self, student: str) -> FinalScore:
        [score] = [each for each in final_scores(self.class_grades())[0] if each.student == student]
        return score


@pytest.fixture
def gradebook(tmp_path: Path, digests: tuple[str, str]) -> Iterator[FilledGradebook]:
    with contextlib.closing(GradebookDatabase(tmp_path / "grades", "softmax")) as database:
        yield FilledGradebook(database, digests)


Configure = Callable[..., None]


@pytest.fixture(autouse=True)
def configure(monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Sets points of questions and lateness in place of the exercise's config: none by default."""

    def configure(**values: Any) -> None:
        def read(*place: Any) -> ExerciseConfig:
            return msgspec.structs.replace(
                read_config(*place), **{"questions": {}, "late": LatePolicy(), **values}
            )

        monkeypatch.setattr("gradkit.gradebook.grades.read_config", read)

    configure()
    return configure


def late(policy: str, percent: float) -> LatePolicy:
    return LatePolicy(due=datetime.fromisoformat(DUE), policy=policy, percent=percent)


# --- csv and json --------------------------------------------------------------------------------


def test_csv_has_a_row_for_every_submission(gradebook: FilledGradebook) -> None:
    gradebook.add_ungraded("ada", "old.zip", "superseded")
    gradebook.add_graded("ada", "new.zip", wrong="naive_loss")
    gradebook.add_ungraded("bob", "", "nothing handed in", "Nothing was handed in.")
    gradebook.add_ungraded("eve", "eve.zip", "refused", "It is damaged.")
    rows = gradebook.rows()
    assert list(rows[0])[:5] == ["student", "score", "maximum", "status", "submission"]
    assert list(rows[0])[-3:] == ["late", "deduction", "notes"]
    assert QUESTION in rows[0]
    score = str(ALL - EXERCISE.check("naive_loss").points)
    assert [(row["submission"], row["score"], row["naive_loss"]) for row in rows] == [
        *(("old.zip", "", ""), ("new.zip", score, "0"), ("", "", ""), ("eve.zip", "", "")),
    ]
    assert rows[3]["notes"] == "It is damaged."


@pytest.mark.parametrize(("points", "cell"), [(2.5, "2.5"), (3.0, "3")])
def test_csv_writes_numbers_as_people_do(
    points: float, cell: str, gradebook: FilledGradebook, configure: Configure
) -> None:
    configure(questions={QUESTION: WORTH})
    gradebook.add_graded("ada", "ada.zip")
    gradebook.add_manual("ada", QUESTION, points)
    [row] = gradebook.rows()
    assert (row[QUESTION], row["score"]) == (cell, f"{ALL + float(cell):g}")


@pytest.mark.parametrize("name", ["=1+1", "-1", "\t=1", " =1"])
def test_csv_contains_no_formula(name: str, gradebook: FilledGradebook) -> None:
    gradebook.add_graded(name, f"{name}.zip")
    for cell in gradebook.rows()[0].values():
        assert not cell.lstrip().startswith(("=", "-"))


def test_exports_contain_lateness(gradebook: FilledGradebook, configure: Configure) -> None:
    configure(late=late("per day", 10))
    gradebook.add_graded("ada", "ada.zip", received="2026-03-03T01:00:00+00:00")
    gradebook.add_graded("bob", "bob.zip")
    ada, bob = gradebook.rows()
    lost = round(2 * 0.1 * ALL, 2)
    assert (ada["late"], float(ada["deduction"])) == ("1 d 1 h 1 min", lost)
    assert float(ada["score"]) == round(ALL - lost, 2)
    assert (bob["late"], bob["deduction"], bob["score"]) == ("", "", str(ALL))
    object_ = json.loads(gradebook.export("json"))[0]
    assert (object_["late"], object_["earned"]) == (25 * 3600 + 60, ALL)
    score = gradebook.final_score("ada")
    assert score.late == f"Late by 1 d 1 h 1 min: {lost:g} points less."
    assert gradebook.final_score("bob").late == ""


def test_json_contains_every_item(gradebook: FilledGradebook, configure: Configure) -> None:
    configure(questions={QUESTION: WORTH})
    gradebook.add_ungraded("ada", "old.zip", "superseded")
    gradebook.add_graded("ada", "new.zip", wrong="naive_loss")
    gradebook.add_manual("ada", QUESTION, 2.5, "Half of it.")
    gradebook.add_manual("ada", "vectorized_loss", 1, "Copied from a friend.")
    old, new = json.loads(gradebook.export("json"))
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


def test_unknown_formats_and_needless_rosters_are_refused(gradebook: FilledGradebook) -> None:
    with pytest.raises(GradkitError, match="A roster is for a platform"):
        gradebook.export("csv", Path("roster.csv"))
    with pytest.raises(GradkitError, match=r"no format 'blackboard'\. There are: csv, json, canv"):
        gradebook.export("blackboard")


def test_the_command_prints_the_export_and_lists_students_left_out(
    gradebook: FilledGradebook, tmp_path: Path
) -> None:
    gradebook.add_graded("jane", "doejane_12_34_softmax.zip")
    gradebook.add_ungraded("absent", "", "nothing handed in")
    options = ["--out", str(tmp_path / "grades"), "--exercise", "softmax", "--format"]
    result = CliRunner().invoke(cli, ["export", *options, "canvas"])
    assert (result.exit_code, result.stdout_bytes) == (0, gradebook.export("canvas").encode())
    assert result.stderr == "absent is left out: nothing was handed in.\n"
    path = write_gradebook(GradebookFolder(PROJECT, "softmax", tmp_path / "grades"))
    assert path.read_bytes().decode() == gradebook.export("csv")


# --- final scores --------------------------------------------------------------------------------


def test_platforms_get_final_scores_only(gradebook: FilledGradebook, configure: Configure) -> None:
    configure(questions={QUESTION: WORTH})
    for student in ("jane", "open"):
        gradebook.add_graded(student, f"{student}_12_34_softmax.zip")
    gradebook.add_manual("jane", QUESTION, 0)
    gradebook.add_ungraded("refused", "x_1_2_softmax.zip", "refused", "It is damaged.")
    gradebook.add_manual("refused", QUESTION, 4)
    gradebook.add_ungraded("absent", "", "nothing handed in")
    gradebook.add_ungraded("waits", "y_3_4_softmax.zip", "waiting")
    scores, notes = final_scores(gradebook.class_grades())
    assert [(score.student, score.score) for score in scores] == [("jane", ALL)]
    title = gradebook.class_grades().questions[0].title
    assert [note for note in notes if not note.startswith("refused")] == [
        "absent is left out: nothing was handed in.",
        f"open is left out: not graded yet: {title}.",
        "waits is left out: y_3_4_softmax.zip has not been graded yet.",
    ]
    assert len(notes) == 4
    text = gradebook.export("canvas")
    assert "jane,12," in text
    assert "open" not in text


def test_the_last_of_several_submissions_counts(gradebook: FilledGradebook) -> None:
    gradebook.add_graded("jane", "doejane_1_1_x.zip", received="2026-01-01T00:00:00+00:00")
    gradebook.add_ungraded("jane", "", "nothing handed in")
    gradebook.add_graded("jane", "doejane_1_2_x.zip", wrong="naive_loss")
    scores, notes = final_scores(gradebook.class_grades())
    assert [(score.submission, score.score) for score in scores] == [("doejane_1_2_x.zip", ALL - 8)]
    assert notes == []


def test_final_scores_contain_a_remark_on_each_item(gradebook: FilledGradebook) -> None:
    gradebook.add_graded("jane", "jane.zip", wrong="naive_loss")
    gradebook.add_manual("jane", "naive_gradient", 1.5, "x < y\n& so on")
    gradebook.add_manual("jane", QUESTION, 0, "Well said.")
    items = {item.title: item for item in gradebook.final_score("jane").items}
    assert items["Naive loss"][1:] == (0, 8, "A row's number without keepdims.")
    assert items["Naive gradient"][1::2] == (1.5, "x < y & so on")
    assert items["Vectorized loss"].remark == ""
    assert "Well said." in [item.remark for item in items.values()]
