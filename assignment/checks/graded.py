"""Checks in the notebook that a grader runs: they send numbers, and no verdict.

    globals().update(load_variables(path))                   in place of the notebook's data
    answer("softmax", "naive_loss", own_seed, globals())     in place of check("naive_loss")

`answer` sends a check's outcome out of the sandbox as JSON. `read_outcome` reads it in another
process, which does not trust it.
"""

import base64
import io
import math
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assignment.checks.check import (
    Arrays,
    Outcome,
    Raised,
    describe_exception,
    escape_controls,
    load_exercise,
    run_check,
)
from assignment.checks.differences import REAL_KINDS
from assignment.checks.student import InvalidResult, Student
from assignment.checks.unseen import UNSEEN_INPUTS

MIMETYPE = "application/vnd.gradkit.outcome+json"

# The largest result by far, a linear classifier's weights for CIFAR-10, has 123 kB in float32.
MAX_BYTES = 1_000_000
MAX_ARRAYS = 200
MAX_TEXT = 4000


class OutcomeError(ValueError):
    """A kernel sent something that is not an outcome; the message gives the reason."""


def answer(
    exercise_name: str,
    check_name: str,
    own_seed: int,
    variables: Mapping[str, Any],
    yardstick: bool = False,
) -> None:
    """Run a check on the student's files and variables, and send its outcome as display data.

    With `yardstick` the check's yardstick runs in place of the student's function. An array that
    came with the request of this cell becomes the variable UNSEEN_INPUTS.
    """
    # Imported here, since the grader's process only reads outcomes.
    from IPython import get_ipython
    from IPython.display import display

    from assignment import PROJECT

    for unseen in get_ipython().kernel.get_parent("shell")["buffers"]:
        array = np.load(io.BytesIO(unseen), allow_pickle=False)
        variables = {**variables, UNSEEN_INPUTS: array}

    exercise = load_exercise(exercise_name)
    check = exercise.check(check_name)
    student = None
    try:
        student = Student.from_folder(PROJECT, exercise.files, variables)
        if yardstick and check.yardstick:
            check = replace(check, run=check.yardstick)
        outcome = run_check(check, student, own_seed)
    except InvalidResult as error:
        outcome = Outcome(invalid=str(error))
    except KeyboardInterrupt as error:  # sent at the time limit: report the line that was running
        outcome = Outcome(raised=describe_exception(error, student) if student else None)
    display({MIMETYPE: write_outcome(outcome)}, raw=True)


def load_variables(path: str) -> dict[str, Any]:
    """Read the variables that the grader wrote into a file which only the grader can change."""
    return pickle.loads(Path(path).read_bytes())  # noqa: S301


def write_outcome(outcome: Outcome) -> dict[str, Any]:
    """Write an outcome as JSON; arrays beyond the size limit become an invalid result."""
    if sum(array.nbytes for array in outcome.arrays.values()) > MAX_BYTES:
        name = max(outcome.arrays, key=lambda name: outcome.arrays[name].nbytes)
        shape = outcome.arrays[name].shape
        outcome = Outcome(invalid=f"{name} has shape {shape}, far larger than any right result.")
    raised = outcome.raised
    return {
        "arrays": {name: _write_array(array) for name, array in outcome.arrays.items()},
        "missing": outcome.missing,
        "invalid": outcome.invalid,
        "raised": raised and vars(raised),
        "timed_out": outcome.timed_out,
        "crashed": outcome.crashed,
        "printed": outcome.printed,
        "cpu_ratio": outcome.cpu_ratio,
    }


def read_outcome(sent: Any) -> Outcome:
    """Read what `write_outcome` wrote; its `cpu_ratio` may be forged.

    Raises OutcomeError if it does not have that form, or exceeds a size limit.
    """
    try:
        arrays, raised = sent["arrays"], sent["raised"]
        if len(arrays) > MAX_ARRAYS:
            raise OutcomeError(f"it holds {len(arrays):,} arrays, more than {MAX_ARRAYS}")
        return Outcome(
            arrays=_read_arrays(arrays),
            missing=_text(sent["missing"]),
            invalid=_text(sent["invalid"]),
            raised=raised
            and Raised(
                kind=_text(raised["kind"], 80),
                text=_text(raised["text"]),
                traceback=_text(raised["traceback"]),
            ),
            timed_out=_text(sent["timed_out"]),
            crashed=_text(sent["crashed"]),
            printed=_text(sent["printed"]),
            cpu_ratio=None if sent.get("cpu_ratio") is None else float(sent["cpu_ratio"]),
        )
    except OutcomeError:
        raise
    except Exception as error:  # a hostile value may raise anything in these few lines
        raise OutcomeError(f"it cannot be read ({type(error).__name__})") from error


def _write_array(array: NDArray[Any]) -> dict[str, Any]:
    header = {"dtype": array.dtype.str, "shape": list(array.shape)}
    if array.dtype.kind not in REAL_KINDS:
        return header
    return header | {"data": base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()}


def _read_arrays(sent: Mapping[str, Any]) -> Arrays:
    arrays, bytes_left = {}, MAX_BYTES
    for name, stored in sent.items():
        arrays[_text(name)] = array = _read_array(stored, bytes_left)
        bytes_left -= array.nbytes
    return arrays


def _read_array(stored: Mapping[str, Any], max_bytes: int) -> NDArray[Any]:
    shape = tuple(int(size) for size in stored["shape"])
    if len(shape) > 8 or any(size < 0 for size in shape):
        raise OutcomeError("an array has an impossible shape")
    count = math.prod(shape)
    if "data" not in stored:  # it holds no numbers, which is all that the verdict needs to know
        if count > max_bytes // 8:
            raise OutcomeError("an array is too large")
        return np.full(shape, None, dtype=object)
    dtype = np.dtype(_text(stored["dtype"]))
    if dtype.kind not in REAL_KINDS or dtype.hasobject or count * dtype.itemsize > max_bytes:
        raise OutcomeError("an array is too large, or does not hold numbers")
    content = base64.b64decode(_text(stored["data"], 2 * MAX_BYTES), validate=True)
    return np.frombuffer(content, dtype).reshape(shape)


def _text(value: Any, max_chars: int = MAX_TEXT) -> str:
    if not isinstance(value, str):
        raise OutcomeError(f"it holds a {type(value).__name__} in place of a text")
    return escape_controls(value[:max_chars])
