"""Pack a submission: `python -m assignment submit`.

_read_files         read the exercise's files and its notebook
_require_regions    refuse what the grader would not take: missing regions, too large cells
_find_problems      find what is not written yet, and what would not work where it is graded
pack_zip            pack them: the same files give the same bytes
"""

import hashlib
import os
import zipfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from assignment import PROJECT
from assignment.checks.check import Exercise, with_noun
from assignment.workspace.cells import MAX_CELL_BYTES, StudentCells, read_cells
from assignment.workspace.fresh_copy import (
    compare_with_fresh_copy,
    find_lost_names,
    parse_cell,
    parse_python,
)
from assignment.workspace.regions import Notebook, RegionError, decode, read_notebook, region_of
from assignment.workspace.starter import (
    STARTER_MANIFEST,
    StarterManifest,
    find_lost_regions,
    find_titles,
    pack_zip,
    read_project_manifest,
    region_texts,
    touched_regions,
)

# The grader's limits. A solved file has 10 kB, a solved notebook 1 MB with its pictures.
MAX_SOURCE_BYTES = 1_000_000
MAX_NOTEBOOK_BYTES = 20_000_000


class SubmitError(Exception):
    """A submission that cannot be packed; the message gives what was found, where, what to do."""


def submit(exercise: Exercise, out: Path | None = None, project: Path = PROJECT) -> str:
    """Pack a submission to an exercise into the zip file `out`, and return a report.

    Raise SubmitError if a part is missing, or cannot be read or written. No file was written.
    """
    if (project / "gradkit").is_dir():
        raise SubmitError(
            f"{project} is the instructor's tree, with the solutions in it. Submissions are packed "
            "in a student's copy: run it there."
        )
    out = out or project / f"{exercise.name}-submission.zip"
    manifest = read_project_manifest(project)
    contents = _read_files(exercise, project)
    try:
        texts = {path: decode(content, path) for path, content in contents.items()}
        nb = read_notebook(texts[exercise.notebook], exercise.notebook)
        course = manifest.outlines.get(exercise.notebook, ()) if manifest else ()
        cells = read_cells(nb, exercise, course)
        regions = {path: region_texts(path, texts[path]) for path in exercise.files}
        regions[exercise.notebook] = cells.texts
        titles = {path: find_titles(path, text, manifest) for path, text in texts.items()}
        _require_regions(exercise, regions, titles[exercise.notebook], manifest)
        problems = list(_find_problems(exercise, project, texts, titles, manifest, nb, cells))
    except RegionError as error:
        raise SubmitError(f"{error} Nothing was packed.") from error
    if manifest:
        contents[STARTER_MANIFEST] = (project / STARTER_MANIFEST).read_bytes()
    archive = pack_zip(contents)
    _write(archive, out, contents)
    lines = [*_describe(archive, out, contents, project)]
    if problems:
        lines += ["", "Look at this first:", *(f"- {problem}" for problem in problems)]
    return "\n".join(lines)


# --- read ----------------------------------------------------------------------------------------


def _read_files(exercise: Exercise, project: Path) -> dict[str, bytes]:
    """Read the files of a submission, by path."""
    contents = {}
    for path in (*exercise.files, exercise.notebook):
        is_notebook = path == exercise.notebook
        limit = MAX_NOTEBOOK_BYTES if is_notebook else MAX_SOURCE_BYTES
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
        if len(contents[path]) > limit:
            advice = "Clear the notebook's outputs" if is_notebook else "Shorten it"
            raise SubmitError(
                f"{path} has {_format_size(len(contents[path]))}; at most {_format_size(limit)} "
                f"are graded. Nothing was packed. {advice}, save, and run this again."
            )
    return contents


def _require_regions(
    exercise: Exercise,
    regions: Mapping[str, Mapping[str, str]],
    titles: Mapping[str, str],
    manifest: StarterManifest | None,
) -> None:
    """Raise SubmitError for a region that the starter has and a file has not, or too large a cell.

    `regions` are the texts of the regions of each file, by path and name; `titles` those of cells.
    """
    for path, there in regions.items():
        for lost in find_lost_regions(path, there, manifest):
            raise SubmitError(
                f"{path} has lost {lost}. Nothing was packed. Unpack your starter again into a "
                "folder of its own, copy it from there, and save."
            )
    for name, text in regions[exercise.notebook].items():
        if len(text.encode()) > MAX_CELL_BYTES:
            raise SubmitError(
                f"{exercise.notebook}: your cell of {titles[name]} has more than "
                f"{_format_size(MAX_CELL_BYTES)}, the most that is graded. Nothing was packed. "
                "Shorten it, and run this again."
            )


