"""What a starter is: the files that students are handed, and the record that describes them.

The record, `assignment/starter.json`, is written by the course's build and read by `update`, which
tells by it what in a project is the course's and what is the student's. `read_zip` takes a starter
out of a zip file, which is hostile until all of it has been looked at.
"""

import hashlib
import json
import re
import stat
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from assignment.workspace.regions import (
    RegionError,
    decode,
    extract,
    extract_cells,
    read_notebook,
    skeleton,
)

STARTER_MANIFEST = "assignment/starter.json"
TOP_LEVEL = (
    "README.md",
    "assignment",
    "datasets",
    "get_datasets.sh",
    "notebooks",
    "requirements.txt",
)
SCRIPTS = ("get_datasets.sh",)  # what is to be executable

# Left behind by Python, Jupyter and file managers, in starters and projects alike.
LITTER = re.compile(
    r"__pycache__|.*\.pyc|\.ipynb_checkpoints|\.DS_Store|\._.*|__MACOSX|Thumbs\.db|desktop\.ini"
)

# A starter has some 40 files and 0.4 MB. What has far more is none, but may be a bomb.
MAX_FILES = 1000
MAX_BYTES = 10_000_000  # packed as well as unpacked


class StarterError(ValueError):
    """This is no starter as a build writes it; the message says what is wrong with it."""


@dataclass(frozen=True)
class StarterManifest:
    """The record of a starter.

    Attributes
    ----------
    name : str
        As in ``softmax-starter``.
    exercises : tuple of str
        What it is for.
    version : str
        As in ``1.0+0123456789``: the release, and what tells builds of it apart.
    skeletons : mapping
        From the path of each file to the SHA-256 of its skeleton.
    stubs : mapping
        From the path of each file with regions to the SHA-256 of what stands in each of them.
    """

    name: str
    exercises: tuple[str, ...]
    version: str
    skeletons: Mapping[str, str]
    stubs: Mapping[str, Mapping[str, str]]


def write_manifest(
    name: str, exercises: Iterable[str], version: str, files: Mapping[str, str]
) -> str:
    """The text of the record of a starter with these files, given as texts by their paths."""
    skeletons, stubs = digests(files)
    record = {
        "starter": name,
        "exercises": sorted(exercises),
        "version": version,
        "skeletons": skeletons,
        "stubs": stubs,
    }
    return json.dumps(record, indent=1, sort_keys=True) + "\n"


