"""What is behind the exceptions of copied code, mostly older than Python 3."""

import re
from typing import NamedTuple

from assignment.checks.check import Raised


class Known(NamedTuple):
    """An exception whose cause can be told from its text: a name for it, and what to do."""

    name: str
    kind: str
    pattern: str
    hint: str


KNOWN = (
    Known(
        "xrange",
        "NameError",
        "name 'xrange' is not defined",
        "xrange is Python 2's; in Python 3 it is called range.",
    ),
    Known(
        "a module of Python 2's times",
        "ModuleNotFoundError",
        r"No module named '(past|future|builtins|six|__builtin__|cPickle)\b",
        "This import helped old code to run on Python 2 as well. Nothing here needs it: delete it.",
    ),
    Known(
        "an import of another course",
        "ModuleNotFoundError",
        r"No module named '(cs\d+\w*|lib|utils|data_utils|features)\b",
        "The packages are called `assignment...` here. Take the import lines from the starter.",
    ),
    Known(
        "np.float and its like",
        "AttributeError",
        r"module 'numpy' has no attribute '(float|int|bool|object|str|long|unicode)'",
        "numpy no longer has this name: write float, int or bool, or np.float64 for a fixed size.",
    ),
    Known(
        "a print statement",
        "SyntaxError",
        "Missing parentheses in call to 'print'",
        "print is a function in Python 3: print(...).",
    ),
    Known(
        "tabs mixed with spaces",
        "TabError",
        "",
        "Some lines are indented with tabs, others with spaces, which look alike. Let your editor "
        "convert the file's indentation to spaces.",
    ),
    Known(
        "indentation",
        "IndentationError",
        "",
        "The line begins further left or right than the lines around it allow. Code in a region "
        "starts under the line START OF YOUR CODE.",
    ),
    Known(
        "a method of Python 2's dictionaries",
        "AttributeError",
        r"'dict' object has no attribute '(iteritems|itervalues|iterkeys|has_key)'",
        "Python 3's dictionaries have items(), values(), keys() and `in` for it.",
    ),
    Known(
        "input() in a check",
        "EOFError|StdinNotImplementedError",
        "",
        "While a check runs, nobody can type anything. Take input() out again.",
    ),
    Known(
        "a breakpoint in a check",
        "BdbQuit",
        "",
        "While a check runs, no debugger can be used. Take the breakpoint out, and call the "
        "function in a notebook cell to look into it.",
    ),
    Known(
        "a float where an integer is needed",
        "TypeError",
        "'float' object cannot be interpreted as an integer",
        "In Python 3, / gives a float even for whole numbers; // gives an integer.",
    ),
)


def recognise(raised: Raised) -> Known | None:
    """What is known of an exception, or None."""
    for known in KNOWN:
        if raised.kind in known.kind.split("|") and re.search(known.pattern, raised.text):
            return known
    return None
