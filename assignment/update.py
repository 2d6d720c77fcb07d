"""Put a student's work into a newer starter: `python -m assignment update NEW.zip`.

    read_zip     the new starter, once nothing in the zip file is amiss
    make_plan    what to write, to remove and to keep a copy of, all of it before anything changes
    carry_out    the copies first, then file by file, the record of the starter last

So an update that is refused changes nothing, and one that is killed is completed by the next run.

A file that the course has not changed stays as the student has it. Into one that it has changed the
student's regions are grafted; if there is more of theirs in the old one, which the record of the
starter that they were handed tells, that is kept as a copy. Whatever is wrong is an `UpdateError`.
"""

import errno
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assignment import PROJECT
from assignment.regions import (
    Notebook,
    RegionError,
    decode,
    extract,
    extract_cells,
    graft,
    graft_cells,
    read_notebook,
    region_of,
    skeleton,
    write_notebook,
)
from assignment.starter import (
    RECORD,
    SCRIPTS,
    Starter,
    StarterError,
    digest,
    read_record,
    read_zip,
    region_texts,
)


class UpdateError(Exception):
    """The update cannot be done; the text says what was found, where, and what to do."""


@dataclass
class Plan:
    """What an update does to a project.

    Attributes
    ----------
    updated, new : dict
        From the paths of files that are there already, or are not, to what goes into them.
    grafted : dict
        From the paths among `updated` to the student's regions that went into the new text.
    kept : dict
        From the paths of files that are copied first to the reasons.
    removed : list of str
        Files of the old starter that the new one has not, and that the student never touched.
    notes : list of str
        What the student should know besides.
    """

    updated: dict[str, str] = field(default_factory=dict)
    new: dict[str, str] = field(default_factory=dict)
    grafted: dict[str, list[str]] = field(default_factory=dict)
    kept: dict[str, list[str]] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def update(archive: Path, project: Path = PROJECT) -> str:
    """Bring `project` to the starter in the zip file, and return what there is to say of it.

    Raises
    ------
    UpdateError
        Nothing was changed, but for a write that failed: then the same update can be run again.
    """
    if (project / "gradkit").is_dir():
        raise UpdateError(
            f"{project} is the instructor's tree, with the solutions in it. An update is for a "
            "student's copy: run it there."
        )
    try:
        starter, texts = read_zip(archive)
        own = _own_record(project)
        if own and own.name != starter.name:
            raise UpdateError(
                f"{archive} is {starter.name}, but this project is {own.name}. Nothing was "
                "changed. Unpack it into a folder of its own instead."
            )
        plan = make_plan(project, own, starter, texts)
    except StarterError as error:
        raise UpdateError(str(error)) from error
    except RegionError as error:
        raise UpdateError(
            f"{error} Nothing was changed. Run the update again after that."
        ) from error
    except OSError as error:
        raise UpdateError(f"{_explain(error, project)} Nothing was changed.") from error
    is_new = _content(project, RECORD) != texts[RECORD].encode()
    if not (plan.updated or plan.new or plan.removed or is_new):
        return "\n".join([f"Already up to date: {starter.name} {starter.version}.", *plan.notes])
    try:
        copies = carry_out(plan, project, texts[RECORD])
    except OSError as error:
        raise UpdateError(
            f"{_explain(error, project)} Nothing is lost, but some files are not up to date yet: "
            "run the same update again."
        ) from error
    before = own.version if own else "an unknown version"
    return "\n".join([f"{starter.name}: {before} → {starter.version}", *_told(plan, copies)])


# --- the plan ------------------------------------------------------------------------------------


def make_plan(
    project: Path, own: Starter | None, starter: Starter, texts: Mapping[str, str]
) -> Plan:
    """What to do to bring `project`, which has the record `own`, to these files."""
    plan, differing = Plan(), []
    for path in sorted(starter.skeletons):
        if not os.path.lexists(project / path):
            if _may_write(project, path, plan):
                plan.new[path] = texts[path]
            continue
        mine = _text(project, path)
        text, grafted, reasons = _merged(path, mine, texts[path], own)
        if text != mine and _may_write(project, path, plan):
            plan.updated[path] = text
            plan.grafted[path] = grafted
            if reasons:
                plan.kept[path] = reasons
        if path not in plan.kept and skeleton(path, text) != skeleton(path, texts[path]):
            differing.append(path)
    if differing:
        plan.notes.append(f"Changed by you, not by the course, and left so: {', '.join(differing)}")
    for path in sorted(own.skeletons if own else ()):
        if path not in starter.skeletons and os.path.lexists(project / path):
            if own and _is_untouched(project, path, own):
                plan.removed.append(path)
            else:
                plan.notes.append(
                    f"{path} is no part of the new starter. It stays: you changed it."
                )
    if _may_write(project, RECORD, plan) and os.path.lexists(project / RECORD):
        _text(project, RECORD)  # raises where it is something else than a file
    return plan


