"""The folder that a release is written to: all its parts take their places at once, or none does.

A part is a folder, which is a starter or a template repository, or a zip file. A folder is replaced
only if a release wrote it and nobody has changed it since.
"""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from assignment.workspace.starter import (
    LITTER,
    SCRIPTS,
    STARTER_MANIFEST,
    StarterError,
    read_manifest,
)
from gradkit.course.starter import build_digest
from gradkit.files import remove_tree
from gradkit.release.errors import ReleaseError
from gradkit.release.github_classroom import IGNORED, WORKFLOW, is_as_built

Files = Mapping[str, bytes]  # contents by path

TEMPLATE_SUFFIX = "-github"  # of a template repository's folder, after the starter's name


def write_release(folders: Mapping[str, Files], archives: Files, out: Path) -> None:
    """Write folders and zip files, by name, in place of older ones.

    Raise ReleaseError if one would replace something else, and OSError if one cannot be written;
    the older ones are in their places then.
    """
    for name in folders:
        _require_replaceable(out / name, name.removesuffix(TEMPLATE_SUFFIX))
    for name in archives:
        if (out / name).is_dir():
            raise ReleaseError(f"{out / name} is a folder, and the zip file goes there. Move it.")
    out.mkdir(parents=True, exist_ok=True)
    temporary = out / f".release.{secrets.token_hex(4)}.tmp"
    try:
        for name, files in folders.items():
            for path, content in files.items():
                place = temporary / "new" / name / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
                place.chmod(0o755 if place.name in SCRIPTS else 0o644)
        for name, content in archives.items():
            (temporary / "new" / name).write_bytes(content)
        (temporary / "old").mkdir()
        _swap(temporary, out, [*folders, *archives])
    finally:
        remove_tree(temporary)


def _swap(temporary: Path, out: Path, names: list[str]) -> None:
    """Move the new parts in and the old ones out; undo all of it if one cannot be moved."""
    new, old = temporary / "new", temporary / "old"
    try:
        for name in names:
            if (out / name).exists():
                (out / name).rename(old / name)
            (new / name).replace(out / name)
    except BaseException:
        for name in names:
            if not (new / name).exists():
                (out / name).rename(new / name)
            if (old / name).exists():
                (old / name).rename(out / name)
        raise


def _require_replaceable(folder: Path, name: str) -> None:
    """Raise ReleaseError unless a folder is absent, or this starter as a release wrote it."""
    if not os.path.lexists(folder):
        return
    advice = "It is not replaced: move it away, or give --out another folder."
    if folder.is_symlink() or not folder.is_dir():
        raise ReleaseError(f"{folder} is not a folder. {advice}")
    try:
        paths = {path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()}
        texts = {
            path.as_posix(): (folder / path).read_bytes().decode()
            for path in paths
            if not any(LITTER.fullmatch(part) for part in path.parts)
        }
        starter = read_manifest(texts.pop(STARTER_MANIFEST))
        extra = {path: texts.pop(path) for path in (WORKFLOW, IGNORED) if path in texts}
    except (KeyError, ValueError, StarterError) as error:
        raise ReleaseError(f"{folder} is not a starter that was built here. {advice}") from error
    is_unchanged = starter.version.endswith(f"+{build_digest(texts)}")
    if starter.name != name or not is_unchanged or (extra and not is_as_built(extra)):
        raise ReleaseError(f"{folder} was changed since it was built, or has files added. {advice}")
