"""Submissions are graded again, keep their points when problems change, or are debugged."""

import re
import subprocess
from contextlib import closing
from pathlib import Path

from assignment import PROJECT
from gradkit.gradebook.database import GradebookDatabase
from tests.classes import GradedClass, grade, gradkit, read_gradebook, some_of
from tests.trees import copy_tree


def test_one_student_is_graded_again_and_an_unknown_one_is_refused(
    graded_class: GradedClass, tmp_path: Path
) -> None:
    few = some_of(graded_class, tmp_path, "bob", "=fay+1")
    assert grade(*few).returncode == 0
    ran = grade(*few, "--regrade", "bob")
    assert "1 graded; 1 had been graded before." in ran.stdout
    unknown = grade(*few, "--regrade", "nobody")
    assert unknown.returncode == 1
    assert "has no student 'nobody'. Nothing was deleted." in unknown.stderr


def test_a_submission_is_debugged_with_nbval_by_hand(
    graded_class: GradedClass, tmp_path: Path
) -> None:
    workdir = tmp_path / "workdir"
    arguments = ("debug", graded_class.submissions / "cleo.zip", workdir, "--out", graded_class.out)
    laid = gradkit(*arguments)
    assert laid.returncode == 0, laid.stderr
    [line] = [line for line in laid.stdout.splitlines() if "--nbval" in line]
    ran = subprocess.run(
        [*line.split(), "-q", "-p", "no:cacheprovider"],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    with closing(GradebookDatabase(graded_class.out, "softmax")) as database:
        [result] = [each for each in database.results() if each.key.student == "cleo"]
    lost = {name for name, verdict in result.verdicts.items() if not verdict.passed}
    assert ran.returncode == 1
    assert "✗ Naive loss: loss N times too large (0 of 8 points)" in ran.stdout
    reported = re.findall(r"^_+ (?:\S+::)?softmax\.ipynb::(\w+) _+$", ran.stdout, re.MULTILINE)
    assert set(reported) == lost
    assert f"{len(lost)} failed" in ran.stdout.splitlines()[-1]
    assert "error" not in ran.stdout.splitlines()[-1]
    assert "is there already" in gradkit(*arguments).stderr


def test_a_right_answer_keeps_its_points_when_the_problems_change(
    graded_class: GradedClass, tmp_path: Path
) -> None:
    """Results of the old problems do not agree with the new reference."""
    out = some_of(graded_class, tmp_path).out
    (out / "gradebook.sqlite").write_bytes((graded_class.out / "gradebook.sqlite").read_bytes())
    before = read_gradebook(graded_class.out)["cleo"]
    assert before["naive_gradient"] == "12"
    tree = copy_tree(tmp_path / "tree")
    checks = tree / "assignment" / "checks" / "softmax.py"
    text = checks.read_text(encoding="utf-8")
    assert "draw_problem(seed, N=6" in text
    checks.write_text(text.replace("draw_problem(seed, N=6", "draw_problem(seed + 1, N=6"))
    ran = gradkit("rejudge", "--out", out, tree=tree, PATH="")
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"cleo +.*naive_gradient.*: passed before, and would fail now", ran.stdout)
    assert read_gradebook(out)["cleo"]["naive_gradient"] == "12"
