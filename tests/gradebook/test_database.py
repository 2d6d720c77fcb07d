"""The gradebook database: what was written is read again, whole, by one grader after another."""

import contextlib
import platform
import resource
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assignment import __version__
from assignment.checks.answer_key import AnswerKey
from assignment.checks.check import Outcome
from assignment.checks.verdict import Status, Verdict
from gradkit.gradebook.database import (
    DatabaseError,
    GradebookDatabase,
    GradingResult,
    ResultKey,
    SubmissionRecord,
    exercise_of,
)

KEY = ResultKey("ada", "w" * 64, "e" * 16, "k" * 16)


def result(key: ResultKey = KEY, points: int = 8) -> GradingResult:
    verdict = Verdict("naive_loss", "Naive loss", Status.PASSED, points, 8)
    handed_in = {"files": {"softmax.py": "\xe4"}, "cells": {}, "answers": {}}
    return GradingResult(key, {"naive_loss": verdict}, {"naive_loss": Outcome()}, handed_in)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[GradebookDatabase]:
    with contextlib.closing(GradebookDatabase(tmp_path / "grades", "softmax")) as opened:
        yield opened


def test_a_result_is_read_as_it_was_written_and_replaced_as_a_whole(
    database: GradebookDatabase,
) -> None:
    assert database.result(KEY) is None
    database.save_result(result())
    assert database.result(KEY) == result()
    database.save_result(result(points=3))
    [read] = database.results()
    assert read == result(points=3)
    python = platform.python_version()
    assert read.versions == {"gradkit": __version__, "Python": python, "numpy": np.__version__}


def test_a_new_gradebook_s_folder_is_closed_to_other_users(database: GradebookDatabase) -> None:
    """They could read grades in it, and keep graders away by a lock."""
    assert database.path.parent.stat().st_mode & 0o777 == 0o700
    assert database.path.stat().st_mode & 0o777 == 0o600


def test_a_result_of_a_new_spec_replaces_the_older_one(database: GradebookDatabase) -> None:
    database.save_result(result())
    [read] = database.results()
    newer = result(KEY._replace(spec="f" * 16), points=3)
    database.save_result(replace(newer, outcomes=read.outcomes), replaced=KEY)
    assert list(database.results()) == [newer]


def test_a_record_is_read_as_it_was_written(database: GradebookDatabase) -> None:
    record = SubmissionRecord(
        "a.zip", "ada", "2026-03-01", "graded", "w", ("One.", "Two."), "platform"
    )
    database.save_submission(record)
    assert database.submission("ada", "a.zip") == record
    assert database.submissions() == [record]


def test_a_seed_is_drawn_once(database: GradebookDatabase) -> None:
    seed = database.secret(None)
    assert 0 <= seed < 2**128
    assert database.secret(None) == seed == database.secret(seed)
    with pytest.raises(DatabaseError, match="begun with another seed"):
        database.secret(seed + 1)


def test_each_epoch_has_a_secret_of_its_own(database: GradebookDatabase) -> None:
    base = database.secret(None)
    secrets = {database.epoch_secret(epoch) for epoch in range(1, 50)}
    assert len(secrets | {base}) == 50
    assert max(secrets) < 2**128
    assert database.epoch_secret(1) in secrets


def test_only_an_epoch_in_which_something_was_graded_is_closed(database: GradebookDatabase) -> None:
    for _ in range(2):
        with database.closed_epoch():
            assert database.epoch() == 1
    database.save_answer_key("spec", 1, AnswerKey(1))
    for _ in range(2):
        with database.closed_epoch():
            assert database.epoch() == 2


def test_the_solution_is_verified_for_one_spec_epoch_and_kit(database: GradebookDatabase) -> None:
    database.mark_verified("spec", 1, "kit")
    asked = [("spec", 1, "kit"), ("another", 1, "kit"), ("spec", 2, "kit"), ("spec", 1, "another")]
    assert [database.is_verified(*each) for each in asked] == [True, False, False, False]


