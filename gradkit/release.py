"""Make what is handed out from the instructor's tree: the starter, and what services take.

    starter_files       what goes in: an allow-list of paths, each file as students get it
    autograder_sources  the tree itself, solutions and all, as Gradescope runs it
    tracked_files       what git knows: a file that it does not know is in the tree by mistake
    find_leaks          the scan of what came out, which knows nothing of how it was made
    stale               whether the public answers are those of today's solution and mistakes
    read_zip            what students' `update` will make of the zip file
    write               folders and zip files, which take their places when all are complete

The same tree gives the same bytes on every computer, so that a version names one starter only.
Whatever is wrong is a `ReleaseError` whose text says where, and what to do.
"""

import ast
import hashlib
import io
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from assignment.checks.check import load_exercise
from assignment.regions import (
    RegionError,
    decode,
    read_notebook,
    stub,
    stub_cells,
    write_notebook,
)
from assignment.starter import (
    LITTER,
    RECORD,
    SCRIPTS,
    Starter,
    StarterError,
    describe,
    path_fault,
    read_record,
    read_zip,
)
from gradkit import GradkitError
from gradkit.bank import answers_for, read_bank
from gradkit.build import stale
from gradkit.classroom import IGNORED, WORKFLOW, classroom_files, is_as_built
from gradkit.leaks import find_leaks

STUDENTS_README = "docs/README-students.md"
AS_THEY_ARE = ("get_datasets.sh", "requirements.txt", "datasets/README.md")
FOLDERS = ("assignment", "datasets", "notebooks")
# Of an autograder: where its own two files are in the tree, and where the tree is in its archive.
AUTOGRADER = "gradkit/autograder"
AUTOGRADER_FILES = ("run_autograder", "setup.sh")
AUTOGRADER_FOLDERS = ("assignment", "gradkit", "grading", "notebooks")
AUTOGRADER_TREE = "project"
MOST_LEAKS_TOLD = 20

# What notebooks and downloads leave in the folders of a starter. Nobody wants it in there.
_LEFTOVERS = re.compile(rf"{LITTER.pattern}|\..*|cifar-10-.*|.*\.npz")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip file can tell


class ReleaseError(GradkitError):
    """No starter can be made; the text says what was found, where, and what to do."""


def release(project: Path, out: Path, gradescope: bool = False, github: bool = False) -> str:
    """Build the starter of `project` in the folder `out`, and return what there is to say of it.

    Parameters
    ----------
    project, out : Path
    gradescope : bool
        Build the archive of an autograder for Gradescope as well.
    github : bool
        Build a template repository for GitHub Classroom as well: the starter and a workflow.

    Raises
    ------
    ReleaseError, BankError, RegionError
        Something is missing, wrong or would leak; what was in `out` before is still there.
    """
    _require_outside(project, out)
    try:
        files = starter_files(project)
        tracked = tracked_files(project)
        sources = {STUDENTS_README if path == "README.md" else path for path in files} - {RECORD}
        _require_tracked(sources, tracked, "students")
        _require_tight(files, project)
        _require_current_answers(project)
        archive = zipped(files)
        starter = _require_accepted(archive)
        folders, archives = {starter.name: files}, {f"{starter.name}.zip": archive}
        if gradescope:
            autograder = autograder_sources(project)
            _require_tracked(set(autograder.values()), tracked, "Gradescope")
            contents = {name: _place(project, at).read_bytes() for name, at in autograder.items()}
            archives[f"{'-'.join(starter.exercises)}-gradescope.zip"] = zipped(contents)
        if github:
            beside = classroom_files([load_exercise(name) for name in starter.exercises])
            texts = {path: text.encode() for path, text in beside.items()}
            folders[f"{starter.name}-github"] = {**files, **texts}
        write(folders, archives, out, starter.name)
    except OSError as error:
        raise ReleaseError(
            f"{error.filename or out}: {error.strerror or error}. No starter was built; what was "
            f"in {out} before is still there."
        ) from error
    lines = [f"{starter.name}, version {starter.version}: {len(files)} files, no leaks"]
    lines += [f"  {out / name}" for name in (*folders, *archives)]
    if gradescope:
        lines.append("The archive for Gradescope holds the solutions: it is for Gradescope only.")
    if not tracked:
        lines.append("Git does not know this tree: a file that is in it by mistake went unnoticed.")
    if others := list(left_out(project, files)):
        lines += ["Not in it, in case it should have been:", *(f"  {path}" for path in others)]
    return "\n".join(lines)


