"""Put a student's work into a newer starter: `python -m assignment update NEW.zip`.

    read_zip     the new starter, once nothing in the zip file is amiss
    make_plan    what to write, to remove and to keep a copy of, all of it before anything changes
    carry_out    the copies first, then file by file, the record of the starter last

So an update that is refused changes nothing, and one that is killed is completed by the next run.

A file that the course has not changed stays as the student has it. Into one that it has changed the
student's regions are grafted; if there is more of theirs in the old one, which the record of the
starter that they were handed tells, that is kept as a copy. The same holds of a cell of code and
the lines round the region in it. Whatever is wrong is an `UpdateError`.
"""

import errno
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import quote

from assignment import PROJECT
from assignment.workspace.regions import (
    Notebook,
    RegionError,
    decode,
    emptied,
    extract,
    extract_cells,
    graft,
    graft_cells,
    read_notebook,
    region_of,
    skeleton,
    source_of,
    write_notebook,
)
from assignment.workspace.starter import (
    SCRIPTS,
    STARTER_MANIFEST,
    StarterError,
    StarterManifest,
    digest,
    read_manifest,
    read_zip,
    region_texts,
)

# In a folder of copies, what there is to say of them, for as long as the update is not complete.
UNFINISHED = "unfinished.txt"


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
        if own:
            _require_successor(archive, starter, own)
        plan = make_plan(project, own, starter, texts)
        # What updates that did not come to their end have copied: some could tell nobody of it.
        earlier = [mark.read_text("utf-8", "replace") for mark in _unfinished(project)]
    except StarterError as error:
        raise UpdateError(str(error)) from error
    except RegionError as error:
        raise UpdateError(
            f"{error} Nothing was changed. Run the update again after that."
        ) from error
    except OSError as error:
        raise UpdateError(f"{_explain(error, project)} Nothing was changed.") from error
    is_new = _content(project, STARTER_MANIFEST) != texts[STARTER_MANIFEST].encode()
    if not (plan.updated or plan.new or plan.removed or is_new or earlier):
        return "\n".join([f"Already up to date: {starter.name} {starter.version}.", *plan.notes])
    try:
        copies = carry_out(plan, project, texts[STARTER_MANIFEST])
    except OSError as error:
        folders = ", ".join(mark.parent.name for mark in _unfinished(project))
        kept = f" The files as they were before are kept in {folders}." if folders else ""
        raise UpdateError(
            f"{_explain(error, project)} Nothing is lost, but some files are not up to date yet: "
            f"run the same update again.{kept}"
        ) from error
    before = own.version if own else "an unknown version"
    title = f"{starter.name}: {before} → {starter.version}"
    return "\n".join([title, *_told(plan, copies, earlier)])


def _require_successor(archive: Path, starter: StarterManifest, own: StarterManifest) -> None:
    """Raise UpdateError for another starter than the project's own, and for an older one."""
    if own.name != starter.name:
        raise UpdateError(
            f"{archive} is {starter.name}, but this project is {own.name}. Nothing was changed. "
            "Unpack it into a folder of its own instead."
        )
    if () < _number(starter.version) < _number(own.version):
        raise UpdateError(
            f"{archive} is version {starter.version}, older than this project, which is "
            f"{own.version}. Nothing was changed. Download the newest zip file from your course; "
            "if it is the older one that you want, unpack it into a folder of its own."
        )


def _number(version: str) -> tuple[int, ...]:
    """What was declared of a version, as in (1, 2) for ``1.2.0+0123456789``; () if no number."""
    declared = re.match(r"[0-9]{1,9}(\.[0-9]{1,9})*", version)
    parts = [int(part) for part in declared[0].split(".")] if declared else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


# --- the plan ------------------------------------------------------------------------------------


