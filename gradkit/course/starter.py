"""gradkit.course.starter: to be described."""

import ast
import hashlib
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template

from assignment.checks.check import load_exercise
from assignment.workspace.regions import (
    RegionError,
    read_notebook,
    stub,
    stub_cells,
    write_notebook,
)
from assignment.workspace.starter import (
    STARTER_MANIFEST,
    path_fault,
    read_manifest,
    write_manifest,
)
from gradkit.course.exercises import exercise_names, exercise_paths, read_starters
from gradkit.course.instructor_tree import CourseError, list_files, read_text

STUDENTS_README = "docs/README-students.md"

AS_THEY_ARE = ("get_datasets.sh", "requirements.txt", "datasets/README.md")


def starter_files(project: Path, names: Sequence[str], starter: str = "") -> dict[str, bytes]:
    """The files of a starter with these exercises, by their paths in it.

    Parameters
    ----------
    project : Path
    names : sequence of str
        The exercises; what is of others only is not in it.
    starter : str
        What it is called; if not said, by its exercises.

    Raises
    ------
    CourseError
        A file is missing, is a link, is not UTF-8, or its regions are not in order.
    """
    handed = {path for name in names for path in exercise_paths(name)}
    others = {path for name in exercise_names(project) for path in exercise_paths(name)} - handed
    found = {path for path in list_files(project, "assignment") if path.endswith(".py")} - others
    texts = {
        path: _for_students(path, read_text(project, path))
        for path in sorted({*found, *handed, *AS_THEY_ARE})
    }
    _require_plain_names(texts)
    starter = starter or "-".join([*names, "starter"])
    about = {path: _first_line(texts[path]) for name in names for path in load_exercise(name).files}
    readme = read_text(project, STUDENTS_README)
    texts["README.md"] = students_readme(readme, names, starter, about)
    version = f"{_declared_version(project)}+{starter_digest(texts)}"
    texts[STARTER_MANIFEST] = write_manifest(starter, names, version, texts)
    return {path: texts[path].encode() for path in sorted(texts)}


def students_readme(text: str, names: Sequence[str], starter: str, about: Mapping[str, str]) -> str:
    """The students' README for these exercises; `text` is a template of `string.Template`.

    `about` says of each of the student's files what it is.

    Raises
    ------
    CourseError
        It asks for something that is not known here.
    """
    exercises = [load_exercise(name) for name in names]
    rows = [f"| `{e.notebook}` | the exercise: **yours**, where it asks you |" for e in exercises]
    rows += [f"| `{path}` | {what}: **yours** |" for path, what in about.items()]
    which = {name: "" if len(names) == 1 else f" {name}" for name in names}
    values = {
        "title": " and ".join(e.title for e in exercises),
        "about": "\n\n".join(textwrap.fill(e.about, 100) for e in exercises),
        "open": "\n".join(f"    jupyter lab {e.notebook}" for e in exercises),
        "submit": "\n".join(f"    python -m assignment submit{which[name]}" for name in names),
        "packed": " and ".join(f"`{name}-submission.zip`" for name in names),
        "check": " or ".join(f"`python -m assignment check{which[name]}`" for name in names),
        "rows": "\n".join(rows),
        "starter": starter,
    }
    try:
        return Template(text).substitute(values)
    except (KeyError, ValueError) as error:
        raise CourseError(
            f"{STUDENTS_README} cannot be filled in ({error}). It may say "
            f"{', '.join(f'${name}' for name in values)}; a dollar sign is $$."
        ) from None


def _first_line(source: str) -> str:
    """What a module says of itself in its first line, without the full stop."""
    return (ast.get_docstring(ast.parse(source)) or "your code").splitlines()[0].rstrip(".")


def starter_versions(project: Path, exercise: str) -> frozenset[str]:
    """The versions of the starters that are made today and hold an exercise."""
    return frozenset(
        read_manifest(starter_files(project, names, name)[STARTER_MANIFEST].decode()).version
        for name, names in read_starters(project).items()
        if exercise in names
    )


def _require_plain_names(paths: Iterable[str]) -> None:
    """Raise CourseError for names that do not mean the same file on every computer."""
    folded: dict[str, str] = {}
    for path in paths:
        if fault := path_fault(path):
            raise CourseError(
                f"{path} {fault}. Rename it, with letters from A to Z, digits, _, - and . only, or "
                "move it away."
            )
        other = folded.setdefault(path.casefold(), path)
        if other != path:
            raise CourseError(
                f"{path} and {other} are one file for a computer that takes capital letters for "
                "small ones. Rename one of them."
            )


def _for_students(path: str, text: str) -> str:
    """A file without its solutions."""
    try:
        if path.endswith(".py"):
            return stub(text, path)
        if path.endswith(".ipynb"):
            return write_notebook(stub_cells(read_notebook(text, path), path))
    except RegionError as error:
        raise CourseError(str(error)) from error
    return text


def _declared_version(project: Path) -> str:
    """`__version__` of the tree's package, which need not be the one that is running."""
    path = "assignment/__init__.py"
    found = re.search(r'^__version__ = ("[\w.]+")$', read_text(project, path), re.MULTILINE)
    if not found:
        raise CourseError(f'{path} does not say `__version__ = "1.0"` or the like. Add that line.')
    return str(ast.literal_eval(found[1]))


def starter_digest(texts: Mapping[str, str]) -> str:
    """What tells one build from another: ten digits from all paths and contents."""
    sha256 = hashlib.sha256()
    for path, text in sorted(texts.items()):
        content = text.encode()
        sha256.update(f"{path}\0{len(content)}\0".encode() + content)
    return sha256.hexdigest()[:10]
