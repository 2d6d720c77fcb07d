"""One submission goes through the graded notebook, cell by cell.

    cell -> kernel in the sandbox -> outcome -> judge -> verdict

A kernel that exceeded a limit is killed. A new one first runs the earlier cells again, except the
cell that ended the old one. So a check costs nobody more than its own points.

A kernel that ends without having exceeded a limit says little about the submission: the machine may
have killed it. The cell is run again in a new kernel. If that one ends by itself too, the cell has
ended both; if it is lost too, the submission cannot be graded here and now.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from assignment.checks.check import Check, Exercise, Outcome, Raised, escape_controls
from assignment.checks.graded import OutcomeError, read_outcome
from assignment.checks.verdict import Judge, Verdict
from gradkit.autograder.cpu_ratio import Yardstick
from gradkit.autograder.kernel import CellRun, Kernel, KernelError
from gradkit.autograder.sandbox import SandboxConfig
from gradkit.autograder.spec import GradingSpec
from gradkit.files import decode_anything

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_FRAME = re.compile(r" *Cell In\[\d+\], line (\d{1,9})")
_CELL_FILE = re.compile(r" \(\d+\.py, line \d+\)\Z")  # in the text of a syntax error
_RANDOM_ID = re.compile(r"[0-9a-f-]{8,}")  # as Jupyter gives to new cells
MAX_QUOTED_LINES = 12
MAX_DEATHS = 2  # of kernels in one cell, or of one kind while they start
MAX_TEXT = 4000  # characters of an exception's text or of a part of its traceback


class Code(NamedTuple):
    """The code of a cell, the cell's name in sentences, and the bytes that go in with it."""

    name: str
    source: str
    attached: Sequence[bytes] = ()


