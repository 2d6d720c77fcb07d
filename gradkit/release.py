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
import textwrap
import tomllib
import zipfile
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from string import Template

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
AUTOGRADER_EXERCISE = "exercise"  # the file that says which one it grades
STARTERS = "grading/starters.toml"
MOST_LEAKS_TOLD = 20

# What notebooks and downloads leave in the folders of a starter. Nobody wants it in there.
_LEFTOVERS = re.compile(rf"{LITTER.pattern}|\..*|cifar-10-.*|.*\.npz")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip file can tell


class ReleaseError(GradkitError):
    """No starter can be made; the text says what was found, where, and what to do."""


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
            _require_tracked(sources - {RECORD}, tracked, "students")
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
            contents = {name: _place(project, at).read_bytes() for name, at in autograder.items()}
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


def read_starters(project: Path) -> dict[str, tuple[str, ...]]:
    """The starters that the manifest names, each with its exercises.

    Raises
    ------
    ReleaseError
        The manifest is not as it should be: the text says what is wanted.
    """
    wanted = 'It has a line for each starter, as in `softmax-starter = ["softmax"]`.'
    try:
        stored = tomllib.loads(_read(project, STARTERS))
    except tomllib.TOMLDecodeError as error:
        raise ReleaseError(f"{STARTERS} is not valid TOML: {error}. {wanted}") from None
    if not stored:
        raise ReleaseError(f"{STARTERS} names no starter. {wanted}")
    known = exercise_names(project)
    for name, exercises in stored.items():
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
            raise ReleaseError(
                f"{STARTERS}: {name!r} is no name for a starter. Take small letters, digits and -."
            )
        if not isinstance(exercises, list) or not exercises:
            raise ReleaseError(f"{STARTERS}: {name} does not list its exercises. {wanted}")
        for exercise in exercises:
            if exercise not in known:
                raise ReleaseError(
                    f"{STARTERS}: {name} has the exercise {exercise!r}, which is not there. There "
                    f"are: {', '.join(known)}."
                )
    return {name: tuple(exercises) for name, exercises in stored.items()}


def starter_files(project: Path, names: Sequence[str], starter: str = "") -> dict[str, bytes]:
    """The files of a starter with these exercises, by their paths in it.

    Parameters
    ----------
    project : Path
    names : sequence of str
        The exercises; what is of others only is not in it.
    starter : str
        What it is called; if not said, by its exercises.

    Raises
    ------
    ReleaseError
        A file is missing, is a link, is not UTF-8, or its regions are not in order.
    """
    handed = {path for name in names for path in _of_exercise(name)}
    others = {path for name in exercise_names(project) for path in _of_exercise(name)} - handed
    found = {path for path in _walk(project, "assignment") if path.endswith(".py")} - others
    texts = {
        path: _for_students(path, _read(project, path))
        for path in sorted({*found, *handed, *AS_THEY_ARE})
    }
    _require_plain_names(texts)
    starter = starter or "-".join([*names, "starter"])
    about = {path: _first_line(texts[path]) for name in names for path in load_exercise(name).files}
    readme = _read(project, STUDENTS_README)
    texts["README.md"] = students_readme(readme, names, starter, about)
    version = f"{_declared_version(project)}+{_digest(texts)}"
    texts[RECORD] = describe(starter, names, version, texts)
    return {path: texts[path].encode() for path in sorted(texts)}


def students_readme(text: str, names: Sequence[str], starter: str, about: Mapping[str, str]) -> str:
    """The students' README for these exercises; `text` is a template of `string.Template`.

    `about` says of each of the student's files what it is.

    Raises
    ------
    ReleaseError
        It asks for something that is not known here.
    """
    exercises = [load_exercise(name) for name in names]
    rows = [f"| `{e.notebook}` | the exercise: **yours**, where it asks you |" for e in exercises]
    rows += [f"| `{path}` | {what}: **yours** |" for path, what in about.items()]
    which = {name: "" if len(names) == 1 else f" {name}" for name in names}
    values = {
        "title": " and ".join(e.title for e in exercises),
        "about": "\n\n".join(textwrap.fill(e.about, 100) for e in exercises),
        "open": "\n".join(f"    jupyter lab {e.notebook}" for e in exercises),
        "submit": "\n".join(f"    python -m assignment submit{which[name]}" for name in names),
        "packed": " and ".join(f"`{name}-submission.zip`" for name in names),
        "check": " or ".join(f"`python -m assignment check{which[name]}`" for name in names),
        "rows": "\n".join(rows),
        "starter": starter,
    }
    try:
        return Template(text).substitute(values)
    except (KeyError, ValueError) as error:
        raise ReleaseError(
            f"{STUDENTS_README} cannot be filled in ({error}). It may say "
            f"{', '.join(f'${name}' for name in values)}; a dollar sign is $$."
        ) from None


def _first_line(source: str) -> str:
    """What a module says of itself in its first line, without the full stop."""
    return (ast.get_docstring(ast.parse(source)) or "your code").splitlines()[0].rstrip(".")


def _of_exercise(name: str) -> tuple[str, ...]:
    """The paths of what belongs to an exercise, to it alone or with others."""
    exercise = load_exercise(name)
    checks = (f"assignment/checks/{name}.py", f"assignment/checks/{name}.json")
    return (*exercise.files, *exercise.modules, exercise.notebook, *checks)


def starter_versions(project: Path, exercise: str) -> frozenset[str]:
    """The versions of the starters that are made today and hold an exercise."""
    return frozenset(
        read_record(starter_files(project, names, name)[RECORD].decode()).version
        for name, names in read_starters(project).items()
        if exercise in names
    )


def autograder_sources(project: Path) -> dict[str, str]:
    """The files of an autograder for Gradescope: where they are in its archive, and in the tree.

    They are what grading needs of the instructor's tree, with the two scripts that Gradescope
    looks for at the top.
    """
    own = {name: f"{AUTOGRADER}/{name}" for name in AUTOGRADER_FILES}
    found = [path for folder in AUTOGRADER_FOLDERS for path in _walk(project, folder)]
    others = {*found, *AS_THEY_ARE, STUDENTS_README} - set(own.values())
    return own | {f"{AUTOGRADER_TREE}/{path}": path for path in sorted(others)}


def left_out(project: Path, files: Container[str]) -> Iterator[str]:
    """What lies in the folders of a starter, is not of these, and no mere leftover of a run."""
    for folder in FOLDERS:
        yield from (path for path in _walk(project, folder) if path not in files)


def exercise_names(project: Path) -> list[str]:
    """The exercises of a tree; ReleaseError where there is none, or one lacks its checks."""
    names = sorted(path.parent.name for path in (project / "grading").glob("*/exercise.toml"))
    if not names:
        raise ReleaseError(
            f"{project / 'grading'} holds no exercise: a folder with an exercise.toml is one."
        )
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
