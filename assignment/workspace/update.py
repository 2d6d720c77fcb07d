"""Update a student's project to a newer starter: `python -m assignment update NEW.zip`.

    read_zip       read and check the newer starter
    plan_update    decide what to write and what to remove, before anything changes
    apply_plan     copy the old files into backup-N, then write the new ones, the manifest last

A refused update therefore changes nothing, and the next run completes an update that was killed.
A file that the course has not changed stays as the student has it. Into a file that the course has
changed, the student's regions are grafted, with the helpers of a `.py` file that they use; the rest
of what the student had in it is in the backup.
"""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from assignment import PROJECT
from assignment.workspace.helpers import put_back_helpers
from assignment.workspace.regions import (
    RegionError,
    cell_titles,
    extract,
    graft,
    read_notebook,
    read_source,
    region_of,
    region_titles,
    skeleton,
    without_outputs,
    write_notebook,
)
from assignment.workspace.starter import (
    SCRIPTS,
    STARTER_MANIFEST,
    StarterError,
    StarterManifest,
    digest,
    read_project_manifest,
    read_zip,
    region_texts,
    touched_regions,
)


class UpdateError(Exception):
    """An update that cannot be done; the message gives what was found, where, and what to do."""


class Plan(NamedTuple):
    """The changes to a project: texts to write by path, paths to remove, lines of the report."""

    texts: dict[str, str]
    removed: list[str]
    report: list[str]


def update(archive: Path, project: Path = PROJECT) -> str:
    """Update `project` to the starter in a zip file, and return a report.

    Raise UpdateError if nothing was changed, or a write failed and the update can be run again.
    """
    if (project / "gradkit").is_dir():
        raise UpdateError(
            f"{project} is the instructor's tree, with the solutions in it. Run the update in a "
            "student's copy."
        )
    try:
        newer, texts = read_zip(archive)
        current = read_project_manifest(project)
        if current:
            _require_successor(archive, newer, current)
        plan = plan_update(project, current, newer, texts)
    except StarterError as error:
        raise UpdateError(str(error)) from error
    except RegionError as error:
        raise UpdateError(
            f"{error} Nothing was changed. Run the update again after that."
        ) from error
    except OSError as error:
        raise UpdateError(f"{_explain(error, project)} Nothing was changed.") from error
    before = current.version if current else "an unknown version"
    title = f"{newer.name}: {before} → {newer.version}"
    if newer == current and not plan.texts and not plan.removed:
        title = f"Already up to date: {newer.name} {newer.version}."
    else:
        try:
            apply_plan(plan, project, texts[STARTER_MANIFEST])
        except OSError as error:
            advice = "Nothing is lost, but some files are not up to date yet: run the update again."
            raise UpdateError(
                " ".join([_explain(error, project), advice, *_list_backups(project)])
            ) from error
    return "\n".join([title, *plan.report, *_list_backups(project)])


def _require_successor(archive: Path, newer: StarterManifest, current: StarterManifest) -> None:
    if current.name != newer.name:
        raise UpdateError(
            f"{archive} is {newer.name}, but this project is {current.name}. Nothing was changed. "
            "Unpack it into a folder of its own instead."
        )
    if () < _release_numbers(newer.version) < _release_numbers(current.version):
        raise UpdateError(
            f"{archive} is version {newer.version}, older than this project, which is "
            f"{current.version}. Nothing was changed. Download the newest zip file from your "
            "course, or unpack the older one into a folder of its own."
        )


