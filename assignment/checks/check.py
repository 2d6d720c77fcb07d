"""What an exercise and a check are, and what comes of running a check on a student's code.

A check is a function of the student's code and a seed. It makes a small problem from the seed,
calls the code and returns named arrays: what came out, with no expected value and no verdict.
Those are the business of `assignment.checks.verdict`, wherever that runs.
"""

import contextlib
import hashlib
import io
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assignment.checks.student import InvalidResult, Student

# What a check returns. A name says what an array is, and of which problem:
# "loss where N = 5, D = 3, C = 4, reg = 0".
Arrays = dict[str, NDArray[Any]]

MAX_FRAMES = 4  # of a traceback: the last ones are where it happened
MAX_PRINTED = 400  # characters


class Finding(NamedTuple):
    """What a rule has found: the id of a mistake of the bank, and where or how it shows.

    What is the consequence of something else, and no mistake of its own, has a headline instead.
    """

    mistake: str
    detail: str = ""
    headline: str = ""


@dataclass(frozen=True)
class Raised:
    """An exception of the student's code.

    `kind` is its class's name, `text` what it says, `traceback` the student's own lines of it.
    """

    kind: str
    text: str
    traceback: str


@dataclass(frozen=True)
class Outcome:
    """What came of running a check: arrays, or why there are none.

    Attributes
    ----------
    arrays : dict
        What the check returned; empty where it did not come to its end.
    missing : str
        Why this counts as not attempted; empty if it does not.
    unusable : str
        What the code gave in place of something that can be judged; empty if it did not.
    raised : Raised or None
        What the code raised.
    timed_out, crashed : str
        Why a graded run got no answer, where it did not: a sentence.
    printed : str
        The end of what the code printed.
    seconds : float
        How long the student's code and the check took.
    """

    arrays: Arrays = field(default_factory=dict)
    missing: str = ""
    invalid: str = ""
    raised: Raised | None = None
    timed_out: str = ""
    crashed: str = ""
    printed: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class RuleContext:
    """What a rule may look at besides the arrays: all of it from the trusted side.

    `data` are the notebook's data and parameters (X_val, y_val, NUM_ITERS, ...), where there are
    any; they do not come from the student.
    """

    seed: int
    sources: Mapping[str, str]
    seconds: float
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Check:
    """One thing that a student's code is asked for.

    Attributes
    ----------
    name : str
        How the notebook and the gradebook call it.
    title : str
        How people call it.
    points : int
        What it is worth.
    regions : tuple of str
        The student's regions it exercises: a mistake in another one cannot change its outcome.
    run : callable
        ``run(student, seed)`` returns the arrays.
    judged : tuple of str
        The quantities (an array's name up to " where ") that must agree with the reference. The
        others are witnesses, which tell mistakes apart.
    tolerance : float
        The largest relative error of an array (by Euclidean norm) that is still right.
    requires : tuple of str
        Checks that must pass before this one counts: a property of a wrong answer is worth nothing.
    ordinary : tuple of str
        The checks of the same code on ordinary input. Where it is right there, a nan in this one
        has a cause that can be named; elsewhere it says nothing.
    rule : callable, optional
        ``rule(arrays, context)`` returns a Finding, or None where all is right. It judges what the
        comparison cannot, and is asked before it.
    hints : mapping
        What to say to a kind of difference (as "nan") that no mistake of the bank explains.
    raises : mapping
        From a pattern of a traceback to the mistake of the bank that it shows.
    in_notebook : bool
        It looks at the notebook's variables, and so can only be run there.
    slow : bool
        It takes tenths of a second, so what repeats checks hundreds of times repeats it less.
    plots : callable, optional
        ``plots(arrays)`` draws what came out: pairs of a sentence that says what is to be seen, and
        its Figure. Raises what it will where the arrays are not as they should be.
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
    in_notebook: bool = False
    slow: bool = False
    plots: Callable[[Arrays], Iterator[tuple[str, Any]]] | None = None

    def seed_from(self, seed: int) -> int:
        """This check's own seed: who knows it knows nothing of the other checks' problems."""
        digest = hashlib.sha256(f"{seed}:{self.name}".encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1


@dataclass(frozen=True)
class Exercise:
    """What belongs together: a notebook, the student's files, the checks.

    Attributes
    ----------
    name, title : str
        As in ``softmax`` and "The softmax classifier".
    about : str
        What a student does in it: a sentence or two, for the README.
    notebook : str
        Path of the notebook in the project.
    files : tuple of str
        Paths of the ``.py`` files that are the student's.
    modules : tuple of str
        Paths of the course's own files that a starter needs for this exercise only.
    checks : tuple of Check
        In the order in which a student meets them. What one requires stands before it.
    seed : int
        The public seed: what the student's own checks are made from.
    """

    name: str
    title: str
    about: str
    notebook: str
    files: tuple[str, ...]
    checks: tuple[Check, ...]
    seed: int
    modules: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for path in self.files:
            if path.count("/") < 2:  # all modules beside it are taken for the student's
                raise ValueError(f"{path} is a student's file: give it a folder below assignment/")

    def check(self, name: str) -> Check:
        """The check of that name; KeyError with all the names where there is none."""
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(f"no check {name!r} in {self.name}; there are: {', '.join(self.names)}")

    @property
    def names(self) -> list[str]:
        return [check.name for check in self.checks]

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process gets it by its name, since functions do not travel."""
        return load_exercise, (self.name,)


