"""Python loops in a function, and in the functions of its file that it calls."""

import pytest

from assignment.checks.loops import find_loop

LOOPS = [
    "for i in range(3):\n    pass",
    "while True:\n    break",
    "x = [i for i in y]",
    "x = {i for i in y}",
    "x = {i: i for i in y}",
    "x = sum(i for i in y)",
    "helper(y)",
    "x = helper",
    "naive(y)",
    "f = naive",
    "if False:\n    def inner():\n        for i in y: pass",
    "x = (lambda: [i for i in y])()",
    "for i in [*range(3)]: pass",
    "x = list(map(len, y))",
    "x = np.vectorize(len)(y)",
    "x = np.apply_along_axis(sum, 1, y)",
    "Helper().method(y)",
    "x = other(y)",
    "x = alias",
    "x = hidden(y)",
    "x = later(y)",
    "import itertools\nx = list(itertools.starmap(len, y))",
    "exec('for i in y: pass')",
    "global helper\nx = helper",
    "for a, b in zip(y, y): pass",
    "for i, a in enumerate(y): pass",
    "for n in range(y.shape[0]): pass",
]
NO_LOOPS = [
    "x = np.exp(y)",
    "for name in ('W', 'X'):\n    print(name)",
    "x = [np.shape(a) for a in [y, y]]",
    "innocent(y)",
    "helper = np.exp(y)\nx = helper + 1",
    "map = y * 2\nx = map.sum()",
    "N, D = [n for n in y.shape]",
    "assert all(d > 0 for d in y.shape)",
    "for k, a in {'y': y}.items(): pass",
    "for i, a in enumerate((y, y)): pass",
    "for k, a in zip('ab', (y, y)): pass",
    "x = np.logaddexp.reduce(y, axis=1)",
    "'for i in range(3)'",
    "# for i in y",
]
HELPERS = (
    "class Helper:\n    def method(self, y):\n        for i in y: pass\n"
    "other = lambda y: [i for i in y]\nalias = helper\n"
    "try:\n    def hidden(y):\n        while y: pass\nexcept ImportError:\n    pass\n"
    "later: object = lambda y: [i for i in y]\n"
    "def helper(y):\n    return deeper(y)\ndef deeper(y):\n    for i in y: pass\n"
)
INNOCENT = "def innocent(y):\n    return y\ndef naive(y):\n    for i in y: pass\n"


def function(body: str) -> str:
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    return f"{HELPERS}{INNOCENT}def f(y):\n    y = y\n{indented}    return y\n"


@pytest.mark.parametrize("body", LOOPS)
def test_a_loop_is_found_wherever_it_hides_in_the_source(body: str) -> None:
    loop = find_loop(function(body), "f", ("naive",))
    assert loop is not None
    assert loop.text.startswith("Line ")
    assert loop.calls_forbidden == ("naive" in body)


@pytest.mark.parametrize("body", NO_LOOPS)
def test_code_without_a_loop_over_samples_or_classes_passes(body: str) -> None:
    assert find_loop(function(body), "f", ("naive",)) is None


@pytest.mark.parametrize("source", ["def f(:", "x = 1", "\0", "(" * 500, "def g(): f()"])
def test_a_source_without_the_function_has_no_loop(source: str) -> None:
    assert find_loop(source, "f", ("naive",)) is None