def _require_tracked(sources: set[str], tracked: set[str], receiver: str) -> None:
    """Raise ReleaseError for a file that git does not track, where it tracks any."""
    if tracked and (strays := sorted(sources - tracked)):
        raise ReleaseError(
            "\n  ".join(
                [
                    f"Not all that would go to {receiver} is tracked by git. Nothing was written.",
                    *(
                        f"{path} is not tracked by git: commit it if it is to go there, or move it "
                        "away."
                        for path in strays
                    ),
                ]
            )
        )


def _require_current_answers(project: Path) -> None:
    """Raise ReleaseError where students' checks would compare with what is no longer right."""
    for name in exercise_names(project):
        exercise = load_exercise(name)
        answers = answers_for(read_bank(exercise, project), exercise.seed)
        if problem := stale(answers, exercise, project):
            raise ReleaseError(f"{problem}: run `python -m gradkit build`. Nothing was written.")


def _require_accepted(archive: bytes) -> Starter:
    """The starter in a zip file; ReleaseError where students' `update` would refuse it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "starter.zip"
        path.write_bytes(archive)
        try:
            return read_zip(path)[0]
        except StarterError as error:
            raise ReleaseError(
                f"Students' `update` would refuse this starter: {error.__cause__ or error}. "
                "Nothing was written."
            ) from error


def _require_tight(files: Mapping[str, bytes], project: Path) -> None:
    try:
        leaks = find_leaks(files, project)
    except ValueError as error:
        raise ReleaseError(str(error)) from error
    if leaks:
        told, more = leaks[:MOST_LEAKS_TOLD], len(leaks) - MOST_LEAKS_TOLD
        raise ReleaseError(
            "\n  ".join(
                [
                    "The starter would give away what students must not get. Nothing was written.",
                    *told,
                    *([f"... and {more} more."] if more > 0 else []),
                ]
            )
        )


# --- what goes in --------------------------------------------------------------------------------


def starter_files(project: Path) -> dict[str, bytes]:
    """The files of the starter of `project`, by their paths in it.

    Raises
    ------
    ReleaseError
        A file is missing, is a link, is not UTF-8, or its regions are not in order.
    """
    names = exercise_names(project)
    exercises = [load_exercise(name) for name in names]
    found = [path for path in _walk(project, "assignment") if path.endswith(".py")]
    answers = [f"assignment/checks/{name}.json" for name in names]
    handed = [path for exercise in exercises for path in (*exercise.files, exercise.notebook)]
    texts = {
        path: _for_students(path, _read(project, path))
        for path in sorted({*found, *answers, *handed, *AS_THEY_ARE})
    }
    _require_plain_names(texts)
    texts["README.md"] = _read(project, STUDENTS_README)
    version = f"{_declared_version(project)}+{_digest(texts)}"
    title = "-".join([*names, "starter"])
    texts[RECORD] = describe(title, names, version, texts)
    return {path: texts[path].encode() for path in sorted(texts)}


def autograder_sources(project: Path) -> dict[str, str]:
    """The files of an autograder for Gradescope: where they are in its archive, and in the tree.

    They are what grading needs of the instructor's tree, with the two scripts that Gradescope
    looks for at the top.
    """
    own = {name: f"{AUTOGRADER}/{name}" for name in AUTOGRADER_FILES}
    found = [path for folder in AUTOGRADER_FOLDERS for path in _walk(project, folder)]
    others = {*found, *AS_THEY_ARE, STUDENTS_README} - set(own.values())
    return own | {f"{AUTOGRADER_TREE}/{path}": path for path in sorted(others)}


def left_out(project: Path, files: Mapping[str, bytes]) -> Iterator[str]:
    """What lies in the folders of a starter, does not go in, and is no mere leftover of a run."""
    for folder in FOLDERS:
        yield from (path for path in _walk(project, folder) if path not in files)


def exercise_names(project: Path) -> list[str]:
    """The exercises of a tree; ReleaseError where there is none, or one lacks its checks."""
    folder = project / "grading"
    names = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    names = sorted(name for name in names if not _LEFTOVERS.fullmatch(name))
    if not names:
        raise ReleaseError(f"{folder} holds no exercise: a folder there is what makes it one.")
    for name in names:
        _read(project, f"assignment/checks/{name}.py")
    return names


def tracked_files(project: Path) -> set[str]:
    """The files of the project that git tracks; none where there is no git to ask."""
    command = ["git", "ls-files", "-z"]
    try:
        ran = subprocess.run(command, cwd=project, capture_output=True, check=False)
    except FileNotFoundError:
        return set()
    paths = ran.stdout.decode(errors="replace").split("\0") if ran.returncode == 0 else []
    return set(paths) - {""}


def _require_plain_names(paths: Iterable[str]) -> None:
    """Raise ReleaseError for names that do not mean the same file on every computer."""
    folded: dict[str, str] = {}
    for path in paths:
        if fault := path_fault(path):
            raise ReleaseError(
                f"{path} {fault}. Rename it, with letters from A to Z, digits, _, - and . only, or "
                "move it away."
            )
        other = folded.setdefault(path.casefold(), path)
        if other != path:
            raise ReleaseError(
                f"{path} and {other} are one file for a computer that takes capital letters for "
                "small ones. Rename one of them."
            )


def _walk(project: Path, folder: str) -> Iterator[str]:
    """The paths of all files in a folder of the project, in order, without mere leftovers."""
    for entry in sorted(os.scandir(_place(project, folder)), key=lambda entry: entry.name):
        path = f"{folder}/{entry.name}"
        if _LEFTOVERS.fullmatch(entry.name):
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _walk(project, path)
        else:
            _place(project, path)
            yield path


def _place(project: Path, path: str) -> Path:
    """Where a file or folder of the project is; ReleaseError if it is not there, or is a link."""
    place = project
    for part in path.split("/"):
        place /= part
        if place.is_symlink():
            raise ReleaseError(
                f"{place} is a link. A starter is made from the project's own files only: put the "
                "file itself there, or remove the link."
            )
    if not place.exists():
        raise ReleaseError(f"{place} is missing, and a starter needs it. Put it back.")
    if not place.is_dir() and not place.is_file():
        raise ReleaseError(f"{place} is neither a file nor a folder. Remove it.")
    return place


def _read(project: Path, path: str) -> str:
    place = _place(project, path)
    try:
        return decode(place.read_bytes(), path)
    except RegionError as error:
        raise ReleaseError(str(error)) from error
    except OSError as error:
        raise ReleaseError(f"{place} cannot be read: {error.strerror}.") from error


def _for_students(path: str, text: str) -> str:
    """A file without its solutions."""
    try:
        if path.endswith(".py"):
            return stub(text, path)
        if path.endswith(".ipynb"):
            return write_notebook(stub_cells(read_notebook(text, path), path))
    except RegionError as error:
        raise ReleaseError(str(error)) from error
    return text


def _declared_version(project: Path) -> str:
    """`__version__` of the tree's package, which need not be the one that is running."""
    path = "assignment/__init__.py"
    found = re.search(r'^__version__ = ("[\w.]+")$', _read(project, path), re.MULTILINE)
    if not found:
        raise ReleaseError(f'{path} does not say `__version__ = "1.0"` or the like. Add that line.')
    return str(ast.literal_eval(found[1]))


