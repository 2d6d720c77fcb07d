"""Code in the naive loss that runs for ever, ends the kernel, floods it or cuts its sockets.

Its own check fails in time, the vectorized loss keeps its points, and nothing of it is left.
"""

import os
import resource

import pytest

from assignment.checks.verdict import Status
from tests.autograder.conftest import LiveRunner, body

ENDLESS = {
    "a loop": "while True: pass",
    "a loop that ignores SIGINT": (
        "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "while True: time.sleep(9)"
    ),
    "a loop that swallows KeyboardInterrupt": (
        "import time\n"
        "while True:\n"
        "    try:\n"
        "        time.sleep(99)\n"
        "    except KeyboardInterrupt:\n"
        "        print('still here')"
    ),
    "a lock that is never released": "import threading\nthreading.Event().wait()",
    "a right answer after an interrupt": (
        "import time\ntry:\n    time.sleep(99)\nexcept KeyboardInterrupt:\n    print('caught')\n"
        + body("softmax_naive")
    ),
}


@pytest.mark.parametrize("code", ENDLESS)
def test_kernel_stops_cell_that_does_not_end(live: LiveRunner, code: str) -> None:
    verdict = live.attack(ENDLESS[code])
    assert verdict.status is Status.TIMED_OUT
    assert verdict.text == "It was stopped after 2 seconds."
    if code == "a loop":
        assert "while True: pass" in verdict.quoted


ENDED = "The Python that ran it ended."
CRASHES = {
    "os._exit(0)": ("import os\nos._exit(0)", ENDED),
    "a segmentation fault": ("import ctypes\nctypes.string_at(0)", ENDED),
    "killing itself": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", ENDED),
    "killing its parent": ("import os\ntry: os.kill(1, 9)\nfinally: os._exit(1)", ENDED),
    "killing all processes": ("import os\ntry: os.kill(-1, 9)\nfinally: os._exit(1)", ENDED),
    "too much memory": (
        "import mmap\nheld = []\nwhile True:\n    held.append(mmap.mmap(-1, 10**7))\n"
        "    held[-1].write(bytes(10**7))",
        "It used more than 300 MB of memory.",
    ),
}


@pytest.mark.parametrize("code", CRASHES)
def test_kernel_reports_why_python_ended(live: LiveRunner, code: str) -> None:
    naive, reason = CRASHES[code]
    verdict = live.attack(naive)
    assert (verdict.status, verdict.text) == (Status.CRASHED, reason)


CUT_SOCKETS = (
    "import os, socket\n"
    "def cut():\n"
    "    for fd in map(int, os.listdir('/proc/self/fd')):\n"
    "        try: socket.socket(fileno=os.dup(fd)).shutdown(2)\n"
    "        except OSError: pass\n"
)
HOSTILE = {
    "stdout, past the checks": "import os\nwhile True: os.write(1, b'x' * 10**6)",
    "the notebook's own streams": (
        "import sys\nfrom IPython import get_ipython\n"
        "out = get_ipython().kernel.iopub_thread\n"
        "from ipykernel.iostream import OutStream\n"
        "s = OutStream(get_ipython().kernel.session, out, 'stdout', watchfd=False)\n"
        "while True:\n    s.write('x' * 10**6)\n    s.flush()"
    ),
    "displays": (
        "from IPython.display import display\n"
        "while True: display({'text/plain': 'x' * 10**6}, raw=True)"
    ),
    "one huge display": (
        "from IPython.display import display\ndisplay({'text/plain': 'x' * 10**8}, raw=True)\n"
        "while True: pass"
    ),
    "an endless message": (
        "import os, socket, struct\n"
        "piece = bytes([3]) + struct.pack('>Q', 1900000) + bytes(1900000)\n"
        "while True:\n"
        "    for fd in map(int, os.listdir('/proc/self/fd')):\n"
        "        try:\n"
        "            s = socket.socket(fileno=os.dup(fd))\n"
        "            s.settimeout(0.2)\n"
        "            s.sendall(piece)\n"
        "        except OSError: pass"
    ),
    "closed sockets": f"{CUT_SOCKETS}cut()\nimport time\ntime.sleep(99)",
    "sockets that close later": f"{CUT_SOCKETS}import threading\nthreading.Timer(0.3, cut).start()",
    "children in sessions of their own": (
        "import os, time\nfor _ in range(5):\n    if os.fork() == 0:\n"
        "        try: os.setsid()\n        except OSError: pass\n"
        "        if os.fork() == 0:\n            time.sleep(9999)\n        os._exit(0)\n"
        "while True: pass"
    ),
}


@pytest.mark.parametrize("code", HOSTILE)
def test_kernel_neither_blocks_grader_nor_fills_its_memory(live: LiveRunner, code: str) -> None:
    before = peak_memory()
    live.attack(HOSTILE[code])
    assert peak_memory() - before < (400e6 if code == "an endless message" else 150e6)


def peak_memory() -> float:
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take the folder from its owner")
def test_socket_dir_is_frozen_once_sockets_exist(live: LiveRunner) -> None:
    program = (
        "import glob, os\n[folder] = glob.glob('/tmp/**/gk-*', recursive=True)\nfound = []\n"
        "for attempt in (lambda: open(f'{folder}/x', 'w'), lambda: os.mkdir(f'{folder}/d'),\n"
        "        lambda: os.symlink('/etc/passwd', f'{folder}/kernel.json'),\n"
        "        lambda: os.chmod(folder, 0o777), lambda: os.unlink(f'{folder}/kernel.json')):\n"
        "    try: found.append(attempt())\n"
        "    except OSError: pass"
    )
    assert "RuntimeError: []" in live.attack(f"{program}\nraise RuntimeError(found)").quoted
