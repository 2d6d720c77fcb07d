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

import io
import os
import secrets
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Container, Iterator, Mapping
from pathlib import Path

from assignment.checks.check import load_exercise
from assignment.workspace.starter import (
    LITTER,
    SCRIPTS,
    STARTER_MANIFEST,
    StarterError,
    StarterManifest,
    read_manifest,
    read_zip,
)
from gradkit.course.answer_key import compute_answer_key, stale
from gradkit.course.exercises import exercise_names, read_starters
from gradkit.course.instructor_tree import FOLDERS, find_file, list_files
from gradkit.course.mistakes import read_bank
from gradkit.course.starter import AS_THEY_ARE, STUDENTS_README, starter_digest, starter_files
from gradkit.errors import GradkitError
from gradkit.release.github_classroom import IGNORED, WORKFLOW, classroom_files, is_as_built
from gradkit.release.leaks import find_leaks


class ReleaseError(GradkitError):
    """Nothing can be released; the message names what is wrong and what to do."""


# Of an autograder: where its own two files are in the tree, and where the tree is in its archive.
AUTOGRADER = "gradkit/release/gradescope"

AUTOGRADER_FILES = ("run_autograder", "setup.sh")

AUTOGRADER_FOLDERS = ("assignment", "gradkit", "grading", "notebooks")

AUTOGRADER_TREE = "project"

AUTOGRADER_EXERCISE = "exercise"  # the file that says which one it grades

MAX_LEAKS_TOLD = 20

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip file can tell


def release(project: Path, out: Path, gradescope: bool = False, github: bool = False) -> str:
    """Build the starters of `project` in the folder `out`, and return what there is to say of them.

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
    folders: dict[str, Files] = {}
    archives: dict[str, bytes] = {}
    lines: list[str] = []
    try:
        tracked = tracked_files(project)
        for name, exercises in read_starters(project).items():
            files = starter_files(project, exercises, name)
            sources = {STUDENTS_README if path == "README.md" else path for path in files}
            _require_tracked(sources - {STARTER_MANIFEST}, tracked, "students")
            _require_tight(files, project)
            folders[name], archives[f"{name}.zip"] = files, zipped(files)
            starter = _require_accepted(archives[f"{name}.zip"])
            lines.append(f"{name}, version {starter.version}: {len(files)} files, no leaks")
            if github:
                beside = classroom_files([load_exercise(each) for each in exercises])
                texts = {path: text.encode() for path, text in beside.items()}
                folders[f"{name}-github"] = {**files, **texts}
        _require_current_answers(project)
        everything = {path for files in folders.values() for path in files}
        if gradescope:
            autograder = autograder_sources(project)
            _require_tracked(set(autograder.values()), tracked, "Gradescope")
            contents = {
                name: find_file(project, at).read_bytes() for name, at in autograder.items()
            }
            for each in exercise_names(project):
                own = {**contents, AUTOGRADER_EXERCISE: f"{each}\n".encode()}
                archives[f"{each}-gradescope.zip"] = zipped(own)
        write(folders, archives, out)
    except OSError as error:
        raise ReleaseError(
            f"{error.filename or out}: {error.strerror or error}. No starter was built; what was "
            f"in {out} before is still there."
        ) from error
    lines += [f"  {out / name}" for name in (*folders, *archives)]
    if gradescope:
        lines.append("What is for Gradescope holds the solutions: it is for Gradescope only.")
    if not tracked:
        lines.append("Git does not know this tree: a file that is in it by mistake went unnoticed.")
    if others := list(left_out(project, everything)):
        lines += ["In no starter, in case it should have been:", *(f"  {path}" for path in others)]
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
        answers = compute_answer_key(read_bank(exercise, project), exercise.seed)
        if problem := stale(answers, exercise, project):
            raise ReleaseError(f"{problem}: run `python -m gradkit build`. Nothing was written.")


def _require_accepted(archive: bytes) -> StarterManifest:
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
        told, more = leaks[:MAX_LEAKS_TOLD], len(leaks) - MAX_LEAKS_TOLD
        raise ReleaseError(
            "\n  ".join(
                [
                    "The starter would give away what students must not get. Nothing was written.",
                    *told,
                    *([f"... and {more} more."] if more > 0 else []),
                ]
            )
        )


def autograder_sources(project: Path) -> dict[str, str]:
    """The files of an autograder for Gradescope: where they are in its archive, and in the tree.

    They are what grading needs of the instructor's tree, with the two scripts that Gradescope
    looks for at the top.
    """
    own = {name: f"{AUTOGRADER}/{name}" for name in AUTOGRADER_FILES}
    found = [path for folder in AUTOGRADER_FOLDERS for path in list_files(project, folder)]
    others = {*found, *AS_THEY_ARE, STUDENTS_README} - set(own.values())
    return own | {f"{AUTOGRADER_TREE}/{path}": path for path in sorted(others)}


def left_out(project: Path, files: Container[str]) -> Iterator[str]:
    """What lies in the folders of a starter, is not of these, and no mere leftover of a run."""
    for folder in FOLDERS:
        yield from (path for path in list_files(project, folder) if path not in files)


def tracked_files(project: Path) -> set[str]:
    """The files of the project that git tracks; none where there is no git to ask."""
    command = ["git", "ls-files", "-z"]
    try:
        ran = subprocess.run(command, cwd=project, capture_output=True, check=False)
    except FileNotFoundError:
        return set()
    paths = ran.stdout.decode(errors="replace").split("\0") if ran.returncode == 0 else []
    return set(paths) - {""}


# --- the folder and the zip file -----------------------------------------------------------------


Files = Mapping[str, bytes]


def write(folders: Mapping[str, Files], archives: Mapping[str, bytes], out: Path) -> None:
    """Write folders, which are starters or those for GitHub, and zip files, for older ones."""
    for name in folders:
        _require_replaceable(out / name, name.removesuffix("-github"))
    for name in archives:
        if (out / name).is_dir():
            raise ReleaseError(f"{out / name} is a folder, and the zip file goes there. Move it.")
    out.mkdir(parents=True, exist_ok=True)
    fresh = out / f".release.{secrets.token_hex(4)}.tmp"
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
        starter = read_manifest(texts.pop(STARTER_MANIFEST))
        beside = {path: texts.pop(path) for path in (WORKFLOW, IGNORED) if path in texts}
    except (KeyError, ValueError, StarterError) as error:
        raise ReleaseError(f"{folder} is not a starter that was built here. {advice}") from error
    as_built = starter.version.endswith(f"+{starter_digest(texts)}") and (
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
