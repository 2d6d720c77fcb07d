"""The students of a roster are found in the names of submissions, and their times are read."""

import os
import re
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gradkit.errors import GradkitError
from gradkit.submissions.archives import SubmissionRejected
from gradkit.submissions.discover import Submission, find_submissions
from gradkit.submissions.extract import read_submission
from gradkit.submissions.roster import read_roster
from tests.lms.scores import SCRIPTS, canvas_name
from tests.submissions.packing import FILE, SOFTMAX, zip_of

ROSTER = """\
student,name,email,canvas,section
u1,Jane Doe,jane.doe@example.edu,"Doe, Jane",A
u2,Jane,j@example.edu,,A
u3,Zoë Roe,zoe@example.edu,12345,A
u4,王伟,wang@example.edu,,A
"""


def find(folder: Path, roster: str, *names: str) -> list[Submission]:
    """Find submissions of these names with a roster."""
    for name in names:
        (folder / name).mkdir(parents=True)
    path = folder / "roster.csv"
    path.write_text(roster, encoding="utf-8")
    return find_submissions(folder, SOFTMAX, path)


def owners(folder: Path, roster: str, *names: str) -> dict[str, tuple[str, ...]]:
    """Return the notes on submissions of these names, by student."""
    return {each.student: each.notes for each in find(folder, roster, *names) if each.name}


@pytest.mark.parametrize(
    ("name", "student"),
    [
        ("u1", "u1"),
        ("Jane Doe_77_assignsubmission_file_", "u1"),
        ("jane_doe.zip", "u1"),
        ("JANE-DOE softmax", "u1"),
        ("jane.doe@example.edu_softmax.zip", "u1"),
        ("doejane_5_6_x.zip", "u1"),
        ("Jane_hw.zip", "u2"),
        ("ZOE\u0308 ROE", "u3"),
        ("xy_12345_6_softmax.zip", "u3"),
        ("王伟_7_8_softmax.zip", "u4"),
        ("softmax-王伟.zip", "u4"),
    ],
)
def test_the_longest_text_in_a_name_gives_the_student(
    name: str, student: str, tmp_path: Path
) -> None:
    assert owners(tmp_path, ROSTER, name) == {student: ()}


@pytest.mark.parametrize("names", SCRIPTS.values(), ids=SCRIPTS)
def test_names_that_differ_in_marks_are_two_students(
    names: tuple[str, str, str], tmp_path: Path
) -> None:
    one, other, first = names
    roster = f"student,name\nu1,{first} {one}\nu2,{first} {other}\n"
    for form in ("NFC", "NFD"):
        for name in (f"{first} {other}.zip", f"{canvas_name(other + first)}_5_6_x.zip"):
            name = unicodedata.normalize(form, name)
            folder = tmp_path / form / name
            assert owners(folder, roster, name) == {"u2": ()}


@pytest.mark.parametrize(
    ("known", "name"),
    [
        ("山田\u3000太郎", "山田太郎_5_6_softmax.zip"),
        ("山田太郎", "山田\u3000太郎.zip"),
        ("Jane\u00a0Doe", "jane_doe.zip"),
        ("Doe,\tJane", "Jane Doe.zip"),
        ("نیک\u200cنام", "نیکنام_5_6_softmax.zip"),
        ("نیکنام", "نیک\u200cنام.zip"),
        ("\u200eJane Doe\u200f", "Jane Doe.zip"),
        ("Jane Doe", "Ja\u00adne Doe.zip"),
        ("ｊａｎｅ　Ｄｏｅ", "Jane Doe.zip"),
        ("Groß", "GROSS.zip"),
        ("IŞIK", "ışık.zip"),
        ("İnci", "inci.zip"),
        ("Jane Mary van der Doe", "vanderdoejanemary_5_6_softmax.zip"),
        ("Jane Doe", "Doe Jane.zip"),
    ],
)
def test_spellings_of_a_name_are_one(known: str, name: str, tmp_path: Path) -> None:
    assert owners(tmp_path, f'student,name\nu1,"{known}"\nu2,Joe\n', name) == {"u1": ()}


TURNED = "student,name,canvas\nu1,Wei Wang,71\nu2,Wang Wei,72\n"


