"""`gradkit new`: writes the files of an exercise that follow from its solved modules.

    regions, docstrings -> Task, a check each -> notebook, checks, settings, empty mistakes, starter

The texts are those of templates/. A check calls the function or method around a region with inputs
of the shapes that its docstring gives.
"""

import ast
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from keyword import iskeyword
from pathlib import Path
from typing import Any

import nbformat
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from assignment.workspace import regions
from gradkit.course.exercise_config import CONFIG
from gradkit.course.exercises import STARTERS, Starters
from gradkit.course.instructor_tree import CourseError, find_file, read_text, read_toml
from gradkit.files import shown, write_atomic

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    trim_blocks=True,
    keep_trailing_newline=True,
    undefined=StrictUndefined,
)
TEMPLATES.filters["quoted"] = partial(json.dumps, ensure_ascii=False)
_CELL = re.compile(r"^%% (\w+) (\S+) (\{.*\})\n", re.MULTILINE)
_SECTION = re.compile(r"^(Parameters|Attributes|Returns)\n-+\n", re.MULTILINE)
_ENTRY = re.compile(r"^(\w+(?:, \w+)*) : (.*)((?:\n+[ \t].*)*)", re.MULTILINE)

Entries = dict[str, tuple[str, str]]  # name -> type, description


@dataclass(frozen=True)
class Task:
    """A function or method that holds regions, and what its check needs."""

    path: str
    imported: str  # the function, or the method's class
    function: str  # with its class: "KNearestNeighbor.predict"
    regions: tuple[str, ...]
    results: tuple[str, ...]
    arguments: Mapping[str, str]  # name -> the Python expression that draws it
    state: Mapping[str, str]  # the same for the object's attributes

    @property
    def sizes(self) -> tuple[str, ...]:
        """The sizes in the shapes of all inputs; a number of the problem if there are none."""
        drawn = ast.parse("\n".join([*self.arguments.values(), *self.state.values()]))
        names = dict.fromkeys(node.id for node in ast.walk(drawn) if isinstance(node, ast.Name))
        return tuple(name for name in names if name not in ("draws", "abs")) or ("number",)

    @property
    def values(self) -> tuple[Any, ...]:
        """The sizes of two problems, all different in each."""
        first = tuple(range(len(self.sizes) + 3, 3, -1))
        second = tuple(size + 4 for size in first)
        return (first, second) if len(first) > 1 else first + second


def new_exercise(project: Path, name: str, solutions: Sequence[Path]) -> Iterator[str]:
    """Write the files of an exercise around its solved modules; yield the paths of the files.

    Raise CourseError, and write nothing, if a file or starter exists already, or a module does not
    show how to call the code around its regions.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or iskeyword(name):
        raise CourseError(f"{name!r} cannot name an exercise: use small letters, digits and _.")
    texts = exercise_texts(project, name, [os.path.relpath(path, project) for path in solutions])
    starter = f"{re.sub('_+', '-', name).strip('-')}-starter"
    if starter in read_toml(find_file(project, STARTERS), Starters):
        raise CourseError(f"{STARTERS} has {starter} already. Choose another name.")
    for path in texts:
        if os.path.lexists(project / path):
            raise CourseError(f"{path} exists already. Choose another name, or remove the file.")
    texts[STARTERS] = f'{read_text(project, STARTERS).rstrip()}\n{starter} = ["{name}"]\n'
    for path, text in texts.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(project / path, text)
        yield path


def exercise_texts(project: Path, name: str, paths: Sequence[str]) -> dict[str, str]:
    """Return the texts of an exercise's files, by path."""
    tasks: list[Task] = []
    for path in paths:
        if not re.fullmatch(r"assignment(/\w+){2,}\.py", path):
            raise CourseError(f"{path} is not in a folder below assignment/. Move it there.")
        tasks += _read_tasks(path, read_text(project, path))
    title, *_ = (ast.get_docstring(ast.parse(read_text(project, paths[0]))) or name).splitlines()
    *others, last = [task.function for task in tasks]
    about = f"You write {', '.join(others)}{' and ' if others else ''}{last}."
    values = {"name": name, "title": title.rstrip("."), "about": about, "paths": paths}
    templates = {
        f"notebooks/{name}.ipynb": "notebook.txt",
        f"assignment/checks/{name}.py": "checks.txt",
        f"grading/{name}/{CONFIG}": "exercise.txt",
        f"grading/{name}/mistakes.toml": "mistakes.txt",
        f"grading/{name}/variants.toml": "variants.txt",
    }
    return {path: _render(file, tasks=tasks, **values) for path, file in templates.items()}