# --- problems ------------------------------------------------------------------------------------


def _find_problems(
    exercise: Exercise,
    project: Path,
    texts: Mapping[str, str],
    titles: Mapping[str, Mapping[str, str]],
    manifest: StarterManifest | None,
    nb: Notebook,
    cells: StudentCells,
) -> Iterator[str]:
    """Yield sentences on what is not written, and on what would not work where it is graded."""
    code = {name: text for name, text in cells.texts.items() if name in exercise.code_regions}
    sources = [(path, parse_python, texts[path]) for path in exercise.files]
    own = titles[exercise.notebook]
    sources += [(f"Your cell of {own[name]}", parse_cell, source) for name, source in code.items()]
    for title, parse, source in sources:
        try:
            parse(source)
        except SyntaxError as error:
            place = f"line {error.lineno}, " if error.lineno else ""
            yield f"{title} cannot be read as Python: {place}{error.msg}."
    prose = {*cells.texts} - {*code}
    graded = [cell for cell in nb["cells"] if region_of(cell) not in prose]
    yield from find_lost_names({"cells": graded})
    yield from cells.notes
    if manifest is None:
        yield (
            f"{STARTER_MANIFEST} is missing or damaged. Without it your grader cannot see which "
            "starter you worked with, and this command cannot find what is unfinished or would "
            "fail there. Take it from the starter's zip file."
        )
        return
    unfilled = {}
    for path in exercise.files:
        touched = touched_regions(path, texts[path], manifest.stubs.get(path, {}))
        regions = region_texts(path, texts[path])
        unfilled[path] = [x for x in regions if x not in touched or not regions[x].strip()]
    pictured = {region_of(cell) for cell in nb["cells"] if cell.get("attachments")}
    unfilled[exercise.notebook] = [name for name in cells.unfilled if name not in pictured]
    for path, left in unfilled.items():
        if left:
            yield f"{path}: not attempted yet: {', '.join(titles[path][x] for x in left)}."
    if lost := [name for name in unfilled[exercise.notebook] if name in cells.unassigned]:
        names = ", ".join(own[name] for name in lost)
        yield (
            f"{exercise.notebook}: no answer in the cell of {names}, but there are cells of your "
            "own. If one of them is an answer, copy it into the cell below its question."
        )
    yield from compare_with_fresh_copy(exercise, project, manifest)


# --- write ---------------------------------------------------------------------------------------


def _write(archive: bytes, out: Path, contents: Mapping[str, bytes]) -> None:
    """Write the zip file beside its place, then move it there; replace submissions only."""
    if os.path.lexists(out) and not _is_submission(out, contents):
        found = "a folder" if out.is_dir() else "there already, and not a submission packed here"
        raise SubmitError(
            f"{out} is {found}. Nothing was packed. Move it away, or give --out another name."
        )
    fresh = out.with_name(f".{out.name}.new")
    try:
        fresh.write_bytes(archive)
        fresh.replace(out)
    except OSError as error:
        raise SubmitError(
            f"{out} cannot be written: {error.strerror}. Give --out a place where you may write."
        ) from error


def _is_submission(out: Path, contents: Mapping[str, bytes]) -> bool:
    """Return whether a file is a zip file with files of this submission only."""
    try:
        with zipfile.ZipFile(out) as archive:
            return {*archive.namelist()} <= {*contents, STARTER_MANIFEST}
    except (OSError, zipfile.BadZipFile):
        return False


def _describe(
    archive: bytes, out: Path, contents: Mapping[str, bytes], project: Path
) -> Iterator[str]:
    """Yield the lines of the report on what was packed."""
    sha256 = hashlib.sha256(archive).hexdigest()[:12]
    yield f"Packed {out.name}, {_format_size(len(archive))}, SHA-256 {sha256}:"
    for path, content in contents.items():
        saved = datetime.fromtimestamp((project / path).stat().st_mtime)
        yield f"  {path}, {_format_size(len(content))}, saved {saved:%Y-%m-%d %H:%M}"
    yield f"Upload {out.absolute()} where your course collects submissions."


def _format_size(count: int) -> str:
    return f"{count / 1000:,.0f} kB" if count >= 1000 else with_noun(count, "byte")
