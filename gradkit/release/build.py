"""`gradkit release`: everything that is handed out, built from the instructor's tree.

A starter's files must be known to git, must pass the leak scan, must be accepted by students'
`update`, and must agree with the committed answer keys. Folders and zip files then take their
places together. The same tree gives the same bytes on every computer, so that a version names one
starter only.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

from assignment.checks.check import load_exercise
from assignment.workspace.starter import (
    SCRIPTS,
    STARTER_MANIFEST,
    StarterError,
    StarterManifest,
    pack_zip,
    read_zip,
)
from gradkit.course.answer_key import find_staleness, public_answer_key
from gradkit.course.exercise_config import read_config
from gradkit.course.exercises import exercise_names, read_starters, starter_paths
from gradkit.course.instructor_tree import find_file, list_files
from gradkit.course.starter import STUDENTS_README, UNCHANGED_FILES, starter_files
from gradkit.files import temporary_folder
from gradkit.release.errors import ReleaseError
from gradkit.release.git import tracked_files
from gradkit.release.github_classroom import classroom_files
from gradkit.release.leaks import find_leaks, read_guard, write_record
from gradkit.release.output_folder import TEMPLATE_SUFFIX, Files, write_release

STARTER_FOLDERS = ("assignment", "datasets", "notebooks")

# The archive of an autograder: its two scripts at the top, the tree in a folder, and a file that
# names the exercise.
AUTOGRADER_SCRIPTS = {
    name: f"gradkit/release/gradescope/{name}" for name in ("run_autograder", "setup.sh")
}
AUTOGRADER_TREE = "project"
AUTOGRADER_FOLDERS = ("assignment", "gradkit", "grading", "notebooks")
AUTOGRADER_FILES = ("LICENSE", "README.md", "constraints.txt", "pyproject.toml")  # for pip
AUTOGRADER_EXERCISE = "exercise"


def release(
    project: Path,
    out: Path,
    gradescope: bool = False,
    github: bool = False,
    accept: Collection[str] = (),
) -> str:
    """Build the starters of `project` in the folder `out`, and return a report for the terminal.

    `gradescope` adds an autograder's archive for each exercise, `github` a template repository for
    each starter. `accept` names exercises in whose files students may get the new lines.

    Raise GradkitError or RegionError if something is missing, wrong or would leak. `out` is
    unchanged.
    """
    _require_outside(project, out)
    folders: dict[str, Files] = {}
    archives: dict[str, bytes] = {}
    lines: list[str] = []
    leaks: list[str] = []
    try:
        tracked = tracked_files(project)
        guards = {exercise: read_guard(project, exercise) for exercise in exercise_names(project)}
        for name, exercises in read_starters(project).items():
            files = starter_files(project, exercises, name)
            sources = {STUDENTS_README if path == "README.md" else path for path in files}
            _require_tracked(sources - {STARTER_MANIFEST}, tracked, "students")
            leaks += find_leaks(files, [guards[x] for x in exercises], project, accept)
            folders[name], archives[f"{name}.zip"] = files, pack_zip(files)
            starter = _require_accepted(archives[f"{name}.zip"])
            lines.append(f"{name}, version {starter.version}: {len(files)} files, no leaks")
            if github:
                images = "get_datasets.sh" in files
                texts = classroom_files([*map(load_exercise, exercises)], images)
                extra = {path: text.encode() for path, text in texts.items()}
                folders[name + TEMPLATE_SUFFIX] = {**files, **extra}
        _require_no_leaks(leaks)
        _require_current_answer_keys(project)
        if gradescope:
            archives |= _autograders(project, tracked)
        write_release(folders, archives, out)
        for exercise in accept:
            record = write_record(project, exercise, starter_files(project, [exercise]))
            lines.append(f"Accepted lines are in {record}: commit it.")
    except OSError as error:
        raise ReleaseError(
            f"{error.filename or out}: {error.strerror or error}. No starter was built; {out} is "
            "unchanged."
        ) from error
    lines += [f"  {out / name}" for name in (*folders, *archives)]
    if gradescope:
        lines.append(
            "The archives for Gradescope hold the solutions: upload them to Gradescope only."
        )
    lines.append("Before students get a starter: `gradkit verify --seeds 200`.")
    if not tracked:
        lines.append("Git does not know this tree, so files left in it by mistake go unnoticed.")
    released = {path for files in folders.values() for path in files}
    listed = [path for folder in STARTER_FOLDERS for path in list_files(project, folder)]
    if others := [path for path in listed if path not in released]:
        lines += ["In no starter, in case it should have been:", *(f"  {path}" for path in others)]
    return "\n".join(lines)


def _require_outside(project: Path, out: Path) -> None:
    for folder in STARTER_FOLDERS:
        if out.resolve().is_relative_to((project / folder).resolve()):
            raise ReleaseError(
                f"{out} is in {project / folder}, from which starters are made: the next one would "
                "hold this one. Give --out another folder."
            )


def _require_tracked(sources: set[str], tracked: set[str], receiver: str) -> None:
    """Raise ReleaseError for a file that git does not track, in a tree that git knows."""
    if tracked and (strays := sorted(sources - tracked)):
        problems = [f"{path} is not tracked by git: commit it, or move it away." for path in strays]
        problem = f"Files would go to {receiver} that git does not track."
        raise ReleaseError("\n  ".join([f"{problem} Nothing was written.", *problems]))


def _require_no_leaks(leaks: Sequence[str]) -> None:
    if leaks := list(dict.fromkeys(leaks)):  # a file may be in several starters
        problem = f"The starters would give away what students must not get (leaks: {len(leaks)})."
        raise ReleaseError("\n  ".join([f"{problem} Nothing was written.", *leaks]))


def _require_accepted(archive: bytes) -> StarterManifest:
    """Return the manifest in a starter's zip file; raise ReleaseError if `update` refuses it."""
    with temporary_folder() as folder:
        path = folder / "starter.zip"
        path.write_bytes(archive)
        try:
            return read_zip(path)[0]
        except StarterError as error:
            raise ReleaseError(
                f"Students' `update` would refuse this starter: {error.__cause__ or error}. "
                "Nothing was written."
            ) from error


