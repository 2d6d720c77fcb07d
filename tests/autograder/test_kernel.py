"""Code in the naive loss that runs for ever, ends the kernel, floods it or cuts its sockets.

Its own check fails in time, the vectorized loss keeps its points, and nothing of it is left.
"""

import os
import resource

import pytest

from assignment.checks.verdict import Status
from tests.autograder.live_runner import LiveRunner, body

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


CRASHES = {
    "os._exit(0)": "import os\nos._exit(0)",
    "a segmentation fault": "import ctypes\nctypes.string_at(0)",
    "killing itself": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    "killing its parent": "import os\ntry: os.kill(1, 9)\nfinally: os._exit(1)",
    "killing all processes": "import os\ntry: os.kill(-1, 9)\nfinally: os._exit(1)",
}


@pytest.mark.parametrize("code", CRASHES)
def test_kernel_reports_crash_when_python_ends(live: LiveRunner, code: str) -> None:
    verdict = live.attack(CRASHES[code])
    assert verdict.status is Status.CRASHED
    assert verdict.text == "The Python that ran it ended."


FLOODS = {
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
}


@pytest.mark.parametrize("code", FLOODS)
def test_kernel_does_not_receive_flood_of_output(live: LiveRunner, code: str) -> None:
    before = peak_memory()
    verdict = live.attack(FLOODS[code])
    assert verdict.status in (Status.TIMED_OUT, Status.CRASHED)
    assert peak_memory() - before < 150e6


def test_kernel_does_not_keep_endless_message(live: LiveRunner) -> None:
    code = (
        "import os, socket, struct\n"
        "piece = bytes([3]) + struct.pack('>Q', 1900000) + bytes(1900000)\n"
        "while True:\n"
        "    for fd in map(int, os.listdir('/proc/self/fd')):\n"
        "        try:\n"
        "            s = socket.socket(fileno=os.dup(fd))\n"
        "            s.settimeout(0.2)\n"
        "            s.sendall(piece)\n"
        "        except OSError: pass"
    )
    before = peak_memory()
    assert live.attack(code).points == 0
    assert peak_memory() - before < 400e6


def peak_memory() -> float:
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


CUT_SOCKETS = (
    "import os, socket\n"
    "def cut():\n"
    "    for fd in map(int, os.listdir('/proc/self/fd')):\n"
    "        try: socket.socket(fileno=os.dup(fd)).shutdown(2)\n"
    "        except OSError: pass\n"
)


@pytest.mark.parametrize(
    "then",
    ["cut()\nimport time\ntime.sleep(99)", "import threading\nthreading.Timer(0.3, cut).start()"],
)
def test_kernel_does_not_block_grader_when_it_closes_its_sockets(
    live: LiveRunner, then: str
) -> None:
    assert live.attack(CUT_SOCKETS + then).points == 0


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
