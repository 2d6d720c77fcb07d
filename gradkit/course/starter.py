"""The files of a starter: an allow-list of paths, each file without its solutions.

starter_files       path -> content, with the students' README and the manifest
starter_versions    the versions of today's starters that hold an exercise
"""

import ast
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
    path_problem,
    read_manifest,
    write_manifest,
)
from gradkit.course.exercise_config import read_config
from gradkit.course.exercises import exercise_names, read_starters, starter_paths, uses_images
from gradkit.course.instructor_tree import CourseError, list_files, read_text
from gradkit.files import content_digest

STUDENTS_README = "docs/README-students.md"
UNCHANGED_FILES = ("get_datasets.sh", "requirements.txt", "datasets/README.md")
OF_IMAGES = {"get_datasets.sh", "datasets/README.md"}
_IMAGES = re.compile(r"^\$\{images\}.*\n", re.MULTILINE)  # a line of the README for them alone


def starter_files(project: Path, names: Sequence[str], starter: str = "") -> dict[str, bytes]:
    """Return the files of a starter with the exercises `names`, by path.

    `starter` is its name (default: made of theirs). Other exercises' own files are left out, and
    so is what fetches images, unless an exercise uses them.

    Raise CourseError if a file is missing, a link, not UTF-8, or its regions are wrong.
    """
    own = {path for name in names for path in starter_paths(name)}
    others = {path for name in exercise_names(project) for path in starter_paths(name)} - own
    package = {path for path in list_files(project, "assignment") if path.endswith(".py")}
    images = any(uses_images(load_exercise(name), project) for name in names)
    unchanged = {*UNCHANGED_FILES} - (set() if images else OF_IMAGES)
    texts = {
        path: _without_solutions(path, read_text(project, path))
        for path in sorted({*(package - others), *own, *unchanged})
    }
    _require_portable_names(texts)
    starter = starter or "-".join([*names, "starter"])
    titles = {path: _title(texts[path]) for name in names for path in load_exercise(name).files}
    template = read_text(project, STUDENTS_README)
    texts["README.md"] = _students_readme(
        template if images else _IMAGES.sub("", template),
        names,
        starter,
        titles,
        _points(project, names),
        _badges(project, names),
    )
    version = f"{_declared_version(project)}+{build_digest(texts)}"
    texts[STARTER_MANIFEST] = write_manifest(starter, names, version, texts)
    return {path: texts[path].encode() for path in sorted(texts)}


def starter_versions(project: Path, exercise: str) -> frozenset[str]:
    """Return the versions of the tree's starters that hold an exercise."""
    return frozenset(
        read_manifest(starter_files(project, names, name)[STARTER_MANIFEST].decode()).version
        for name, names in read_starters(project).items()
        if exercise in names
    )


def build_digest(texts: Mapping[str, str]) -> str:
    """Return ten digits that name a build, from all paths and contents except the manifest's."""
    return content_digest({path: text.encode() for path, text in texts.items()})[:10]


def _without_solutions(path: str, text: str) -> str:
    try:
        if path.endswith(".py"):
            return stub(text, path)
        if path.endswith(".ipynb"):
            return write_notebook(stub_cells(read_notebook(text, path), path))
    except RegionError as error:
        raise CourseError(str(error)) from error
    return text


def _require_portable_names(paths: Iterable[str]) -> None:
    """Raise CourseError for a name that does not mean the same file on every computer."""
    folded: dict[str, str] = {}
    for path in paths:
        if problem := path_problem(path):
            raise CourseError(f"{path} {problem}. Rename it, or move it away.")
        other = folded.setdefault(path.casefold(), path)
        if other != path:
            raise CourseError(
                f"{path} and {other} are the same file on a computer that ignores the case of "
                "letters. Rename one of them."
            )


def _students_readme(
    template: str,
    names: Sequence[str],
    starter: str,
    titles: Mapping[str, str],
    points: str,
    badges: str,
) -> str:
    """Fill in the students' README; `titles` are those of the students' files, by path."""
    exercises = [load_exercise(name) for name in names]
    rows = [f"| `{e.notebook}` | the exercise: **yours**, where it asks you |" for e in exercises]
    rows += [f"| `{path}` | {title}: **yours** |" for path, title in titles.items()]
    argument = {name: "" if len(names) == 1 else f" {name}" for name in names}
    values = {
        "title": ", ".join(e.title for e in exercises[:-2])
        + ", " * (len(exercises) > 2)
        + " and ".join(e.title for e in exercises[-2:]),
        "about": "\n\n".join(textwrap.fill(e.about, 100) for e in exercises),
        "points": points,
        "open": " or ".join(e.notebook for e in exercises),
        "submit": "\n".join(f"    python -m assignment submit{argument[name]}" for name in names),
        "packed": " and ".join(f"`{name}-submission.zip`" for name in names),
        "check": " or ".join(f"`python -m assignment check{argument[name]}`" for name in names),
        "rows": "\n".join(rows),
        "starter": starter,
        "badges": badges,
        "images": "",
    }
    try:
        return Template(template).substitute(values)
    except (KeyError, ValueError) as error:
        raise CourseError(
            f"{STUDENTS_README} cannot be filled in ({error}). Use "
            f"{', '.join(f'${name}' for name in values)} only; write a dollar sign as $$."
        ) from None


def _points(project: Path, names: Sequence[str]) -> str:
    """Write the points of each exercise, of its checks and of its written answers."""
    lines = []
    for name in names:
        exercise, questions = load_exercise(name), read_config(project, name).questions
        checks, answers = sum(c.points for c in exercise.checks), sum(questions.values())
        lines.append(
            f"{exercise.title} gives {checks + answers} points: {checks} for code, {answers} for "
            "written answers."
        )
    return "\n".join(lines)


def _badges(project: Path, names: Sequence[str]) -> str:
    """Write an "Open in Colab" badge for each exercise whose config names its folder on GitHub."""
    links = {load_exercise(name).notebook: read_config(project, name).colab for name in names}
    return "".join(
        f"[![Open {notebook} in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
        f"(https://colab.research.google.com/github/{folder}/{notebook})\n"
        for notebook, folder in links.items()
        if folder
    )


def _title(source: str) -> str:
    """Return the first line of a module's docstring, without the full stop."""
    return (ast.get_docstring(ast.parse(source)) or "your code").splitlines()[0].rstrip(".")


def _declared_version(project: Path) -> str:
    """Read `__version__` from the tree's own package, which may not be the running one."""
    path = "assignment/__init__.py"
    declared = re.search(r'^__version__ = "([\w.]+)"$', read_text(project, path), re.MULTILINE)
    if not declared:
        raise CourseError(f'{path} does not set `__version__ = "1.0"` or the like. Add that line.')
    return declared[1]
