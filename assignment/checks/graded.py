"""The checks in the notebook that a grader runs: they answer with numbers, and judge nothing.

    answer("softmax", "naive_loss", own_seed, globals())     in the place of check("naive_loss")

What a check returns goes out as JSON. `read_outcome` makes an `Outcome` of it again, in another
process, which trusts none of it.
"""

import base64
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assignment.checks.check import (
    MAX_PRINTED,
    Arrays,
    Outcome,
    Raised,
    describe,
    load_exercise,
    run_check,
)
from assignment.checks.student import InvalidResult, Student

MIMETYPE = "application/vnd.gradkit.outcome+json"

# The weights of a classifier for CIFAR-10 have 123 kB in float32, and they are the most by far.
MAX_BYTES = 1_000_000
MAX_ARRAYS = 200
MAX_TEXT = 4000
NUMBERS = "biuf"


class OutcomeError(ValueError):
    """What a kernel sent is not an outcome; the text says what is wrong with it."""


def answer(
    exercise_name: str, check_name: str, own_seed: int, variables: Mapping[str, Any]
) -> None:
    """Run a check on the student's files and variables, and display what came of it."""
    # Only a kernel needs it, and the grader's process reads outcomes without it.
    from IPython.display import display

    from assignment import PROJECT

    exercise = load_exercise(exercise_name)
    check = exercise.check(check_name)
    student = None
    try:
        student = Student.from_folder(PROJECT, exercise.files, variables)
        outcome = run_check(check, student, own_seed)
    except InvalidResult as error:
        outcome = Outcome(invalid=str(error))
    except KeyboardInterrupt as error:  # sent when the time is up: say where that was
        outcome = Outcome(raised=describe(error, student) if student else None)
    display({MIMETYPE: write_outcome(outcome)}, raw=True)


def write_outcome(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON; one whose arrays are too large to be an answer says so instead."""
    if sum(array.nbytes for array in outcome.arrays.values()) > MAX_BYTES:
        name = max(outcome.arrays, key=lambda name: outcome.arrays[name].nbytes)
        shape = outcome.arrays[name].shape
        outcome = Outcome(invalid=f"{name} has the shape {shape}, far larger than any answer.")
    raised = outcome.raised
    return {
        "arrays": {name: _write_array(array) for name, array in outcome.arrays.items()},
        "missing": outcome.missing,
        "unusable": outcome.invalid,
        "raised": raised and {"kind": raised.kind, "text": raised.text, "at": raised.traceback},
        "timed_out": outcome.timed_out,
        "crashed": outcome.crashed,
        "printed": outcome.printed,
        "seconds": outcome.seconds,
    }


def read_outcome(sent: Any) -> Outcome:
    """The outcome that `write_outcome` made this of. What it says of its seconds may be forged.

    Raises
    ------
    OutcomeError
        It cannot have come from there.
    """
    try:
        arrays, raised = sent["arrays"], sent["raised"]
        if len(arrays) > MAX_ARRAYS:
            raise OutcomeError(f"{len(arrays):,} arrays came")
        return Outcome(
            arrays=_read_arrays(arrays),
            missing=_text(sent["missing"]),
            invalid=_text(sent["unusable"]),
            raised=raised
            and Raised(_text(raised["kind"], 80), _text(raised["text"]), _text(raised["at"])),
            timed_out=_text(sent["timed_out"]),
            crashed=_text(sent["crashed"]),
            printed=_text(sent["printed"])[-MAX_PRINTED:],
            seconds=float(sent["seconds"]),
        )
    except OutcomeError:
        raise
    except Exception as error:  # whatever a hostile value makes of these few lines
        raise OutcomeError(f"it cannot be read ({type(error).__name__})") from error


def _write_array(array: NDArray[Any]) -> dict[str, Any]:
    about = {"dtype": array.dtype.str, "shape": list(array.shape)}
    if array.dtype.kind not in NUMBERS:
        return about
    return about | {"data": base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()}


def _read_arrays(sent: Mapping[str, Any]) -> Arrays:
    arrays, left = {}, MAX_BYTES
    for name, about in sent.items():
        arrays[_text(name)] = array = _read_array(about, left)
        left -= array.nbytes
    return arrays


def _read_array(about: Mapping[str, Any], most: int) -> NDArray[Any]:
    shape = tuple(int(size) for size in about["shape"])
    if len(shape) > 8 or any(size < 0 for size in shape):
        raise OutcomeError("an array has an impossible shape")
    count = math.prod(shape)
    if "data" not in about:  # no numbers: all that matters of it is that
        if count > most // 8:
            raise OutcomeError("an array is too large")
        return np.full(shape, None, dtype=object)
    dtype = np.dtype(_text(about["dtype"]))
    if dtype.kind not in NUMBERS or dtype.hasobject or count * dtype.itemsize > most:
        raise OutcomeError("an array is too large, or of no numbers")
    content = base64.b64decode(_text(about["data"], 2 * MAX_BYTES), validate=True)
    return np.frombuffer(content, dtype).reshape(shape)


def _text(value: Any, most: int = MAX_TEXT) -> str:
    if not isinstance(value, str):
        raise OutcomeError("a text is none")
    return value[:most].encode("utf-8", "backslashreplace").decode()
