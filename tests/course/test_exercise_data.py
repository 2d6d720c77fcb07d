"""The data that grading puts in the place of a notebook's."""

from typing import Any

import numpy as np
import pytest

from assignment.checks.check import Exercise
from assignment.checks.cifar10 import cifar10_data
from assignment.checks.unseen import UNSEEN_INPUTS, UNSEEN_LABELS
from gradkit.course.exercise_data import draw_data, notebook_variables
from gradkit.course.instructor_tree import CourseError


def notebook(**sources: str) -> dict[str, Any]:
    cells = [
        {"cell_type": "code", "metadata": {"gradkit": {"role": role}}, "source": source}
        for role, source in sources.items()
    ]
    return {"cells": [{"cell_type": "markdown", "metadata": {}, "source": "# It"}, *cells]}


def exercise(data: Any) -> Exercise:
    return Exercise("it", "It", "", "notebooks/it.ipynb", (), (), 1, data=data)


def rows(parameters: Any, seed: int) -> dict[str, Any]:
    return {"X": np.arange(parameters["N"]) + seed, UNSEEN_INPUTS: np.zeros(3)}


PARAMETERS = "%matplotlib inline\nN = 4  # rows\nRATES = [0.1, 1e-3]\nFILE = open('x')\na = b = 1"


def test_parameters_of_the_notebook_and_those_in_their_place_draw_the_data() -> None:
    nb = notebook(parameters=PARAMETERS, data="X = np.arange(N)")
    data = draw_data(exercise(rows), nb, {"RATES": [2]}, 10)
    assert data["X"].tolist() == [10, 11, 12, 13]
    assert notebook_variables(data) == {"N": 4, "RATES": [2], "X": data["X"]}
    assert len(draw_data(exercise(rows), nb, {"N": 2}, 0)["X"]) == 2


@pytest.mark.parametrize(
    ("data", "cells", "message"),
    [
        (rows, {"data": "X = 1", "parameters": "M = 3"}, "need the parameter 'N'. Assign it"),
        (rows, {"data": "X, y = 1, 2", "parameters": "N = 3"}, "defines y in a cell with the role"),
        (rows, {"parameters": "N = 3"}, 'has 0 cells with the role "data", and it a function'),
        (None, {"data": "X = 1"}, 'has 1 cells with the role "data", and it no function'),
    ],
)
def test_data_that_do_not_fit_the_notebook_are_refused(
    data: Any, cells: dict[str, str], message: str
) -> None:
    with pytest.raises(CourseError, match=message):
        draw_data(exercise(data), notebook(**cells), {}, 1)


def test_images_of_each_seed_have_the_splits_of_the_notebook() -> None:
    sizes = {"NUM_TRAINING": 40, "NUM_VALIDATION": 30, "NUM_TEST": 20, "NUM_DEV": 10, "SEED": 1}
    data, other = (cifar10_data(sizes, seed) for seed in (1, 2))
    shapes = {split: data[f"X_{split}"].shape for split in ("train", "val", "test", "dev")}
    assert shapes == {"train": (40, 3073), "val": (30, 3073), "test": (20, 3073), "dev": (10, 3073)}
    assert data["X_train"] is data["data"].X_train
    np.testing.assert_array_equal(data["labels"][:40], data["y_train"])
    assert data[UNSEEN_INPUTS].shape[1:] == (3073,)
    assert len(data[UNSEEN_INPUTS]) == len(data[UNSEEN_LABELS])
    assert not np.array_equal(data["images"], other["images"])
