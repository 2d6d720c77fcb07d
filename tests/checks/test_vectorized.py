"""Vectorized code without loops passes; loops of every form fail, with what ran."""

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from assignment.checks.check import Arrays, Outcome, run_check_for
from assignment.checks.linear import LINEAR_CLASSIFIER, SIZES
from assignment.checks.softmax import EXERCISE, SOFTMAX
from assignment.checks.student import Student
from assignment.checks.vectorized import MAX_RATIO, RATIO, _results
from assignment.checks.verdict import Judge, Verdict
from tests.banks import BANK
from tests.checks.solution import ANSWER_KEY, SOURCES

# As in a graded run, where each check loads the files anew: here without the checks before it.
CHECK = replace(EXERCISE.check("vectorized_no_loops"), requires=())
REGION = "softmax_vectorized"
LOSS = "loss = np.sum(np.log(sum_exp) - scores[samples, y]) / num_train"
GRADIENT = "dW = X.T @ dscores"
SAMPLE = "np.log(sum_exp[i]) - scores[i, y[i]]"


def verdict(*edits: tuple[str, str], above: str = "", beside: str = "") -> Verdict:
    """The verdict on the solution with these edits, and with more code in its files."""
    body = BANK.solution.body(REGION).text
    for old, new in edits:
        assert body.count(old) == 1
        body = body.replace(old, new.replace("\n", "\n    "))
    files = dict(BANK.solution.with_region(REGION, body).files)
    files[SOFTMAX] += above
    files[LINEAR_CLASSIFIER] += beside
    return Judge.of_student(EXERCISE, ANSWER_KEY, Student(files)).verdict_on(CHECK)


# Ways to compute the loss by visiting one sample after the other.
LOOPS = {
    "for": f"for i in range(num_train):\n    loss += ({SAMPLE}) / num_train",
    "for over a list": f"for i in [*samples]:\n    loss += ({SAMPLE}) / num_train",
    "while": f"i = 0\nwhile i < num_train:\n    loss += ({SAMPLE}) / num_train\n    i += 1",
    "while on one line": f"i = 0\nwhile i < num_train: loss += ({SAMPLE}) / num_train; i += 1",
    "list": f"loss = sum([{SAMPLE} for i in samples]) / num_train",
    "dict": f"loss = sum({{i: {SAMPLE} for i in samples}}.values()) / num_train",
    "generator": f"loss = sum({SAMPLE} for i in samples) / num_train",
    "map": f"loss = sum(map(lambda i: {SAMPLE}, samples)) / num_train",
    "sorted": f"terms = []\nsorted(samples, key=lambda i: terms.append({SAMPLE}) or 0)\n"
    "loss = sum(terms) / num_train",
    "reduce": "import functools\n"
    f"loss = functools.reduce(lambda total, i: total + {SAMPLE}, samples, 0.0) / num_train",
    "iter": "left, terms = [*samples], []\n"
    "def step():\n    if not left:\n        return None\n"
    f"    i = left.pop()\n    terms.append({SAMPLE})\n    return True\n"
    "list(iter(step, None))\nloss = sum(terms) / num_train",
    "vectorize": f"loss = np.vectorize(lambda i: {SAMPLE})(samples).sum() / num_train",
    "frompyfunc": f"loss = np.frompyfunc(lambda i: {SAMPLE}, 1, 1)(samples).sum() / num_train",
    "fromiter": f"loss = np.fromiter(({SAMPLE} for i in samples), float).sum() / num_train",
    "nditer": f"for i in np.nditer(samples):\n    loss += ({SAMPLE}) / num_train",
    "apply_along_axis": "loss = np.apply_along_axis(lambda i: np.log(sum_exp[i]) - "
    "scores[i, y[i]], 1, samples[:, np.newaxis]).sum() / num_train",
    "re.sub": "import re\nplaces = iter(samples)\nterms = []\n"
    f"def term(match):\n    i = next(places)\n    terms.append({SAMPLE})\n    return ''\n"
    "re.sub('.', term, '.' * num_train)\nloss = sum(terms) / num_train",
    "exec": "names = {**globals(), **locals()}\n"
    f"exec('for i in samples: loss += {SAMPLE}', names)\nloss = names['loss'] / num_train",
    "exec under numpy's name": "names = {**vars(np), **globals(), **locals()}\n"
    f"text = 'for i in samples: loss += {SAMPLE}'\n"
    "exec(compile(text, np.__file__, 'exec'), names)\nloss = names['loss'] / num_train",
    "class": "class Total:\n    def add(self, i):\n"
    f"        self.value = getattr(self, 'value', 0.0) + {SAMPLE}\n"
    "total = Total()\nlist(map(total.add, samples))\nloss = total.value / num_train",
    "recursion": "def total(i):\n    if i == num_train:\n        return 0.0\n"
    f"    return {SAMPLE} + total(i + 1)\nloss = total(0) / num_train",
    "thread": "import threading\nterms = []\n"
    f"def run():\n    for i in samples: terms.append({SAMPLE})\n"
    "thread = threading.Thread(target=run)\nthread.start()\nthread.join()\n"
    "loss = sum(terms) / num_train",
    "exceptions caught": "i = 0\nwhile True:\n    try:\n"
    f"        loss += ({SAMPLE}) / num_train\n        i += 1\n"
    "    except BaseException:\n        break",
}


