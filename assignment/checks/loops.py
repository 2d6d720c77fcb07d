"""Find Python loops in a function, and in the functions of its file that it calls."""

import ast
from collections.abc import Iterator
from functools import lru_cache
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

# Functions that call another one once for each element, or run hidden code: builtins and the
# like, and functions of a module.
DISGUISES = {"map", "filter", "reduce", "starmap", "exec", "eval"}
DISGUISED_PARTS = {"vectorize", "apply_along_axis", "frompyfunc", "fromiter", "nditer", "starmap"}


class Loop(NamedTuple):
    """A loop: its line as text, and whether it is a call of a forbidden function instead."""

    text: str
    calls_forbidden: bool


@lru_cache(maxsize=16)  # a check looks before it runs the code, and its rule looks again
def find_loop(source: str, function: str, forbidden: tuple[str, ...]) -> Loop | None:
    """Return the first loop, or use of a forbidden function, in `function` or what it calls.

    Calls are followed within the file. A loop over a written-out tuple or list, or over a shape,
    does not count: it visits neither samples nor classes. map, np.vectorize and the like count as
    loops. Loops that the syntax does not show are left to the time limit. Returns None, too, if the
    source cannot be parsed or lacks the function.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    defined: dict[str, list[ast.AST]] = {}
    for name, node in _definitions(tree):
        defined.setdefault(name, []).append(node)
    waiting, seen = [function], set()
    while waiting:
        name = waiting.pop(0)
        if name in seen or name not in defined:
            continue
        seen.add(name)
        for definition in defined[name]:
            own = _own_names(definition)
            loops = sorted(_loops_in(definition, forbidden, own))
            if loops:
                line, is_call = loops[0]
                text = f"Line {line}: {source.splitlines()[line - 1].strip()[:80]}"
                return Loop(text, is_call)
            names = {node.id for node in ast.walk(definition) if isinstance(node, ast.Name)}
            waiting.extend(sorted(names - own))
    return None


def _definitions(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield the functions, classes and assigned names of a file, in whatever block."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name) and node.value is not None:
                    yield target.id, node.value
        elif isinstance(node, ast.stmt | ast.ExceptHandler):
            yield from _definitions(node)


def _own_names(definition: ast.AST) -> set[str]:
    """Return the local names of a function, which hide the file's functions of the same name."""
    if not isinstance(definition, ast.FunctionDef):
        return set()
    nodes = list(ast.walk(definition))
    shared = {name for n in nodes if isinstance(n, ast.Global) for name in n.names}
    stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return (stored | {n.arg for n in nodes if isinstance(n, ast.arg)}) - shared


def _loops_in(
    definition: ast.AST, forbidden: tuple[str, ...], own: set[str]
) -> Iterator[tuple[int, bool]]:
    """Yield the line of each loop, and whether it is a call of a forbidden function."""
    for node in ast.walk(definition):
        if (
            isinstance(node, ast.Name)
            and node.id in (*forbidden, *DISGUISES)
            and node.id not in own
        ):
            yield node.lineno, node.id in forbidden
        elif isinstance(node, ast.Attribute):
            if node.attr in DISGUISED_PARTS:
                yield node.lineno, False
        elif isinstance(node, LOOPS) and not _is_over_few(node):
            yield node.lineno, False


def _is_over_few(node: ast.AST) -> bool:
    """Return whether a loop or comprehension visits neither samples nor classes."""
    if isinstance(node, ast.For):
        over = [node.iter]
    else:
        over = [part.iter for part in getattr(node, "generators", [])]
    return bool(over) and all(map(_is_written_out, over))


def _is_written_out(node: ast.expr) -> bool:
    """Return whether the elements stand in the source, or are the numbers of a shape."""
    match node:
        case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
            return not any(isinstance(element, ast.Starred) for element in elements)
        case ast.Constant() | ast.Attribute(attr="shape"):
            return True
        case ast.Dict(keys=keys):
            return None not in keys
        case ast.Call(func=ast.Name(id="enumerate" | "zip" | "reversed"), args=arguments):
            return bool(arguments) and all(map(_is_written_out, arguments))
        case ast.Call(func=ast.Attribute(value=value, attr="items" | "keys" | "values"), args=[]):
            return _is_written_out(value)
    return False