def digests(files: Mapping[str, str]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """What a record says of these files: `skeletons` and `stubs`, as in `StarterManifest`."""
    regions = {path: texts for path, text in files.items() if (texts := region_texts(path, text))}
    return (
        {path: digest(skeleton(path, text)) for path, text in files.items()},
        {path: {name: digest(x) for name, x in texts.items()} for path, texts in regions.items()},
    )


def read_manifest(text: str) -> StarterManifest:
    """The starter that a record describes; StarterError if it is not as `write_manifest` writes it."""
    try:
        record = json.loads(text)
        starter = StarterManifest(
            name=record["starter"],
            exercises=tuple(record["exercises"]),
            version=record["version"],
            skeletons=dict(record["skeletons"].items()),
            stubs={path: dict(texts.items()) for path, texts in record["stubs"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StarterError(f"its {STARTER_MANIFEST} is damaged ({error!r:.80})") from error
    for word in (starter.name, starter.version, *starter.exercises):
        if not isinstance(word, str) or not word.isprintable():
            raise StarterError(
                f"its {STARTER_MANIFEST} is damaged ({str(word)[:80]!a} is not a name)"
            )
    for path in (*starter.skeletons, *starter.stubs):
        if fault := path_fault(path):
            raise StarterError(f"its {STARTER_MANIFEST} lists {path[:80]!r}, which {fault}")
    return starter


def region_texts(path: str, text: str) -> dict[str, str]:
    """What stands in each region of a file, free of indentation and the kind of line endings."""
    if path.endswith(".ipynb"):
        cells = extract_cells(read_notebook(text, path), path)
        return {name: "\n".join(_lines(cell)) for name, cell in cells.items()}
    if path.endswith(".py"):
        return {
            name: "\n".join(line.removeprefix(body.indent) for line in _lines(body.text))
            for name, body in extract(text, path).items()
        }
    return {}


# --- out of a zip file ---------------------------------------------------------------------------


def read_zip(path: Path) -> tuple[StarterManifest, dict[str, str]]:
    """The record of the starter in a zip file, and the texts of all its files by their paths.

    Raises
    ------
    StarterError
        It is not a zip file, or is not, or not only, a starter. No file has been written.
    """
    if not path.is_file():
        if path.is_dir():
            raise StarterError(
                f"{path} is a folder, but the zip file is wanted. If your browser has unpacked it, "
                "compress that folder again."
            )
        raise StarterError(f"{path} is not there. Give the path of the zip file as handed out.")
    try:
        texts = _read_members(path)
        starter = read_manifest(texts[STARTER_MANIFEST])
        files = {name: text for name, text in texts.items() if name != STARTER_MANIFEST}
        _require_as_recorded(files, starter)
    except (StarterError, RegionError) as error:
        raise StarterError(
            f"{path} is refused: {str(error).rstrip('.')}. Nothing was changed. Download the zip "
            "file again from your course."
        ) from error
    except Exception as error:  # damaged and hostile files make zipfile raise anything
        raise StarterError(
            f"{path} is no zip file, or a damaged one ({str(error)[:80]!a}). Nothing was changed. "
            "Download it again from your course."
        ) from error
    return starter, texts


def _require_as_recorded(files: Mapping[str, str], starter: StarterManifest) -> None:
    """Raise StarterError if these are not the files that the record describes."""
    for name in (*starter.skeletons, *starter.stubs):
        if name not in files:
            raise StarterError(f"it does not hold {name}, which its {STARTER_MANIFEST} lists")
    skeletons, stubs = digests(files)  # raises where the regions of a file are not in order
    for name in files:
        if name not in starter.skeletons:
            raise StarterError(f"it holds {name}, which its {STARTER_MANIFEST} does not list")
        recorded = starter.skeletons[name], starter.stubs.get(name)
        if recorded != (skeletons[name], stubs.get(name)):
            raise StarterError(
                f"its {name} is not what its {STARTER_MANIFEST} says: it was changed after it was built"
            )


def _read_members(path: Path) -> dict[str, str]:
    if path.stat().st_size > MAX_BYTES:
        raise StarterError(f"it has more than {MAX_BYTES:,} bytes, far more than a starter")
    with zipfile.ZipFile(path) as archive:
        members = _members(archive)
        contents: dict[str, str] = {}
        left = MAX_BYTES
        for name, member in members.items():
            # What a member's header says of its size need not be true.
            with archive.open(member) as file:
                content = file.read(left + 1)
            left -= len(content)
            if left < 0:
                raise StarterError(f"it unpacks to more than {MAX_BYTES:,} bytes")
            contents[name] = decode(content, name)
    return contents


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files of a zip, by their paths in the starter; StarterError if one of them is not fine.

    All of it may lie in one enclosing folder, as it does when an unpacked starter is packed again.
    """
    if len(archive.infolist()) > MAX_FILES:
        raise StarterError(f"it has {len(archive.infolist()):,} members, far more than a starter")
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name = member.orig_filename  # ZipInfo.filename is cut off at a null byte, for one
        if fault := _member_fault(member):
            raise StarterError(f"its member {name[:80]!r} {fault}")
        if name.endswith("/") or any(LITTER.fullmatch(part) for part in name.split("/")):
            continue
        if name in members:
            raise StarterError(f"its member {name[:80]!r} is there twice")
        members[name] = member
    top = next(iter(members), "").split("/")[0]
    if STARTER_MANIFEST not in members and f"{top}/{STARTER_MANIFEST}" in members:
        if stray := next((name for name in members if not name.startswith(f"{top}/")), None):
            raise StarterError(f"its member {stray[:80]!r} lies beside the folder {top!r}")
        members = {name.removeprefix(f"{top}/"): member for name, member in members.items()}
    if STARTER_MANIFEST not in members:
        raise StarterError(f"it is no starter, since it has no {STARTER_MANIFEST}")
    folded: dict[str, str] = {}
    for name in sorted(members):
        if fault := path_fault(name):
            raise StarterError(f"its member {name[:80]!r} {fault}")
        for place in (name, *map(str, PurePosixPath(name).parents)):
            other = folded.get(place.casefold())
            if other is not None:
                raise StarterError(f"its members {other!r} and {name!r} want the same place")
        folded[name.casefold()] = name
    return members


def _member_fault(member: zipfile.ZipInfo) -> str | None:
    name = member.orig_filename
    if _leads_out(name):
        return "leads out of the project's folder"
    if not name.isprintable():
        return "has a name that cannot be printed"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFDIR if name.endswith("/") else stat.S_IFREG):
        return "is a link, a device or the like, not a file"
    if member.flag_bits & 1:
        return "is encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is compressed in a way that starters are not"
    return None


def path_fault(path: str) -> str | None:
    """What is wrong with the path of a starter's file; None if nothing is.

    Starters have plain names only. So a path that passes means the same on every system, and
    leads out of the project on none.
    """
    parts = path.split("/")
    if _leads_out(path):
        return "leads out of the project's folder"
    if not all(
        re.fullmatch("[A-Za-z0-9_-]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?", part) for part in parts
    ):
        return "is not a name that a starter's file has"
    if parts[0] not in TOP_LEVEL:
        return "is not part of a starter"
    return None


def _leads_out(path: str) -> bool:
    drive = re.match("[A-Za-z]:", path)
    return bool(path.startswith("/") or drive or "\\" in path or ".." in path.split("/"))


# --- the parts -----------------------------------------------------------------------------------


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _lines(text: str) -> list[str]:
    return re.split(r"\r\n|\r|\n", text)