@pytest.mark.parametrize("code", LOOPS.values(), ids=LOOPS)
def test_a_loop_over_samples_fails_in_every_form(code: str) -> None:
    found = verdict((LOSS, code))
    assert found.mistake == "loop_in_vectorized", found
    assert "times for 400 samples, and 10" in found.text


def test_a_loop_is_quoted_with_its_runs() -> None:
    found = verdict((LOSS, LOOPS["for"]))
    number = 1 + SOURCES[SOFTMAX].splitlines().index(f"    {LOSS}")
    assert found.text == (
        f"Line {number} of {SOFTMAX}, in softmax_loss_vectorized, ran 401 times for 400 samples, "
        "and 101 times for 100: for i in range(num_train):"
    )


def test_a_loop_of_numpy_with_a_function_in_c_fails() -> None:
    rows = "scores.max(axis=1, keepdims=True)"
    found = verdict((rows, "np.apply_along_axis(np.max, 1, scores)[:, np.newaxis]"))
    assert found.mistake == "loop_in_vectorized"
    assert "of numpy/lib/" in found.text
    assert "in apply_along_axis, ran 401 times for 400 samples" in found.text
    picked = "list(map(scores.item, np.ndindex(scores.shape)))"
    found = verdict(("scores.max(axis", f"np.reshape({picked}, scores.shape).max(axis"))
    assert found.mistake == "loop_in_vectorized"
    assert (
        "in ndindex.__next__, ran 3201 times for 400 samples, and 801 times for 100" in found.text
    )


HELPER = (
    "\n\ndef per_sample(sum_exp, scores, y):\n    total = 0.0\n"
    f"    for i in range(len(y)):\n        total += {SAMPLE}\n    return total\n"
)


def test_a_loop_over_every_other_class_fails() -> None:
    code = "dW = X.T @ dscores\nfor c in range(0, W.shape[1], 2):\n    dW[:, c] *= 1"
    assert verdict((GRADIENT, code)).mistake == "loop_in_vectorized"


def test_a_loop_in_a_file_of_any_name_fails() -> None:
    code = "exec(compile('for i in samples: i', 'C:/Programs (x86)/é, +@.py', 'exec'), locals())"
    found = verdict((LOSS, f"{LOSS}\n{code}"))
    assert found.mistake == "loop_in_vectorized"
    assert "of C:/Programs (x86)/é, +@.py, in <module>, ran 401 times" in found.text


def test_a_loop_in_another_function_or_file_fails() -> None:
    call = "loss = per_sample(sum_exp, scores, y) / num_train"
    assert "in per_sample, ran 401 times" in verdict((LOSS, call), above=HELPER).text
    imported = f"from assignment.classifiers.linear_classifier import per_sample\n{call}"
    found = verdict((LOSS, imported), beside=HELPER)
    assert found.mistake == "loop_in_vectorized"
    assert f"of {LINEAR_CLASSIFIER}, in per_sample, ran 401 times for 400 samples" in found.text


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            "for c in range(W.shape[1]):\n    dW[:, c] = X.T @ dscores[:, c]",
            "ran 33 times for 32 classes, and 9 times for 8: for c in range(W.shape[1]):",
        ),
        (
            "for row, feature in zip(dW, X.T):\n    row[:] = feature @ dscores",
            "ran 33 times for 32 features, and 9 times for 8: for row, feature in zip(dW, X.T):",
        ),
    ],
)
def test_a_loop_over_classes_or_features_alone_fails(code: str, sentence: str) -> None:
    found = verdict((GRADIENT, code))
    assert found.mistake == "loop_in_vectorized"
    assert found.text.endswith(sentence)


