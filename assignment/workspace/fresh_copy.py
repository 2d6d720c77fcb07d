"""Find what works in the student's folder, but would not where it is graded.

    compare_with_fresh_copy    run the public checks and the cells' imports in the student's folder,
                               and in a temporary copy of the starter with the exercise's files
    find_lost_names            find names that only a cell defines that is not graded

Submissions are graded in a starter as it was handed out: without the student's other modules, and
without the cells of the notebook that only display something or that the student has added.
"""

import ast
import builtins
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from assignment import PROJECT
from assignment.checks.answer_key import load_answer_key
from assignment.checks.check import LOADING, Exercise, load_exercise
from assignment.checks.student import Student
from assignment.checks.verdict import Judge, Status
from assignment.workspace.regions import (
    Notebook,
    cell_titles,
    read_notebook,
    region_of,
    restore_stubs,
    source_of,
)
from assignment.workspace.starter import STARTER_MANIFEST, StarterManifest

TIMEOUT = 60.0  # seconds; all checks together take about one
_MAGIC = re.compile(r"(?m)^(\s*)(?:(?:[\w, ]+=\s*)?[%!].*|.*\?\s*)$")


def compare_with_fresh_copy(
    exercise: Exercise, project: Path, manifest: StarterManifest
) -> Iterator[str]:
    """Yield a sentence for each error in a fresh copy that is not in the student's folder."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        copy, result = Path(folder, "copy"), Path(folder, "result.json")
        _copy_starter(exercise, project, manifest, copy)
        try:
            there = _run(exercise, copy, result)
            here = _run(exercise, project, result) if any(there.values()) else {}
        except subprocess.TimeoutExpired:
            yield (
                f"The checks did not end within {TIMEOUT:g} s, so this command could not try "
                "whether your work runs where it is graded. An endless loop?"
            )
            return
    for error in dict.fromkeys(filter(None, there.values())):
        titles = [title for title in there if there[title] == error and here.get(title) == ""]
        if titles:
            yield (
                f"{'; '.join(titles)}: all right in your folder, but not where it is graded: "
                f"{error}. Of your code only {', '.join(exercise.files)} and your cells of the "
                "notebook are handed in: put what it needs into those."
            )


def _copy_starter(exercise: Exercise, project: Path, manifest: StarterManifest, copy: Path) -> None:
    """Copy the exercise's files and all others of the starter, these without the student's code."""
    for path in {*manifest.skeletons, *exercise.files, STARTER_MANIFEST}:
        with contextlib.suppress(OSError, ValueError):  # missing, or another exercise's and damaged
            content = (project / path).read_bytes()
            if path.endswith(".py") and path in manifest.stubs and path not in exercise.files:
                content = restore_stubs(content.decode(), path).encode()
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            (copy / path).write_bytes(content)


def _run(exercise: Exercise, folder: Path, result: Path) -> dict[str, str]:
    """Run `write_errors` in a process that sees the project `folder` only; return its errors."""
    result.unlink(missing_ok=True)
    module = "assignment.workspace.fresh_copy"
    program = f"from {module} import write_errors\nwrite_errors({exercise.name!r}, {str(result)!r})"
    # Without pipes, which a process that the student's code starts could hold open.
    subprocess.run(
        [sys.executable, "-B", "-c", program],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": "", "PYTHONSAFEPATH": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=TIMEOUT,
        check=False,
    )
    if not result.exists():
        return {"The checks": "Python ended before they did"}
    return dict(json.loads(result.read_text(encoding="utf-8")))


def write_errors(exercise_name: str, result: str) -> None:
    """Run the checks and the cells' imports of this process's project; write errors as JSON.

    The file maps titles to the last line of the error, or to "" without one.
    """
    exercise = load_exercise(exercise_name)
    student = Student.from_folder(PROJECT, exercise.files)
    judge = Judge.of_student(exercise, load_answer_key(exercise_name), student)
    loading = judge.verdict_on(LOADING)
    verdicts = [loading]
    errors = {"The checks": ""}
    if loading.passed:  # otherwise all others fail as well
        verdicts += [judge.verdict(c.name) for c in exercise.checks if not c.in_notebook]
        nb = read_notebook((PROJECT / exercise.notebook).read_text("utf-8"), "")
        errors |= _run_imports(nb, exercise)
    for verdict in [x for x in verdicts if x.status is not Status.WAITING]:
        lines = (verdict.quoted or verdict.text or verdict.headline).splitlines()
        errors[verdict.title] = "" if verdict.passed else lines[-1]
    Path(result).write_text(json.dumps(errors), encoding="utf-8")


def _run_imports(nb: Notebook, exercise: Exercise) -> dict[str, str]:
    """Run the import statements of the student's cells, and return the error of each, or ""."""
    sys.path.insert(0, str(PROJECT / "notebooks"))  # Jupyter's working directory
    errors = {}
    titles = cell_titles(nb)
    for cell in nb["cells"]:
        region = region_of(cell) or ""
        nodes = _walk(source_of(cell) if region in exercise.code_regions else "")
        imports = [x for x in nodes if isinstance(x, ast.Import | ast.ImportFrom)]
        for line in map(ast.unparse, imports):
            title = f"`{line}` in your cell of {titles[region]}"
            errors[title] = ""
            try:
                exec(line, {})
            except BaseException as error:  # an imported module can raise anything
                errors[title] = f"{type(error).__name__}: {error}"
    return errors