def _release_numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version: (1, 2) for ``1.2.0+0123456789``, () for ``dev``."""
    release = re.sub(r"(\.0+)+$", "", version.partition("+")[0])
    is_numeric = re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})*", release)
    return tuple(int(part) for part in release.split(".")) if is_numeric else ()


def _list_backups(project: Path) -> list[str]:
    folders = sorted(path.name for path in project.glob("backup-*") if path.is_dir())
    return [f"The old files are in {', '.join(folders)}."] if folders else []


def _explain(error: OSError, project: Path) -> str:
    return (
        f"{error.filename or project}: {error.strerror or error}. Make sure that no other file or "
        "folder is in the way, that you may write there, and that the disk is not full."
    )


# --- plan ----------------------------------------------------------------------------------------


def plan_update(
    project: Path,
    current: StarterManifest | None,
    newer: StarterManifest,
    texts: Mapping[str, str],
) -> Plan:
    """Plan the update of `project` from its own manifest, if any, to the newer starter's `texts`.

    Raise RegionError or OSError for a file that cannot be read or merged.
    """
    plan, edited = Plan({}, [], []), []
    current = current or StarterManifest(newer.name, (), "", {}, {})
    for path in sorted(newer.skeletons):
        stubs, new_stubs = current.stubs.get(path, {}), newer.stubs.get(path, {})
        if path.startswith("datasets/") and (project / "datasets").is_symlink():
            continue  # a link to a larger disk
        if not (project / path).exists():
            plan.texts[path] = texts[path]
            plan.report.append(f"  new: {path}")
        elif (current.skeletons.get(path), stubs) != (newer.skeletons[path], new_stubs):
            old = read_source(project / path)
            text, grafted, notes = merge(path, old, texts[path], stubs)
            if text != old:
                plan.texts[path] = text
                titles = region_titles(path, text)
                names = ", ".join(titles[name] for name in grafted)
                names = f", and yours kept in it: {names}" if grafted else ""
                plan.report.append(f"  updated: {path}{names}")
                if current.skeletons.get(path) != digest(skeleton(path, old)):
                    edited.append(path)
            plan.report.extend(notes)
    for path in sorted(current.skeletons.keys() - newer.skeletons.keys()):
        if _is_untouched(project, path, current):
            plan.removed.append(path)
            plan.report.append(f"  removed, since the new starter does not have it: {path}")
        elif (project / path).exists():
            plan.report.append(f"  kept, since you changed it, though no longer used: {path}")
    if edited:
        plan.report.append(
            f"You may have changed the course's own lines of {', '.join(edited)}: copy what you "
            "still need from the old files."
        )
    if any(path.endswith(".ipynb") for path in plan.texts):
        plan.report.append(
            "If the notebook is open in Jupyter, close it without saving, reopen it and restart "
            "its kernel."
        )
    return plan


def _is_untouched(project: Path, path: str, manifest: StarterManifest) -> bool:
    """Return whether a file is as it was handed out, except its line endings and outputs."""
    try:
        text = read_source(project / path)
        touched = touched_regions(path, text, manifest.stubs.get(path, {}))
        return not touched and manifest.skeletons[path] == digest(skeleton(path, text))
    except (OSError, RegionError):
        return False


def merge(
    path: str, old: str, new: str, stubs: Mapping[str, str]
) -> tuple[str, list[str], list[str]]:
    """Graft the student's regions of a file's `old` text into the `new` one.

    `stubs` are the digests of the stubs that the student was given, by region: a region that still
    holds its stub takes the new one. Returns the text, the names of the grafted regions, and notes.
    """
    touched, there = touched_regions(path, old, stubs), region_texts(path, new)
    grafted, notes = [name for name in touched if name in there], []
    if lost := [name for name in touched if name not in there]:
        titles = ", ".join(region_titles(path, old)[name] for name in lost)
        notes.append(f"  {path} has no place for your {titles} any more: see the old file")
    if path.endswith(".py"):
        bodies = extract(old, path)
        new = graft(new, {name: bodies[name] for name in grafted}, path)
        new, helpers = put_back_helpers(old, new, grafted, path)
        if helpers:
            notes.append(f"  {path} keeps what your code uses: {', '.join(helpers)}")
    elif path.endswith(".ipynb"):
        new, more = _merge_notebook(path, old, new, grafted, stubs)
        notes += more
    return new, grafted, notes


def _merge_notebook(
    path: str, old: str, new: str, names: list[str], stubs: Mapping[str, str]
) -> tuple[str, list[str]]:
    """Put the student's cells of the regions `names` in the place of the new ones.

    Lines outside the markers of a cell of code are the course's: if these have changed, the
    student's code is grafted into the new cell.
    """
    old_cells, nb, notes = read_notebook(old, path)["cells"], read_notebook(new, path), []
    old_texts, new_texts = region_texts(path, old), region_texts(path, new)
    cells, titles = [], cell_titles(nb)
    for cell in nb["cells"]:
        name = region_of(cell)
        if name is None or name not in names:
            cells.append(cell)
            continue
        given, own = new_texts[name], old_texts[name]
        is_changed = _is_marked(given, name) and stubs.get(name) != digest(given)
        if is_changed and _is_marked(own, name):
            cells.append({**cell, "source": graft(given, extract(own, name), name)})
            continue
        # All of them: each cell of a split region keeps its own pictures.
        own_cells = [without_outputs(own) for own in old_cells if region_of(own) == name]
        cells += [{**own, "metadata": cell["metadata"]} for own in own_cells]
        if is_changed:
            notes.append(
                f"  {path}: the course's own lines in the cell of {titles[name]} may have changed, "
                "but your cell has lost the lines that mark your code, so it stays unchanged: "
                "compare it with the one in the new zip file"
            )
    return write_notebook({**nb, "cells": cells}), notes


def _is_marked(cell: str, name: str) -> bool:
    """Return whether a cell of code has the markers of its region, and no others."""
    try:
        return list(extract(cell, name)) == [name]
    except RegionError:
        return False


# --- apply ---------------------------------------------------------------------------------------


def apply_plan(plan: Plan, project: Path, manifest: str) -> None:
    """Back up the files that the plan replaces or removes, then write and remove."""
    _back_up([path for path in (*plan.texts, *plan.removed) if (project / path).exists()], project)
    for path, text in plan.texts.items():
        _write(project / path, text, executable=path in SCRIPTS)
    for path in plan.removed:
        (project / path).unlink()
    # Last: after a kill, the next run finds the old manifest and does the rest.
    _write(project / STARTER_MANIFEST, manifest)


def _back_up(paths: list[str], project: Path) -> None:
    """Copy files into a new folder backup-N, which appears only when it is complete."""
    if not paths:
        return
    unfinished = project / ".backup.update"
    shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed or failed
    for path in paths:
        (unfinished / path).parent.mkdir(parents=True, exist_ok=True)
        _write_synced(unfinished / path, (project / path).read_bytes())
    number = 1
    while os.path.lexists(project / f"backup-{number}"):
        number += 1
    unfinished.rename(project / f"backup-{number}")


def _write(place: Path, text: str, executable: bool = False) -> None:
    """Write a file beside its place, then move it there: no reader sees half of it."""
    place = Path(os.path.realpath(place))  # a link stays one
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_name(f".{place.name}.update")
    fresh.unlink(missing_ok=True)  # of a run that was killed or failed
    _write_synced(fresh, text.encode("utf-8"))
    if place.exists():
        shutil.copymode(place, fresh)
    if executable:
        mode = fresh.stat().st_mode
        fresh.chmod(mode | (mode & 0o444) >> 2)  # for all who may read it
    fresh.replace(place)


def _write_synced(place: Path, content: bytes) -> None:
    """Write a new file, and wait until it is on the disk."""
    with place.open("xb") as file:  # refuses to write through a link
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
