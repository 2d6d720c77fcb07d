"""Submissions show their exercise by its own files, or leave it open."""

from pathlib import Path

import pytest

from assignment.checks.check import load_exercise
from assignment.workspace.starter import STARTER_MANIFEST
from gradkit.cli import main
from gradkit.submissions.exercise import exercise_of_class
from tests.submissions.packing import FILE, NOTEBOOK, OTHER_FILE, SOFTMAX, write_files, zip_of

SVM = load_exercise("svm")
BOTH = {FILE: b"", SVM.files[0]: b"", NOTEBOOK: b"", SVM.notebook: b""}
SHARED = {OTHER_FILE: b"", "hw.ipynb": b""}


@pytest.mark.parametrize(
    ("classes", "exercise"),
    [
        ([{FILE: b""}, SHARED, BOTH], "softmax"),
        ([{"svm (1).ipynb": b""}], "svm"),
        ([{FILE: b"", STARTER_MANIFEST: b"{}"}], "softmax"),
        ([{FILE: b""}, {SVM.notebook: b""}], None),
        ([BOTH, BOTH], None),
        ([SHARED, {"report.pdf": b""}], None),
    ],
)
def test_submissions_show_their_exercise_or_leave_it_open(
    classes: list[dict[str, bytes]], exercise: str | None, tmp_path: Path
) -> None:
    for number, files in enumerate(classes):
        zip_of(files, tmp_path / f"student{number}.zip")
        packed = write_files({}, tmp_path / f"other{number}") / "work.zip"
        zip_of(files, packed)
    (tmp_path / "damaged.zip").write_bytes(b"PK")
    assert exercise_of_class(tmp_path, [SOFTMAX, SVM]) == exercise
    write_files({"jane_softmax.py": b"", "joe_svm.ipynb": b""}, tmp_path)
    assert exercise_of_class(tmp_path, [SOFTMAX, SVM]) is None


def test_a_command_without_an_exercise_lists_them_where_submissions_leave_it_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = zip_of(BOTH, write_files({}, tmp_path / "class") / "jane.zip")
    out = ("--out", str(tmp_path / "grades"))
    for command in (["grade", str(path.parent)], ["debug", str(path), str(tmp_path / "work")]):
        assert main([*command, *out]) == 1
        assert "error: Name one of the exercises with --exercise: " in capsys.readouterr().err
    assert main(["grade", str(tmp_path / "none"), *out]) == 1
    assert "cannot be read: No such file" in capsys.readouterr().err
    assert main(["debug", str(tmp_path / "none"), str(tmp_path / "work"), *out]) == 1
    assert "none does not exist" in capsys.readouterr().err