class SubmissionRunner:
    """Runs the cells of the graded notebook for one submission, and judges its checks.

    `outcomes` are those of the checks run so far, by name.
    """

    def __init__(
        self,
        spec: GradingSpec,
        files: Mapping[str, bytes],
        new_sandbox: Callable[[], AbstractContextManager[SandboxConfig]],
        yardstick: Yardstick,
    ) -> None:
        self.spec, self._new_sandbox, self._yardstick = spec, new_sandbox, yardstick
        self._files, self.outcomes = files, dict[str, Outcome]()
        self._kernel: Kernel | None = None
        self._closing = ExitStack()  # of the kernel and its sandbox
        self._finished: list[Code] = []  # the cells that a new kernel has to run again
        self._failure: Outcome | None = None  # of the last cell without a check that failed
        self._seconds_left = spec.config.limits.submission_seconds  # of own time, with replays
        self._stub_met = False  # errors after it are its consequences

    @property
    def judge(self) -> Judge:
        """A new judge: verdicts may depend on checks that had not run for an earlier one."""
        return judge(self.spec, self._files, self.outcomes)

    def run(self, cell: Mapping[str, Any]) -> Verdict | None:
        """Run a cell; return the verdict of a check's cell, None for any other.

        Raise KernelError if kernels did not start, or were lost.
        """
        metadata = cell.get("metadata", {}).get("gradkit", {})
        limits, source = self.spec.config.limits, "".join(cell["source"])
        code = Code(_cell_name(self.spec.exercise, cell), source)
        if "check" not in metadata:
            self._record_cell(code, self._execute(code, limits.cell_seconds))
            return None
        check = self.spec.exercise.check(metadata["check"])
        if check.in_notebook:
            code = code._replace(attached=self.spec.unseen_inputs())
        run = self._execute(code, limits.check_seconds)
        if run.status == "done" and run.outcome is None:
            # An earlier check may keep outcomes from being displayed: once more in a new kernel.
            self.close()
            run = self._execute(code, limits.check_seconds)
            if run.outcome is None:  # its idle message may be forged, and the cell still running
                self.close()
        ratio = None
        if check.yardstick:
            run, ratio = self._yardstick.compare(check, run, partial(self._execute_anew, code))
        self.outcomes[check.name] = replace(self._outcome(check, run), cpu_ratio=ratio)
        return self.judge.verdict(check.name)

    def close(self) -> None:
        """End the kernel and its sandbox; the next cell gets new ones."""
        self._closing.close()
        self._kernel = None

    def _execute_anew(self, code: Code) -> CellRun:
        """Run a check's cell in a new kernel, and end that: a yardstick comes next.

        What a submission goes on computing would slow it, and so raise the time that is allowed.
        """
        self.close()
        try:
            return self._execute(code, self.spec.config.limits.check_seconds)
        finally:
            self.close()

    def _execute(self, code: Code, seconds: float) -> CellRun:
        """Run a cell in a kernel in which the finished cells have run."""
        deaths: Counter[str] = Counter()
        while True:
            kernel = self._ready_kernel()
            if self._seconds_left <= 0:
                reason = "The time for the whole submission was used up before it."
                return CellRun("timed out", reason)
            run = self._run_timed(kernel, code, seconds, deaths)
            if run.status not in ("died", "lost") or deaths[run.status] >= MAX_DEATHS:
                return run

    def _run_timed(
        self, kernel: Kernel, code: Code, seconds: float, deaths: Counter[str]
    ) -> CellRun:
        """Run a cell in a kernel, and end that unless the cell is done; count it in `deaths`."""
        left = max(self._seconds_left, 0.1)
        run = kernel.run(code.source, min(seconds, left), code.attached)
        self._seconds_left -= run.own_seconds
        if run.status == "timed out" and left < seconds:
            run.reason = "The time for the whole submission was used up while it ran."
        if run.status != "done":
            self.close()
            deaths[run.status] += 1
        if deaths["lost"] >= MAX_DEATHS:
            raise KernelError(
                f"{run.reason} It is the second kernel lost in {code.name}, and no limit was "
                "exceeded: the cause may lie outside the submission."
            )
        return run

    def _ready_kernel(self) -> Kernel:
        """Return the kernel, or a new one in which the finished cells have been run again."""
        deaths: defaultdict[str, Counter[str]] = defaultdict(Counter)  # by the cell's name
        while self._kernel is None:
            self._kernel = self._start_kernel()
            for code in list(self._finished):
                seconds = self.spec.config.limits.cell_seconds
                run = self._run_timed(self._kernel, code, seconds, deaths[code.name])
                if run.status == "done":
                    continue
                if (
                    run.status not in ("died", "lost")
                    or deaths[code.name][run.status] >= MAX_DEATHS
                ):
                    self._finished.remove(code)
                break
        return self._kernel

    def _start_kernel(self) -> Kernel:
        for _ in range(MAX_DEATHS - 1):
            with suppress(KernelError):
                return self._open_kernel()
        return self._open_kernel()

    def _open_kernel(self) -> Kernel:
        # A new sandbox each time: leftovers of the last kernel must not meet the next one.
        config = self._closing.enter_context(self._new_sandbox())
        try:
            kernel = Kernel(config)
        except KernelError:
            self.close()
            raise
        self._closing.callback(kernel.stop)
        return kernel

    def _record_cell(self, code: Code, run: CellRun) -> None:
        """Note a cell without a check: to be run again, or as a failure of the checks after it."""
        name = _capitalized(code.name)
        if run.status == "done":
            self._finished.append(code)
            self._stub_met = self._stub_met or run.error[:1] == ("NotImplementedError",)
            if run.error and not self._stub_met:
                raised = _read_error(run, [code, *reversed(self._finished)])
                self._failure = Outcome(
                    raised=replace(raised, traceback=f"{name} raised\n{raised.traceback}")
                )
                if raised.kind == "CheckFailed":  # the verdict on files that cannot be loaded
                    self._failure = Outcome(invalid=raised.text)
        elif run.status == "timed out":
            self._failure = Outcome(timed_out=f"{name} did not end: {run.reason}")
        else:
            self._failure = Outcome(crashed=f"{name} ended the kernel: {run.reason}")

    def _outcome(self, check: Check, run: CellRun) -> Outcome:
        try:
            outcome = read_outcome(run.outcome)
        except OutcomeError as error:
            outcome = Outcome(crashed=f"No answer came out of it: {error}.")
        if run.outcome is None:
            reason = "No answer came out of it"
            if run.error:
                raised = _read_error(run)
                reason += f", but an exception: {raised.kind}: {raised.text[:200]}"
            # Without the setup cell, for example, no check can even begin.
            outcome = self._failure or Outcome(crashed=f"{reason}.")
        if run.status == "timed out":
            outcome = Outcome(timed_out=run.reason, raised=outcome.raised)
        elif run.status != "done":
            outcome = Outcome(crashed=run.reason)
        elif outcome.missing and check.in_notebook and self._failure:
            outcome = self._failure
        return outcome