# --- cells ---------------------------------------------------------------------------------------


def parse_python(source: str) -> ast.Module:
    """Parse the text of a file; raise SyntaxError for whatever Python cannot read."""
    try:
        return ast.parse(source.removeprefix("\ufeff"))
    except (ValueError, RecursionError, MemoryError) as error:
        raise SyntaxError(str(error) or "nested too deeply") from error


def parse_cell(source: str) -> ast.Module:
    """Parse a cell of code without IPython's own lines, such as ``%time``; or raise SyntaxError."""
    try:
        return parse_python(source)
    except SyntaxError:
        return parse_python(_MAGIC.sub(r"\1pass", source))


def _walk(source: str) -> Iterator[ast.AST]:
    """Yield the syntax of a cell; nothing if it cannot be read as Python."""
    with contextlib.suppress(SyntaxError):
        yield from ast.walk(parse_cell(source))


def names_in(source: str) -> tuple[set[str], set[str]]:
    """Return the names that a cell uses, and those that it binds; "*" for a star import."""
    used, bound = set[str](), set[str]()
    for node in _walk(source):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                used.add(name)
            case ast.alias():
                bound.add((node.asname or node.name).split(".")[0])
            case ast.Name(id=name) | ast.arg(arg=name) | ast.ExceptHandler(name=str(name)):
                bound.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
    return used, bound


def find_lost_names(nb: Notebook) -> Iterator[str]:
    """Yield a sentence for each name that a student's cell uses and only an ungraded one binds.

    Scopes are not distinguished: a name that is bound anywhere in a graded cell is not reported.
    """
    used: dict[str, str] = {}  # name -> the student's cell
    graded, lost = {*dir(builtins)}, set[str]()
    for cell in nb["cells"]:
        about = cell.get("metadata", {}).get("gradkit", {})
        region = about.get("region")
        is_graded = about.get("role") in ("setup", "parameters", "data")
        names, bound = names_in(source_of(cell) if cell["cell_type"] == "code" else "")
        used.update(dict.fromkeys(names, region) if region else {})
        (graded if region or is_graded else lost).update(bound)
    if "*" in graded:
        return  # a star import may bind any name
    titles = cell_titles(nb)
    for name in sorted(used.keys() & lost - graded):
        yield (
            f"Your cell of {titles[used[name]]} uses `{name}`, which is defined in a cell that is "
            "not graded: one that was added, or that only displays something. Define it in the "
            "cell itself."
        )
