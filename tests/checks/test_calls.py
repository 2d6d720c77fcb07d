"""The ready-made checks, on code of other kinds: a class, a dict of parameters, a drawn table."""

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from assignment.checks.answer_key import AnswerKey
from assignment.checks.calls import Call, Problem, agrees, keeps_inputs
from assignment.checks.check import Check, Exercise, Mistake, run_check_for
from assignment.checks.draws import Draws
from assignment.checks.numeric import gradient_agrees
from assignment.checks.student import Student
from assignment.checks.vectorized import Sizes, no_loops
from assignment.checks.verdict import Judge, Status, Verdict
from gradkit.authoring.verify import _Float32Student

SEED = 3
FILE = "assignment/classifiers/{}.py"


def verdict(check: Check, source: str, *edits: tuple[str, str], mistakes: Any = ()) -> Verdict:
    """The verdict on a source with these edits, by the reference of the source itself."""
    path, changed = FILE.format(source.split()[1].rstrip(".")), source
    for old, new in edits:
        assert changed.count(old) == 1, old
        changed = changed.replace(old, new)
    exercise = Exercise("any", "", "", "", (path,), (check,), SEED)
    key = AnswerKey(SEED, mistakes={id: Mistake(f"it is {id}", "") for id in mistakes})
    key.reference[check.name] = run_check_for(check, Student({path: source}), SEED).arrays
    return Judge.of_student(exercise, key, Student({path: changed})).verdict(check.name)


def about(name: str) -> dict[str, Any]:
    return {"name": name, "title": name.capitalize(), "points": 1, "regions": ("all",)}


# ---- k-nearest neighbors: a class with training samples -----------------------------------------

NEAREST = """# nearest.
import numpy as np


class Nearest:
    def distances(self, X):
        squares = (X**2).sum(axis=1)[:, np.newaxis] + (self.X_train**2).sum(axis=1)
        return np.sqrt(np.maximum(squares - 2 * X @ self.X_train.T, 0))

    def labels(self, dists, k):
        nearest = self.y_train[np.argsort(dists, axis=1, kind="stable")[:, :k]]
        return np.array([np.bincount(row).argmax() for row in nearest])
"""


def neighbors(seed: int, tests: int = 4, train: int = 6, features: int = 3) -> Problem:
    draws = Draws(seed, f"{tests}, {train}, {features}")
    X, X_train = draws.normal(tests, features), draws.normal(train, features)
    return Problem(f"N = {tests}, D = {features}", {"X": X}, {"X_train": X_train})


def votes(seed: int) -> list[Problem]:
    """Distances whose nearest labels tie."""
    dists, y_train = np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([2, 1, 1, 0])
    return [Problem(f"k = {k}", {"dists": dists, "k": k}, {"y_train": y_train}) for k in (1, 2, 4)]


DISTANCES = Call("nearest", "Nearest.distances", ("dists",))
SIZES = Sizes(
    neighbors,
    {"train": 100, "features": 8},
    "train",
    lambda seed: [neighbors(seed + k, 40, 500, 2) for k in range(3)],
    lambda problem: [np.sqrt(problem.arguments["X"] @ problem.state["X_train"].T) for _ in "abc"],
    "three products",
)
NEAREST_CHECKS = {
    "agrees": agrees(DISTANCES, lambda seed: [neighbors(seed)], **about("agrees")),
    "labels": agrees(
        Call("nearest", "Nearest.labels", ("y_pred",)), votes, tolerance=0.0, **about("labels")
    ),
    "keeps": keeps_inputs(DISTANCES, neighbors, **about("keeps")),
    "loops": no_loops(DISTANCES, SIZES, naive=("Nearest.slowly",), **about("loops")),
}
RETURN = "return np.sqrt(np.maximum(squares - 2 * X @ self.X_train.T, 0))"
TABLE = f"dists = np.zeros(squares.shape)\n        dists[:] = {RETURN[7:]}\n        return dists"
LOOP = f"for row in self.X_train: row.sum()\n        {RETURN}"
SLOWLY = f"self.slowly()\n        {RETURN}\n\n    def slowly(self):\n        {LOOP.splitlines()[0]}"


@pytest.mark.parametrize("name", NEAREST_CHECKS)
def test_a_right_class_passes(name: str) -> None:
    assert verdict(NEAREST_CHECKS[name], NEAREST).passed