def make_plan(
    project: Path, own: StarterManifest | None, starter: StarterManifest, texts: Mapping[str, str]
) -> Plan:
    """What to do to bring `project`, which has the record `own`, to these files."""
    plan, differing = Plan(), []
    for path in sorted(starter.skeletons):
        if not os.path.lexists(project / path):
            if _may_write(project, path, plan):
                plan.new[path] = texts[path]
            continue
        mine = _text(project, path)
        merged = _merge(path, mine, texts[path], own)
        plan.notes += merged.notes
        if merged.text != mine and _may_write(project, path, plan):
            plan.updated[path] = merged.text
            plan.grafted[path] = merged.grafted
            if merged.reasons:
                plan.kept[path] = merged.reasons
        if path not in plan.kept and skeleton(path, merged.text) != skeleton(path, texts[path]):
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
    if _may_write(project, STARTER_MANIFEST, plan) and os.path.lexists(project / STARTER_MANIFEST):
        _text(project, STARTER_MANIFEST)  # raises where it is something else than a file
    return plan


def _own_record(project: Path) -> StarterManifest | None:
    """The record of the student's starter; None if it is missing, or is not what it should be."""
    content = _content(project, STARTER_MANIFEST)
    try:
        return None if content is None else read_manifest(content.decode("utf-8"))
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


_UNKNOWN = "it differs from the new one, and nothing tells which of the two changed"
_UNRUN = "it has outputs, and the new one has to be run first"


class _Merged(NamedTuple):
    """What becomes of a student's file.

    Its text, the regions in it that are theirs, why a copy of the old file is to be kept (for no
    reason, where all that is the student's is in the new text), and what they should know besides.
    """

    text: str
    grafted: list[str]
    reasons: list[str]
    notes: list[str]


def _merge(path: str, mine: str, new: str, own: StarterManifest | None) -> _Merged:
    if mine == new:
        return _Merged(mine, [], [], [])
    theirs, asked = _attempted(path, mine, own), digest(skeleton(path, new))
    text, fresh, reasons, notes = _with_given_lines(path, mine, new, own, theirs)
    regions, new_regions = region_texts(path, text), region_texts(path, new)
    if asked in (digest(skeleton(path, mine)), own and own.skeletons.get(path)):
        # The course has changed nothing but, perhaps, a cell of code, or the wording of a TODO in
        # a stub. A stub that nobody has touched takes it; all else stays as the student has it.
        changed = [
            name
            for name, body in regions.items()
            if name not in theirs and new_regions.get(name, body) != body
        ]
        if fresh and _has_outputs(path, mine):
            reasons.append(_UNRUN)
        return _Merged(_put(path, new, text, changed) if changed else text, fresh, reasons, notes)
    fitting = [name for name in theirs if name in new_regions]
    reasons = [*dict.fromkeys([*_reasons(path, mine, own), *reasons])]
    if lost := [name for name in theirs if name not in new_regions]:
        reasons.append(f"the new one has no place for {', '.join(lost)}")
    return _Merged(_put(path, text, new, fitting), fitting, reasons, notes)


def _attempted(path: str, mine: str, own: StarterManifest | None) -> list[str]:
    """The regions of a student's file that hold something else than the stub they were handed."""
    stubs = own.stubs.get(path, {}) if own else {}
    pictured = set()
    if path.endswith(".ipynb"):
        cells = read_notebook(mine, path)["cells"]
        pictured = {region_of(cell) for cell in cells if cell.get("attachments")}
    return [
        name
        for name, text in region_texts(path, mine).items()
        if digest(text) != stubs.get(name) or name in pictured
    ]


