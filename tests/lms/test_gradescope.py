"""Gradescope: the exported autograder gives each submission its results, and no other."""

import json
import runpy
from pathlib import Path
from typing import Any

from gradkit.lms.platform import ItemPoints
from tests.lms.scores import WRONG, exported, final, write


def run_autograder(text: str, folder: Path, number: int, *addresses: str) -> dict[str, Any]:
    """Return the results of an autograder for a submission; {} if it fails."""
    results = folder / "results/results.json"
    results.unlink(missing_ok=True)
    script = folder / "run_autograder"
    script.write_text(text, encoding="utf-8")
    users = [{"email": each, "id": 1, "name": "0123"} for each in addresses]
    metadata = json.dumps({"id": number, "users": users})
    (folder / "submission_metadata.json").write_text(metadata, encoding="utf-8")
    exit_status = runpy.run_path(str(script))["main"](folder)
    assert (exit_status == 0) == results.exists()
    return dict(json.loads(results.read_text())) if results.exists() else {}


def test_autograder_gives_results_by_number_or_address(tmp_path: Path) -> None:
    right = ItemPoints("Naive gradient", 8.0, 8, "")
    answer = ItemPoints("Question", None, 0, "Well said.")
    text, notes = exported(
        "gradescope",
        final("0123", "submission_77", 19, WRONG, right, answer, late="Late by 2 h 1 min"),
        final("jane@example.edu", 'jane\'s "work".zip'),
        final("u3", "zoe.zip", 22),
        roster=write(tmp_path, "student,mail\nu3,Zoe@Example.edu\n"),
    )
    assert text.startswith("#!/usr/bin/env python3\n")
    assert notes == []
    results = run_autograder(text, tmp_path, 77)
    assert (results["score"], results["output"]) == (19, "Late by 2 h 1 min")
    assert results["visibility"] == "after_published"
    assert results["tests"] == [
        {"name": "Naive loss", "score": 0, "max_score": 8, "output": WRONG.remark},
        {"name": "Naive gradient", "score": 8, "max_score": 8, "output": ""},
    ]
    assert run_autograder(text, tmp_path, 78, "JANE@example.edu")["score"] == 30
    assert run_autograder(text, tmp_path, 78, "zoe@example.edu")["score"] == 22
    for addresses in (["mallory@example.edu"], ["jane@example.edu", "zoe@example.edu"], []):
        assert run_autograder(text, tmp_path, 78, *addresses) == {}


def test_a_group_has_one_score(tmp_path: Path) -> None:
    a, b = final("a@x.edu", "submission_1", 22), final("b@x.edu", "submission_1", 22)
    text, notes = exported("gradescope", a, b)
    assert notes == []
    assert run_autograder(text, tmp_path, 1)["score"] == 22
    text, [note] = exported("gradescope", a, b._replace(score=30))
    assert note.startswith("a@x.edu and b@x.edu are left out: Gradescope has one score")
    assert run_autograder(text, tmp_path, 1) == {}
