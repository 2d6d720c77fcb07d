"""Pack what is handed in: `python -m assignment submit`.

    read       the exercise's files and its notebook, with every region in them
    look       for what works here and would not where it is graded, and what is still open
    pack       a zip file that is the same for the same files

Where work is graded, the files take their places in a starter as it was handed out, and of the
notebook the cells of the regions do. So a module beside them stays behind, and so does a cell that
somebody added. Whatever stops the packing is a `SubmitError`.
"""

import ast
import builtins
import contextlib
import hashlib
import io
import os
import re
import symtable
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath

from assignment import PROJECT
from assignment.checks.check import Exercise
from assignment.workspace.regions import (
    ANSWER_STUB,
    Notebook,
    RegionError,
    decode,
    emptied,
    extract,
    extract_cells,
    read_notebook,
    region_of,
    skeleton,
    source_of,
)
from assignment.workspace.starter import (
    STARTER_MANIFEST,
    StarterError,
    StarterManifest,
    digest,
    read_manifest,
)

# What the grader takes. A solved file has 10 kB, a solved notebook 1 MB with its pictures.
MAX_SOURCE_BYTES = 1_000_000
MAX_NOTEBOOK_BYTES = 20_000_000
MAX_CELL_BYTES = 100_000

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip file can tell
_OF_IPYTHON = {"get_ipython", "display", "In", "Out", "_", "__", "___", "__name__", "__doc__"}
_MAGIC = re.compile(r"(?m)^(\s*)(?:[%!].*|.*\?\s*)$")


class SubmitError(Exception):
    """Nothing was packed; the text says what was found, where, and what to do."""


def submit(exercise: Exercise, out: Path | None = None, project: Path = PROJECT) -> str:
    """Pack the work on an exercise, and return what there is to say of it.

    Raises
    ------
    SubmitError
        Something is missing, or cannot be made out or written. No file was written.
    """
    if (project / "gradkit").is_dir():
        raise SubmitError(
            f"{project} is the instructor's tree, with the solutions in it. What is handed in is "
            "packed in a student's copy: run it there."
        )
    out = out or project / f"{exercise.name}-submission.zip"
    record = _record(project)
    try:
        contents = _contents(exercise, project)
        texts = {path: decode(content, path) for path, content in contents.items()}
        _require_regions(texts, exercise, record)
        warnings = list(_warnings(exercise, project, texts, record))
    except RegionError as error:
        raise SubmitError(f"{error} Nothing was packed.") from error
    if record:
        contents[STARTER_MANIFEST] = (project / STARTER_MANIFEST).read_bytes()
    archive = packed(contents)
    _write(archive, out, contents)
    lines = [*_told(archive, out, contents, project)]
    if warnings:
        lines += ["", "Look at this first:", *(f"- {warning}" for warning in warnings)]
    return "\n".join(lines)


