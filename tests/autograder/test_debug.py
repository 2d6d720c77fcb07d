"""A workdir that stays; tests/batch/test_regrade.py runs one by `pytest --nbval`."""

from dataclasses import replace
from pathlib import Path

import pytest

from gradkit.autograder import debug
from gradkit.autograder.grade_submission import GradingError
from gradkit.autograder.sandbox import Isolation
from gradkit.autograder.spec import GradingSpec


def test_debug_workdir_is_closed_to_others_and_refused_when_exercise_has_changed(
    spec: GradingSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workdir = tmp_path / "debug"
    notebook = debug.prepare_debug_workdir(spec, {}, {}, workdir, Isolation.NONE)
    assert workdir.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(debug, "build_spec", lambda *arguments: replace(spec, digest="another"))
    with pytest.raises(GradingError, match=r"exercise has changed .* Run gradkit debug again"):
        debug.open_debug_runner(notebook)