def _render(template: str, **values: Any) -> str:
    """Fill in a template; cells of a notebook begin with %%, a type, an id and metadata."""
    text = TEMPLATES.get_template(template).render(values)
    parts = iter(_CELL.split(text)[1:])
    nb = new_notebook(metadata={"kernelspec": {"display_name": "Python 3", "name": "python3"}})
    for kind, id, metadata, source in zip(parts, parts, parts, parts, strict=True):
        new_cell = new_code_cell if kind == "code" else new_markdown_cell
        nb.cells.append(new_cell(source.strip(), id=id[:64], metadata=json.loads(metadata)))
    return nbformat.writes(nb) + "\n" if nb.cells else text


# --- what a solved module says --------------------------------------------------------------------


def _read_tasks(path: str, text: str) -> Iterator[Task]:
    """Yield the tasks of a module: its functions and methods with regions, in order."""
    try:
        found, tree = regions.find(text, path), ast.parse(text, path)
    except (SyntaxError, regions.RegionError) as error:
        raise CourseError(f"{path} cannot be read: {error}") from None
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    functions = [
        (node, owner)
        for owner in (None, *classes)
        for node in (owner or tree).body
        if isinstance(node, ast.FunctionDef)
    ]
    anywhere = {k: v for node, _ in functions for k, v in _entries(node, "Parameters").items()}
    unused = {region.name: text.count("\n", 0, region.body_start) for region in found}
    for node, owner in sorted(functions, key=lambda pair: pair[0].lineno):
        last = node.end_lineno or node.lineno
        own = tuple(name for name, line in unused.items() if node.lineno <= line <= last)
        if own:
            names = (owner.name, f"{owner.name}.{node.name}") if owner else (node.name,) * 2
            where = f"{path}, line {node.lineno}: {names[1]}"
            arguments = dict(_arguments(where, node, anywhere))
            attributes = _entries(owner, "Attributes") if owner else {}
            state = {name: _draw(where, name, *entry) for name, entry in attributes.items()}
            yield Task(path, *names, own, _results(where, node), arguments, state)
        unused = {name: line for name, line in unused.items() if name not in own}
    if unused or not found:
        raise CourseError(
            f"{path} has {f'{min(unused)} outside functions' if unused else 'no region'}. Put what "
            "students write into functions, between `### BEGIN SOLUTION name` and "
            "`### END SOLUTION`."
        )


def _entries(node: ast.FunctionDef | ast.ClassDef, section: str) -> Entries:
    """Return the entries of a docstring's section, in the form of numpy's docstrings."""
    parts = _SECTION.split(ast.get_docstring(node) or "")
    text = dict(zip(parts[1::2], parts[2::2], strict=True)).get(section, "")
    return {
        name: (kind, about.strip())
        for names, kind, about in _ENTRY.findall(text)
        for name in names.split(", ")
    }


def _arguments(where: str, node: ast.FunctionDef, known: Entries) -> Iterator[tuple[str, str]]:
    """Yield each parameter and what draws it, by this docstring or another one of the file."""
    known = known | _entries(node, "Parameters")
    names = [x.arg for x in (*node.args.posonlyargs, *node.args.args)]
    for number, name in enumerate(names):
        kind, about = known.get(name, ("", ""))
        if number == 0 and name == "self":
            continue
        if number >= len(names) - len(node.args.defaults) and not kind.startswith(
            ("(", "int", "float")
        ):
            return  # this one and those after it keep their defaults
        yield name, _draw(where, name, kind, about)


def _draw(where: str, name: str, kind: str, about: str) -> str:
    """Write the expression that draws a value of a documented type."""
    if shape := re.match(r"\(([\w+*, -]+)\)", kind):
        sizes = shape[1].strip(", ")
        bound = re.search(r"< (\w+)", about)  # 0 <= y[i] < C
        high = bound[1] if bound else 3
        drawn = f"draws.integers({high}, {sizes})" if "int" in kind else f"draws.normal({sizes})"
        with suppress(SyntaxError):  # of a size that is not an expression, such as 2D
            ast.parse(drawn)
            return drawn
    if kind.startswith("int"):  # a size, such as C
        return about.rstrip(".") if re.fullmatch(r"[A-Z]\.?", about) else "2"
    if kind.startswith("float"):
        return "abs(draws.normal(1).item())"
    raise CourseError(
        f"{where} needs {name}, which cannot be drawn: its type is {shown(kind or 'missing')}. "
        "The docstring can give `X : (N, D) float array`, `y : (N,) integer array`, `k : int` or "
        "`reg : float`."
    )


def _results(where: str, node: ast.FunctionDef) -> tuple[str, ...]:
    """Return the results' names: those that the docstring gives, or the returned ones."""
    returned = [x.value for x in ast.walk(node) if isinstance(x, ast.Return) and x.value]
    if not returned:
        raise CourseError(f"{where} returns nothing that a check could compare. Let it return it.")
    value = returned[0]  # the outermost one comes first
    parts = value.elts if isinstance(value, ast.Tuple) else [value]
    names = tuple(part.id for part in parts if isinstance(part, ast.Name))
    return tuple(_entries(node, "Returns")) or (names if len(names) == len(parts) else (node.name,))