@pytest.mark.parametrize(
    ("check", "old", "new", "text"),
    [
        ("agrees", RETURN, "squares", "returned nothing (None), but `dists` is expected"),
        ("agrees", RETURN, "return squares, X", "distances returned 2 values, but `dists`"),
        ("agrees", RETURN, "return squares.tolist()", "dists as a list, not as an array"),
        ("agrees", RETURN, "return {1: squares}", "returned no dists where N = 4, D = 3"),
        ("agrees", "- 2 * X", "- X", "dists is off by"),
        ("agrees", "class Nearest:", "def Nearest():", "Nearest is a function, not a class"),
        ("labels", "argmax()", "size - 1", "y_pred is wrong in 1 of 1 label where k = 2"),
        ("keeps", "squares = ", "X *= 1.5; squares = ", "The call changed X"),
        ("keeps", "squares = ", "self.X_train -= 1; squares = ", "The call changed X_train"),
        ("keeps", RETURN, TABLE, "For float32 input, dists has 64 bits per number"),
        ("loops", RETURN, LOOP, "in Nearest.distances, ran 401 times for 400 train, and 101"),
        ("loops", RETURN, SLOWLY, "in Nearest.slowly, ran 401 times for 400 train"),
        ("loops", RETURN, f"self.X_train @ self.X_train.T\n        {RETURN}", "It took 32 MB"),
    ],
)
def test_a_wrong_method_is_described(check: str, old: str, new: str, text: str) -> None:
    found = verdict(NEAREST_CHECKS[check], NEAREST, (old, new))
    assert found.status is Status.WRONG
    assert text in found.text


def test_an_exception_gets_the_shapes_of_all_inputs() -> None:
    found = verdict(NEAREST_CHECKS["agrees"], NEAREST, ("self.X_train.T", "self.X_train"))
    assert found.status is Status.RAISED
    assert found.quoted.endswith("It was called with X of shape (4, 3), X_train (6, 3).")


def test_a_ready_made_check_names_its_mistakes_unless_the_bank_does() -> None:
    edit = ("squares = ", "X *= 1.5; squares = ")
    check = NEAREST_CHECKS["keeps"]
    found = verdict(check, NEAREST, edit)
    assert (found.mistake, found.headline) == ("inputs_changed", "input changed in place")
    assert "use them only on arrays that you made" in found.hint
    found = verdict(check, NEAREST, edit, mistakes=["inputs_changed"])
    assert found.headline == "it is inputs_changed"
    assert verdict(NEAREST_CHECKS["loops"], NEAREST, (RETURN, LOOP)).headline == "one loop too many"
    found = verdict(NEAREST_CHECKS["loops"], NEAREST, (RETURN, SLOWLY), mistakes=["calls_naive"])
    assert found.mistake == "calls_naive"


def test_a_loop_over_a_size_that_is_left_out_is_allowed() -> None:
    edit = (RETURN, f"for row in X: row.sum()\n        {RETURN}")
    assert verdict(NEAREST_CHECKS["loops"], NEAREST, edit).passed


def test_a_class_is_run_in_float32() -> None:
    seen: list[Any] = []
    student = _Float32Student({FILE.format("nearest"): NEAREST})
    with student.in_place():
        model = student.function("nearest", "Nearest")()
        model.X_train = {"a": np.ones((2, 2))}
        seen.append(model.X_train["a"])
        model.X_train = np.ones((2, 2))
        seen.append(model.distances(np.ones((3, 2))))
    assert [array.dtype for array in seen] == [np.float32, np.float32]


# ---- a two-layer net: a dict of parameters -------------------------------------------------------

NET = """# net.
import numpy as np


class Net:
    def __init__(self, params):
        self.params = params

    def loss(self, X, y):
        W1, b1, W2 = self.params["W1"], self.params["b1"], self.params["W2"]
        hidden = np.maximum(X @ W1 + b1, 0)
        residual = hidden @ W2 - y
        back = (residual[:, np.newaxis] * W2) * (hidden > 0)
        grads = {"W1": X.T @ back, "b1": back.sum(axis=0), "W2": hidden.T @ residual}
        return 0.5 * np.sum(residual**2), grads
"""


def net_problems(seed: int) -> list[Problem]:
    draws = Draws(seed, "net")
    params = {"W1": draws.normal(3, 5), "b1": draws.normal(5), "W2": draws.normal(5)}
    return [Problem("N = 4", {"X": draws.normal(4, 3), "y": draws.normal(4)}, {"params": params})]


NET_LOSS = Call("net", "Net.loss", ("loss", "grads"), make=lambda cls, params: cls(params))
NET_CHECKS = {
    "agrees": agrees(NET_LOSS, net_problems, **about("agrees")),
    "keeps": keeps_inputs(NET_LOSS, lambda seed: net_problems(seed)[0], **about("keeps")),
    "slopes": gradient_agrees(
        NET_LOSS, net_problems, loss="loss", gradients={"params": "grads"}, **about("slopes")
    ),
}
STEP = "        return 0.5"


@pytest.mark.parametrize("name", NET_CHECKS)
def test_a_right_net_passes(name: str) -> None:
    assert verdict(NET_CHECKS[name], NET).passed


