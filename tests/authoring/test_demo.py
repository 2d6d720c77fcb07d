"""The demo: from the starters to the feedback of a made-up class."""

import json
from pathlib import Path
from typing import Any

import pytest

from assignment import PROJECT
from gradkit.authoring import demo
from gradkit.authoring.demo import MIN_SUBMISSIONS, spread, write_submissions
from gradkit.autograder.sandbox import Isolation, SandboxError
from gradkit.batch.grade_class import Request
from gradkit.errors import GradkitError
from gradkit.gradebook.database import GradebookFolder
from gradkit.gradebook.export import export
from tests.authoring.conftest import RunGradkit

# The scores, statuses and names of mistakes of the demo's class, which no refactoring changes.
RECORDED = json.loads(Path(__file__).with_name("demo_grades.json").read_text(encoding="utf-8"))


def grades_of(exported: list[dict[str, Any]]) -> dict[str, Any]:
    """Return each student's score, and the status and mistake of each check that did not pass."""
    return {
        row["student"]: {
            "score": row["score"],
            "checks": {
                item["name"]: f"{item['status']} {item['mistake']}".strip()
                for item in row["items"]
                if item["kind"] == "check" and item["status"] != "passed"
            },
        }
        for row in exported
    }


def test_demo_grades_a_class_of_each_exercise(
    course: Path, gradkit: RunGradkit, monkeypatch: pytest.MonkeyPatch, sandbox: None
) -> None:
    monkeypatch.setattr(demo, "CLASS_SIZE", 3 * MIN_SUBMISSIONS)
    lines: list[str] = []
    demo.demo(course, 2, lines.append)
    printed = "\n".join(lines)
    for title, name in (
        ("The k-nearest-neighbor classifier", "knn"),
        ("The linear SVM", "svm"),
        ("The softmax classifier", "softmax"),
    ):
        assert f"{title}: {MIN_SUBMISSIONS - 1} graded; 1 refused." in printed
        assert f"grades/{name}/class.html" in printed
        out = course / "demo" / "grades" / name
        assert (out / "class.html").is_file()
        assert (out / "feedback" / "s01.html").is_file()
        exported = export(GradebookFolder(course, name, out), "json")
        assert grades_of(json.loads(exported.text)) == RECORDED[name]
    assert "s01    100  ✓✓✓✓✓✓✓✓✓✓✓✓✓✓✓✓✓" in printed
    assert "Naive loss: not attempted yet" in printed
    assert (course / "demo" / "assignment1-starter.zip").is_file()
    # A second demo replaces the first, but nothing else.
    (course / "demo" / "mine.txt").write_text("keep me", encoding="utf-8")
    ran = gradkit("demo")
    assert ran.returncode == 1
    assert "mine.txt, which is not from a demo" in ran.stderr
    assert (course / "demo" / "grades").is_dir()


@pytest.mark.parametrize("count", [MIN_SUBMISSIONS, 10, 15, 30])
def test_class_of_any_size_has_submissions_of_each_kind(count: int, tmp_path: Path) -> None:
    write_submissions(PROJECT, "svm", tmp_path / "class", count)
    submissions = [path.read_bytes() for path in sorted((tmp_path / "class").iterdir())]
    assert len(submissions) == count
    assert submissions[-3] == submissions[-2]  # untouched
    assert submissions[-2].startswith(submissions[-1])  # damaged
    assert len(set(submissions)) >= min(count - 1, 5)
    assert spread([], 3) == []  # an exercise without variants


def test_demo_without_a_sandbox_reports_it_in_a_line_and_goes_on(
    course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class GradedError(Exception):
        pass

    def no_sandbox() -> None:
        raise SandboxError("bubblewrap is not installed. More lines\nof help.")

    def grade_class(request: Request, say: Any) -> None:
        assert request.isolation is Isolation.NONE
        raise GradedError

    monkeypatch.setattr(demo, "self_test", no_sandbox)
    monkeypatch.setattr(demo, "grade_class", grade_class)
    lines: list[str] = []
    with pytest.raises(GradedError):
        demo.demo(course, 2, lines.append)
    [line] = [line for line in lines if "Without a sandbox" in line]
    assert line.endswith(". bubblewrap is not installed.")


def test_demo_of_a_wrong_solution_fails_with_a_sentence(course: Path) -> None:
    path = course / "assignment" / "classifiers" / "softmax.py"
    source = path.read_text(encoding="utf-8")
    path.write_text(source.replace("/ num_train + 0.5 *", "+ 0.5 *"), encoding="utf-8")
    with pytest.raises(GradkitError, match=r"^\S+/(softmax|grading)\S+.*: |stands 0 times"):
        demo.demo(course, 2, lambda line: None)