def _with_given_lines(
    path: str, mine: str, new: str, own: StarterManifest | None, theirs: list[str]
) -> _Merged:
    """A student's notebook with the lines that the course has changed in the cells of their code.

    In such a cell, what is outside the markers is the course's. Where the markers are not as they
    were, nothing tells what that is, and the cell stays as it is.
    """
    merged = _Merged(mine, [], [], [])
    if not path.endswith(".ipynb"):
        return merged
    texts, stubs = {}, own.stubs.get(path, {}) if own else {}
    cells, new_cells = region_texts(path, mine), region_texts(path, new)
    for name in theirs:
        cell, given, recorded = cells[name], new_cells.get(name, ""), stubs.get(name)
        if not _is_marked(given, name) or recorded == digest(given):
            continue
        if not _is_marked(cell, name):
            has = "has" if recorded else "may have"
            merged.notes.append(
                f"{path}: the course {has} changed its own lines in the cell {name}, but the lines "
                "that mark your code are not as they were in yours, so it was left as it is. Look "
                "at that cell of the notebook in the new zip file."
            )
            continue
        text = graft(given, extract(cell, name), name)
        if text == cell:
            continue
        texts[name] = text
        merged.grafted.append(name)
        if recorded is None:
            merged.reasons.append(_UNKNOWN)
        elif recorded != digest(emptied(cell, name)):
            merged.reasons.append(f"you had changed the lines outside the markers of {name}")
    if not texts:
        return merged
    nb = _with_distinct_pictures(read_notebook(mine, path))
    return merged._replace(text=write_notebook(_filled(nb, nb, texts, path)))


def _is_marked(cell: str, name: str) -> bool:
    """Whether there are the markers of the region in the text of its cell, and no others."""
    try:
        return list(extract(cell, name)) == [name]
    except RegionError:
        return False


def _reasons(path: str, mine: str, own: StarterManifest | None) -> Iterator[str]:
    """Why there may be something of the student's in their file outside its regions."""
    recorded = own.skeletons.get(path) if own else None
    if recorded is None:
        yield _UNKNOWN
    elif recorded != digest(skeleton(path, mine)):
        where = {"py": " outside your regions", "ipynb": " outside your cells"}
        yield f"you had changed it{where.get(path.rpartition('.')[2], '')}"
    if _has_outputs(path, mine):
        yield _UNRUN


def _has_outputs(path: str, text: str) -> bool:
    if not path.endswith(".ipynb"):
        return False
    return any(cell.get("outputs") for cell in read_notebook(text, path)["cells"])


def _put(path: str, source: str, target: str, names: list[str]) -> str:
    """`target` with what `source` has in the named regions."""
    if path.endswith(".ipynb"):
        old = _with_distinct_pictures(read_notebook(source, path))
        texts = {name: text for name, text in extract_cells(old, path).items() if name in names}
        return write_notebook(_filled(read_notebook(target, path), old, texts, path))
    if path.endswith(".py"):
        bodies = {name: body for name, body in extract(source, path).items() if name in names}
        return graft(target, bodies, path)
    return target


def _filled(nb: Notebook, source: Notebook, texts: Mapping[str, str], path: str) -> Notebook:
    """`nb` with these texts in its regions, and with the pictures that go with them in `source`."""
    pictures: dict[str, dict[str, object]] = {}
    for cell in source["cells"]:
        name = region_of(cell)
        if name in texts and cell.get("attachments"):
            pictures.setdefault(str(name), {}).update(cell["attachments"])
    cells = [
        {**cell, "attachments": pictures[name]}
        if (name := region_of(cell)) is not None and name in pictures
        else cell
        for cell in graft_cells(nb, texts, path)["cells"]
    ]
    return {**nb, "cells": cells}


def _with_distinct_pictures(nb: Notebook) -> Notebook:
    """`nb` with the pictures of each region named apart, so that its cells can become one.

    Names of pictures are unique within a cell only: Jupyter calls most of them image.png.
    """
    taken: dict[str, dict[str, object]] = {}
    cells = []
    for cell in nb["cells"]:
        region, pictures = region_of(cell), cell.get("attachments")
        if region is not None and pictures:
            there, named, source = taken.setdefault(region, {}), {}, source_of(cell)
            for name, picture in pictures.items():
                same = {other for other in there if there[other] == picture}
                free = _free_name(name, ({*there} - same) | ({*pictures} - {name}))
                source = _linked_anew(source, name, free)
                there[free] = named[free] = picture
            cell = {**cell, "source": source, "attachments": named}
        cells.append(cell)
    return {**nb, "cells": cells}