@pytest.mark.parametrize(
    ("name", "student", "notes"),
    [
        ("Wei Wang_5_assignsubmission_file_", "u1", ()),
        ("wang_wei.zip", "u2", ()),
        ("wangwei_71_6_softmax.zip", "u1", ()),
        ("wangwei_5_6_softmax.zip", "wangwei_5", ("u1 or u2",)),
    ],
)
def test_two_students_whose_names_are_turned_stay_apart(
    name: str, student: str, notes: tuple[str, ...], tmp_path: Path
) -> None:
    unclear = tuple(UNCLEAR.format(matched) for matched in notes)
    assert owners(tmp_path, TURNED, name) == {student: unclear}


def test_a_very_long_name_takes_no_quadratic_work(tmp_path: Path) -> None:
    long = "a b " * 5_000
    path = tmp_path / "roster.csv"
    path.write_text(f"student,name\nu1,{long}\nu2,b\n", encoding="utf-8")
    roster = read_roster(path)
    assert sum(map(len, roster.owners)) < 500_000
    assert roster.match(long[:1000]) == (["u2"], [])


WANGS = "student,name,canvas\nu1,Wei Wang,71\nu2,Wei Wang,72\nwei,Wei,\nWEI,Wei,\n"
UNCLEAR = "Its name matches {} of the roster, so the id was made from the name."


@pytest.mark.parametrize(
    ("roster", "name", "student", "note"),
    [
        (ROSTER, "mallory.zip", "mallory", UNCLEAR.format("no student")),
        (ROSTER, "janedoelike.zip", "janedoelike", UNCLEAR.format("no student")),
        (ROSTER, "u_3.zip", "u_3", UNCLEAR.format("no student")),
        ("student\n123\n", "12_3.zip", "12_3", UNCLEAR.format("no student")),
        (WANGS, "Wei Wang.zip", "Wei Wang", UNCLEAR.format("u1 or u2")),
        (WANGS, "wei.zip", "wei?", UNCLEAR.format("WEI or wei")),
        (ROSTER, "u3_and_jane_doe_A", "u1", "Its name also matches u3 of the roster."),
    ],
)
def test_an_unclear_name_is_noted(
    roster: str, name: str, student: str, note: str, tmp_path: Path
) -> None:
    assert owners(tmp_path, roster, name) == {student: (note,)}


def test_a_second_text_decides_between_students_of_one_name(tmp_path: Path) -> None:
    assert owners(tmp_path, WANGS, "weiwang_72_5_softmax.zip") == {"u2": ()}


def test_students_without_a_submission_are_listed(tmp_path: Path) -> None:
    submissions = find(tmp_path, ROSTER, "u2", "u4")
    assert [(each.student, each.name) for each in submissions] == [
        *(("u1", ""), ("u2", "u2"), ("u3", ""), ("u4", "u4")),
    ]
    with pytest.raises(SubmissionRejected, match="Nothing was handed in"):
        read_submission(submissions[0], SOFTMAX)


def test_a_roster_gives_times_of_submission(tmp_path: Path) -> None:
    roster = """\
student,name,submitted
u1,Jane,2026-03-01T23:59:00+01:00
u2,Zoë,2026-03-01 22:58:30
u3,Jim,
u4,Joe,2026-03-01T00:00:00Z
"""
    for name in ("Jane", "Zoë", "Jim"):
        os.utime(zip_of({FILE: b""}, tmp_path / f"{name}.zip"), (1e9, 1e9))
    assert [(each.received, each.time_source) for each in find(tmp_path, roster)] == [
        (datetime(2026, 3, 1, 22, 59, tzinfo=UTC), "roster"),
        (datetime(2026, 3, 1, 22, 58, 30, tzinfo=UTC), "roster"),
        (datetime.fromtimestamp(1e9, UTC), "files"),
        (None, ""),
    ]


def test_the_roster_gives_the_time_of_the_submission_that_counts(tmp_path: Path) -> None:
    for name in ("u1 2026-03-02.zip", "u1 2026-03-01.zip"):
        zip_of({FILE: b""}, tmp_path / name)
    old, new = find(tmp_path, "student,submitted\nu1,2026-01-01T00:00Z\n")
    assert (old.superseded, old.received) == (True, datetime(2026, 3, 1))
    assert (new.superseded, new.received) == (False, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("roster", "problem"),
    [
        ("student\n", "lists no students"),
        *(
            (f"student,submitted\nu1,\nu2,{time}\n", f"row 3: {time!r} in the column `submitted`")
            for time in ("yesterday", "2026-03-01", "1/3/2026 8:00", "2026-13-01T00:00")
        ),
    ],
)
def test_an_unusable_roster_is_refused(roster: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(GradkitError, match=re.escape(problem)):
        find(tmp_path, roster, "u1")