def packed(contents: Mapping[str, bytes]) -> bytes:
    """A zip file of these files, the same bytes for the same contents."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in sorted(contents.items()):
            about = zipfile.ZipInfo(path, _EPOCH)
            about.create_system = 3  # Unix, also where it is packed on Windows
            about.external_attr = 0o100644 << 16
            # Stored, since what deflate makes of a text changes with the version of zlib.
            archive.writestr(about, content, zipfile.ZIP_STORED)
    return buffer.getvalue()


# --- what is read --------------------------------------------------------------------------------


def _contents(exercise: Exercise, project: Path) -> dict[str, bytes]:
    """The files that are handed in, by their paths in the project."""
    contents = {}
    for path in (*exercise.files, exercise.notebook):
        most = MAX_NOTEBOOK_BYTES if path == exercise.notebook else MAX_SOURCE_BYTES
        try:
            contents[path] = (project / path).read_bytes()
        except FileNotFoundError:
            raise SubmitError(
                f"{path} is missing in {project}. Nothing was packed. Put it back, or take it from "
                "the starter again."
            ) from None
        except OSError as error:
            raise SubmitError(
                f"{project / path} cannot be read: {error.strerror}. Nothing was packed."
            ) from error
        if len(contents[path]) > most:
            advice = "Clear the notebook's outputs" if path == exercise.notebook else "Shorten it"
            raise SubmitError(
                f"{path} has {_size(len(contents[path]))}, and no more than {_size(most)} are "
                f"taken. Nothing was packed. {advice}, save, and run this again."
            )
    return contents


def _record(project: Path) -> StarterManifest | None:
    try:
        return read_manifest((project / STARTER_MANIFEST).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, StarterError):
        return None


def _require_regions(
    texts: Mapping[str, str], exercise: Exercise, record: StarterManifest | None
) -> None:
    """Raise SubmitError for a region that is not there, RegionError if they cannot be made out."""
    found = {path: set(_bodies(path, text)) for path, text in texts.items()}
    asked = {region for check in exercise.checks for region in check.regions}
    for path in texts:
        given = set(record.stubs.get(path, {})) if record else set()
        everywhere = set[str]().union(*found.values())
        # Without a record nothing tells where a region should be, only that it should.
        missing = given - found[path] or (asked - everywhere if not record else set())
        for name in sorted(missing):
            if path.endswith(".ipynb"):
                raise SubmitError(
                    f"{path} has no cell {name} any more. Nothing was packed. Unpack your starter "
                    "again into a folder of its own, copy that cell from its notebook into yours, "
                    "put your work into it and save."
                )
            raise SubmitError(
                f"{path} has no region {name} any more. Nothing was packed. Put the lines `### "
                f"START OF YOUR CODE: {name}` and `### END OF YOUR CODE` back round your code."
            )
        for name, body in _bodies(path, texts[path]).items():
            if path == exercise.notebook and len(body.encode()) > MAX_CELL_BYTES:
                raise SubmitError(
                    f"{path}: the cell {name} has more than {_size(MAX_CELL_BYTES)}, which is not "
                    "taken. Nothing was packed. Shorten it, and run this again."
                )


def _bodies(path: str, text: str) -> dict[str, str]:
    """What stands in the regions of a file, by name."""
    if path.endswith(".ipynb"):
        return extract_cells(read_notebook(text, path), path)
    return {name: body.text for name, body in extract(text, path).items()}


# --- what there is to say of it ------------------------------------------------------------------


def _warnings(
    exercise: Exercise, project: Path, texts: Mapping[str, str], record: StarterManifest | None
) -> Iterator[str]:
    """What is still open, and what works here but would not where it is graded."""
    nb = read_notebook(texts[exercise.notebook], exercise.notebook)
    yield from _still_open(exercise, texts, nb)
    given = record.skeletons.get(exercise.notebook) if record else None
    is_changed = given != digest(skeleton(exercise.notebook, texts[exercise.notebook]))
    yield from _undefined(nb, is_changed)
    if record is None:
        yield (
            f"{STARTER_MANIFEST} is missing or damaged. Without it your grader cannot see which starter you "
            "have worked with. It is in the starter's zip file."
        )
        return
    sources = {path: (path, texts[path].removeprefix("\ufeff")) for path in exercise.files}
    for region, source in _cells(nb, "region"):
        sources[f"The cell {region}"] = exercise.notebook, source
    for where, (path, source) in sources.items():
        for module in _left_behind(path, source, project, {*record.skeletons, *exercise.files}):
            yield (
                f"{where} imports {module}, which is not handed in: of your code, only "
                f"{', '.join(exercise.files)} and your cells are. Put what it needs into those."
            )


def _still_open(exercise: Exercise, texts: Mapping[str, str], nb: Notebook) -> Iterator[str]:
    code, answers = [], []
    for path in exercise.files:
        try:
            ast.parse(texts[path].removeprefix("\ufeff"))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            yield f"{path} cannot be read as Python: {_fault(error)}."
        bodies = extract(texts[path], path)
        stubs = extract(emptied(texts[path], path), path)
        code += [name for name in bodies if bodies[name].text == stubs[name].text]
    pictured = {region_of(cell) for cell in nb["cells"] if cell.get("attachments")}
    prose = {region_of(cell) for cell in nb["cells"] if cell["cell_type"] != "code"}
    for name, text in extract_cells(nb, exercise.notebook).items():
        if name not in prose:
            code += [name] if _is_stub(text, name) else []
        elif text.strip() in ("", ANSWER_STUB) and name not in pictured:
            answers.append(name)
    if code:
        yield f"Not attempted yet: {', '.join(code)}."
    if answers:
        yield f"Not answered yet: {', '.join(answers)}."


def _is_stub(cell: str, name: str) -> bool:
    try:
        return list(extract(cell, name)) == [name] and emptied(cell, name) == cell
    except RegionError:
        return False


def _left_behind(path: str, source: str, project: Path, known: set[str]) -> Iterator[str]:
    """The modules that a source imports from the project, and that are not known to come along."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    folder = str(PurePosixPath(path).parent)
    folders = ("", folder) if path.endswith(".ipynb") else ("",)  # where `import` looks
    for place in dict.fromkeys(p for node in ast.walk(tree) for p in _imported(node, folder)):
        for module in (f"{place}.py", f"{place}/__init__.py"):
            for here in (str(PurePosixPath(folder, module)) for folder in folders):
                if here not in known and (project / here).is_file():
                    yield here


