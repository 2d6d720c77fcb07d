"""A sitting: one submission goes through the exam's notebook, cell by cell.

    cell -> kernel in the sandbox -> outcome -> judge -> verdict

A kernel that died or did not end in time is killed, and what later cells need is run again in a new
one, but for the cell that was its end. So a check costs nobody more than its own points.
"""

import re
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any

from assignment.checks.check import Check, Outcome, Raised
from assignment.checks.graded import OutcomeError, read_outcome
from assignment.checks.verdict import Judge, Verdict
from gradkit.autograder.kernel import CellRun, Kernel
from gradkit.autograder.sandbox import SandboxConfig
from gradkit.autograder.spec import GradingSpec

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
MAX_QUOTED_LINES = 12


class SubmissionRunner:
    """Runs the cells of an exam's notebook for one submission, and judges its checks.

    Attributes
    ----------
    outcomes : dict
        What came of each check so far, by name.
    """

    def __init__(
        self,
        spec: GradingSpec,
        files: Mapping[str, bytes],
        new_room: Callable[[], AbstractContextManager[SandboxConfig]],
    ) -> None:
        self.spec, self._new_room = spec, new_room
        self.outcomes: dict[str, Outcome] = {}
        self.judge = judge(spec, files, self.outcomes)
        self._kernel: Kernel | None = None
        self._closing = ExitStack()  # of the kernel and its room
        self._ended: list[str] = []  # the cells that a new kernel has to run again
        self._failure: Outcome | None = None  # of the last cell without a check that failed
        self._left = spec.all_deadlines  # seconds, for replays as well
        self._open = False  # whether a stub was met: what fails after it is its consequence

    def run(self, cell: Mapping[str, Any]) -> Verdict | None:
        """Run a cell; the verdict, if it is a check's.

        Raises
        ------
        KernelError
            No kernel could be started, which says nothing of the submission.
        """
        about = cell.get("metadata", {}).get("gradkit", {})
        source, limits = "".join(cell["source"]), self.spec.config.limits
        if "check" not in about:
            self._take_cell(cell, source, self._execute(source, limits.cell_seconds))
            return None
        check = self.spec.exercise.check(about["check"])
        ran = self._execute(source, limits.check_seconds)
        if ran.end == "done" and ran.outcome is None:
            # Something that ran before keeps answers from coming out: once more, without it.
            self.close()
            ran = self._execute(source, limits.check_seconds)
            if ran.outcome is None:  # and perhaps it is still at work, whatever it said
                self.close()
        self.outcomes[check.name] = self._outcome(check, ran)
        return self.judge.verdict(check.name)

    def close(self) -> None:
        self._closing.close()
        self._kernel = None

    def _execute(self, source: str, seconds: float) -> CellRun:
        kernel = self._ready()
        if self._left <= 0:
            return CellRun("timed out", "The time for the whole submission was used up before it.")
        ran = self._timed(kernel, source, seconds)
        if ran.end != "done":
            self.close()
        return ran

    def _timed(self, kernel: Kernel, source: str, seconds: float) -> CellRun:
        start = time.monotonic()
        try:
            return kernel.run(source, min(seconds, max(self._left, 0.1)))
        finally:
            self._left -= time.monotonic() - start

    def _ready(self) -> Kernel:
        """The kernel, with everything in it that the cells so far have made."""
        while self._kernel is None:
            # Another room each time: what is left of the last kernel must not meet the next one.
            self._kernel = Kernel(self._closing.enter_context(self._new_room()))
            self._closing.callback(self._kernel.stop)
            for number, source in enumerate(self._ended):
                seconds = self.spec.config.limits.cell_seconds
                if self._timed(self._kernel, source, seconds).end != "done":
                    self.close()
                    del self._ended[number]
                    break
        return self._kernel

    def _take_cell(self, cell: Mapping[str, Any], source: str, ran: CellRun) -> None:
        name = f"The cell `{cell.get('id', '')}`"
        if ran.end == "done":
            self._ended.append(source)
            self._open = self._open or ran.error[:1] == ("NotImplementedError",)
            if ran.error and not self._open:
                self._failure = _of_error(name, ran)
        elif ran.end == "timed out":
            self._failure = Outcome(timed_out=f"{name} did not end: {ran.why}")
        else:
            self._failure = Outcome(crashed=f"{name} ended the kernel: {ran.why}")

    def _outcome(self, check: Check, ran: CellRun) -> Outcome:
        try:
            sent = read_outcome(ran.outcome)
        except OutcomeError as error:
            sent = Outcome(crashed=f"No answer came out of it: {error}.")
            if ran.outcome is None:
                # Without the setup cell, say, no check can even begin.
                sent = self._failure or Outcome(crashed=_why_no_answer(ran))
        if ran.end == "timed out":
            sent = Outcome(timed_out=ran.why, raised=sent.raised)
        elif ran.end != "done":
            sent = Outcome(crashed=ran.why)
        elif sent.missing and check.in_notebook and self._failure:
            sent = self._failure
        return self._without_seed(check, replace(sent, seconds=ran.seconds))

    def _without_seed(self, check: Check, outcome: Outcome) -> Outcome:
        """The outcome without the number that its problem can be made from, should it tell it."""
        own_seed = check.seed_from(self.spec.secret)
        forms = re.compile(f"{own_seed}|{own_seed:x}", re.IGNORECASE)

        def clean(text: str) -> str:
            return forms.sub("…", text)

        raised = outcome.raised
        return replace(
            outcome,
            missing=clean(outcome.missing),
            invalid=clean(outcome.invalid),
            printed=clean(outcome.printed),
            raised=raised
            and Raised(clean(raised.kind), clean(raised.text), clean(raised.traceback)),
        )


def judge(spec: GradingSpec, files: Mapping[str, bytes], outcomes: Mapping[str, Outcome]) -> Judge:
    """The judge of a submission with these files, of which these outcomes have come so far."""
    handed_in = {**spec.starter, **files}
    sources = {path: handed_in[path].decode("utf-8", "replace") for path in spec.exercise.files}

    def outcome_of(check: Check) -> Outcome:
        return outcomes.get(check.name, Outcome(crashed="It was not reached."))

    return Judge(spec.exercise, spec.answer_key, sources, outcome_of, spec.data)


def _of_error(name: str, ran: CellRun) -> Outcome:
    """What an exception of a cell without a check says of the checks that need it."""
    kind, text, _ = (_plain(part) for part in ran.error)
    if kind == "CheckFailed":  # the verdict on files that cannot be loaded
        return Outcome(invalid=text)
    return Outcome(raised=Raised(kind, text, f"{name} raised\n{_quoted(ran)}"))


def _quoted(ran: CellRun) -> str:
    """The lines of the notebook's own cell in an exception's traceback, and what it says."""
    kind, text, traceback = ran.error
    parts = traceback if isinstance(traceback, list) else []
    own = [part for part in map(_plain, parts) if part.startswith("Cell ")]
    lines = "\n".join(own).splitlines()[:MAX_QUOTED_LINES]
    return "\n".join([*lines, f"{_plain(kind)}: {_plain(text)}"])


def _why_no_answer(ran: CellRun) -> str:
    if ran.error:
        kind, text, _ = (_plain(part) for part in ran.error)
        return f"No answer came out of it, but an exception: {kind}: {text[:200]}"
    return "No answer came out of it."


def _plain(text: Any) -> str:
    return _ANSI.sub("", text)[:4000] if isinstance(text, str) else ""
