"""Git's knowledge of the instructor's tree; empty without git or a repository."""

import subprocess
from collections.abc import Iterator
from pathlib import Path


def tracked_files(project: Path) -> set[str]:
    """Return the paths that git tracks in the project."""
    paths = _run(project, "ls-files", "-z").decode(errors="replace").split("\0")
    return set(paths) - {""}


def committed_versions(project: Path, path: str) -> Iterator[tuple[str, str]]:
    """Yield each version of a file in the history of HEAD: its commit and its text.

    The history goes on under the names that the file had before.
    """
    log = _run(project, "log", "--follow", "--raw", "--no-abbrev", "--format=%H", "--", path)
    commit, commits = "", dict[str, str]()  # by the object of the version
    for line in log.decode(errors="replace").splitlines():
        if line.startswith(":"):
            commits[line.split()[3]] = commit
        elif line:
            commit = line[:8]
    batch = _run(project, "cat-file", "--batch", input="\n".join(commits).encode())
    while batch:
        header, _, batch = batch.partition(b"\n")
        if header.endswith(b" missing"):  # of a deletion, or in a partial clone
            continue
        name, _, size = header.decode().split()
        yield commits[name], batch[: int(size)].decode(errors="replace")
        batch = batch[int(size) + 1 :]


def _run(project: Path, *arguments: str, input: bytes = b"") -> bytes:
    try:
        ran = subprocess.run(
            ["git", *arguments], cwd=project, input=input, capture_output=True, check=False
        )
    except FileNotFoundError:
        return b""
    return ran.stdout if ran.returncode == 0 else b""
