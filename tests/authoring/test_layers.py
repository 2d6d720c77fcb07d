"""Layers and a net on top of them: a mistake in a layer keeps its name in the net."""

import json
from pathlib import Path

import numpy as np
import pytest

from assignment.checks.check import Arrays, Check, Exercise
from assignment.checks.draws import Draws
from assignment.checks.student import Student
from gradkit.authoring import proofs
from gradkit.authoring.mistakes_lock import NO_NAME, OWN, TWINS, FormVerdict, Lock, find_differences
from gradkit.course.mistakes import read_bank

NET = "assignment/classifiers/net.py"
SOLUTION = """
import numpy as np

def affine(X, W):
    ### BEGIN SOLUTION affine
    out = X @ W
    ### END SOLUTION
    return out

def relu_backward(dout, X):
    ### BEGIN SOLUTION relu_backward
    dX = dout * (X > 0)
    ### END SOLUTION
    return dX

def gradient(X, V, W):
    H = affine(X, V)
    ### BEGIN SOLUTION net
    dH = np.ones((len(X), W.shape[1])) @ W.T
    dV = X.T @ relu_backward(dH, H)
    ### END SOLUTION
    return dV
"""
MISTAKES = """
[wrong_layer]
name = "one too many"
hint = "h."
replace = [["X @ W", "X @ W + 1"]]

[mask_forgotten]
name = "the mask forgotten"
hint = "h."
replace = [[" * (X > 0)", ""]]

[not_gone_back]
name = "not gone back through the ReLU"
hint = "h."
replace = [["relu_backward(dH, H)", "dH"]]

[halved]
name = "half the gradient"
hint = "h."
replace = [["X.T @ relu", "0.5 * X.T @ relu"]]
"""
TWIN = """
[mask_of_ones]
name = "a mask of ones"
hint = "h."
replace = [["relu_backward(dH, H)", "(dH * np.ones_like(H))"]]
"""


def draw(seed: int) -> list[np.ndarray]:
    draws = Draws(seed, "net")
    return [draws.normal(*shape) for shape in ((6, 3), (3, 5), (5, 2))]


def affine(student: Student, seed: int) -> Arrays:
    X, V, _ = draw(seed)
    return {"out": np.asarray(student.function("net", "affine")(X, V))}


def relu_backward(student: Student, seed: int) -> Arrays:
    X, _, _ = draw(seed)
    return {"dX": np.asarray(student.function("net", "relu_backward")(np.ones((6, 3)), X))}


def net(student: Student, seed: int) -> Arrays:
    return {"dV": np.asarray(student.function("net", "gradient")(*draw(seed)))}


LAYERS = ("affine", "relu_backward")
CHECKS = (
    Check("affine", "Affine", 1, ("affine",), affine, ("out",)),
    Check("relu_backward", "ReLU", 1, ("relu_backward",), relu_backward, ("dX",)),
    Check("net", "Net", 1, (*LAYERS, "net"), net, ("dV",)),
    Check("net_of_right_layers", "Net", 1, (*LAYERS, "net"), net, ("dV",), requires=LAYERS),
)
EXERCISE = Exercise("net", "A net", "You write a net.", "net.ipynb", (NET,), CHECKS, seed=5)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the exercise, which `verify` reads."""
    notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    for path, text in (
        (NET, SOLUTION),
        ("net.ipynb", json.dumps(notebook)),
        ("grading/net/exercise.toml", ""),
        ("grading/net/mistakes.toml", MISTAKES),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    monkeypatch.setattr(proofs, "bank_of", lambda name, project: read_bank(EXERCISE, project))
    return tmp_path


def prove(project: Path) -> list[FormVerdict]:
    proofs.public_runs.cache_clear()
    numbers = range(len(proofs.bank_of("net", project).mutants))
    return [
        call
        for call in proofs.prove_forms("net", project, numbers)
        if isinstance(call, FormVerdict)
    ]


def test_mistake_keeps_the_name_that_an_earlier_check_gave_it(project: Path) -> None:
    names = {(call.form, call.check): call.name for call in prove(project) if call.name}
    assert names == {
        ("wrong_layer in affine", "affine"): OWN,
        ("wrong_layer in affine", "net"): OWN,
        ("mask_forgotten in relu_backward", "relu_backward"): OWN,
        ("mask_forgotten in relu_backward", "net"): OWN,  # with the same dV as not_gone_back
        ("not_gone_back in net", "net"): OWN,
        ("not_gone_back in net", "net_of_right_layers"): OWN,
        ("halved in net", "net"): OWN,
        ("halved in net", "net_of_right_layers"): OWN,
    }


def test_two_mistakes_that_no_check_tells_apart_are_reported(project: Path) -> None:
    (project / "grading/net/mistakes.toml").write_text(MISTAKES + TWIN, encoding="utf-8")
    calls = prove(project)
    problems = {str(problem) for problem in find_differences(calls, Lock())}
    for check in ("net", "net_of_right_layers"):
        assert (
            "mask_of_ones in net and not_gone_back in net: "
            f"{check} gets the same arrays from all: {TWINS}"
        ) in problems
    lock = Lock.of(calls, {})
    assert lock.review["not_gone_back in net: net_of_right_layers"] == NO_NAME
