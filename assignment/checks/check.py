"""Exercises, checks, and the outcome of running a check on a student's code.

A check is a function of the student's code and a seed. It makes a small problem from the seed,
calls the code and returns the results as named arrays. Expected values and verdicts belong to
`assignment.checks.verdict`, which may run in another process.
"""

import contextlib
import io
import operator
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assignment.checks.draws import derive_seed
from assignment.checks.student import InvalidResult, Student

# A check's results. A name gives the quantity and the problem that it belongs to:
# "loss where N = 5, D = 3, C = 4, reg = 0".
Arrays = dict[str, NDArray[Any]]

YARDSTICK_SECONDS = "processor time of the yardstick"

MAX_FRAMES = 4  # of a traceback: the last ones show where the exception was raised
MAX_PRINTED = 2000  # characters of output, or of an exception's message
MAX_LINE = 300  # characters of a line of code in a traceback


@dataclass(frozen=True)
class Mistake:
    """A known mistake: its name, and a sentence that points at the cause."""

    name: str
    hint: str


class Finding(NamedTuple):
    """A rule's result: the id of a known mistake, and where or how it shows.

    The consequence of another mistake has a headline in place of an id. A finding that `passes`
    is a remark on a check that passes, with or without an id.
    """

    mistake: str = ""
    detail: str = ""
    headline: str = ""
    passes: bool = False


@dataclass(frozen=True)
class Raised:
    """An exception of the student's code.

    `kind` is the name of its class, `text` its message, `traceback` the student's own lines of its
    traceback.
    """

    kind: str
    text: str
    traceback: str


@dataclass(frozen=True)
class Outcome:
    """The result of running a check: arrays, or a sentence on why they are missing.

    `missing` counts as not attempted; `invalid` describes what the code returned in place of a
    result; `timed_out` and `crashed` belong to graded runs. `printed` is the end of the code's
    output. `cpu_ratio` is that of the rule's context.
    """

    arrays: Arrays = field(default_factory=dict)
    missing: str = ""
    invalid: str = ""
    raised: Raised | None = None
    timed_out: str = ""
    crashed: str = ""
    printed: str = ""
    cpu_ratio: float | None = None


SIDES: dict[str, Callable[[float, float], bool]] = {
    "above": operator.gt,
    "below": operator.lt,
    "within": lambda value, bound: abs(value) < bound,
}


class Measurement(NamedTuple):
    """A number that a rule held against a bound, on one of SIDES.

    `guess` is the number that code reaches which has learned nothing: a bound that it meets proves
    nothing.
    """

    bound: str
    value: float
    side: str
    guess: float


@dataclass(frozen=True)
class RuleContext:
    """A rule's other information, all from the trusted side.

    `data` holds the notebook's variables and parameters (X_val, y_val, NUM_ITERS, ...); in a graded
    run those that the exercise's `data` returned. `cpu_ratio` is the code's processor time as a
    multiple of the yardstick's, read from outside in a graded run: nan if it could not be measured
    fairly. It is None in the student's own process. Where `bounds` is None every number meets its
    bound: `gradkit spread` only measures. `measured` collects the numbers.
    """

    seed: int
    sources: Mapping[str, str]
    cpu_ratio: float | None
    data: Mapping[str, Any]
    bounds: Mapping[str, float] | None = field(default_factory=dict)
    measured: list[Measurement] = field(default_factory=list)

    def meets(self, bound: str, value: float, side: str, guess: float) -> bool:
        """Hold a number against the bound of this name, and note it as a Measurement."""
        self.measured.append(Measurement(bound, value, side, guess))
        return self.bounds is None or SIDES[side](value, self.bounds[bound])

    def expected(self, bound: str) -> str:
        """Write what a number that missed this bound should have been, for a Finding's detail."""
        last = next(m for m in reversed(self.measured) if m.bound == bound)
        assert self.bounds is not None
        return f"{last.side} {self.bounds[bound]:g} is expected"