def _own_record(project: Path) -> Starter | None:
    """The record of the student's starter; None if it is missing, or is not what it should be."""
    content = _content(project, RECORD)
    try:
        return None if content is None else read_record(content.decode("utf-8"))
    except (UnicodeDecodeError, StarterError):
        return None


def _content(project: Path, path: str) -> bytes | None:
    return (project / path).read_bytes() if (project / path).is_file() else None


def _text(project: Path, path: str) -> str:
    content = _content(project, path)
    if content is None:
        raise UpdateError(
            f"{project / path} is not a file, but the starter has a file of that name. Nothing "
            "was changed. Move it away, and run the update again."
        )
    if path.endswith((".py", ".ipynb")):
        return decode(content, path)
    return content.decode("utf-8", errors="backslashreplace")  # it is only compared


def _merged(
    path: str, mine: str, new: str, own: Starter | None
) -> tuple[str, list[str], list[str]]:
    """What becomes of a student's file: its text, the regions in it that are theirs, and reasons.

    The reasons say why a copy of the old file is to be kept; there are none where all that is the
    student's is in the new text.
    """
    if mine == new:
        return mine, [], []
    theirs, asked = _attempted(path, mine, own), digest(skeleton(path, new))
    regions, new_regions = region_texts(path, mine), region_texts(path, new)
    if asked in (digest(skeleton(path, mine)), own and own.skeletons.get(path)):
        # The course has changed nothing but, perhaps, the wording of a TODO in a stub. A stub that
        # nobody has touched takes it; all else stays as the student has it.
        changed = [
            name
            for name, text in regions.items()
            if name not in theirs and new_regions.get(name, text) != text
        ]
        return _put(path, new, mine, changed) if changed else mine, [], []
    fitting = [name for name in theirs if name in new_regions]
    reasons = list(_reasons(path, mine, own))
    if lost := [name for name in theirs if name not in new_regions]:
        reasons.append(f"the new one has no place for {', '.join(lost)}")
    return _put(path, mine, new, fitting), fitting, reasons


def _attempted(path: str, mine: str, own: Starter | None) -> list[str]:
    """The regions of a student's file that hold something else than the stub they were handed."""
    stubs = own.stubs.get(path, {}) if own else {}
    texts = region_texts(path, mine)
    return [name for name, text in texts.items() if digest(text) != stubs.get(name)]


def _reasons(path: str, mine: str, own: Starter | None) -> Iterator[str]:
    """Why there may be something of the student's in their file outside its regions."""
    recorded = own.skeletons.get(path) if own else None
    if recorded is None:
        yield "it differs from the new one, and nothing tells which of the two changed"
    elif recorded != digest(skeleton(path, mine)):
        where = {"py": " outside your regions", "ipynb": " outside your cells"}
        yield f"you had changed it{where.get(path.rpartition('.')[2], '')}"
    if _has_outputs(path, mine):
        yield "it has outputs, and the new one has to be run first"


def _has_outputs(path: str, text: str) -> bool:
    if not path.endswith(".ipynb"):
        return False
    return any(cell.get("outputs") for cell in read_notebook(text, path)["cells"])


def _put(path: str, source: str, target: str, names: Collection[str]) -> str:
    """`target` with what `source` has in the named regions."""
    if path.endswith(".ipynb"):
        old, new = read_notebook(source, path), read_notebook(target, path)
        texts = {name: text for name, text in extract_cells(old, path).items() if name in names}
        grafted = graft_cells(new, texts, path)
        return write_notebook(_with_attachments(grafted, old, names))
    if path.endswith(".py"):
        bodies = {name: body for name, body in extract(source, path).items() if name in names}
        return graft(target, bodies, path)
    return target


