"""Code in the naive loss that runs for ever, ends the kernel, floods it or cuts its sockets.

Its own check fails in time, the vectorized loss keeps its points, and nothing of it is left.
"""

import resource
import tempfile
from pathlib import Path

import psutil
import pytest
import zmq
from jupyter_client.blocking.client import BlockingKernelClient

from assignment.checks.verdict import Status
from gradkit.autograder import own_time
from gradkit.autograder.kernel import Kernel, KernelError
from gradkit.autograder.own_time import _Look
from gradkit.autograder.runner import Code
from gradkit.autograder.sandbox import WORK, Isolation, open_sandbox
from tests.autograder.conftest import ATTACKS, LiveRunner, attacks, body, solution


@attacks("endless")
def test_kernel_stops_cell_that_does_not_end(live: LiveRunner, name: str, code: str) -> None:
    verdict = live.attack(code.replace("# the solution", body("softmax_naive")))
    assert verdict.status is Status.TIMED_OUT
    assert verdict.text == "It was stopped after 2 seconds."
    if name == "a loop":
        assert "while True: pass" in verdict.quoted


SPIN = """
import contextlib, os, signal, threading, time
def spin(seconds=0.3):
    start = time.thread_time()
    while time.thread_time() < start + seconds: pass
"""
SPINNING = {
    "itself": "spin()",
    "a thread": "t = threading.Thread(target=spin); t.start(); t.join()",
    "a child that has ended": "if os.fork() == 0:\n    spin()\n    os._exit(0)\nos.wait()",
    "children that it does not wait for": "with contextlib.suppress(OSError):\n"
    "    signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
    "for _ in range(30):\n    if os.fork() == 0:\n        spin(0.01)\n        os._exit(0)\n"
    "    with contextlib.suppress(OSError): os.wait()",
    "a child that goes on": "r, w = os.pipe()\nif os.fork() == 0:\n    spin()\n"
    "    os.write(w, b'x')\n    time.sleep(60)\nos.read(r, 1)",
}


@pytest.mark.parametrize("code", SPINNING.values(), ids=list(SPINNING))
def test_processor_time_of_a_cell_is_that_of_all_its_processes(live: LiveRunner, code: str) -> None:
    kernel = live.runner._ready_kernel()
    run = kernel.run(f"{SPIN}{code}", 60)
    assert run.status == "done"
    assert run.cpu_seconds >= 0.28  # in steps of 0.01 s


def test_nothing_of_a_submission_runs_beside_a_yardstick(live: LiveRunner) -> None:
    cell = "import threading\ndef go():\n    while True: pass\nthreading.Thread(target=go).start()"
    assert live.runner._execute_anew(Code("a cell", cell)).status == "done"
    assert not [child for child in psutil.Process().children() if child.name() == "bwrap"]


def test_output_is_no_flood(live: LiveRunner) -> None:
    """Code that prints at each step of a search, and each line of it at once."""
    code = "import sys\nfor _ in range(1000): print('x' * 20_000)\nprint('x' * 5_000_000)\n"
    code += "print('x' * 5_000_000, file=sys.stderr)\n!echo it\n1 / 0"
    run = live.runner._ready_kernel().run(code, 5)
    assert run.status == "done"
    assert run.error[0] == "ZeroDivisionError"


def test_sleep_takes_no_processor_time(live: LiveRunner) -> None:
    run = live.runner._ready_kernel().run("import time; time.sleep(0.5)", 5)
    assert run.cpu_seconds < 0.2 < run.seconds


@attacks("crashes")
def test_kernel_reports_crash_when_python_ends(live: LiveRunner, name: str, code: str) -> None:
    verdict = live.attack(code)
    assert verdict.status is Status.CRASHED
    assert verdict.text == "The Python that ran it ended."


@attacks("lost")
def test_a_kernel_lost_twice_in_a_cell_says_nothing_about_the_submission(
    live: LiveRunner, monkeypatch: pytest.MonkeyPatch, name: str, code: str
) -> None:
    """A kernel lost by the code's own doing earns nothing, as one lost from outside."""
    monkeypatch.setattr("gradkit.autograder.kernel.MAX_SUSPENDED", 0.5)
    with pytest.raises(KernelError, match=r"ended by signal 9\.|stood still for 0\.5 seconds\."):
        live.check(solution(code), "naive_loss")
    assert live.check(solution(), "naive_loss")["naive_loss"].passed