def _digest(texts: Mapping[str, str]) -> str:
    """What tells one build from another: ten digits from all paths and contents."""
    sha256 = hashlib.sha256()
    for path, text in sorted(texts.items()):
        content = text.encode()
        sha256.update(f"{path}\0{len(content)}\0".encode() + content)
    return sha256.hexdigest()[:10]


# --- the folder and the zip file -----------------------------------------------------------------


Files = Mapping[str, bytes]


def write(
    folders: Mapping[str, Files], archives: Mapping[str, bytes], out: Path, starter: str
) -> None:
    """Write folders, with the starter of this name in each, and zip files, for older ones."""
    for name in folders:
        _require_replaceable(out / name, starter)
    for name in archives:
        if (out / name).is_dir():
            raise ReleaseError(f"{out / name} is a folder, and the zip file goes there. Move it.")
    out.mkdir(parents=True, exist_ok=True)
    fresh = out / f".{starter}.{secrets.token_hex(4)}.tmp"
    try:
        for name, files in folders.items():
            for path, content in files.items():
                place = fresh / "new" / name / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
                place.chmod(_mode(path))
        for name, content in archives.items():
            (fresh / "new" / name).write_bytes(content)
        (fresh / "old").mkdir()
        _swap(fresh, out, [*folders, *archives])
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip file of these files that is the same on every computer."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in sorted(files.items()):
            about = zipfile.ZipInfo(path, _EPOCH)
            about.create_system = 3  # Unix, also where it is built on Windows
            about.external_attr = (0o100000 | _mode(path)) << 16
            # Stored, since what deflate makes of a text changes with the version of zlib.
            archive.writestr(about, content, zipfile.ZIP_STORED)
    return buffer.getvalue()


