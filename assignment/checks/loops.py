"""Find Python loops in a function, and in the functions of its file that it calls."""

import ast
from collections.abc import Iterator, Sequence
from typing import NamedTuple

LOOPS = (
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)

# What calls a function once for each element: by its name alone, or as a part of numpy.
DISGUISES = {"map", "filter", "reduce"}
DISGUISED_PARTS = {"vectorize", "apply_along_axis", "frompyfunc", "fromiter", "nditer"}


class Loop(NamedTuple):
    """Where a loop is: `text` for people; whether it is rather a call of what has loops."""

    text: str
    calls_forbidden: bool


def find_loop(source: str, function: str, forbidden: Sequence[str]) -> Loop | None:
    """The first loop, or use of a forbidden function, in `function` or in what it uses of its file.

    A loop over a written-out tuple or list, as over two names to print, is none: it goes over
    neither samples nor classes. map, np.vectorize and their like are loops. What the syntax does
    not show is left to the clock. None, too, where the source cannot be parsed or lacks the
    function.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    defined = dict(_definitions(tree))
    waiting, seen = [function], set()
    while waiting:
        name = waiting.pop(0)
        if name in seen or name not in defined:
            continue
        seen.add(name)
        found = sorted(_found(defined[name], forbidden))
        if found:
            line, is_call = found[0]
            text = f"Line {line}: {source.splitlines()[line - 1].strip()[:80]}"
            return Loop(text, is_call)
        names = {node.id for node in ast.walk(defined[name]) if isinstance(node, ast.Name)}
        waiting.extend(sorted(names))
    return None


def _definitions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """What a file defines: functions, classes, and names that are given a value."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value


def _found(definition: ast.AST, forbidden: Sequence[str]) -> Iterator[tuple[int, bool]]:
    for node in ast.walk(definition):
        if isinstance(node, ast.Name) and node.id in (*forbidden, *DISGUISES):
            yield node.lineno, node.id in forbidden
        elif isinstance(node, ast.Attribute):
            if node.attr in DISGUISED_PARTS:
                yield node.lineno, False
        elif isinstance(node, LOOPS) and not _over_literals(node):
            yield node.lineno, False


def _over_literals(node: ast.AST) -> bool:
    if isinstance(node, ast.For):
        over = [node.iter]
    else:
        over = [part.iter for part in getattr(node, "generators", [])]
    return bool(over) and all(
        isinstance(part, ast.Tuple | ast.List)
        and not any(isinstance(element, ast.Starred) for element in part.elts)
        for part in over
    )
