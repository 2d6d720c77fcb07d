"""Blackboard: names tell user and time, receipts are nobody's submission."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from tests.lms.downloads import counting, found_in

START = "HW_1 Soft_max_{}_attempt_2026-03-0{}-23-59-10{}"


def test_names_tell_user_and_time_and_the_last_attempt_counts(tmp_path: Path) -> None:
    names = [
        START.format("rroe3", 1, "_R_Roe_attempt_2.zip"),
        START.format("rroe3", 1, ".txt"),
        START.format("rroe3", 1, " (1).txt"),  # unpacked twice
        *(START.format("jdoe12", day, rest) for day, rest in ((2, "_jane.zip"), (1, "_a.zip"))),
    ]
    found = found_in(tmp_path, *names)
    assert set(found) == {("rroe3", names[0]), ("jdoe12", names[3]), ("jdoe12", names[4])}
    jane = counting(found)["jdoe12"]
    assert (jane.name, jane.time_source) == (names[3], "platform")
    assert jane.received == datetime(2026, 3, 2, 23, 59, 10)


def test_files_of_an_attempt_belong_together(tmp_path: Path) -> None:
    files = ("_softmax.py", "_softmax.ipynb", "_extra.zip", "_notes.pdf", ".txt")
    names = [START.format("jdoe", day, file) for day in (1, 2) for file in files]
    old, new = found_in(tmp_path, *names, START.format("jdoe", 3, "_letter.pdf")).values()
    assert new.received == datetime(2026, 3, 2, 23, 59, 10)  # of what is graded
    new = replace(new, paths=new.paths[:-1])
    for each, day in ((old, 1), (new, 2)):
        assert {path.name for path in each.paths} == {
            START.format("jdoe", day, file) for file in files[:-1]
        }


def test_a_receipt_tells_where_the_user_begins(tmp_path: Path) -> None:
    receipts = {
        START.format("j_doe", 1, ".txt"): "Name: Jane (JD) Doe (j_doe)\nAssignment: HW\n",
        START.format("roe", 1, ".txt"): "Name: Joe Roe (j_doe)\n",  # as he calls himself
    }
    names = [name.replace(".txt", "_softmax.zip") for name in receipts]
    assert set(counting(found_in(tmp_path, *names, **receipts))) == {"j_doe", "roe"}


def test_users_who_share_the_last_part_are_not_one(tmp_path: Path) -> None:
    names = [START.format(user, 1, "_softmax.zip") for user in ("j_doe", "k_doe")]
    assert len(counting(found_in(tmp_path, *names))) == 2


def test_a_receipt_alone_is_a_student_without_files(tmp_path: Path) -> None:
    assert set(counting(found_in(tmp_path, START.format("jdoe", 1, ".txt")))) == {"jdoe"}