def test_kernel_reports_limit_that_was_exceeded(live: LiveRunner) -> None:
    verdict = live.attack(ATTACKS["greedy"]["memory"]["heap"])
    assert verdict.status is Status.CRASHED
    assert verdict.text == "It used more than 300 MB of memory."


@attacks("hostile")
def test_kernel_neither_blocks_grader_nor_fills_its_memory(
    live: LiveRunner, name: str, code: str
) -> None:
    before = peak_memory()
    live.attack(code)
    assert peak_memory() - before < (400e6 if name == "an endless message" else 150e6)


MANY_PARTS = """
from IPython import get_ipython
import time
out = get_ipython().kernel.iopub_thread
out.schedule(lambda: out.socket.send_multipart([b'kernel'] + [b''] * 300_000))
time.sleep(60)
"""


def test_a_message_of_many_parts_cuts_its_kernel_off(live: LiveRunner) -> None:
    """Its parts have no bytes that could be counted."""
    run = live.runner._ready_kernel().run(MANY_PARTS, 10)
    live.runner.close()
    assert run.status == "flooded"


def peak_memory() -> float:
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_cell_goes_on_after_a_command_of_the_shell(live: LiveRunner) -> None:
    cell = "!ls\nlines = !echo $HOME\nraise RuntimeError(lines)"
    assert live.runner._ready_kernel().run(cell, 5).error[1] == "['/tmp']"


def test_kernel_runs_cells_wherever_temporary_files_lie(
    tmp_path: Path, sandbox: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(prefix="long-" * 20, dir="/dev/shm") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        with open_sandbox({tmp_path: WORK}, tmp_path) as config:
            assert config.socket_dir.is_relative_to(folder)
            kernel = Kernel(config)
            try:
                assert kernel.run("1 / 0", 5).error[0] == "ZeroDivisionError"
            finally:
                kernel.stop()


def test_a_kernel_that_waits_for_a_processor_has_all_the_time_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that finds it always waiting stands for it."""
    waits = _Look(0, {(1, b"0")}, {(1, b"0")}, suspended=False)
    monkeypatch.setattr(own_time, "_look", lambda pids: waits)
    monkeypatch.setattr("gradkit.autograder.kernel.START_TIMEOUT", 0)
    with open_sandbox({tmp_path: WORK}, tmp_path, isolation=Isolation.NONE) as config:
        kernel = Kernel(config)
        try:
            assert kernel.run("1 / 0", 0).error[0] == "ZeroDivisionError"
        finally:
            kernel.stop()


def test_a_kernel_that_takes_no_messages_did_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(client: BlockingKernelClient) -> str:
        raise zmq.ZMQError(zmq.EAGAIN)

    monkeypatch.setattr(BlockingKernelClient, "kernel_info", fail)
    refused = pytest.raises(KernelError, match=r"did not start: it takes no messages\.")
    with open_sandbox({tmp_path: WORK}, tmp_path, isolation=Isolation.NONE) as config, refused:
        Kernel(config)


def test_folder_of_connection_file_cannot_be_written_to(live: LiveRunner) -> None:
    program = (
        "import os\nfrom ipykernel.connect import get_connection_file\n"
        "folder, found = os.path.dirname(get_connection_file()), []\n"
        "for attempt in (lambda: open(f'{folder}/x', 'w'), lambda: os.mkdir(f'{folder}/d'),\n"
        "        lambda: os.symlink('/etc/passwd', f'{folder}/kernel.json'),\n"
        "        lambda: os.chmod(folder, 0o777), lambda: os.unlink(f'{folder}/kernel.json')):\n"
        "    try: found.append(attempt())\n"
        "    except OSError: pass"
    )
    assert "RuntimeError: []" in live.attack(f"{program}\nraise RuntimeError(found)").quoted


def test_the_grader_s_own_settings_do_not_change_a_kernel_without_a_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    for path in (startup / "own.py", tmp_path / "startup.py"):
        path.write_text("import builtins\nbuiltins.grader_s_own = True\n")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "startup.py"))
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    monkeypatch.setenv("MPLBACKEND", "nonsense")
    code = (
        "import builtins, os, warnings\n"
        "warnings.warn('not an error')\n"
        "raise LookupError(hasattr(builtins, 'grader_s_own'), os.environ.get('MPLBACKEND'))"
    )
    with open_sandbox({tmp_path: WORK}, tmp_path, isolation=Isolation.NONE) as config:
        kernel = Kernel(config)
        try:
            run = kernel.run(code, 30)
        finally:
            kernel.stop()
    assert run.error[:2] == ("LookupError", "(False, 'module://matplotlib_inline.backend_inline')")