@pytest.mark.parametrize(
    "code",
    [
        "loss = softmax_loss_naive(W, X, y, 0.0)[0]",
        "loss = same_loss(W, X, y, 0.0)[0]",
        "import functools\nloss = functools.partial(apply, softmax_loss_naive)(W, X, y, 0.0)[0]",
    ],
)
def test_the_naive_function_is_recognized_under_any_name(code: str) -> None:
    above = (
        "\n\nsame_loss = softmax_loss_naive\n\n\ndef apply(f, *values):\n    return f(*values)\n"
    )
    found = verdict((LOSS, code), above=above)
    assert found.mistake == "calls_naive"
    assert "in softmax_loss_naive, ran 401 times for 400 samples" in found.text


# Code without a loop over samples, classes or features, run beside the solution.
NO_LOOPS = {
    "numpy": "if num_train < 1000:\n    np.einsum('nd,dc->nc', X, W)\n"
    "    np.take_along_axis(scores, y[:, np.newaxis], axis=1)\n"
    "    np.add.at(np.zeros_like(scores), (samples, y), 1)\n"
    "    np.unique(y, return_counts=True), np.vstack(y), np.hstack([scores, scores]), np.r_[X, X]\n"
    "    np.block([[X, X], [X, X]]), np.pad(X, 1), np.histogram(scores), np.tensordot(X, W, 1)\n"
    "    np.linalg.norm(X, axis=1), np.median(X, axis=0), np.tril(scores), np.cov(X.T)\n"
    "    np.array2string(scores, threshold=10**6)",
    "printing arrays": "print(scores, X, y)\nrepr(scores)\nprint(f'{scores}')\n"
    "with np.printoptions(formatter={'float': lambda number: f'{number:.3f}'}):\n"
    "    print(sum_exp)",
    "warnings": "import logging, warnings\nfor _ in range(3):\n    warnings.warn('look here')\n"
    "    logging.getLogger('x').warning('%s', scores)",
    "a handful": "for name, array in {'W': W, 'X': X}.items():\n    print(name, array.shape)\n"
    "[print(d) for d in X.shape]\nassert all(d > 0 for d in W.shape)\n"
    "for row in scores[:10]:\n    print(row)\nfor dtype in [np.float32, np.float64]: print(dtype)",
    "passes of a thousand": "for first in range(0, num_train, 1000):\n"
    "    np.exp(scores[first : first + 1000])",
    "halving": "n = num_train\nwhile n > 1:\n    n = (n + 1) // 2",
    "helpers": "import functools\n@functools.wraps(np.exp)\ndef helper(x):\n"
    "    return (lambda z: np.exp(z))(x)\nhelper(scores)",
    "indexing by lists": "for _ in range(4): scores[range(num_train), list(y)]",
    "a buffer of its own": "buffer = np.zeros(10**6)",
    "another word for it": "'for i in range(N)'  # for i in range(N)\nmap = scores * 2\nmap.sum()",
}


@pytest.mark.parametrize("code", NO_LOOPS.values(), ids=NO_LOOPS)
def test_code_without_a_loop_passes(code: str) -> None:
    found = verdict((LOSS, f"{LOSS}\n{code}"))
    assert found.passed, found


class Shown:
    """A number that counts how often it is turned into text."""

    count = 0

    def __repr__(self) -> str:
        Shown.count += 1
        return "1.0"


def print_with_settings(array: object) -> None:
    np.set_printoptions(threshold=sys.maxsize)
    print(array)


@pytest.mark.parametrize(
    "show",
    [
        lambda array: print(array, f"{array}"),
        print_with_settings,
        lambda array: print(array.tolist()),
    ],
    ids=["texts", "settings", "a list"],
)
def test_arrays_are_not_turned_into_text_whole_in_the_calls_that_are_timed(
    show: Callable[[object], object],
) -> None:
    numbers = np.array([Shown() for _ in range(2000)])

    def run(problem: object) -> Arrays:
        show(numbers)
        return {}

    Shown.count = 0
    with np.printoptions(threshold=sys.maxsize):
        _results(run, SIZES, ANSWER_KEY.seed)
    assert Shown.count < 20 * len(SIZES.many(ANSWER_KEY.seed))


