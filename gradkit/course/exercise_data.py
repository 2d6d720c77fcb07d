"""The data of an exercise, drawn from a seed in place of those that its notebook loads.

draw_data             the exercise's `data` for the notebook's parameters, some of them replaced
notebook_variables    the part of them that the notebook gets as variables
"""

import ast
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from assignment.checks.check import Exercise
from assignment.workspace.fresh_copy import names_in, parse_cell
from assignment.workspace.regions import Notebook, source_of
from gradkit.course.instructor_tree import CourseError


def draw_data(
    exercise: Exercise, notebook: Notebook, parameters: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """Return the notebook's parameters, with `parameters` in place of some, and the drawn data.

    Raise CourseError if `data` needs a parameter that is not there, or does not return a variable
    that a cell with the role "data" defines.
    """
    parameters = {**_literals(notebook), **parameters}
    data_cells = list(_sources(notebook, "data"))
    if (exercise.data is None) != (not data_cells):
        raise CourseError(
            f'{exercise.notebook} has {len(data_cells)} cells with the role "data", and '
            f"{exercise.name} {'no' if exercise.data is None else 'a'} function `data` that draws "
            "their variables for grading. Write both, or neither."
        )
    if exercise.data is None:
        return parameters
    try:
        drawn = exercise.data(parameters, seed)
    except KeyError as error:
        raise CourseError(
            f"The data of {exercise.name} need the parameter {error}. Assign it in the notebook's "
            'cell with the role "parameters", or under [parameters] in exercise.toml.'
        ) from error
    bound = {name for source in data_cells for name in names_in(source)[1]}
    if missing := sorted(name for name in bound - drawn.keys() if not name.startswith("_")):
        raise CourseError(
            f'{exercise.notebook} defines {", ".join(missing)} in a cell with the role "data", '
            f"and `data` of {exercise.name} does not return that: a student's cell that uses it "
            "would fail when it is graded."
        )
    return {**parameters, **drawn}


def notebook_variables(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data that the notebook gets: all except those to judge a model by."""
    return {name: value for name, value in data.items() if name.isidentifier()}


def _literals(notebook: Notebook) -> dict[str, Any]:
    """Return what the cells with parameters assign, except results of expressions."""
    values: dict[str, Any] = {}
    for source in _sources(notebook, "parameters"):
        for node in parse_cell(source).body:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)]):
                    with suppress(ValueError):
                        values[name] = ast.literal_eval(node.value)
    return values


def _sources(notebook: Notebook, role: str) -> Iterator[str]:
    for cell in notebook["cells"]:
        if cell.get("metadata", {}).get("gradkit", {}).get("role") == role:
            yield source_of(cell)
