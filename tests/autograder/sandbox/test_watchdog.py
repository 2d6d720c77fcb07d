"""Code in a sandbox that takes too much memory, disk or processes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace as replace_fields

from gradkit.autograder.sandbox import WORK, Isolation, kill_sandbox, launch, open_sandbox
from gradkit.autograder.sandbox.watchdog import Watchdog
from gradkit.processes import processes_of
from tests.autograder.conftest import LIMITS, wait_until

MEMORY = r"It used more than 300 MB of memory\.|MemoryError|Cannot allocate memory"
NO_SPACE = "No space left on device|File too large|Bus error"
PROCESSES = r"It started more than 64 processes\.|BlockingIOError|can't start new thread"
GREEDY = {
    "heap": ("held = []\nwhile True: held.append(bytearray(10**7))", MEMORY),
    "one piece": ("held = bytearray(10**13)", MEMORY),
    "heap of children": (
        "import os\nfor _ in range(20):\n    if os.fork() == 0:\n        held = []\n"
        "        while True: held.append(bytearray(10**7))\nimport time\ntime.sleep(99)",
        MEMORY,
    ),
    "mapped files without a name": (
        "import mmap\nheld = []\nwhile True:\n    held.append(mmap.mmap(-1, 10**7))\n"
        "    held[-1].write(bytes(10**7))",
        MEMORY,
    ),
    "memory files": (
        "import os\nfile = os.memfd_create('x')\nwhile True: os.write(file, bytes(10**7))",
        "PermissionError",
    ),
    "shared memory": (
        "import os\nfile = os.open('/dev/shm/x', os.O_CREAT | os.O_RDWR)\n"
        "while True: os.write(file, bytes(10**6))",
        f"{NO_SPACE}|PermissionError",  # where the sandbox runs as another user
    ),
    "one file": ("file = open('/tmp/x', 'wb')\nwhile True: file.write(bytes(10**6))", NO_SPACE),
    "many files": (
        "for i in range(10**6):\n    open(f'/tmp/{i}', 'wb').write(bytes(10**6))",
        NO_SPACE,
    ),
    "files beside the sockets": (
        "import glob\n[folder] = glob.glob('/tmp/gk-*')\n"
        "for i in range(10**6):\n    open(f'{folder}/{i}', 'wb').write(bytes(10**5))",
        r"It wrote into the folder of the kernel's own files\.",
    ),
    "processes": ("import os\nwhile True: os.fork()", f"{PROCESSES}|{MEMORY}"),
    "threads": (
        "import threading, time\n"
        "while True: threading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
        PROCESSES,
    ),
}


@pytest.mark.parametrize("what", GREEDY)
def test_code_ends_when_it_takes_endless(sandbox: None, tmp_path: Path, what: str) -> None:
    code, reason = GREEDY[what]
    with open_sandbox({tmp_path: WORK}, tmp_path, LIMITS) as config:
        process = launch([sys.executable, "-c", code], config, stderr=subprocess.PIPE)
        watchdog = Watchdog(process, config)
        watchdog.start()
        try:
            _, stderr = process.communicate(timeout=60)
        finally:
            kill_sandbox(process, config)
        watchdog.join()
        assert process.returncode != 0
        assert re.search(reason, watchdog.reason + stderr.decode())
        if uid := config.uid:
            wait_until(lambda: not any(processes_of(uid)))  # they take a moment to end


def test_watchdog_guards_a_trusted_submission_as_well(tmp_path: Path) -> None:
    limits = replace_fields(LIMITS, processes=1)
    with open_sandbox({tmp_path: WORK}, tmp_path, limits, Isolation.NONE) as config:
        process = launch(["sh", "-c", "sh -c 'sleep 60; true'; true"], config)
        watchdog = Watchdog(process, config)
        watchdog.start()
        watchdog.join(timeout=30)
        assert watchdog.reason == "It started more than 1 processes."
        assert process.wait(timeout=10) == -9
