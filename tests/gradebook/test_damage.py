"""Damaged rows of a gradebook are named, cost nobody else anything, and are mended by grading."""

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.classes import GradedClass, grade, gradkit, read_gradebook

RESULT = "(SELECT id FROM results WHERE student = '{}')"
DAMAGE = {
    "ada": f"UPDATE results SET verdicts = '{{{{' WHERE id = {RESULT}",
    "bob": f"UPDATE result_parts SET packed = x'00' WHERE result = {RESULT} AND kind = 'outcome'",
    "cleo": f"DELETE FROM result_parts WHERE result = {RESULT} AND name = 'vectorized_loss'",
    "dan": "UPDATE submissions SET status = 'lost' WHERE student = '{}'",
    "eve": "UPDATE submissions SET notes = '{{' WHERE student = '{}'",
}


@pytest.fixture
def damaged(graded_class: GradedClass, tmp_path: Path) -> GradedClass:
    copy = GradedClass(graded_class.submissions, tmp_path / "grades")
    copy.out.mkdir()
    shutil.copy2(graded_class.out / "gradebook.sqlite", copy.out)
    with closing(sqlite3.connect(copy.out / "gradebook.sqlite", isolation_level=None)) as db:
        for student, damage in DAMAGE.items():
            assert db.execute(damage.format(student)).rowcount
    return copy


def test_damaged_rows_are_named_and_graded_again(
    graded_class: GradedClass, damaged: GradedClass
) -> None:
    path, before = damaged.out / "gradebook.sqlite", read_gradebook(graded_class.out)
    ran = gradkit("rejudge", "--out", damaged.out)
    assert ran.returncode == 1
    reasons = {"ada": "Expecting", "bob": "Error -", "cleo": "a part is miss"}
    [student] = re.findall(rf"The result of (\w+) in {path} is damaged", ran.stderr)
    assert f"is damaged ({reasons[student]}" in ran.stderr
    assert f"--regrade {student} " in ran.stderr
    book = read_gradebook(damaged.out)
    for student in ("ada", "cleo", "dan", "eve"):
        row = book[student]
        assert (row["score"], row["status"]) == ("", "failed")
        assert f"{student} in {path} is damaged" in row["notes"] or "Its record in" in row["notes"]
    [fay] = [student for student in book if "fay" in student]
    for student in (fay, "bob"):  # his points are whole
        assert book[student] == before[student]

    ran = gradkit("feedback", "--out", damaged.out)
    assert ran.returncode == 1
    assert f"error: The result of bob in {path} is damaged ({reasons['bob']}" in ran.stderr
    assert [path.name for path in damaged.out.glob("*feedback*")] == []

    ran = grade(*damaged, "--regrade", "bob")
    assert ran.returncode == 0, ran.stderr
    assert "3 graded; 2 had been graded before; 1 refused." in ran.stdout
    assert read_gradebook(damaged.out) == before
    assert gradkit("rejudge", "--out", damaged.out).returncode == 0


def test_a_damaged_seed_is_named(damaged: GradedClass) -> None:
    with closing(sqlite3.connect(damaged.out / "gradebook.sqlite", isolation_level=None)) as db:
        db.execute("UPDATE settings SET value = '12x' WHERE name = 'secret'")
    ran = grade(*damaged)
    assert ran.returncode == 1
    assert f"error: The secret in {damaged.out}/gradebook.sqlite is damaged. Put" in ran.stderr
