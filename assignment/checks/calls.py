"""Ready-made checks of a function or method: its results agree, its inputs and dtypes are kept.

distances = Call("k_nearest_neighbor", "KNearestNeighbor.distances", ("dists",))

def problems(seed):
    X, X_train = Draws(seed, "X").normal(4, 3), Draws(seed, "X_train").normal(6, 3)
    return [Problem("N = 4, D = 3", {"X": X}, {"X_train": X_train})]

agrees(distances, problems, name="distances", title="Distances", points=5, regions=("dists",))
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from assignment.checks.check import Arrays, Check, Finding, Mistake, RuleContext, with_noun
from assignment.checks.student import InvalidResult, Student


class Problem(NamedTuple):
    """Inputs of a call, and a name that describes them, such as "N = 5, D = 3".

    `arguments` are in the order of the function's parameters, `state` are the attributes of the
    object whose method is called. An input is an array, a number, or a dict or tuple of inputs.
    """

    name: str
    arguments: Mapping[str, Any]
    state: Mapping[str, Any] = MappingProxyType({})

    def copied(self, dtype: DTypeLike | None = None) -> "Problem":
        """Return a copy with arrays of its own; with a dtype, all floats have that."""
        return Problem(self.name, copied(self.arguments, dtype), copied(self.state, dtype))

    def arrays(self) -> Arrays:
        """Return the arrays by name: X, params['W1']."""
        inputs = {**self.arguments, **self.state}
        named = (item for name, value in inputs.items() for item in named_arrays(name, value))
        return {name: array for name, array in named if isinstance(array, np.ndarray)}


Problems = Callable[[int], Sequence[Problem]]


def copied(value: Any, dtype: DTypeLike | None = None) -> Any:
    """Return a value with copies of its arrays; with a dtype, those of floats have that."""
    if isinstance(value, np.ndarray):
        return value.astype(dtype if dtype and value.dtype.kind == "f" else value.dtype)
    if isinstance(value, Mapping):
        return {key: copied(part, dtype) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([copied(part, dtype) for part in value])
    return value


def named_arrays(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what is in nested dicts and tuples with its name: grads['W1'], cache[0]."""
    if isinstance(value, Mapping | tuple):
        parts = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, part in parts:
            yield from named_arrays(f"{name}[{key!r:.40}]", part)
    else:
        yield name, value


def with_attributes(cls: Any, **state: Any) -> Any:
    """Make an object with these attributes by a constructor without arguments."""
    made = cls()
    for name, value in state.items():
        setattr(made, name, value)
    return made


@dataclass(frozen=True)
class Call:
    """A function of a student's module, or a method of a class in it, and its results' names.

    `name` is that of a function, or of class and method: "KNearestNeighbor.predict". The method's
    object is ``make(cls, **state)``. A result named _ may be anything, such as a layer's cache.
    """

    module: str
    name: str
    results: tuple[str, ...]
    make: Callable[..., Any] = with_attributes

    def __call__(
        self, student: Student, problem: Problem, required: Collection[str] = ()
    ) -> Arrays:
        """Call it on copies of a problem's inputs, and return its results by name.

        Raise InvalidResult unless it returns as many results as it has names, all of numbers. If
        some results are `required`, others may be anything, and are left out unless of numbers.
        """
        return self.on(student, problem.copied(), required)

    def on(self, student: Student, problem: Problem, required: Collection[str] = ()) -> Arrays:
        """Call it on these inputs themselves, which it may change."""
        short = self.name.rpartition(".")[2]
        try:
            if short == self.name:
                function = student.function(self.module, short)
            else:
                function = getattr(self.make(self.owner(student), **problem.state), short)
            returned = function(*problem.arguments.values())
        except (ValueError, IndexError) as error:  # mostly due to shapes that only the check knows
            shapes = [f"{name} {array.shape}" for name, array in problem.arrays().items()]
            called = ", ".join(shapes).replace(" ", " of shape ", 1)
            error.add_note(f"It was called with {called}.")
            raise
        return self._named(short, returned, required or self.results)

    def owner(self, student: Student) -> Any:
        """Return the class of a method."""
        name = self.name.rpartition(".")[0]
        cls = student.function(self.module, name)
        if not isinstance(cls, type):
            raise InvalidResult(f"{name} is a {type(cls).__name__}, not a class.")
        return cls

    def _named(self, function: str, returned: Any, required: Collection[str]) -> Arrays:
        """Return the results by name."""
        values = returned if isinstance(returned, tuple) else (returned,)
        if len(values) != len(self.results) or returned is None:
            what = "nothing (None)" if returned is None else f"a {type(returned).__name__}"
            if isinstance(returned, tuple):
                what = with_noun(len(returned), "value")
            expected = ", ".join(self.results)
            raise InvalidResult(f"{function} returned {what}, but `{expected}` is expected.")
        arrays = {}
        for result, value in zip(self.results, values, strict=True):
            for name, part in named_arrays(result, value) if result != "_" else ():
                is_number = isinstance(part, np.ndarray | np.generic | int | float)
                if not is_number and result not in required:
                    continue
                if part is None or part is Ellipsis or isinstance(part, str):
                    raise InvalidResult(
                        f"{function} returned {name} = {part!r:.40}, which is not a number."
                    )
                if not is_number:
                    kind = type(part).__name__
                    raise InvalidResult(f"{function} returned {name} as a {kind}, not as an array.")
                arrays[name] = np.asarray(part)
        return arrays


