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
        r"was removed in the NumPy 2\.0 release|module 'numpy' has no attribute "
        r"'(float|int|bool|object|str|long|unicode|product|alltrue|sometrue|asscalar)'",
        "numpy no longer has this name: write float, int or bool, or np.float64 for a fixed size; "
        "np.prod, np.all, np.any and np.inf for np.product, np.alltrue, np.sometrue and np.Inf.",
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
        # Python 3.11.2 takes one behind a digit for a part of the number; tracebacks escape them.
        r"invalid non-printable character|\\u(200[b-d]|2060|feff)(?s:.*)invalid decimal literal",
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
    KnownError(
        "an array where one value is needed",
        "ValueError",
        r"The truth value of an array with more than one element is ambiguous",
        "`if` and max() need one value. y[i] is the class of one sample, y those of all; "
        "np.maximum(0, a) compares each element with 0.",
    ),
    KnownError(
        "an array in place of the axis",
        "TypeError",
        r"\b(max|min|sum|mean)\((?s:.*)only integer scalar arrays can be converted",
        "The second argument of np.max() and np.sum() is the axis. np.maximum(0, a) compares each "
        "element with 0, and W * W is the product of each element with itself.",
    ),
    KnownError(
        "^ in place of **",
        "TypeError",
        r"'bitwise_xor'|unsupported operand type\(s\) for \^",
        "In Python, ** is the power: W**2. ^ combines the bits of whole numbers.",
    ),
    KnownError(
        "a float in an array of integers",
        "UFuncTypeError|TypeError",
        r"Cannot cast ufunc '\w+' output from dtype\('float\d+'\) to dtype\('u?int\d+'\)",
        "The array holds integers, and +=, -= and /= cannot put floats into it. Make it one of "
        "floats: np.zeros(shape), np.zeros_like(W), .astype(float).",
    ),
    KnownError(
        "an index that is not an integer",
        "IndexError",
        r"arrays used as indices must be of integer|only integers, slices",
        "An index must be an integer. / gives floats, and so does np.zeros(): take //, or convert "
        "with .astype(int).",
    ),
    KnownError(
        "an index out of bounds",
        "IndexError",
        r"index -?\d+ is out of bounds for axis \d+ with size \d+",
        "The index counts something else than the rows or columns that the array has there. Look "
        "up to which number its loop runs: that of the samples, the features or the classes.",
    ),
    KnownError(
        "more indices than axes",
        "IndexError",
        "too many indices for array",
        "The array has fewer axes than this line gives indices. Print its shape: np.sum() and "
        "np.max() over an axis remove that axis.",
    ),
    KnownError(
        "shapes that do not fit",
        "ValueError",
        r"could not be broadcast|not aligned|mismatch in its core dimension",
        "The message has the two shapes. In the product A @ B, A must have as many columns as B "
        "has rows. In other operations the lengths must be equal, or one of them 1.",
    ),
    KnownError(
        "a list in place of an array",
        "TypeError",
        r"can't multiply sequence by non-int|list indices must be integers|"
        r"unsupported operand type\(s\) for .*'list'",
        "Lists cannot be added, multiplied or indexed like arrays. np.array(a) makes an array.",
    ),
    KnownError(
        "parentheses in place of brackets",
        "TypeError",
        r"'numpy\.ndarray' object is not callable",
        "(...) calls a function. [...] picks elements of an array: scores[i].",
    ),
    KnownError(
        "None in place of a value",
        "TypeError|AttributeError",
        r"'NoneType'",
        "A variable is None: it was left so in the code above, or a function without `return` "
        "gave it.",
    ),
    KnownError(
        "an undefined name",
        "NameError",
        r"name '\w+' is not defined",
        "No line that ran gives this name a value. Is it misspelled, or is that line missing? A "
        "function knows its arguments and what it computes; `self` belongs to methods.",
    ),
    KnownError(
        "other arguments than it is called with",
        "TypeError",
        r"missing \d+ required positional argument|takes \d+ positional arguments? but \d+",
        "The function and the line that calls it have different numbers of arguments. Leave the "
        "starter's `def` lines as they were.",
    ),
    KnownError(
        "an argument of another name",
        "TypeError",
        "got an unexpected keyword argument",
        "The function has no argument of this name. help(np.sum) lists those of np.sum.",
    ),
)


def recognise(raised: Raised) -> KnownError | None:
    """Return the first known error that an exception matches, or None."""
    for known in KNOWN:
        if raised.kind in known.kind.split("|") and re.search(known.pattern, raised.traceback):
            return known
    return None