def exercises() -> list[str]:
    """The names of the exercises in this copy of the assignment."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.json"))


def load_exercise(name: str) -> Exercise:
    """The exercise that `assignment.checks.NAME` defines."""
    return import_module(f"assignment.checks.{name}").EXERCISE


def run_check_for(check: Check, student: Student, seed: int) -> Outcome:
    """Run a check of an exercise with this seed, of which it gets its own."""
    return run_check(check, student, check.seed_from(seed))


def run_check(check: Check, student: Student, own_seed: int) -> Outcome:
    """Run a check. Whatever the student's code does is part of the outcome; it raises nothing.

    (But a KeyboardInterrupt, which comes from the person at the keyboard.)
    """
    printed = _Kept()
    arrays: Arrays = {}
    missing = invalid = ""
    raised = None
    start = time.perf_counter()
    try:
        with (
            student.in_place(),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
            _no_keyboard(),
            warnings.catch_warnings(),
            np.errstate(all="ignore"),
        ):
            warnings.simplefilter("ignore")
            arrays = check.run(student, own_seed)
    except NotImplementedError as error:
        if type(error) is NotImplementedError:
            missing = _whose_turn(error, student)
        else:  # of another cause, as input() in a kernel that nobody sits at
            raised = describe(error, student)
    except InvalidResult as error:
        invalid = str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit() and all else that a student's file may do
        raised = describe(error, student)
    seconds = time.perf_counter() - start
    return Outcome(
        arrays,
        missing,
        invalid,
        raised,
        printed=_last_lines(printed.getvalue()),
        seconds=seconds,
    )


def _last_lines(printed: str) -> str:
    if len(printed) > MAX_PRINTED:
        printed = printed[-MAX_PRINTED:].partition("\n")[2] or printed[-MAX_PRINTED:]
    return _printable(printed).strip("\n")


class _Kept(io.StringIO):
    """What is printed, for as long as the check runs, whatever is done to it."""

    def close(self) -> None:
        pass


@contextlib.contextmanager
def _no_keyboard() -> Iterator[None]:
    """Let input() and a debugger end at once: what they ask for would not be seen."""
    before = sys.stdin
    sys.stdin = io.StringIO()
    try:
        yield
    finally:
        sys.stdin = before


def _printable(text: str) -> str:
    """`text` with what would move a terminal's cursor, or clear it, written out."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def _whose_turn(error: NotImplementedError, student: Student) -> str:
    """Where the code is still to be written: a stub's message is the name of its region."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if student.owns(frame.filename):
            name = f"`{error}`" if _text_of(error) else "your code"
            return f"Write {name} in {frame.filename}, at line {frame.lineno}."
    return _text_of(error)


def describe(error: BaseException, student: Student) -> Raised:
    described = traceback.TracebackException.from_exception(error, limit=-100)
    own = [frame for frame in described.stack if student.owns(frame.filename)]
    frames = traceback.StackSummary.from_list(own[-MAX_FRAMES:]).format()
    said = list(described.format_exception_only())
    if not isinstance(error, SyntaxError):  # whose lines are the code and where it is
        said = [line.split("\n")[0][:MAX_PRINTED] + "\n" for line in said]
    text = error.msg if isinstance(error, SyntaxError) else _text_of(error)
    quoted = _printable("".join([*frames, *said]).rstrip())
    return Raised(_printable(type(error).__name__), text, quoted)


def _text_of(error: BaseException) -> str:
    try:
        return str(error)[:MAX_PRINTED]
    except BaseException:  # its class is the student's
        return ""


def _load_all(student: Student, seed: int) -> Arrays:
    for name in student.names:
        getattr(student, name)
    return {}


# Whether the student's files can be loaded at all: to be said once, not once for every check.
LOADING = Check("files", "Your files", 0, (), _load_all)