# ---- the checks ----------------------------------------------------------------------------------


def agrees(
    call: Call, problems: Problems, *, compared: tuple[str, ...] = (), **check: Any
) -> Check:
    """Make the check that a call's results on drawn problems agree with the solution's.

    Parameters
    ----------
    call : Call
    problems : callable
        ``problems(seed)`` returns a list of Problem. The sizes of a problem differ from each other,
        so that no mistake in the shapes passes by chance.
    compared : tuple of str
        The results that must agree (default: all); grads stands for grads['W1'] and all others.
    check
        The other attributes of the Check: name, title, points, regions, tolerance, requires, ...

    Examples
    --------
    >>> agrees(
    ...     Call("softmax", "softmax_loss_naive", ("loss", "dW")),
    ...     lambda seed: [Problem("N = 2", {"W": W, "X": X, "y": y, "reg": 0.0})],
    ...     compared=("dW",),
    ...     name="naive_gradient", title="Naive gradient", points=12, regions=("softmax_naive",),
    ... )
    """
    compared = compared or call.results
    return Check(run=partial(_run, call, problems, compared), compared=compared, **check)


def _run(
    call: Call, problems: Problems, compared: tuple[str, ...], student: Student, seed: int
) -> Arrays:
    return {
        f"{name} where {problem.name}": array
        for problem in problems(seed)
        for name, array in call(student, problem, compared).items()
    }


def keeps_inputs(call: Call, problem: Callable[[int], Problem], **check: Any) -> Check:
    """Make the check that a call changes no input, and that float32 in gives float32 out.

    Parameters
    ----------
    call : Call
    problem : callable
        ``problem(seed)`` returns a Problem; its floats are passed as float64, then as float32.
    check
        The other attributes of the Check: name, title, points, regions, requires, ...

    A changed input is the mistake ``inputs_changed``, another dtype of a result that is an array of
    floats ``dtype_not_kept``: `check` requires the checks of the results themselves.

    Examples
    --------
    >>> keeps_inputs(
    ...     Call("softmax", "softmax_loss_naive", ("loss", "dW")),
    ...     lambda seed: Problem("N = 2", {"W": W, "X": X, "y": y, "reg": 0.0}),
    ...     name="inputs", title="Inputs and dtypes kept", points=3, regions=("softmax_naive",),
    ...     requires=("naive_gradient",),
    ... )
    """
    run, rule = partial(_run_twice, call, problem), partial(_find_change, problem)
    return Check(run=run, rule=rule, mistakes=CHANGES, **check)


CHANGES = {
    "inputs_changed": Mistake(
        "input changed in place",
        "The code changes an array of its caller. Operations such as -= and *= work in place: use "
        "them only on arrays that you made.",
    ),
    "dtype_not_kept": Mistake(
        "dtype of the input not kept",
        "Results should have the dtype of the input, be it float32 or float64. Look for np.zeros, "
        "astype and dtype=: which dtype does each of them make?",
    ),
}


def _run_twice(call: Call, draw: Callable[[int], Problem], student: Student, seed: int) -> Arrays:
    """Return the inputs after a call in float64 and in float32, and the bytes of results."""
    arrays: Arrays = {}
    for dtype in ("float64", "float32"):
        where, problem = f"where all is {dtype}", draw(seed).copied(dtype)
        results = call.on(student, problem)
        arrays |= {f"{name} afterwards {where}": array for name, array in problem.arrays().items()}
        for name, array in results.items():
            if array.ndim and array.dtype.kind == "f":
                size = np.asarray(array.dtype.itemsize)
                arrays[f"bytes per number of {name} {where}"] = size
    return arrays


def _find_change(
    draw: Callable[[int], Problem], arrays: Arrays, context: RuleContext
) -> Finding | None:
    """Find an input that was changed, or a precision that was lost or raised."""
    drawn = draw(context.seed).arrays()
    for dtype in ("float64", "float32"):
        where = f" where all is {dtype}"
        for name, before in drawn.items():
            after = arrays.get(f"{name} afterwards{where}")
            if after is None or not np.array_equal(after, before):
                return Finding("inputs_changed", f"The call changed {name}.")
        for name, array in arrays.items():
            result = name.removeprefix("bytes per number of ").removesuffix(where)
            if f"bytes per number of {result}{where}" == name and array != np.dtype(dtype).itemsize:
                detail = f"For {dtype} input, {result} has {8 * int(array)} bits per number."
                return Finding("dtype_not_kept", detail)
    return None