def test_output_is_not_taken_for_a_table() -> None:
    """The buffer that holds it is copied as it grows."""
    above = "\n\nprint('x' * 4_000_000)\nprint([str(i) for i in range(1000)])\n"
    code = "if num_train == 2000:\n    for _ in range(20): print('x' * 100_000)"
    assert verdict((LOSS, f"{LOSS}\n{code}"), above=above).passed


def test_runs_on_loading_hide_no_loop() -> None:
    above = "\n\ndef helper(i):\n    return i\n\n\nlist(map(helper, range(1000)))\n"
    found = verdict((LOSS, f"{LOSS}\nlist(map(helper, samples))"), above=above)
    assert "in helper, ran 400 times for 400 samples, and 100 times for 100" in found.text


@pytest.mark.parametrize(
    "code",
    [
        "import operator\nchosen = map(operator.getitem, scores.tolist(), y.tolist())\n"
        "sums = map(sum, np.exp(scores).tolist())\nimport math\n"
        "loss = sum(map(operator.sub, map(math.log, sums), chosen)) / num_train\n"
        "for _ in range(3): sum(map(operator.mul, scores.ravel().tolist(), repeat(1.0)))",
        "import sys\ntrace = sys.gettrace()\nsys.settrace(None)\n"
        "for i in samples: loss += np.log(np.exp(scores[i]).sum()) - scores[i, y[i]]\n"
        "loss /= num_train\nsys.settrace(trace)",
    ],
    ids=["iterated in C", "counting switched off"],
)
def test_what_is_not_counted_is_slow(code: str) -> None:
    found = verdict((LOSS, code), above="\n\nfrom itertools import repeat\n")
    assert found.mistake == "slow_vectorized", found
    assert " times the processor time of the yardstick (three times X @ W, exp()" in found.text


# ---- the rule, outside ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results() -> Arrays:
    """The arrays that the solution returns."""
    return run_check_for(CHECK, BANK.solution.student(), ANSWER_KEY.seed).arrays


def judged(arrays: Arrays, cpu_ratio: float | None = None) -> Verdict:
    """The verdict on these arrays, sent by code whose processor time was read from outside."""
    outcome = Outcome(arrays, cpu_ratio=cpu_ratio)
    return Judge(EXERCISE, ANSWER_KEY, SOURCES, lambda _: outcome).verdict_on(CHECK)


def test_a_graded_run_believes_only_the_time_read_from_outside(results: Arrays) -> None:
    assert judged(results | {RATIO: np.asarray(31.4)}).mistake == "slow_vectorized"
    assert judged(results | {RATIO: np.asarray(31.4)}, cpu_ratio=0.0).passed
    assert judged(results, cpu_ratio=MAX_RATIO).passed
    found = judged(results, cpu_ratio=31.4)
    assert found.mistake == "slow_vectorized"
    assert found.text.startswith("It took 31 times the processor time of the yardstick")


def test_time_that_could_not_be_measured_passes_with_a_note(results: Arrays) -> None:
    found = judged(results, cpu_ratio=np.nan)
    assert found.passed
    assert "could not be measured" in found.text
    name = next(name for name in results if name.startswith("dW"))
    assert not judged(results | {name: results[name] + 1}, cpu_ratio=np.nan).passed


@pytest.mark.parametrize(
    "forged",
    [
        {"runs of line 1 of x in f": np.zeros(3)},
        {"runs of line 1 of x in f": np.zeros((4, 4))},
        {"runs of line 1 of x in f": np.zeros(4)},
        {"runs of line 1 of x in f": np.array([np.nan, 1, 2, 3])},
        {"bytes for each pair of samples": np.zeros(2)},
    ],
)
def test_forged_arrays_earn_nothing(results: Arrays, forged: Arrays) -> None:
    assert judged({**results, **forged}).headline == "cannot be checked"


def test_each_call_is_compared(results: Arrays) -> None:
    name = next(name for name in results if name.startswith("loss"))
    wrong = results[name].copy()
    wrong[7] = wrong[6]
    assert not judged(results | {name: wrong}).passed


def test_a_trace_function_that_was_there_is_there_again() -> None:
    def trace(*_: object) -> None:
        """Trace nothing."""

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        outcome = run_check_for(CHECK, BANK.solution.student(), 0)
        after = sys.gettrace()
    finally:
        sys.settrace(before)
    assert outcome.arrays
    assert after is trace
