"""Explain exceptions with a plain cause: old code, other courses' imports, slips with numpy."""

import re
from typing import NamedTuple

from assignment.checks.check import Raised


class KnownError(NamedTuple):
    """An exception whose traceback reveals the cause: a name for the cause, and what to do.

    `pattern` is searched in the message and the student's lines before it.
    """

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
        "an import for Python 2",
        "ModuleNotFoundError",
        r"No module named '(past|future|builtins|six|__builtin__|cPickle)\b",
        "This import let old code run on Python 2 as well. Delete it, and where the code below "
        "calls xrange(...), write range(...).",
    ),
    KnownError(
        "an import from another course",
        "ImportError|ModuleNotFoundError",
        r"No module named '(cs\d+\w*|lib|utils|data_utils|features|layers|assignment\..*)\b|"
        r"attempted relative import|cannot import name '\w+' from 'assignment",
        "The packages are called `assignment...` here. Take the import lines from the starter.",
    ),
    KnownError(
        "a module that the course does not use",
        "ModuleNotFoundError",
        r"No module named '(scipy|sklearn|torch|tensorflow|keras|jax|cupy|numba|pandas|cv2)\b",
        "Only numpy is needed here, and requirements.txt names all that is installed for grading.",
    ),
    KnownError(
        "another course's train()",
        "TypeError",
        r"\btrain\(\) got an unexpected keyword argument",
        "`train` belongs to the course, and only its regions are yours. Take linear_classifier.py "
        "from the starter again, and put your lines between its markers.",
    ),
    KnownError(
        "a name that numpy removed",
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
        "Some lines are indented with tabs, others with spaces. Let your editor convert the file's "
        "indentation to spaces.",
    ),
    KnownError(
        "indentation",
        "IndentationError",
        "",
        "The line begins further left or right than the lines around it allow. Code in a region "
        "starts under the line START OF YOUR CODE.",
    ),
    KnownError(
        "a dictionary method of Python 2",
        "AttributeError",
        r"'dict' object has no attribute '(iteritems|itervalues|iterkeys|has_key)'",
        "Python 3's dictionaries have items(), values(), keys() and `in` instead.",
    ),
    KnownError(
        "input() in a check",
        "EOFError|StdinNotImplementedError",
        "",
        "A check runs without a keyboard. Remove input().",
    ),
    KnownError(
        "a breakpoint in a check",
        "BdbQuit",
        "",
        "A debugger cannot be used while a check runs. Remove the breakpoint, and call the "
        "function in a notebook cell to debug it.",
    ),
    KnownError(
        "an invisible character",
        "SyntaxError",
        "invalid non-printable character",
        "Such characters come along with text that is copied from a page. Delete the line, and "
        "type it again.",
    ),
    KnownError(
        "a function of math for an array",
        "TypeError",
        r"\bmath\.\w+\((?s:.*)only (length-1|0-dimensional) arrays can be converted",
        "The functions of math take one number. np.log, np.exp and the like take a whole array.",
    ),
    KnownError(
        "a loop over a number",
        "TypeError",
        r"\bfor\b.*\bin\b(?s:.*)'[\w.]*int\d*' object is not iterable",
        "A number cannot be looped over: write range(n) for the numbers from 0 to n - 1.",
    ),
    KnownError(
        "a shape as two arguments",
        "TypeError",
        r"\b(zeros|ones|empty)\((?s:.*)Cannot interpret '[^']*' as a data type",
        "The shape is one argument, a tuple: np.zeros((N, C)), with two pairs of parentheses.",
    ),
    KnownError(
        "a variable without a value",
        "UnboundLocalError",
        "cannot access local variable",
        "The variable gets its first value below this line, or in a branch or a loop that did not "
        "run.",
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
        if raised.kind in known.kind.split("|") and re.search(known.pattern, raised.traceback):
            return known
    return None
