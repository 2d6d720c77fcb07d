"""The folder of a run, and those that runs before it left behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gradkit.autograder.sandbox import Isolation
from gradkit.batch.run_folder import PREFIX, run_folder
from gradkit.processes import started


def test_only_folders_that_ended_runs_left_behind_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may make others of a similar name, where temporary files of all users lie."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    running = f"{os.getpid()}-{started(os.getpid())}-x"
    names = ["x", "1", "-", f"{9**30}-1.00-x", "१-1.00-x", running, "1-1.00-left"]
    for name in names:
        (tmp_path / f"{PREFIX}{name}").mkdir()
    with run_folder(Isolation.SANDBOX) as folder:
        left = {path.name.removeprefix(PREFIX) for path in tmp_path.iterdir()} - {
            folder.name.removeprefix(PREFIX)
        }
    assert left == {*names[:-1]}


def test_what_runs_in_a_folder_ends_before_it_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in one that a killed run left behind."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def start_kernel(folder: Path) -> "subprocess.Popen[bytes]":
        code = "import time; print('runs', flush=True); time.sleep(60)"
        command = [sys.executable, "-c", code, str(folder / "kernel.json")]
        kernel = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert kernel.stdout and kernel.stdout.readline()  # earlier its arguments may be missing
        kernel.stdout.close()
        return kernel

    (left := tmp_path / f"{PREFIX}1-1.00-left").mkdir()
    old = start_kernel(left)
    with run_folder(Isolation.NONE) as folder:
        assert old.wait(timeout=10) == -9
        new = start_kernel(folder)
    assert new.wait(timeout=10) == -9