@dataclass(frozen=True)
class Check:
    """One requirement on a student's code.

    Attributes
    ----------
    regions : tuple of str
        The student's regions that it exercises: a mistake in another one cannot change its outcome.
    run : callable
        ``run(student, seed)`` returns the arrays.
    compared : tuple of str
        The quantities (an array's name up to " where ") that must agree with the reference. The
        other arrays are diagnostic: they distinguish mistakes.
    tolerance : float
        The largest relative error of an array (by Euclidean norm) that still passes.
    requires : tuple of str
        Checks that must pass before this one counts: a property of a wrong result is worth nothing.
    baseline : tuple of str
        The checks of the same code on ordinary input. If the code is right there, a nan in this
        check has a cause that can be named; otherwise the nan proves nothing.
    rule : callable, optional
        ``rule(arrays, context)`` returns a Finding, or None if all is right. It judges what a
        comparison cannot, and runs before it.
    hints : mapping
        Hints for the kinds of difference (such as "nan") that no fingerprint explains, or the id
        of the one mistake that causes such a difference.
    raises : mapping
        From a pattern of a traceback to the id of the mistake that causes it.
    mistakes : mapping
        Mistakes that the rule finds, by id: where the bank gives one no name and hint, these apply.
    in_notebook : bool
        The check reads the notebook's variables, and so runs only there.
    slow : bool
        The check takes tenths of a second: code that repeats checks repeats this one less.
    yardstick : callable, optional
        Does the same as `run`, with array operations in place of the student's function: a graded
        run of this check that takes long is compared with it. The array YARDSTICK_SECONDS is the
        processor time of these operations.
    plots : callable, optional
        ``plots(arrays)`` yields pairs of a caption and a Figure, or images by their names:
        (32, 32, 3) arrays from 0 to 1. It may raise any exception for malformed arrays.
    """

    name: str
    title: str
    points: int
    regions: tuple[str, ...]
    run: Callable[[Student, int], Arrays]
    compared: tuple[str, ...] = ()
    tolerance: float = 1e-5
    requires: tuple[str, ...] = ()
    baseline: tuple[str, ...] = ()
    rule: Callable[[Arrays, RuleContext], Finding | None] | None = None
    hints: Mapping[str, str] = field(default_factory=dict)
    raises: Mapping[str, str] = field(default_factory=dict)
    mistakes: Mapping[str, Mistake] = field(default_factory=dict)
    in_notebook: bool = False
    slow: bool = False
    yardstick: Callable[[Student, int], Arrays] | None = None
    plots: Callable[[Arrays], Iterator[tuple[str, Any]]] | None = None

    def seed_from(self, seed: int) -> int:
        """Derive this check's own seed, which reveals nothing about other checks' problems."""
        return derive_seed(seed, self.name) >> 1


class ExerciseError(ValueError):
    """An exercise whose parts do not fit to each other; the message names the file and the part."""


@dataclass(frozen=True)
class Exercise:
    """A notebook, the student's files, and the checks.

    Paths are relative to the project; `modules` are the course's own files that only this
    exercise's starter needs. Each of the checks follows the checks that it requires; `seed` is the
    public seed. `about` is the student's task in a sentence or two, for the README. `practice` are
    checks without points, which run in the student's notebook only. `bounds` are those that rules
    hold results of the notebook against, by name.

    ``data(parameters, seed)`` draws data for grading. Each name in it that is an identifier becomes
    a variable, in place of the notebook's cells with the role "data". The other names are those in
    `assignment.checks.unseen`.

    Raises
    ------
    ExerciseError
        A student's file lies directly in ``assignment/``, or a check names an unknown one.
    """

    name: str
    title: str
    about: str
    notebook: str
    files: tuple[str, ...]
    checks: tuple[Check, ...]
    seed: int
    modules: tuple[str, ...] = ()
    practice: tuple[Check, ...] = ()
    bounds: Mapping[str, float] = field(default_factory=dict)
    data: Callable[[Mapping[str, Any], int], dict[str, Any]] | None = None

    def __post_init__(self) -> None:
        for path in self.files:
            if path.count("/") < 2:  # all modules in its folder are loaded as the student's
                raise ExerciseError(
                    f"{path} is a student's file: move it to a folder below assignment/."
                )
        before: list[str] = []
        for check in (*self.checks, *self.practice):
            where = f"{self.path}: the check {check.name!r}"
            if check.name in before:
                raise ExerciseError(f"{where} is there twice. Give each a name of its own.")
            for attribute in ("requires", "baseline"):
                if unknown := {*getattr(check, attribute)}.difference(before):
                    raise ExerciseError(
                        f"{where} has {attribute}={min(unknown)!r}, which names no check above it. "
                        f"Those above it are: {', '.join(before) or 'none'}."
                    )
            before.append(check.name)

    def check(self, name: str) -> Check:
        """Return the check of that name; raise KeyError with all names if it is unknown."""
        for check in (*self.checks, *self.practice):
            if check.name == name:
                return check
        raise KeyError(f"{self.name} has no check {name!r}, only: {', '.join(self.names)}")

    @property
    def path(self) -> str:
        """The file of its checks."""
        return f"assignment/checks/{self.name}.py"

    @property
    def names(self) -> list[str]:
        return [check.name for check in self.checks]

    @property
    def code_regions(self) -> set[str]:
        """The regions that checks exercise; all others are written answers."""
        return {region for check in self.checks for region in check.regions}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the exercise as its name: its functions cannot be pickled."""
        return load_exercise, (self.name,)


def exercises() -> list[str]:
    """List the names of the exercises in this copy of the assignment."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.json"))


