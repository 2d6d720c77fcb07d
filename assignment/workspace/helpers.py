"""A student's functions, classes, constants and imports outside the regions of a `.py` file."""

import ast
import io
import re
from collections.abc import Collection, Iterable, Sequence

from assignment.workspace.regions import find, normalise

_MARKER = re.compile(r"### (START|END) OF YOUR CODE")


def put_back_helpers(
    old: str, new: str, names: Collection[str], path: str
) -> tuple[str, list[str]]:
    """Insert what the regions `names` of `new` use and only `old` defines, above these regions.

    That is what stands at the top of the module, or of a class that both texts have. Returns the
    text, and the names that were put back: none if one of the texts is not valid Python.
    """
    regions = [region for region in find(new, path) if region.name in names]
    before, after = _parse(old), _parse(new)
    old_lines, lines = normalise(old).split("\n"), list(io.StringIO(new, newline=""))
    rows = [len(list(io.StringIO(new[: region.start], newline=""))) for region in regions]
    used = _words(new[region.body_start : region.body_end] for region in regions)
    classes = {node.name: node.body for node in before if isinstance(node, ast.ClassDef)}
    scopes = [
        (classes[node.name], node.body, "\n\n")
        for node in after
        if isinstance(node, ast.ClassDef) and node.name in classes
    ]
    put_back: list[str] = []
    inserted: dict[int, str] = {}
    for olds, news, gap in (*scopes, (before, after, "\n\n\n")):  # methods may use functions
        known = {name for node in news for name in _bound(node)}
        texts = {
            node: "\n".join(old_lines[_first_row(node, old_lines) : node.end_lineno])
            for node in olds
            if _bound(node) and not _bound(node) & known
        }
        texts = {node: text for node, text in texts.items() if not _MARKER.search(text)}
        spans = [(_first_row(node, lines), node.end_lineno or 0) for node in news]
        place = next((top for top, end in spans if any(top <= row < end for row in rows)), None)
        if place is None:
            continue
        chosen: set[ast.stmt] = set()
        while more := {node for node in texts.keys() - chosen if _bound(node) & used}:
            chosen |= more
            used |= _words(texts[node] for node in more)
        for node in (node for node in texts if node in chosen):
            inserted[place] = inserted.get(place, "") + texts[node] + gap
            put_back += sorted(_bound(node))
    for place in sorted(inserted, reverse=True):
        lines.insert(place, inserted[place].replace("\n", regions[0].newline))
    text = "".join(lines)
    return (text, put_back) if _parse(text) else (new, [])  # tabs between blanks, for example


def _parse(text: str) -> list[ast.stmt]:
    """Return the statements of a module; none if it is not valid Python."""
    try:
        return ast.parse(normalise(text)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _words(texts: Iterable[str]) -> set[str]:
    return {word for text in texts for word in re.findall(r"[^\W\d]\w*", text)}


def _bound(node: ast.stmt) -> set[str]:
    """Return the names that a definition, an import or an assignment binds."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return {(alias.asname or alias.name).split(".")[0] for alias in names}
        case ast.Assign(targets=targets):
            return {x.id for target in targets for x in ast.walk(target) if isinstance(x, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
    return set()


def _first_row(node: ast.stmt, lines: Sequence[str]) -> int:
    """Return the index of a statement's first line, with decorators and comments above it."""
    row = min([node.lineno, *(x.lineno for x in getattr(node, "decorator_list", ()))]) - 1
    while row and lines[row - 1].lstrip().startswith("# "):
        row -= 1
    return row
