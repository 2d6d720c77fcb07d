"""Gradescope: the exported autograder gives each submission its results, and no other."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gradkit.lms.platform import Export, ItemPoints
from tests.lms.scores import exported, final, write

WRONG = ItemPoints("Naive loss", 0.0, 8, "A row's number without keepdims.")
RIGHT = ItemPoints("Naive gradient", 8.0, 8, "")
UNGRADED_ANSWER = ItemPoints("Question", None, 0, "Well said.")


def run_autograder(text: str, folder: Path, **submission: Any) -> tuple[int, Any]:
    """Run an autograder on a submission: its exit status, and its results if there are any."""
    folder.mkdir()
    (folder / "run_autograder").write_text(text, encoding="utf-8")
    (folder / "submission_metadata.json").write_text(json.dumps(submission), encoding="utf-8")
    command = [sys.executable, str(folder / "run_autograder"), str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    results = folder / "results" / "results.json"
    return ran.returncode, json.loads(results.read_text()) if results.exists() else None


@pytest.fixture
def export(tmp_path: Path) -> Export:
    return exported(
        "gradescope",
        final("0123", "submission_77", 19, WRONG, RIGHT, UNGRADED_ANSWER, late="Late by 2 h 1 min"),
        final("jane@example.edu", 'jane\'s "work".zip'),
        final("u3", "zoe.zip", 22),
        roster=write(tmp_path, "student,mail\nu3,Zoe@Example.edu\n"),
    )


def test_autograder_gives_results_by_submission_number(export: Export, tmp_path: Path) -> None:
    assert export.text.startswith("#!/usr/bin/env python3\n")
    assert export.notes == []
    status, results = run_autograder(export.text, tmp_path / "1", id=77, users=[])
    assert (status, results["score"], results["output"]) == (0, 19, "Late by 2 h 1 min")
    assert results["visibility"] == "after_published"
    assert results["tests"] == [
        {"name": "Naive loss", "score": 0, "max_score": 8, "output": WRONG.remark},
        {"name": "Naive gradient", "score": 8, "max_score": 8, "output": ""},
    ]


@pytest.mark.parametrize(
    ("address", "status", "score"),
    [
        ("JANE@example.edu", 0, 30),
        ("zoe@example.edu", 0, 22),
        ("mallory@example.edu", 1, None),
    ],
)
def test_autograder_gives_results_by_address(
    address: str, status: int, score: int | None, export: Export, tmp_path: Path
) -> None:
    users = [{"email": address, "id": 1, "name": "0123"}]
    exit_status, results = run_autograder(export.text, tmp_path / "1", id=78, users=users)
    assert (exit_status, results and results["score"]) == (status, score)


def test_a_group_has_one_score(tmp_path: Path) -> None:
    a, b = final("a@x.edu", "submission_1", 22), final("b@x.edu", "submission_1", 22)
    text, notes = exported("gradescope", a, b)
    assert notes == []
    status, results = run_autograder(text, tmp_path / "1", id=1, users=[])
    assert (status, results["score"]) == (0, 22)
    text, notes = exported("gradescope", a, b._replace(score=30))
    assert notes[0].startswith("a@x.edu and b@x.edu are left out: Gradescope has one score")
    assert run_autograder(text, tmp_path / "2", id=1, users=[])[0] == 1
