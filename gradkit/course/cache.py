"""Results remembered between runs, in the user's cache folder, by a digest of all their inputs.

    exercise_digest    tells whether anything changed that an exercise's results depend on
    load, store        a file per result: $XDG_CACHE_HOME/gradkit/KIND-DIGEST

A file that is damaged or belongs to another user counts as absent. Where there is no folder to
write to, nothing is remembered and nothing is reported.
"""

import contextlib
import hashlib
import os
import platform
import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from assignment import PROJECT
from assignment.checks.check import load_exercise
from gradkit.course.exercise_config import read_config
from gradkit.course.exercises import exercise_names, solved_paths, starter_paths
from gradkit.files import content_digest, open_file, write_atomic

STARTED = time.time()
MAX_FILES = 20  # of each kind, some 0.2 MB each; older ones are deleted


def exercise_digest(project: Path, name: str, others: Mapping[str, bytes] | None = None) -> str:
    """Return a digest of what an exercise's answer key depends on, and of `others`, if given.

    That is the exercise's solution, checks and mistakes, all code that runs them, and the versions
    of Python and numpy. Files of other exercises only do not count.
    """
    paths = {other: starter_paths(other) for other in exercise_names(project)}
    foreign = {path for own in paths.values() for path in own} - set(paths[name])

    def read(root: Path, files: Iterable[Path]) -> dict[str, bytes]:
        named = {file.relative_to(root).as_posix(): file for file in files if file.is_file()}
        return {path: file.read_bytes() for path, file in named.items() if path not in foreign}

    solved = [project / path for path in solved_paths(load_exercise(name))]
    contents = read(project, [*(project / "assignment").rglob("*.py"), *solved])
    for folder in (name, *read_config(project, name).shared):
        contents |= read(project, (project / "grading" / folder).rglob("*.toml"))
    running = [*(PROJECT / "assignment").rglob("*.py"), *Path(__file__).parent.glob("*.py")]
    contents |= {f"running {path}": code for path, code in read(PROJECT, running).items()}
    versions = [platform.python_version(), np.__version__, platform.machine()]
    if any(file.stat().st_mtime > STARTED for file in running):
        versions.append(secrets.token_hex())  # the imported code is older: never to be found again
    contents["paths and versions"] = repr((paths, versions)).encode()
    return content_digest({**contents, **(others or {})})


def load(kind: str, digest: str) -> str | None:
    """Return what was stored for a digest, or None."""
    folder = _cache_folder()
    with contextlib.suppress(OSError):
        if folder is not None:
            with open_file(folder / f"{kind}-{digest}") as file:
                is_own = os.fstat(file.fileno()).st_uid == os.geteuid()
                seal, _, content = file.read().partition(b"\n")
            return content.decode() if is_own and seal == _seal(content) else None
    return None


def store(kind: str, digest: str, text: str) -> None:
    """Remember a text for a digest, readable by this user only."""
    folder, content = _cache_folder(), text.encode()
    with contextlib.suppress(OSError):
        if folder is not None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(folder / f"{kind}-{digest}", _seal(content) + b"\n" + content, mode=0o600)
            files = sorted(folder.glob(f"{kind}-*"), key=lambda path: path.stat().st_mtime)
            for path in files[:-MAX_FILES]:
                path.unlink()


def _cache_folder() -> Path | None:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(os.path.expanduser(base), "gradkit")  # noqa: PTH111 - Path's raises without a home
    return folder if folder.is_absolute() else None


def _seal(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
