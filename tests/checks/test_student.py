"""The student's code, loaded afresh from the text of its files."""

import ntpath
import sys
from pathlib import Path, PureWindowsPath
from types import SimpleNamespace

import pytest

from assignment.checks import counting
from assignment.checks import student as student_module
from assignment.checks.check import run_check_for
from assignment.checks.linear import LINEAR_CLASSIFIER
from assignment.checks.softmax import EXERCISE, SOFTMAX
from assignment.checks.student import InvalidResult, Student
from tests.checks.solution import SOURCES, run_naive_loss, student_with


def test_two_trees_in_one_process_never_see_each_other() -> None:
    half = SOURCES[SOFTMAX].replace("loss / num_train", "loss / num_train / 2")
    one, other = Student(SOURCES), student_with(SOFTMAX, half)
    before = dict(sys.modules)
    losses = []
    for student in (one, other, one):
        arrays = run_check_for(EXERCISE.check("naive_loss"), student, 0).arrays
        losses.append(arrays["loss where N = 6, D = 3, C = 4, reg = 0"])
    assert losses[0] == losses[2]
    assert losses[1] == losses[0] / 2
    assert {k: v for k, v in sys.modules.items() if k in before} == before


def test_the_students_files_import_each_other() -> None:
    using = f"from assignment.classifiers.softmax import another\n{SOURCES[LINEAR_CLASSIFIER]}"
    student = student_with(LINEAR_CLASSIFIER, using)
    outcome = run_check_for(EXERCISE.check("predict"), student, 0)
    assert outcome.raised
    assert outcome.raised.kind == "ImportError"
    assert LINEAR_CLASSIFIER in outcome.raised.traceback


def test_a_broken_file_does_not_fail_the_checks_of_the_other() -> None:
    checks = {SOFTMAX: "naive_loss", LINEAR_CLASSIFIER: "predict"}
    for broken in checks:
        student = student_with(broken, "def broken(:\n")
        for path, check in checks.items():
            outcome = run_check_for(EXERCISE.check(check), student, 0)
            assert (outcome.raised is not None) == (path == broken)


WINDOWS = SimpleNamespace(path=ntpath, sep="\\")
PROJECTS = [r"C:\Users\Ana\softmax-starter", r"\\server\home\softmax-starter"]


@pytest.mark.parametrize("project", PROJECTS)
def test_a_helper_module_is_recognized_on_windows_in_whatever_case_its_path_is(
    project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (student_module, counting):
        monkeypatch.setattr(module, "Path", PureWindowsPath)
        monkeypatch.setattr(module, "PROJECT", PureWindowsPath(project))
        monkeypatch.setattr(module, "os", WINDOWS)
    monkeypatch.setattr(counting, "_NUMPY", PureWindowsPath(r"C:\Python\Lib\numpy"))
    for folder in (project, project.swapcase()):
        helper = rf"{folder}\assignment\classifiers\mine.py"
        assert Student(SOURCES).owns(helper)
        assert counting._short(helper) == "assignment/classifiers/mine.py"
        assert not Student(SOURCES).owns(rf"{folder}\assignment\data_utils.py")


def test_an_import_after_a_check_finds_the_module_from_before() -> None:
    from assignment.classifiers import softmax

    run_naive_loss("return 7.0, W")
    import assignment.classifiers

    assert sys.modules["assignment.classifiers.softmax"] is softmax
    assert assignment.classifiers.softmax is softmax


def test_a_file_that_python_reads_is_accepted_another_one_is_reported(
    tmp_path: Path,
) -> None:
    path = tmp_path / SOFTMAX
    path.parent.mkdir(parents=True)
    with pytest.raises(InvalidResult, match=rf"has no file {SOFTMAX}\. .*starter again"):
        Student.from_folder(tmp_path, (SOFTMAX,))
    path.write_bytes("# Größe\n".encode("latin-1"))
    with pytest.raises(InvalidResult, match="is not UTF-8"):
        Student.from_folder(tmp_path, (SOFTMAX,))
    declared = "# coding: gbk\nword = '你好'\n" + SOURCES[SOFTMAX]
    windows = b"\xef\xbb\xbf" + SOURCES[SOFTMAX].replace("\n", "\r\n").encode()
    for content in (declared.encode("gbk"), windows, windows.replace(b"\n", b"")):
        path.write_bytes(content)
        student = Student.from_folder(tmp_path, (SOFTMAX,))
        assert run_check_for(EXERCISE.check("vectorized_loss"), student, 0).arrays