@pytest.mark.parametrize(
    ("check", "old", "new", "text"),
    [
        ("agrees", '"b1": back.sum(axis=0), ', "", "returned no grads['b1'] where N = 4"),
        ("agrees", "back.sum(axis=0)", "None", "grads['b1'] = None, which is not a number"),
        ("agrees", "(hidden > 0)", "(hidden > 1)", "grads['b1'] is off by"),
        ("agrees", ", grads\n", ", None\n", "returned grads = None, which is not a number"),
        ("keeps", STEP, f"        W1 -= grads['W1']\n{STEP}", "The call changed params['W1']"),
        (
            "keeps",
            STEP,
            f"        self.params['b1'] = 0 * b1\n{STEP}",
            "The call changed params['b1']",
        ),
        ("keeps", "X.T @ back", "X.T @ np.float64(back)", "grads['W1'] has 64 bits per number"),
        ("slopes", "back.sum(axis=0)", "2 * back.sum(axis=0)", "grads['b1'] is 2 times the slope"),
        ("slopes", "X.T @ back", "(X.T @ back)[:2]", "shape (2, 5), but params['W1'] has (3, 5)"),
        ("slopes", '"b1": back.sum(axis=0), ', "", "The gradients hold no grads['b1']"),
    ],
)
def test_a_wrong_net_is_described(check: str, old: str, new: str, text: str) -> None:
    found = verdict(NET_CHECKS[check], NET, (old, new))
    assert found.status is Status.WRONG
    assert text in found.text


def test_a_gradient_that_is_still_zero_is_not_attempted() -> None:
    found = verdict(NET_CHECKS["slopes"], NET, ("X.T @ back", "0 * W1"))
    assert (found.status, "still returns 0 for grads['W1']" in found.text) == (
        Status.NOT_ATTEMPTED,
        True,
    )


def test_a_right_gradient_of_zero_passes_and_a_stub_does_not() -> None:
    def dead(seed: int) -> list[Problem]:
        [problem] = net_problems(seed)
        problem.state["params"]["b1"] -= 1000
        return [problem]

    check = gradient_agrees(
        NET_LOSS, dead, loss="loss", gradients={"params": "grads"}, **about("slopes")
    )
    assert verdict(check, NET).passed
    stub = verdict(check, NET, ("0.5 * np.sum(residual**2)", "0.0"))
    assert stub.status is Status.NOT_ATTEMPTED


# ---- ridge regression: a drawn table -------------------------------------------------------------

RIDGE = """# ridge.
def ridge_loss(w, table, target, reg):
    residual = table @ w - target
    return residual @ residual / 2 + reg * w @ w / 2, table.T @ residual + reg * w, (residual, None)
"""


def tables(seed: int) -> Iterator[Problem]:
    for rows, columns in ((7, 3), (5, 4)):
        draws = Draws(seed, f"table of {rows}")
        w, table, target = draws.normal(columns), draws.normal(rows, columns), draws.normal(rows)
        inputs = {"w": w, "table": table, "target": target, "reg": 0.5}
        yield Problem(f"N = {rows}, D = {columns}", MappingProxyType(inputs))


RIDGE_LOSS = Call("ridge", "ridge_loss", ("loss", "dw", "_"))
RIDGE_CHECKS = {
    "agrees": agrees(RIDGE_LOSS, lambda seed: [*tables(seed)], compared=("dw",), **about("agrees")),
    "slopes": gradient_agrees(
        RIDGE_LOSS,
        lambda seed: [*tables(seed)],
        loss="loss",
        gradients={"w": "dw"},
        **about("slopes"),
    ),
}


def test_a_right_regression_passes_whatever_its_last_result_is() -> None:
    for check in RIDGE_CHECKS.values():
        assert verdict(check, RIDGE).passed
        assert verdict(check, RIDGE, ("(residual, None)", "None")).passed


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("+ reg * w,", "+ 2 * reg * w,", "With N = 7, D = 3 your loss changes by"),
        ("table.T @ residual", "table @ w", "It was called with w of shape (3,), table (7, 3)"),
        ("return residual @ residual", "return residual", "loss has shape (7,) and type float64"),
    ],
)
def test_a_wrong_slope_is_described_without_a_reference(old: str, new: str, text: str) -> None:
    found = verdict(RIDGE_CHECKS["slopes"], RIDGE, (old, new))
    assert not found.passed
    assert text in found.text + found.quoted


@pytest.mark.parametrize("name", ["dw where N = 7, D = 3", "slopes by w where N = 5, D = 4"])
def test_slopes_that_are_left_out_earn_nothing(name: str) -> None:
    check, path = RIDGE_CHECKS["slopes"], FILE.format("ridge")
    outcome = run_check_for(check, Student({path: RIDGE}), SEED)
    del outcome.arrays[name]
    exercise = Exercise("any", "", "", "", (path,), (check,), SEED)
    found = Judge(exercise, AnswerKey(SEED), {}, lambda _: outcome).verdict("slopes")
    assert found.headline == "cannot be checked"