def _imported(node: ast.AST, folder: str) -> Iterator[str]:
    """The paths, without an ending, of the modules that an import in this folder may mean."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name.replace(".", "/")
    elif isinstance(node, ast.ImportFrom):
        package = folder.split("/")[: len(folder.split("/")) - node.level + 1] if node.level else []
        module = [*package, *(node.module or "").split(".")]
        base = "/".join(part for part in module if part)
        yield base
        for alias in node.names:
            yield f"{base}/{alias.name}"


# --- names in cells ------------------------------------------------------------------------------


@dataclass
class _Names:
    """The names that code defines and uses outside its functions; or why it cannot be read."""

    defined: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    fault: str = ""


def _undefined(nb: Notebook, is_changed: bool) -> Iterator[str]:
    """Tell of names that the student's cells use, and that nothing defines where they are graded.

    There the course's cells are run as they were handed out, but for those that only show
    something; `is_changed` says that in this notebook they may have been changed.
    """
    own = [(region, _names(source)) for region, source in _cells(nb, "region")]
    parameters, setup, display, added = (
        _all_names(nb, kind) for kind in ("parameters", "setup", "display", "added")
    )
    for region, names in own:
        if names.fault:
            yield f"The cell {region} cannot be read as Python: {names.fault}."
    defined = parameters.defined | setup.defined
    known = defined.union(dir(builtins), _OF_IPYTHON, *(names.defined for _, names in own))
    if "*" in known:
        return  # which names came with a star, nobody knows
    used = {name: region for region, names in own for name in sorted(names.used)}
    for name in sorted(used.keys() - known):
        why = "which nobody defines"
        if name in display.defined:
            why = "which is defined in a cell that only shows something. Those are left out"
        elif name in added.defined:
            why = "which is defined in a cell that was added. Those are left out"
        yield (
            f"The cell {used[name]} uses `{name}`, {why} where it is graded. Define it in the "
            f"cell {used[name]}."
        )
    if is_changed:
        # What the course defines there, another of its cells uses; what none uses was put there.
        put = setup.defined - parameters.defined - setup.used - parameters.used - display.used
        for name in sorted(put & used.keys()):
            yield (
                f"The cell {used[name]} uses `{name}`, from a cell that is not yours. If you put "
                f"it there, put it into the cell {used[name]}: the others are graded as they were "
                "handed out."
            )


def _cells(nb: Notebook, wanted: str) -> Iterator[tuple[str, str]]:
    """The cells of code that are a "region", have a role as "setup", or were "added": the name of
    the region, if it is one, and the text without what only IPython reads."""
    for cell in nb["cells"]:
        about = cell.get("metadata", {}).get("gradkit", {})
        kind = "region" if "region" in about else about.get("role", "added")
        if cell["cell_type"] == "code" and kind == wanted:
            yield about.get("region", ""), _MAGIC.sub(r"\1pass", source_of(cell))


def _all_names(nb: Notebook, kind: str) -> _Names:
    scanned = [_names(source) for _, source in _cells(nb, kind)]
    return _Names(
        set[str]().union(*(names.defined for names in scanned)),
        set[str]().union(*(names.used for names in scanned)),
    )


def _names(source: str) -> _Names:
    try:
        tree = ast.parse(source)
        table = symtable.symtable(source, "cell", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return _Names(fault=_fault(error))
    names = _Names()
    for node in ast.walk(tree):
        # These are global, too, but the table of a comprehension does not say so.
        if isinstance(node, ast.NamedExpr):
            names.defined.add(node.target.id)
        elif isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            names.defined.add("*")
    waiting = [table]
    while waiting:
        scope = waiting.pop()
        waiting += scope.get_children()
        for symbol in scope.get_symbols():
            if scope.get_type() != "module" and not symbol.is_global():
                continue
            if symbol.is_assigned() or symbol.is_imported():
                names.defined.add(symbol.get_name())
            if symbol.is_referenced():
                names.used.add(symbol.get_name())
    return names


def _fault(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}, {error.msg}"
    return str(error) or "it is nested too deeply"


# --- what is written and told --------------------------------------------------------------------


def _write(archive: bytes, out: Path, contents: Mapping[str, bytes]) -> None:
    """Write the zip file beside its place, then let it take the place of an older one."""
    if os.path.lexists(out) and not _is_ours(out, contents):
        what = "a folder" if out.is_dir() else "there, and no submission that was packed here"
        raise SubmitError(
            f"{out} is {what}. Nothing was packed. Move it away, or give --out another name."
        )
    fresh = out.with_name(f".{out.name}.new")
    try:
        fresh.write_bytes(archive)
        fresh.replace(out)
    except OSError as error:
        raise SubmitError(
            f"{out} cannot be written: {error.strerror}. Give --out a place where you may write."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)


def _is_ours(out: Path, contents: Mapping[str, bytes]) -> bool:
    try:
        with zipfile.ZipFile(out) as archive:
            return {*archive.namelist()} <= {*contents, STARTER_MANIFEST}
    except (OSError, zipfile.BadZipFile):
        return False


def _told(archive: bytes, out: Path, contents: Mapping[str, bytes], project: Path) -> Iterator[str]:
    sha256 = hashlib.sha256(archive).hexdigest()[:12]
    yield f"Packed {out.name}, {_size(len(archive))}, SHA-256 {sha256}:"
    for path, content in contents.items():
        saved = datetime.fromtimestamp((project / path).stat().st_mtime)
        yield f"  {path}, {_size(len(content))}, saved {saved:%Y-%m-%d %H:%M}"
    yield f"Upload {out.absolute()} where your course collects the work."


def _size(count: int) -> str:
    return f"{count / 1000:,.0f} kB" if count >= 1000 else f"{count} bytes"