def judge(spec: GradingSpec, files: Mapping[str, bytes], outcomes: Mapping[str, Outcome]) -> Judge:
    """Return the judge of a submission's files; it reads `outcomes` as they arrive."""
    submitted = {**spec.starter, **files}
    sources = {path: decode_anything(submitted[path])[0] for path in spec.exercise.files}

    def outcome_of(check: Check) -> Outcome:
        return outcomes.get(check.name, Outcome(crashed="It was not reached."))

    bounds = spec.config.bounds
    return Judge(spec.exercise, spec.answer_key, sources, outcome_of, spec.data, bounds)


def _cell_name(exercise: Exercise, cell: Mapping[str, Any]) -> str:
    """Return the name of a cell in sentences, such as "the tuning cell"."""
    about, id = cell.get("metadata", {}).get("gradkit", {}), cell.get("id", "")
    if "check" in about:
        return f"the check of “{exercise.check(about['check']).title}”"
    readable = "" if _RANDOM_ID.fullmatch(id) else id
    word = about.get("region") or readable or about.get("role") or "unnamed"
    return f"the {word} cell".replace("_", " ").replace("-", " ")


def _read_error(run: CellRun, codes: Sequence[Code] = ()) -> Raised:
    """Return a cell's exception, with the notebook's own lines of its traceback.

    `codes` are the cell and those that ran before it, the last one first.
    """
    kind, text, traceback = run.error
    kind, text = _plain_text(kind), _CELL_FILE.sub("", _plain_text(text))
    parts = map(_plain_text, traceback if isinstance(traceback, list) else [])
    frames = islice(filter(_FRAME.match, parts), MAX_QUOTED_LINES + 1)
    own = "\n".join(_name_cell(frame, codes) for frame in frames).strip().splitlines()
    more = [f"(Its lines after the first {MAX_QUOTED_LINES} are left out.)"]
    end = [] if own[-1:] == [f"{kind}: {text}"] else [f"{kind}: {text}"]
    lines = [*own[:MAX_QUOTED_LINES], *more * (len(own) > MAX_QUOTED_LINES), *end]
    return Raised(kind, text, "\n".join(lines))


def _name_cell(frame: str, codes: Sequence[Code]) -> str:
    """Replace "Cell In[1]", as a kernel calls each of its cells, by the name of the cell."""
    if match := _FRAME.match(frame):
        number = int(match[1])
        for code in codes:
            line = "".join(code.source.splitlines()[number - 1 : number]).strip()
            if line and line in frame:
                return f"{_capitalized(code.name)}, line {number}{frame[match.end() :]}"
    return frame


def _capitalized(name: str) -> str:
    return name[0].upper() + name[1:]


def _plain_text(text: object) -> str:
    """Return a text of a kernel's without colors, shortened; "" if it is not a text."""
    return escape_controls(_ANSI.sub("", text)[:MAX_TEXT]) if isinstance(text, str) else ""
