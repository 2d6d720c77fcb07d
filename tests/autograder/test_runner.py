"""Verdicts on errors, files that cannot be loaded, time limits and forged results."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as replace_fields

from assignment.checks.softmax import EXERCISE, SOFTMAX
from assignment.checks.vectorized import MAX_RATIO, NOT_MEASURED
from assignment.checks.verdict import Status
from gradkit.autograder import cpu_ratio
from gradkit.autograder.sandbox import SandboxError
from gradkit.autograder.spec import GradingSpec
from tests.autograder.conftest import (
    ATTACKS,
    CHECKS,
    LIMITS,
    SECRET,
    LiveRunner,
    attacks,
    body,
    open_live_runner,
    solution,
)
from tests.banks import BANK

# --- errors --------------------------------------------------------------------------------------


@attacks("raises")
def test_verdict_quotes_student_line_when_code_raises(
    live: LiveRunner, name: str, code: str
) -> None:
    verdict = live.attack(code)
    assert (verdict.status, verdict.kind) == (Status.RAISED, name)
    assert f'File "{SOFTMAX}"' in verdict.quoted


@pytest.mark.parametrize("content", [b"", b"\0" * 99, b"\xff\xfe\0x", b"def f(:\n"])
def test_verdict_gives_reason_and_no_points_when_file_is_not_a_module(
    spec: GradingSpec, sandbox: None, content: bytes
) -> None:
    with open_live_runner(spec, content) as live:
        for verdict in live.check(content, *CHECKS).values():
            assert verdict.points == 0
            assert verdict.status in (Status.WRONG, Status.RAISED)
            assert verdict.text or verdict.quoted


def test_every_check_names_setup_cell_when_file_does_not_end_to_load(
    spec: GradingSpec, sandbox: None
) -> None:
    endless = b"import time\ntime.sleep(99)\n" + solution()
    with open_live_runner(spec, endless) as live:
        for verdict in live.check(endless, *CHECKS).values():
            assert verdict.status is Status.TIMED_OUT
            assert "The setup cell did not end" in verdict.text


def test_traceback_names_cells_by_their_purpose(spec: GradingSpec, sandbox: None) -> None:
    """A kernel calls every cell "Cell In[1]"."""

    def cell(source: str, id: str, **about: str) -> dict[str, Any]:
        return {"source": source, "id": id, "metadata": {"gradkit": about}}

    with open_live_runner(spec) as live:
        live.runner.run(cell("def half(x):\n    return x / 0", "load", role="setup"))
        for line, rest in (
            (
                "results = half(1)",
                "      1 reg = 1\n"
                "----> 2 results = half(1)\n\n"
                "The load cell, line 2, in half(x)\n"
                "      1 def half(x):\n"
                "----> 2     return x / 0\n"
                "ZeroDivisionError: division by zero",
            ),
            (
                "results = = 1",
                "    results = = 1\n              ^\nSyntaxError: invalid syntax",
            ),
        ):
            live.runner.run(cell(f"reg = 1\n{line}", "0f1e2d3c", region="tuning"))
            live.runner.run(live.cells["tuning"])
            raised = live.runner.outcomes["tuning"].raised
            assert raised is not None
            start = "The tuning cell raised\nThe tuning cell, line 2\n"
            assert raised.traceback == f"{start}{rest}"


# --- time ----------------------------------------------------------------------------------------


def test_submission_has_no_more_time_than_the_exercise_gives_it(
    spec: GradingSpec, sandbox: None
) -> None:
    """Cells that are run again count: here the first, each time that a kernel ends."""
    slow = b"import time\ntime.sleep(1)\n" + solution("import os\nos._exit(0)")
    hurried = replace_fields(spec.config, limits=replace_fields(LIMITS, submission_seconds=8))
    with open_live_runner(replace(spec, config=hurried), slow) as live:
        verdicts = live.check(slow, *(check.name for check in EXERCISE.checks))
    assert verdicts["naive_loss"].status is Status.CRASHED
    assert verdicts["predict"].status is Status.TIMED_OUT
    assert "The time for the whole submission was used up" in verdicts["predict"].text


NO_LOOPS = ("vectorized_loss", "vectorized_gradient", "vectorized_no_loops")
# Iterates in C, where no line runs, and makes every clock of its own process stand still.
SLOW = (
    "import time\ntime.process_time = lambda: 0.0\nloss = sum(map(np.sum, np.zeros((len(X), 1))))\n"
)


def test_time_of_no_loops_check_is_read_outside_kernel_and_compared_with_yardstick(
    spec: GradingSpec, sandbox: None
) -> None:
    slow = BANK.solution.with_region("softmax_vectorized", SLOW + body("softmax_vectorized"))
    content = slow.files[SOFTMAX].encode()
    patient = replace(
        spec, config=replace_fields(spec.config, limits=replace_fields(LIMITS, check_seconds=9))
    )
    with open_live_runner(patient, content) as live:
        verdicts = live.check(content, *NO_LOOPS)
    assert verdicts["vectorized_loss"].passed
    assert verdicts["vectorized_no_loops"].mistake == "slow_vectorized"
    assert "times the processor time of the yardstick" in verdicts["vectorized_no_loops"].text


def test_right_solution_that_is_compared_with_yardstick_passes(
    spec: GradingSpec, sandbox: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_ratio, "MAX_UNSUSPICIOUS", -1.0)
    with open_live_runner(spec) as live:
        verdict = live.check(solution(), *NO_LOOPS)["vectorized_no_loops"]
        ratio = live.runner.outcomes["vectorized_no_loops"].cpu_ratio
    assert verdict.passed
    assert verdict.text == ""
    assert ratio is not None
    assert ratio < MAX_RATIO


def test_no_loops_check_passes_with_note_where_yardstick_does_not_start(
    spec: GradingSpec, sandbox: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise SandboxError("No sandbox starts here.")

    monkeypatch.setattr(cpu_ratio, "MAX_UNSUSPICIOUS", -1.0)
    monkeypatch.setattr(cpu_ratio, "Kernel", fail)
    with open_live_runner(spec) as live:
        verdict = live.check(solution(), *NO_LOOPS)["vectorized_no_loops"]
    assert verdict.passed
    assert verdict.text == NOT_MEASURED


# --- points for nothing --------------------------------------------------------------------------


@attacks("wrong", "forged", "patched")
def test_wrong_or_forged_result_earns_no_points(live: LiveRunner, name: str, code: str) -> None:
    assert live.attack(code).points == 0
    if name in ATTACKS["patched"]:
        live.runner.close()


def test_right_result_passes_however_it_is_computed(live: LiveRunner) -> None:
    numeric = (
        "def f(W):\n"
        "    s = X @ W\n"
        "    s = s - s.max(axis=1, keepdims=True)\n"
        "    data = np.mean(np.log(np.exp(s).sum(axis=1)) - s[np.arange(len(y)), y])\n"
        "    return data + reg / 2 * (W**2).sum()\n"
        "for i in np.ndindex(W.shape):\n"
        "    h = np.zeros_like(W)\n"
        "    h[i] = 1e-6\n"
        "    dW[i] = (f(W + h) - f(W - h)) / 2e-6\n"
        "loss = f(W)\n"
    )
    verdicts = live.check(solution(numeric), "naive_loss", "naive_gradient")
    assert all(verdict.passed for verdict in verdicts.values())


def test_a_check_meets_no_seed_but_its_own(live: LiveRunner) -> None:
    """So an answer to one check cannot be prepared in another."""
    helper = "def iter_back(f):\n    while f:\n        yield f\n        f = f.f_back\n\n\n"
    naive = (
        "import sys\n"
        "seeds = [f.f_locals.get('own_seed') for f in sys._current_frames().values()\n"
        "         for f in iter_back(f)]\n"
        "raise RuntimeError(sorted({s for s in seeds if s}))"
    )
    names = ("naive_loss", "naive_gradient")
    verdicts = live.check(helper.encode() + solution(naive), *names)
    seeds = {name: EXERCISE.check(name).seed_from(SECRET) for name in names}
    assert len(set(seeds.values())) == 2
    for name, verdict in verdicts.items():
        assert verdict.quoted.rpartition(": ")[2] == f"[{seeds[name]}]"