def _with_attachments(nb: Notebook, old: Notebook, names: Collection[str]) -> Notebook:
    """`nb` with the pictures that the student has pasted into the named answers."""
    pictures: dict[str, dict[str, object]] = {}
    for cell in old["cells"]:
        name = region_of(cell)
        if name in names and cell.get("attachments"):
            pictures.setdefault(str(name), {}).update(cell["attachments"])
    cells = [
        {**cell, "attachments": pictures[name]}
        if (name := region_of(cell)) is not None and name in pictures
        else cell
        for cell in nb["cells"]
    ]
    return {**nb, "cells": cells}


def _is_untouched(project: Path, path: str, own: Starter) -> bool:
    """Whether a file is as it was handed out, so that nothing is lost with it."""
    if _link_to(project, path):
        return False
    try:
        text = _text(project, path)
        if own.skeletons[path] != digest(skeleton(path, text)) or _has_outputs(path, text):
            return False
        return not _attempted(path, text, own)
    except (UpdateError, RegionError):
        return False


def _may_write(project: Path, path: str, plan: Plan) -> bool:
    """Whether a path can be written. If not, that is noted, or raised if it is needed."""
    link = _link_to(project, path)
    if link and path.startswith("datasets/"):  # often one to a larger disk, and nothing needs it
        plan.notes.append(f"{path} was left alone, since {link.name} is a link.")
        return False
    if link:
        raise UpdateError(
            f"{link} is a link. An update writes only into the project's own folder, so nothing "
            "was changed. Put the files themselves there, and run the update again."
        )
    for folder in (project / path).parents:
        if folder == project:
            break
        if folder.exists() and not folder.is_dir():
            raise UpdateError(
                f"{folder} is a file, but the starter has a folder of that name. Nothing was "
                "changed. Move it away, and run the update again."
            )
    return True


def _link_to(project: Path, path: str) -> Path | None:
    place = project
    for part in path.split("/"):
        place /= part
        if place.is_symlink():
            return place
    return None


# --- what is done --------------------------------------------------------------------------------


def carry_out(plan: Plan, project: Path, record: str) -> Path | None:
    """Do what is planned; the folder with the copies, if there are any."""
    copies = None
    if plan.kept:
        copies = _free_folder(project)
        for path in plan.kept:
            (copies / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(project / path, copies / path)
    for path, text in (plan.updated | plan.new).items():
        _write(project / path, text, executable=path in SCRIPTS)
    for path in plan.removed:
        (project / path).unlink()
    # Last: with the old record, a run after one that was killed finds the same to do.
    _write(project / RECORD, record, executable=False)
    return copies


def _free_folder(project: Path) -> Path:
    number = 1
    while os.path.lexists(folder := project / f"backup-{number}"):
        number += 1
    folder.mkdir()
    return folder


def _write(place: Path, text: str, executable: bool) -> None:
    """Write a file beside its place, then let it take the place of the old one."""
    place.parent.mkdir(parents=True, exist_ok=True)
    # Always the same name: what a killed run has left is overwritten by the run after it.
    fresh = place.with_name(f".{place.name}.update")
    try:
        fresh.unlink(missing_ok=True)  # "xb" never writes through a link
        with fresh.open("xb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        mode = (place if place.exists() else fresh).stat().st_mode & 0o777
        if executable:
            mode |= (mode & 0o444) >> 2  # for all who may read it
        fresh.chmod(mode)
        os.replace(fresh, place)  # noqa: PTH105
    finally:
        fresh.unlink(missing_ok=True)


def _explain(error: OSError, project: Path) -> str:
    place = error.filename or project
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"There is no room left to write in {project}. Free some space."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{place} may not be read or changed ({error.strerror}). Make it yours to write."
    return f"{place}: {error.strerror or error}."


# --- what is told --------------------------------------------------------------------------------


def _told(plan: Plan, copies: Path | None) -> Iterator[str]:
    with_work = {path: names for path, names in plan.grafted.items() if names}
    for path, names in with_work.items():
        yield f"  updated, with your {', '.join(names)} in it: {path}"
    for title, paths in (
        ("updated", [path for path in plan.updated if path not in with_work]),
        ("new", list(plan.new)),
        ("removed, since the new starter does not have it", plan.removed),
    ):
        if paths:
            yield f"  {title}: {', '.join(paths)}"
    if copies:
        yield f"The files as they were before are kept in {copies.name}:"
        for path, reasons in plan.kept.items():
            yield f"  {path}: {'; '.join(reasons)}"
    yield from plan.notes
    if any(path.endswith(".ipynb") for path in plan.updated):
        yield "If the notebook is open in Jupyter, close it without saving and open it again."
