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

# What calls a function once for each element, or hides what it does: by its name alone, or as a
# part of a module.
DISGUISES = {"map", "filter", "reduce", "starmap", "exec", "eval"}
DISGUISED_PARTS = {"vectorize", "apply_along_axis", "frompyfunc", "fromiter", "nditer", "starmap"}


class Loop(NamedTuple):
    """Where a loop is: `text` for people; whether it is rather a call of what has loops."""

    text: str
    calls_forbidden: bool


def find_loop(source: str, function: str, forbidden: Sequence[str]) -> Loop | None:
    """The first loop, or use of a forbidden function, in `function` or in what it uses of its file.

    A loop over a written-out tuple or list or over a shape, as over two names to print, is none: it
    goes over neither samples nor classes. map, np.vectorize and their like are loops. What the
    syntax does not show is left to the clock. None, too, where the source cannot be parsed or lacks
    the function.
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
            found = sorted(_found(definition, forbidden, own))
            if found:
                line, is_call = found[0]
                text = f"Line {line}: {source.splitlines()[line - 1].strip()[:80]}"
                return Loop(text, is_call)
            names = {node.id for node in ast.walk(definition) if isinstance(node, ast.Name)}
            waiting.extend(sorted(names - own))
    return None


def _definitions(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What a file defines, in whatever block: functions, classes, names that are given a value."""
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
    """The names that a function gives values of its own, and that mean nothing else in it."""
    if not isinstance(definition, ast.FunctionDef):
        return set()
    nodes = list(ast.walk(definition))
    shared = {name for n in nodes if isinstance(n, ast.Global) for name in n.names}
    stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return (stored | {n.arg for n in nodes if isinstance(n, ast.arg)}) - shared


def _found(
    definition: ast.AST, forbidden: Sequence[str], own: set[str]
) -> Iterator[tuple[int, bool]]:
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
    if isinstance(node, ast.For):
        over = [node.iter]
    else:
        over = [part.iter for part in getattr(node, "generators", [])]
    return bool(over) and all(map(_is_written_out, over))


def _is_written_out(node: ast.expr) -> bool:
    """Whether the elements stand in the source, or are the numbers of a shape."""
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
