"""Kernels that are killed or stopped from outside while a right solution is graded."""

import os
import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gradkit.autograder.grade_submission import GradingError, grade_submission
from gradkit.autograder.kernel import CellRun, Kernel
from gradkit.autograder.sandbox import Isolation
from gradkit.autograder.spec import GradingSpec
from tests.autograder.conftest import open_live_runner, solution
from tests.classes import solved_cells, solved_files

RUN, CONNECT = Kernel.run, Kernel._connect


def send(kernel: Kernel, signal_: signal.Signals, to_first: bool = False) -> bool:
    """Send a signal to the kernel, or to its sandbox's first process; return True if it lives."""
    watchdog = kernel._provisioner.watchdog
    pid = watchdog.process.pid if to_first else max(watchdog.processes(), default=0)
    if pid and kernel.is_alive():
        os.kill(pid, signal_)
        return True
    return False


def during_cells(do: Callable[[Kernel], object], times: int = 1) -> Callable[..., CellRun]:
    """Return a `Kernel.run` that does something beside each cell, the first `times` times."""
    runs: Counter[str] = Counter()

    def run(kernel: Kernel, source: str, *arguments: Any) -> CellRun:
        runs[source] += 1
        if runs[source] > times:
            return RUN(kernel, source, *arguments)
        thread = threading.Thread(target=do, args=(kernel,))
        thread.start()
        try:
            return RUN(kernel, source, *arguments)
        finally:
            thread.join()

    return run


def test_a_kernel_killed_in_each_cell_costs_no_points(
    spec: GradingSpec, sandbox: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the cell, in it, or after its end; the kernel, or bubblewrap around it."""
    moments, kills = random.Random(1), []

    def kill(kernel: Kernel) -> None:
        time.sleep(moments.choice([0, 0.002, 0.02, 0.1]))
        kills.append(send(kernel, signal.SIGKILL, moments.random() < 0.5))

    monkeypatch.setattr(Kernel, "run", during_cells(kill))
    graded = grade_submission(spec, solved_files(), solved_cells(), Isolation.SANDBOX)
    assert [name for name, verdict in graded.verdicts.items() if not verdict.passed] == []
    assert len(kills) == len(spec.notebook({})["cells"])
    assert sum(kills) > 15


@pytest.mark.parametrize("signal_", [signal.SIGKILL, signal.SIGSTOP])
def test_a_kernel_killed_or_stopped_while_it_starts_costs_no_points(
    spec: GradingSpec, sandbox: None, monkeypatch: pytest.MonkeyPatch, signal_: signal.Signals
) -> None:
    monkeypatch.setattr("gradkit.autograder.kernel.MAX_SUSPENDED", 0.3)
    kernels = []

    def connect(kernel: Kernel) -> None:
        kernels.append(kernel)
        while len(kernels) == 1 and not send(kernel, signal_):
            time.sleep(0.001)
        CONNECT(kernel)

    monkeypatch.setattr(Kernel, "_connect", connect)
    with open_live_runner(spec) as live:
        assert live.check(solution(), "naive_loss")["naive_loss"].passed
    assert len(kernels) == 2


def test_a_kernel_stopped_in_a_cell_costs_no_points_and_one_that_goes_on_no_time(
    spec: GradingSpec, sandbox: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradkit.autograder.kernel.MAX_SUSPENDED", 1)

    def stop_for_a_moment(kernel: Kernel) -> None:
        send(kernel, signal.SIGSTOP)
        time.sleep(0.5)
        send(kernel, signal.SIGCONT)

    with open_live_runner(spec) as live:
        monkeypatch.setattr(Kernel, "run", during_cells(stop_for_a_moment))
        assert live.check(solution(), "naive_loss")["naive_loss"].passed
        before = live.runner._kernel
        monkeypatch.setattr(Kernel, "run", during_cells(lambda k: send(k, signal.SIGSTOP)))
        assert live.check(solution(), "naive_gradient")["naive_gradient"].passed
        assert live.runner._kernel is not before


def test_a_cell_s_time_does_not_pass_while_its_kernel_is_stopped(
    spec: GradingSpec, sandbox: None
) -> None:
    with open_live_runner(spec) as live:
        kernel = live.runner._ready_kernel()
        send(kernel, signal.SIGSTOP)
        goes_on = threading.Timer(2, send, (kernel, signal.SIGCONT))
        goes_on.start()
        run = kernel.run("1 / 0", 1)
        goes_on.join()
    assert (run.status, run.error[0]) == ("done", "ZeroDivisionError")


def test_a_kernel_that_ends_by_a_fault_once_costs_no_points(
    spec: GradingSpec, sandbox: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same code does not end the next one, so the fault was the machine's."""
    faults: list[bool] = []
    fault = during_cells(lambda kernel: faults.append(send(kernel, signal.SIGSEGV)))
    with open_live_runner(spec) as live:
        monkeypatch.setattr(Kernel, "run", fault)
        assert live.check(solution(), "naive_loss")["naive_loss"].passed
    assert any(faults)


def test_grading_ends_when_kernels_are_killed_again_and_again(
    spec: GradingSpec, sandbox: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what was seen, and gives no verdict."""
    kills = []
    kill = during_cells(lambda kernel: kills.append(send(kernel, signal.SIGKILL)), times=99)
    monkeypatch.setattr(Kernel, "run", kill)
    with pytest.raises(GradingError, match=r"was ended by signal 9\. .* in the setup cell, and"):
        grade_submission(spec, solved_files(), solved_cells(), Isolation.SANDBOX)
    assert len(kills) <= 4


def test_files_removed_meanwhile_cost_no_points(
    spec: GradingSpec, sandbox: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = replace(spec, data_folder=tmp_path / "data")
    shutil.copytree(spec.data_folder, copied.data_folder)

    def remove(kernel: Kernel) -> None:
        shutil.rmtree(copied.data_folder, ignore_errors=True)

    monkeypatch.setattr(Kernel, "run", during_cells(remove))
    with pytest.raises(GradingError, match="was removed while it was in use"):
        grade_submission(copied, solved_files(), solved_cells(), Isolation.SANDBOX)