def load_exercise(name: str) -> Exercise:
    """Import the exercise that `assignment.checks.NAME` defines; raise ExerciseError if wrong."""
    exercise: Exercise = import_module(f"assignment.checks.{name}").EXERCISE
    if exercise.name != name:
        raise ExerciseError(
            f"assignment/checks/{name}.py: EXERCISE has name={exercise.name!r}. Write {name!r}."
        )
    return exercise


def run_check_for(check: Check, student: Student, seed: int) -> Outcome:
    """Run a check with its own seed, derived from the exercise's."""
    return run_check(check, student, check.seed_from(seed))


def run_check(check: Check, student: Student, own_seed: int) -> Outcome:
    """Run a check; all that the student's code does, except for Ctrl-C, is part of the outcome."""
    printed = _UnclosableBuffer()
    arrays: Arrays = {}
    missing = invalid = ""
    raised = None
    try:
        with (
            student.in_place(),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
            _empty_stdin(),
            warnings.catch_warnings(),
            np.errstate(all="ignore"),
        ):
            warnings.simplefilter("ignore")
            arrays = check.run(student, own_seed)
    except NotImplementedError as error:
        if type(error) is NotImplementedError:
            missing = _locate_stub(error, student)
        else:  # a subclass has another cause, such as input() in a kernel without a front end
            raised = describe_exception(error, student)
    except InvalidResult as error:
        invalid = str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # such as the SystemExit of sys.exit()
        raised = describe_exception(error, student)
    return Outcome(arrays, missing, invalid, raised, printed=_last_lines(printed.getvalue()))


def _last_lines(printed: str) -> str:
    """Return the end of the output, with repeated lines counted, and a note on what is left out."""
    runs = ((line, sum(1 for _ in run)) for line, run in groupby(printed.split("\n")))
    printed = "\n".join(
        f"{line} ({count} times)" if line and count > 1 else line for line, count in runs
    )
    end = escape_controls(printed[-MAX_PRINTED:])
    if len(printed) <= MAX_PRINTED and len(end) <= MAX_PRINTED:
        return end.strip("\n")
    end = end[-MAX_PRINTED:].strip("\n")
    lines = end.partition("\n")[2] or end
    return f"(What was printed before this is left out.)\n{lines}"


def _shorten(text: str, length: int) -> str:
    """Return the beginning of a text, with a sentence if the rest is left out."""
    text = escape_controls(text[: length + 1])
    return text if len(text) <= length else f"{text[:length]} ... (The rest is left out.)"


class _UnclosableBuffer(io.StringIO):
    """A buffer for printed output that student code cannot close: the check still reads it."""

    def close(self) -> None:
        pass


@contextlib.contextmanager
def _empty_stdin() -> Iterator[None]:
    """Let input() and debuggers end at once: their prompts are captured and cannot be seen."""
    before = sys.stdin
    sys.stdin = io.StringIO()
    try:
        yield
    finally:
        sys.stdin = before


def with_noun(number: int, noun: str) -> str:
    """Write a number and a noun, in the plural except for 1."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def escape_controls(text: str) -> str:
    """Escape characters that would move a terminal's cursor, or turn a text's direction."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def _locate_stub(error: NotImplementedError, student: Student) -> str:
    """Write where the code is still missing."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if student.owns(frame.filename):
            return f"Write `{frame.name}` in {frame.filename}, at line {frame.lineno}."
    return _exception_text(error)


def describe_exception(error: BaseException, student: Student) -> Raised:
    """Describe an exception by the student's own lines of its traceback."""
    described = traceback.TracebackException.from_exception(error, limit=-100)
    own = [frame for frame in described.stack if student.owns(frame.filename)]
    frames = traceback.StackSummary.from_list(own[-MAX_FRAMES:]).format()
    lines = [_shorten(line, MAX_LINE) for frame in frames for line in frame.splitlines()]
    if len(own) > MAX_FRAMES:
        lines.insert(0, f"  (The calls before the last {MAX_FRAMES} are left out.)")
    lines.append(_shorten("".join(described.format_exception_only()).rstrip(), MAX_PRINTED))
    text = error.msg if isinstance(error, SyntaxError) else _exception_text(error)
    return Raised(escape_controls(type(error).__name__), text, "\n".join(lines))


def _exception_text(error: BaseException) -> str:
    try:
        return str(error)[:MAX_PRINTED]
    except BaseException:  # raised by the __str__ of the student's own class
        return ""


def _load_all(student: Student, seed: int) -> Arrays:
    for name in student.names:
        getattr(student, name)
    return {}


# Loads the student's files: a file that fails to load is reported once, not for every check.
LOADING = Check("files", "Your files", 0, (), _load_all)
