"""Explain the exceptions that copied code raises, most of it older than Python 3."""

import re
from typing import NamedTuple

from assignment.checks.check import Raised


class KnownError(NamedTuple):
    """An exception whose message reveals the cause: a name for the cause, and what to do."""

    name: str
    kind: str
    pattern: str
    hint: str


KNOWN = (
    KnownError(
        "xrange",
        "NameError",
        "name 'xrange' is not defined",
        "xrange belongs to Python 2; Python 3 calls it range.",
    ),
    KnownError(
        "a module of Python 2's times",
        "ModuleNotFoundError",
        r"No module named '(past|future|builtins|six|__builtin__|cPickle)\b",
        "This import let old code run on Python 2 as well. Delete it: nothing here needs it.",
    ),
    KnownError(
        "an import of another course",
        "ModuleNotFoundError",
        r"No module named '(cs\d+\w*|lib|utils|data_utils|features)\b",
        "The packages are called `assignment...` here. Take the import lines from the starter.",
    ),
    KnownError(
        "np.float and its like",
        "AttributeError",
        r"module 'numpy' has no attribute '(float|int|bool|object|str|long|unicode)'",
        "numpy no longer has this name: write float, int or bool, or np.float64 for a fixed size.",
    ),
    KnownError(
        "a print statement",
        "SyntaxError",
        "Missing parentheses in call to 'print'",
        "print is a function in Python 3: print(...).",
    ),
    KnownError(
        "tabs mixed with spaces",
        "TabError",
        "",
        "Some lines are indented with tabs, others with spaces, which look alike. Let your editor "
        "convert the file's indentation to spaces.",
    ),
    KnownError(
        "indentation",
        "IndentationError",
        "",
        "The line begins further left or right than the lines around it allow. Code in a region "
        "starts under the line START OF YOUR CODE.",
    ),
    KnownError(
        "a method of Python 2's dictionaries",
        "AttributeError",
        r"'dict' object has no attribute '(iteritems|itervalues|iterkeys|has_key)'",
        "Python 3's dictionaries have items(), values(), keys() and `in` instead.",
    ),
    KnownError(
        "input() in a check",
        "EOFError|StdinNotImplementedError",
        "",
        "Nobody can type anything while a check runs. Remove input().",
    ),
    KnownError(
        "a breakpoint in a check",
        "BdbQuit",
        "",
        "A debugger cannot be used while a check runs. Remove the breakpoint, and call the "
        "function in a notebook cell to debug it.",
    ),
    KnownError(
        "a float where an integer is needed",
        "TypeError",
        "'float' object cannot be interpreted as an integer",
        "In Python 3, / gives a float even for whole numbers; // gives an integer.",
    ),
)


def recognise(raised: Raised) -> KnownError | None:
    """Return the first known error that an exception matches, or None."""
    for known in KNOWN:
        if raised.kind in known.kind.split("|") and re.search(known.pattern, raised.text):
            return known
    return None