def test_the_epoch_of_a_content_is_that_of_its_last_result(database: GradebookDatabase) -> None:
    assert database.epoch_of(KEY.content_digest) == 1
    for student, epoch in (("ada", 3), ("bob", 2)):
        database.save_result(replace(result(KEY._replace(student=student)), epoch=epoch))
    assert database.epoch_of(KEY.content_digest) == 2
    assert database.epoch_of("another content") == 1


def test_a_gradebook_of_another_exercise_is_refused(database: GradebookDatabase) -> None:
    assert exercise_of(database.path.parent) == "softmax"
    with pytest.raises(DatabaseError, match="is of exercise 'softmax', but 'svm' is asked for"):
        GradebookDatabase(database.path.parent, "svm")


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def blank_a_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(5 * 4096)
        file.write(bytes(4096))


def become_another_program_s(path: Path) -> None:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE moz_places (id INTEGER)")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b""), "is empty.* not begun anew. Put a copy"),
        (
            lambda path: path.write_bytes(b"text" * 99),
            "cannot be used: .*not a database. Put",
        ),
        (shorten, "cannot be used: .*malformed. Put a copy"),
        (blank_a_page, "cannot be used: Page 6: .* Put a copy"),
        (become_another_program_s, "is a database of another program"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_and_left_as_it_is(
    database: GradebookDatabase, damage: Callable[[Path], object], message: str
) -> None:
    database.secret(None)
    database.save_result(result())
    database.close()
    damage(database.path)
    before = database.path.read_bytes()
    folder = database.path.parent
    with pytest.raises(DatabaseError, match=f"{database.path} {message}"):
        GradebookDatabase(folder, "softmax")
    with pytest.raises(DatabaseError, match=f"{database.path} {message}"):
        exercise_of(folder)
    assert database.path.read_bytes() == before


def test_a_journal_without_its_gradebook_is_not_played_into_a_new_one(
    database: GradebookDatabase,
) -> None:
    seed = database.secret(None)
    (kept := database.path.with_name("kept")).hardlink_to(database.path)
    database.path.unlink()
    with pytest.raises(DatabaseError, match=r"-wal belongs to a gradebook.*Put it back"):
        GradebookDatabase(database.path.parent, "softmax")
    kept.rename(database.path)
    with GradebookDatabase(database.path.parent, "softmax") as again:
        assert again.secret(None) == seed


def test_what_sqlite_reports_names_the_file_and_what_to_do(database: GradebookDatabase) -> None:
    [(pages,)] = database._db.execute("PRAGMA page_count")
    database._db.execute(f"PRAGMA max_page_count = {pages}")  # as if the disk were full
    full = pytest.raises(DatabaseError, match=f"^{database.path} cannot .* full. Make room")
    with full, database:
        database.save_result(result(KEY._replace(student="ada" * 4096)))


def test_what_keeps_the_machine_from_writing_is_reported(database: GradebookDatabase) -> None:
    database.secret(None)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(DatabaseError, match=r"disk.* has room"), database:
            database.save_result(result())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_database_that_another_program_writes_to_is_reported(database: GradebookDatabase) -> None:
    database._db.execute("PRAGMA busy_timeout = 0")
    with contextlib.closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        busy = pytest.raises(DatabaseError, match=r"locked\. Another program is using it\. Wait")
        with busy, database:
            database.secret(None)


def test_a_result_that_cannot_be_written_whole_leaves_the_older_one(
    database: GradebookDatabase,
) -> None:
    database.save_result(result(points=3))
    with contextlib.closing(sqlite3.connect(database.path)) as db:
        db.execute(
            "CREATE TRIGGER full BEFORE INSERT ON result_parts WHEN NEW.kind = 'handed in' "
            "BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    with pytest.raises(sqlite3.IntegrityError, match="disk full"):
        database.save_result(result())
    assert database.result(KEY) == result(points=3)


def test_a_result_of_another_spec_or_kit_is_another_result(database: GradebookDatabase) -> None:
    database.save_result(result())
    for other in (KEY._replace(spec="f" * 16), KEY._replace(kit="l" * 16)):
        assert database.result(other) is None
        assert database.latest(other) == result()


def test_the_database_can_be_read_while_it_is_written(database: GradebookDatabase) -> None:
    with contextlib.closing(sqlite3.connect(database.path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