def _free_name(name: str, taken: Collection[str]) -> str:
    path, number, free = PurePosixPath(name), 1, name
    while free in taken:
        number += 1
        free = f"{path.stem}-{number}{path.suffix}"
    return free


def _linked_anew(text: str, old: str, new: str) -> str:
    """`text` with its links to one picture changed to another, be the name quoted or as it is."""
    for before, after in {old: new, quote(old): quote(new)}.items():
        link = rf"attachment:{re.escape(before)}(?![\w.%-])"
        text = f"attachment:{after}".join(re.split(link, text))
    return text


def _is_untouched(project: Path, path: str, own: StarterManifest) -> bool:
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
    copies = _copy(plan, project) if plan.kept else None
    for path, text in (plan.updated | plan.new).items():
        _write(project / path, text, executable=path in SCRIPTS)
    for path in plan.removed:
        (project / path).unlink()
    # Last: with the old record, a run after one that was killed finds the same to do.
    _write(project / STARTER_MANIFEST, record, executable=False)
    for mark in _unfinished(project):
        mark.unlink()
    return copies


def _copy(plan: Plan, project: Path) -> Path:
    """Copy what is to be kept into a folder of its own, which is complete or not there.

    All of it is on the disk before anything is replaced, so that a power cut cannot take both. A
    file in the folder says what it holds until the update is complete, for the run that completes
    it: the one that was killed could tell nobody.
    """
    copies = _free_folder(project)
    try:
        for path in plan.kept:
            place = copies / path
            place.parent.mkdir(parents=True, exist_ok=True)
            _write_new(place, (project / path).read_bytes())
            shutil.copystat(project / path, place)
        said = "An earlier update did not come to its end. The files as they were before it are"
        _write_new(copies / UNFINISHED, _listed(said, plan, copies).encode("utf-8"))
    except OSError:
        shutil.rmtree(copies, ignore_errors=True)
        raise
    return copies


def _unfinished(project: Path) -> list[Path]:
    """The marks of the updates that have made copies, and did not come to their end."""
    return sorted(project.glob(f"backup-*/{UNFINISHED}"))


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
        fresh.unlink(missing_ok=True)
        _write_new(fresh, text.encode("utf-8"))
        mode = (place if place.exists() else fresh).stat().st_mode & 0o777
        if executable:
            mode |= (mode & 0o444) >> 2  # for all who may read it
        fresh.chmod(mode)
        os.replace(fresh, place)  # noqa: PTH105
    finally:
        fresh.unlink(missing_ok=True)


def _write_new(place: Path, content: bytes) -> None:
    """Write a file that is not there yet, and wait until it is on the disk."""
    with place.open("xb") as file:  # never writes through a link
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _explain(error: OSError, project: Path) -> str:
    place = Path(error.filename2 or error.filename or project)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"There is no room left to write in {project}. Free some space."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        while not os.path.lexists(place):  # it could not be made, so its folder is what refuses
            place = place.parent
        return f"{place} may not be read or changed ({error.strerror}). Make it yours to write."
    return f"{place}: {error.strerror or error}."


# --- what is told --------------------------------------------------------------------------------


def _told(plan: Plan, copies: Path | None, earlier: list[str]) -> Iterator[str]:
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
        yield _listed("The files as they were before are", plan, copies)
    yield from earlier
    yield from plan.notes
    if any(path.endswith(".ipynb") for path in plan.updated):
        yield "If the notebook is open in Jupyter, close it without saving and open it again."


def _listed(what: str, plan: Plan, copies: Path) -> str:
    reasons = [f"  {path}: {'; '.join(reasons)}" for path, reasons in plan.kept.items()]
    return "\n".join([f"{what} kept in {copies.name}:", *reasons])
