"""Code that takes too much memory, disk or processes."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as replace_fields

from assignment.checks.verdict import Status
from gradkit.autograder.sandbox import Isolation, open_sandbox
from gradkit.autograder.sandbox.watchdog import Watchdog
from tests.autograder.live_runner import LiveRunner

MEMORY = {
    "on the heap": "held = []\nwhile True: held.append(bytearray(10**7))",
    "in one piece": "held = np.ones(10**12)",
    "in children": (
        "import os\nfor _ in range(20):\n    if os.fork() == 0:\n        held = []\n"
        "        while True: held.append(bytearray(10**7))\nimport time\ntime.sleep(9)"
    ),
    "in shared memory": (
        "from multiprocessing.shared_memory import SharedMemory\nheld = []\n"
        "while True:\n    held.append(SharedMemory(create=True, size=10**7))\n"
        "    held[-1].buf[:] = bytes(10**7)"
    ),
    "in memory files": (
        "import os\nfile = os.memfd_create('x')\nwhile True: os.write(file, bytes(10**7))"
    ),
    "in mapped files without a name": (
        "import mmap\nheld = []\nwhile True:\n    held.append(mmap.mmap(-1, 10**7))\n"
        "    held[-1].write(bytes(10**7))"
    ),
    "in a file": "file = open('/tmp/x', 'wb')\nwhile True: file.write(bytes(10**6))",
    "in many files": (
        "for i in range(10**6):\n    open(f'/tmp/{i}', 'wb').write(bytes(10**6))"
    ),
    "in the folder of the sockets": (
        "import glob\n[folder] = glob.glob('/tmp/gk-*')\n"
        "for i in range(10**6):\n    open(f'{folder}/{i}', 'wb').write(bytes(10**5))"
    ),
}  # fmt: skip


@pytest.mark.parametrize("where", MEMORY)
def test_code_ends_when_it_takes_endless_memory(live: LiveRunner, where: str) -> None:
    verdict = live.attack(MEMORY[where])
    assert verdict.status in (Status.CRASHED, Status.RAISED)
    if where == "in memory files":
        assert "PermissionError" in verdict.quoted
    live.runner.close()


PROCESSES = {
    "endless processes": "import os\nwhile True: os.fork()",
    "endless threads": (
        "import threading, time\n"
        "while True: threading.Thread(target=time.sleep, args=(99,), daemon=True).start()"
    ),
    "children in their own session": (
        "import os, time\nfor _ in range(5):\n    if os.fork() == 0:\n        os.setsid()\n"
        "        if os.fork() == 0:\n            time.sleep(9999)\n        os._exit(0)\n"
        "while True: pass"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", PROCESSES)
def test_processes_end_with_their_kernel(live: LiveRunner, what: str) -> None:
    verdict = live.attack(PROCESSES[what])
    assert verdict.status in (Status.CRASHED, Status.RAISED, Status.TIMED_OUT)
    live.runner.close()


def test_watchdog_counts_grandchildren(tmp_path: Path) -> None:
    program = "import subprocess; subprocess.run(['sleep', '60'])"
    with open_sandbox({tmp_path: "/project"}, tmp_path, isolation=Isolation.NONE) as config:
        process = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
        try:
            few = replace(config, limits=replace_fields(config.limits, processes=0))
            watchdog = Watchdog(process, few)
            watchdog.start()
            watchdog.join(timeout=30)
            assert watchdog.reason == "It started more than 0 processes."
            assert process.wait(timeout=10) == -9
        finally:
            process.kill()
