"""Code in a sandbox that takes too much memory, disk or processes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace as replace_fields

from gradkit.autograder.sandbox import WORK, Isolation, kill_sandbox, launch, open_sandbox
from gradkit.autograder.sandbox import watchdog as watchdog_module
from gradkit.autograder.sandbox.watchdog import Watchdog
from gradkit.processes import processes_of
from tests.autograder.conftest import ATTACKS, LIMITS
from tests.classes import wait_for

MEMORY = r"It used more than 300 MB of memory\.|MemoryError|Cannot allocate memory"
NO_SPACE = "No space left on device|File too large|Bus error"
PROCESSES = r"It started more than 64 processes\.|BlockingIOError|can't start new thread"
REASONS = {
    "memory": MEMORY,
    "uncounted_memory": "PermissionError|No such device",
    "terminals": r"It opened more than 16 terminals\.",
    "sockets": r"It opened more than 256 sockets\.",
    "disk": NO_SPACE,
    "files": r"It made more than 10,000 files\.",
    "processes": f"{PROCESSES}|{MEMORY}",
    "threads": PROCESSES,
}
GREEDY = [
    pytest.param(code, reason, id=name)
    for what, reason in REASONS.items()
    for name, code in ATTACKS["greedy"][what].items()
]


@pytest.mark.parametrize(("code", "reason"), GREEDY)
def test_code_ends_when_it_takes_endless(
    sandbox: None, tmp_path: Path, code: str, reason: str
) -> None:
    with open_sandbox({tmp_path: WORK}, tmp_path, LIMITS) as config:
        process = launch([sys.executable, "-c", code], config, stderr=subprocess.PIPE)
        watchdog = Watchdog(process, config)
        watchdog.start()
        try:
            _, stderr = process.communicate(timeout=600)
        finally:
            kill_sandbox(process, config)
        watchdog.join()
        assert process.returncode != 0
        assert re.search(reason, watchdog.reason + stderr.decode())
        if uid := config.uid:
            wait_for(lambda: not any(processes_of(uid)))  # they take a moment to end


def test_watchdog_guards_a_trusted_submission_as_well(tmp_path: Path) -> None:
    limits = replace_fields(LIMITS, processes=1)
    with open_sandbox({tmp_path: WORK}, tmp_path, limits, Isolation.NONE) as config:
        process = launch(["sh", "-c", "sh -c 'sleep 60; true'; true"], config)
        watchdog = Watchdog(process, config)
        watchdog.start()
        watchdog.join(timeout=600)
        assert watchdog.reason == "It started more than 1 processes."
        assert process.wait(timeout=10) == -9


def test_watchdog_ends_a_sandbox_while_its_grader_receives_far_more_than_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog_module, "MAX_RECEIVED", 10_000_000)
    with open_sandbox({tmp_path: WORK}, tmp_path, LIMITS, Isolation.NONE) as config:
        process = launch(["sleep", "60"], config)
        watchdog = Watchdog(process, config)
        received = b"x" * 100_000_000
        watchdog.run()
        assert len(received) == 100_000_000
        assert watchdog.reason == "It sent far more than a result has."
        assert process.wait(timeout=10) == -9


def test_no_sandbox_goes_on_without_its_watchdog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(pid: int) -> int:
        raise MemoryError

    with open_sandbox({tmp_path: WORK}, tmp_path, LIMITS, Isolation.NONE) as config:
        process = launch(["sleep", "60"], config)
        watchdog = Watchdog(process, config)
        monkeypatch.setattr(watchdog_module, "memory_in_use", fail)
        with pytest.raises(MemoryError):
            watchdog.run()
        assert process.wait(timeout=10) == -9
