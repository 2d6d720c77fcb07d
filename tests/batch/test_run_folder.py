"""The folder of a run, and those that runs before it left behind."""

from pathlib import Path

import pytest

from gradkit.autograder.sandbox import Isolation
from gradkit.batch.run_folder import PREFIX, run_folder


def test_only_folders_that_ended_runs_left_behind_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may make others of a similar name, where temporary files of all users lie."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names = ["x", "1", "-", f"{9**30}-1.00-x", "१-1.00-x", "1-1.00-left"]
    for name in names:
        (tmp_path / f"{PREFIX}{name}").mkdir()
    with run_folder(Isolation.SANDBOX) as folder:
        left = {path.name.removeprefix(PREFIX) for path in tmp_path.iterdir()} - {
            folder.name.removeprefix(PREFIX)
        }
    assert left == {*names[:-1]}