def _mode(path: str) -> int:
    """What may be done with a file; scripts are told by their names, wherever they lie."""
    return 0o755 if path.rpartition("/")[2] in (*SCRIPTS, *AUTOGRADER_FILES) else 0o644


def _swap(fresh: Path, out: Path, names: list[str]) -> None:
    """Put all in their places; if one cannot be put, those before it are taken back."""
    new, old = fresh / "new", fresh / "old"
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


def _require_outside(project: Path, out: Path) -> None:
    for folder in FOLDERS:
        if out.resolve().is_relative_to((project / folder).resolve()):
            raise ReleaseError(
                f"{out} is in {project / folder}, from which starters are made: the next one would "
                "hold this one. Give --out another folder."
            )


def _require_replaceable(folder: Path, name: str) -> None:
    """Raise ReleaseError if `folder` is anything but a starter as a build has left it."""
    if not os.path.lexists(folder):
        return
    advice = "It is not replaced: move it away, or give --out another folder."
    if folder.is_symlink() or not folder.is_dir():
        raise ReleaseError(f"{folder} is not a folder. {advice}")
    try:
        texts = {path: (folder / path).read_bytes().decode() for path in _all_files(folder)}
        starter = read_record(texts.pop(RECORD))
        beside = {path: texts.pop(path) for path in (WORKFLOW, IGNORED) if path in texts}
    except (KeyError, ValueError, StarterError) as error:
        raise ReleaseError(f"{folder} is not a starter that was built here. {advice}") from error
    as_built = starter.version.endswith(f"+{_digest(texts)}") and (
        not beside or is_as_built(beside)
    )
    if starter.name != name or not as_built:
        raise ReleaseError(f"{folder} was changed since it was built, or has files added. {advice}")


def _all_files(folder: Path) -> Iterator[str]:
    for place, _, names in os.walk(folder):
        for path in (Path(place) / name for name in names):
            inside = path.relative_to(folder)
            if not any(LITTER.fullmatch(part) for part in inside.parts):
                yield inside.as_posix()
