"""Count how often each line of Python runs: a count is the same on every machine.

Lines of numpy and of the standard library do not count, except where numpy calls a function, or
hands out an index, once for each element. Work that C code does on Python objects, such as
``sum(map(operator.mul, a, b))``, runs no line: `assignment.checks.vectorized` measures its time.
"""

import contextlib
import gc
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.machinery import FrozenImporter, SourceFileLoader
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import numpy as np

from assignment import PROJECT

_NUMPY, _LIBRARY = Path(np.__file__).parent, Path(contextlib.__file__).parent
# Loops of numpy's own, by the qualified names of their functions.
_NUMPY_LOOPS = ("apply_along_axis", "vectorize.", "ndindex.", "ndenumerate.")


class Line(NamedTuple):
    """A line of a file, and the function that it belongs to.

    The student's files, and numpy's, have paths relative to the project, and to numpy's folder.
    """

    file: str
    number: int
    function: str


def count_lines(call: Callable[[], Any]) -> Counter[Line]:
    """Call a function, and count the runs of each line, in the threads that it starts as well.

    A jump back within a line counts as another run, and so does the call of a function. The lines
    are in the order of their first run.
    """
    counts: Counter[tuple[CodeType, int, str]] = Counter()
    counted: dict[int, tuple[bool, CodeType]] = {}  # by id; the code is kept, so that ids stay

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        if event == "call":
            if id(code) not in counted:
                counted[id(code)] = _counts(code), code
            if not counted[id(code)][0] or _formats_a_number(frame):
                return None  # no line of this call is reported
        if event in ("call", "line"):
            counts[code, frame.f_lineno, event] += 1
        return trace

    with _tracing(trace):
        call()
    lines: Counter[Line] = Counter()
    for (code, number, _), runs in counts.items():  # a call of code on one line is both events
        line = Line(_short(code.co_filename), number, code.co_qualname)
        lines[line] = max(lines[line], runs)
    return lines


@contextlib.contextmanager
def _tracing(trace: Any) -> Iterator[None]:
    """Install a trace function, then restore a debugger's or a coverage tool's.

    Garbage is not collected meanwhile: finalizers of other code would be counted.
    """
    before, before_in_threads, collects = sys.gettrace(), threading.gettrace(), gc.isenabled()
    gc.disable()
    threading.settrace(trace)
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
        threading.settrace(before_in_threads)
        if collects:
            gc.enable()


def _counts(code: CodeType) -> bool:
    """Return whether a code's lines count: it is not numpy's or the standard library's."""
    if _key(code) not in _library_code(code.co_filename):
        return True
    is_numpy = _is_below(_NUMPY, code.co_filename)
    return is_numpy and code.co_qualname.startswith(_NUMPY_LOOPS)


def _formats_a_number(frame: FrameType) -> bool:
    """Return whether numpy has called a formatter, as it does for each number that it prints."""
    if frame.f_back is None:
        return False
    caller = frame.f_back.f_code
    is_printing = Path(caller.co_filename).name == "arrayprint.py"
    return is_printing and _key(caller) in _library_code(caller.co_filename)


@lru_cache(maxsize=256)
def _library_code(filename: str) -> frozenset[Any]:
    """Return keys of all code in a library's file; an empty set for other files.

    Any code may have been compiled under a library's name, so the file itself is read.
    """
    try:
        if filename.startswith("<frozen "):
            code = FrozenImporter.get_code(filename[8:-1])
        elif _is_below(_NUMPY, filename) or (
            _is_below(_LIBRARY, filename) and not _is_below(_LIBRARY / "site-packages", filename)
        ):
            code = SourceFileLoader("library", filename).get_code("library")
        else:
            return frozenset()
    except (ImportError, OSError, SyntaxError):
        return frozenset()
    return frozenset(_keys(code)) if code else frozenset()


def _is_below(folder: Path, filename: str) -> bool:
    return os.path.normcase(filename).startswith(os.path.normcase(folder / "_")[:-1])


def _keys(code: CodeType) -> Iterator[Any]:
    yield _key(code)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _keys(constant)


def _key(code: CodeType) -> Any:
    """Return what two compilations of the same function have in common, and others do not."""
    return code.co_qualname, code.co_firstlineno, code.co_code, code.co_names


def _short(filename: str) -> str:
    for folder in (_NUMPY.parent, PROJECT):  # the project may hold the environment
        if _is_below(folder, filename):
            return Path(filename).relative_to(folder).as_posix()
    return filename