def _require_current_answer_keys(project: Path) -> None:
    """Raise ReleaseError if students' checks would compare with outdated numbers."""
    for name in exercise_names(project):
        exercise = load_exercise(name)
        if problem := find_staleness(public_answer_key(exercise, project), exercise, project):
            raise ReleaseError(f"{problem}: run `gradkit answer-key`. Nothing was written.")


def _autograders(project: Path, tracked: set[str]) -> dict[str, bytes]:
    """Return the archive of each exercise's autograder, by file name."""
    archives = {}
    for exercise in exercise_names(project):
        sources = autograder_sources(project, exercise)
        _require_tracked(set(sources.values()), tracked, "Gradescope")
        files = {name: find_file(project, path).read_bytes() for name, path in sources.items()}
        files[AUTOGRADER_EXERCISE] = f"{exercise}\n".encode()
        archives[f"{exercise}-gradescope.zip"] = pack_zip(files, {*AUTOGRADER_SCRIPTS, *SCRIPTS})
    return archives


def autograder_sources(project: Path, exercise: str) -> dict[str, str]:
    """Return the files of an exercise's Gradescope autograder: path in its archive -> project's.

    It holds nothing of other exercises, except mistakes and variants that they share.
    """
    paths = {path for folder in AUTOGRADER_FOLDERS for path in list_files(project, folder)}
    paths |= {*AUTOGRADER_FILES, *UNCHANGED_FILES, STUDENTS_README}
    paths -= set(AUTOGRADER_SCRIPTS.values())
    others = {path for name in exercise_names(project) for path in starter_paths(name)}
    paths -= others - {*starter_paths(exercise)}
    banks = (exercise, *read_config(project, exercise).shared)
    folders = tuple(f"grading/{folder}/" for folder in banks)
    paths = {path for path in paths if not path.startswith("grading/") or path.startswith(folders)}
    return AUTOGRADER_SCRIPTS | {f"{AUTOGRADER_TREE}/{path}": path for path in sorted(paths)}
