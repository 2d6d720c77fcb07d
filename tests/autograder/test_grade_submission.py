"""A submission's workdir, which a separate user can see; and a kernel that does not start."""

import os
from pathlib import Path

import pytest

from assignment.checks.softmax import SOFTMAX
from gradkit.autograder.grade_submission import GradingError, grade_submission, prepare_workdir
from gradkit.autograder.kernel import KernelError
from gradkit.autograder.sandbox import Isolation
from gradkit.autograder.spec import GradingSpec


def test_workdir_shows_other_users_the_tree_and_not_the_seeds(
    spec: GradingSpec, tmp_path: Path
) -> None:
    umask = os.umask(0)
    try:
        notebook = prepare_workdir(spec, {}, {}, tmp_path, Isolation.SEPARATE_USER)
    finally:
        os.umask(umask)
    assert "own_seed" not in notebook.read_text(encoding="utf-8")
    assert notebook.stat().st_mode & 0o777 == 0o600
    assert tmp_path.stat().st_mode & 0o777 == 0o711
    assert (tmp_path / "tree" / SOFTMAX).stat().st_mode & 0o777 == 0o644


def test_grading_ends_with_the_reason_once_a_kernel_did_not_start_twice(
    spec: GradingSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the grader has set for pytest runs of their own."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k nothing")
    monkeypatch.setenv("PYTEST_PLUGINS", "no_such_plugin")
    tries = []

    def kernel(config: object) -> None:
        tries.append(config)
        raise KernelError("It did not start.")

    monkeypatch.setattr("gradkit.autograder.runner.Kernel", kernel)
    with pytest.raises(GradingError, match=r"^It did not start\.$"):
        grade_submission(spec, {}, {}, Isolation.NONE)
    assert len(tries) == 2
