"""Starters: the files that students download, and the starter manifest that describes them.

write_manifest    write `assignment/starter.json` in the course's build: a digest of each file
                  without the student's part, and of each stub
read_manifest     read it: it shows `update` and `submit` what is the course's, what the student's
pack_zip          pack a starter or a submission: the same files give the same bytes
read_zip          read a starter from a zip file, which may be hostile
"""

import hashlib
import io
import json
import re
import stat
import zipfile
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assignment.workspace.regions import (
    RegionError,
    RegionTitles,
    decode,
    extract,
    extract_cells,
    outline,
    read_notebook,
    read_source,
    region_of,
    region_titles,
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
SCRIPTS = ("get_datasets.sh",)  # executable files

# Left behind by Python, Jupyter and file managers, in starters and projects alike.
LITTER = re.compile(
    r"__pycache__|.*\.pyc|\.ipynb_checkpoints|\.DS_Store|\._.*|__MACOSX|Thumbs\.db|desktop\.ini"
)

# A starter has some 40 files and 0.6 MB. A zip file with far more may be a bomb.
MAX_FILES = 1000
MAX_BYTES = 10_000_000  # packed as well as unpacked

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip file can store


class StarterError(ValueError):
    """A starter or manifest that the build did not write; the message gives the reason."""


@dataclass(frozen=True)
class StarterManifest:
    """The contents of `assignment/starter.json`."""

    name: str  # such as softmax-starter
    exercises: tuple[str, ...]
    version: str  # such as 1.0+0123456789: the release, then a digest of all files
    skeletons: Mapping[str, str]  # SHA-256 of each file's skeleton, by path
    stubs: Mapping[str, Mapping[str, str]]  # SHA-256 of each region's stub, by path and region
    outlines: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by notebook
    titles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # as of `region_titles`


def write_manifest(
    name: str, exercises: Iterable[str], version: str, files: Mapping[str, str]
) -> str:
    """Return the text of the manifest of a starter with these `files`: their texts by path."""
    skeletons, stubs = compute_digests(files)
    manifest = {
        "starter": name,
        "exercises": sorted(exercises),
        "version": version,
        "skeletons": skeletons,
        "stubs": stubs,
        "outlines": {
            path: outline(read_notebook(text, path))
            for path, text in files.items()
            if path.endswith(".ipynb")
        },
        "titles": {path: region_titles(path, files[path]) for path in stubs if path[-3:] != ".py"},
    }
    return json.dumps(manifest, indent=1, sort_keys=True) + "\n"


def compute_digests(files: Mapping[str, str]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return `skeletons` and `stubs` of these files, as in `StarterManifest`."""
    regions = {path: texts for path, text in files.items() if (texts := region_texts(path, text))}
    return (
        {path: digest(skeleton(path, text)) for path, text in files.items()},
        {path: {name: digest(x) for name, x in texts.items()} for path, texts in regions.items()},
    )


def read_manifest(text: str) -> StarterManifest:
    """Read a manifest; raise StarterError unless it has the form that `write_manifest` gives it."""
    try:
        stored = json.loads(text)
        manifest = StarterManifest(
            name=stored["starter"],
            exercises=tuple(stored["exercises"]),
            version=stored["version"],
            skeletons=dict(stored["skeletons"].items()),
            stubs={path: dict(regions.items()) for path, regions in stored["stubs"].items()},
            outlines={
                path: tuple(map(str, lines)) for path, lines in stored.get("outlines", {}).items()
            },
            titles={path: dict(x.items()) for path, x in stored.get("titles", {}).items()},
        )
        titles = [title for region in manifest.titles.values() for title in region.values()]
        for word in (manifest.name, manifest.version, *manifest.exercises, *titles):
            if not isinstance(word, str) or not word.isprintable():
                raise ValueError(f"{word!a} is not a name")
        for path in (*manifest.skeletons, *manifest.stubs):
            if problem := path_problem(path):
                raise ValueError(f"{path!a} {problem}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StarterError(f"its {STARTER_MANIFEST} is damaged ({error!a:.150})") from error
    return manifest


def read_project_manifest(project: Path) -> StarterManifest | None:
    """Read the manifest in a project; return None if it is missing or damaged."""
    try:
        return read_manifest((project / STARTER_MANIFEST).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, StarterError):
        return None


def region_texts(path: str, text: str) -> dict[str, str]:
    """Return the text of each region of a file, with its indentation and line endings removed."""
    if path.endswith(".ipynb"):
        cells = extract_cells(read_notebook(text, path), path)
        return {name: "\n".join(_lines(cell)) for name, cell in cells.items()}
    if path.endswith(".py"):
        return {
            name: "\n".join(line.removeprefix(body.indent) for line in _lines(body.text))
            for name, body in extract(text, path).items()
        }
    return {}


def touched_regions(path: str, text: str, stubs: Mapping[str, str]) -> list[str]:
    """Return the regions of a file in which the student has put code, an answer or a picture.

    `stubs` are the digests of its stubs in the starter, by region.
    """
    cells = read_notebook(text, path)["cells"] if path.endswith(".ipynb") else []
    pictured = {region_of(cell) for cell in cells if cell.get("attachments")}
    regions = region_texts(path, text)
    return [x for x in regions if digest(regions[x]) != stubs.get(x) or x in pictured]


def marker_problems(project: Path, paths: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each of a project's files whose marker lines are lost or damaged."""
    manifest = read_project_manifest(project)
    for path in paths:
        try:
            there = region_texts(path, read_source(project / path))
            lost = [*find_lost_regions(path, there, manifest)]
        except RegionError as error:
            yield str(error)
        else:
            for part in lost:
                yield f"{path} has lost {part}. Put it back as in your starter: `submit` needs it."


def find_titles(path: str, text: str, manifest: StarterManifest | None) -> RegionTitles:
    """Return the titles of a file's regions; a notebook's as in the starter."""
    titles = region_titles(path, text)
    titles.update(manifest.titles.get(path, {}) if manifest else {})
    return titles


def find_lost_regions(
    path: str, there: Iterable[str], manifest: StarterManifest | None
) -> Iterator[str]:
    """Yield what a file with the regions `there` has lost of each other region of the starter."""
    if manifest is None:
        return
    for name in sorted(manifest.stubs.get(path, {}).keys() - set(there)):
        if path.endswith(".ipynb"):
            yield f"the cell of {manifest.titles.get(path, {}).get(name, name)}"
        else:
            yield f"the line `### START OF YOUR CODE: {name}`, and the END line below that code"


# --- zip files -----------------------------------------------------------------------------------


def pack_zip(files: Mapping[str, bytes], executable: Container[str] = SCRIPTS) -> bytes:
    """Return a zip file of `files`, their contents by path: the same bytes on every computer.

    Files whose names, without the folder, are in `executable` get the executable bit.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in sorted(files.items()):
            member = zipfile.ZipInfo(path, _ZIP_EPOCH)
            member.create_system = 3  # Unix, also when packed on Windows
            mode = 0o755 if path.rpartition("/")[2] in executable else 0o644
            member.external_attr = (stat.S_IFREG | mode) << 16
            # Stored: deflate gives other bytes in other versions of zlib.
            archive.writestr(member, content, zipfile.ZIP_STORED)
    return buffer.getvalue()


def read_zip(path: Path) -> tuple[StarterManifest, dict[str, str]]:
    """Read a starter from a zip file: its manifest, and the texts of all its files by path.

    Raise StarterError unless the file holds one complete starter and nothing else.
    """
    if not path.is_file():
        if path.is_dir():
            raise StarterError(
                f"{path} is a folder; give the zip file. If your browser has unpacked it, compress "
                "that folder again."
            )
        raise StarterError(f"{path} is not there. Give the path of the zip file as handed out.")
    try:
        texts = _read_members(path)
        manifest = read_manifest(texts[STARTER_MANIFEST])
        files = {name: text for name, text in texts.items() if name != STARTER_MANIFEST}
        _require_listed(files, manifest)
    except (StarterError, RegionError) as error:
        raise StarterError(
            f"{path} is refused: {str(error).rstrip('.')}. Nothing was changed. Download the zip "
            "file again from your course."
        ) from error
    except Exception as error:  # zipfile raises many kinds for damaged and hostile files
        raise StarterError(
            f"{path} is not a zip file, or a damaged one ({str(error)[:80]!a}). Nothing was "
            "changed. Download it again from your course."
        ) from error
    return manifest, texts


def _require_listed(files: Mapping[str, str], manifest: StarterManifest) -> None:
    """Raise StarterError unless these are exactly the files that the manifest describes."""
    skeletons, stubs = compute_digests(files)  # raises RegionError for damaged markers or notebooks
    for name in sorted({*files, *manifest.skeletons, *manifest.stubs}):
        listed = manifest.skeletons.get(name), manifest.stubs.get(name)
        if listed != (skeletons.get(name), stubs.get(name)):
            raise StarterError(
                f"its {name} was added, changed or removed after the build: it does not match "
                f"{STARTER_MANIFEST}"
            )


def _read_members(path: Path) -> dict[str, str]:
    """Read all files of a zip file as texts by path, at most MAX_BYTES in total."""
    if path.stat().st_size > MAX_BYTES:
        raise StarterError(f"it has more than {MAX_BYTES:,} bytes, far more than a starter")
    contents: dict[str, str] = {}
    left = MAX_BYTES
    with zipfile.ZipFile(path) as archive:
        for name, member in _members(archive).items():
            # The size in a member's header may be wrong.
            with archive.open(member) as file:
                content = file.read(left + 1)
            left -= len(content)
            if left < 0:
                raise StarterError(f"it unpacks to more than {MAX_BYTES:,} bytes")
            contents[name] = decode(content, name)
    return contents


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the members of a zip file by their paths in the starter, without litter.

    One enclosing folder is removed from the paths: packing an unpacked starter again adds it.
    Raises StarterError for a member that no starter has.
    """
    if len(archive.infolist()) > MAX_FILES:
        raise StarterError(f"it has {len(archive.infolist()):,} members, far more than a starter")
    members = {}
    for member in archive.infolist():
        # ZipInfo.filename ends at a null byte. Windows PowerShell 5 writes backslashes.
        name = member.orig_filename.replace("\\", "/")
        if name.endswith("/") or any(LITTER.fullmatch(part) for part in name.split("/")):
            continue
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
            raise StarterError(f"its member {name[:80]!a} is a link or a device, not a file")
        is_known = member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if member.flag_bits & 1 or not is_known:
            raise StarterError(f"its member {name[:80]!a} is encrypted, or not deflated")
        members[name] = member
    if STARTER_MANIFEST not in members:
        top = next(iter(members), "").partition("/")[0]
        members = {name.removeprefix(f"{top}/"): member for name, member in members.items()}
    if STARTER_MANIFEST not in members:
        raise StarterError(f"it is not a starter: it has no {STARTER_MANIFEST}")
    for name in members:
        if problem := path_problem(name):
            raise StarterError(f"its member {name[:80]!a} {problem}")
    return members


def path_problem(path: str) -> str | None:
    """Return why a starter cannot have a file of this path, or None.

    A path without a problem names the same file on every system, inside the project's folder.
    """
    parts = path.split("/")
    device = r"(?i:con|prn|aux|nul|com\d|lpt\d)(\.|\Z)"
    plain = re.compile(rf"(?!{device})[A-Za-z0-9_-]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?")
    if not all(plain.fullmatch(part) for part in parts):
        return (
            "has a part that is not a plain name (letters, digits, _, - and inner dots; not a "
            "device of Windows, such as aux or con)"
        )
    if parts[0] not in TOP_LEVEL:
        return "does not belong in a starter"
    return None


def digest(text: str) -> str:
    """Return the SHA-256 of a text as hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _lines(text: str) -> list[str]:
    return re.split(r"\r\n|\r|\n", text)
