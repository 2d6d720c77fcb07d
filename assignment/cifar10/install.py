"""Install CIFAR-10, or the stand-in drawn for it, into the datasets folder.

    install_cifar10      download.download or a local file, then archive.unpack
    install_synthetic    synthetic.write_batches

Both leave a complete folder alone. Otherwise they fill a temporary folder, add an install record,
and rename it to its place. Until then, a run that fails or is killed leaves what was there. A lock
on the datasets folder keeps two runs apart. Every failure is a DataError, a sentence to the user.
"""

import contextlib
import errno
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from assignment import PROJECT
from assignment.cifar10.archive import (
    ARCHIVE_NAME,
    CIFAR10_FOLDER,
    KNOWN,
    PUBLISHED,
    PUBLISHED_MD5,
    REQUIRED,
    Archive,
    DataError,
    check_local_archive,
    file_digest,
    unpack,
)
from assignment.cifar10.download import download

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

DATASETS = PROJECT / "datasets"
SYNTHETIC_FOLDER = "cifar-10-synthetic"
RECORD = "installed.json"
LOCK_INTERVAL = 0.1  # seconds between two attempts to take another run's lock


def install_cifar10(
    datasets: Path = DATASETS, *, archive: Archive = PUBLISHED, source: Path | None = None
) -> Path:
    """Make sure that `datasets` holds a complete CIFAR-10, and return its folder.

    Installs the local archive `source`, which stays, or else a download. Raises DataError, and
    ModuleNotFoundError if tqdm is missing.
    """
    part = datasets / f"{ARCHIVE_NAME}.part"

    def fill(folder: Path) -> str:
        if source is not None:
            check_local_archive(source, archive)
            unpack(source, folder)
        else:
            download(part, archive)
            try:
                unpack(part, folder)
            except DataError:
                part.unlink()  # its checksum is right: the next run would fail the same way
                raise
        part.unlink(missing_ok=True)
        return archive.sha256

    return _install(datasets / CIFAR10_FOLDER, "CIFAR-10", fill)


def install_synthetic(datasets: Path = DATASETS) -> Path:
    """Make sure that `datasets` holds the drawn stand-in for CIFAR-10, and return its folder.

    Raises DataError, and ModuleNotFoundError if numpy is missing.
    """

    def fill(folder: Path) -> None:
        # Imported here, since it needs numpy and a download does not.
        from assignment.cifar10.synthetic import write_batches

        print("Drawing a stand-in for CIFAR-10: simple images, made up on this computer.")
        write_batches(folder)

    return _install(datasets / SYNTHETIC_FOLDER, "The drawn stand-in (not CIFAR-10)", fill)


def find_damage(folder: Path) -> str | None:
    """Return why a data folder is not complete, or None if it is.

    Every file must match the install record or, without one, the published MD5s.
    """
    if not folder.is_dir():
        return "it is not a folder"
    md5s: dict[str, str] = PUBLISHED_MD5
    if (folder / RECORD).is_file():
        try:
            md5s = dict(json.loads((folder / RECORD).read_bytes())["md5"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return f"its {RECORD} cannot be read"
        if not set(REQUIRED) <= set(md5s) <= set(KNOWN):
            return f"its {RECORD} does not list the files of CIFAR-10"
    for name in sorted({*REQUIRED, *md5s}):
        path = folder / name
        if not path.is_file() or path.stat().st_size == 0:
            return f"{name} is missing or empty"
        if name in md5s and file_digest(path, "md5") != md5s[name]:
            return f"{name} is damaged (its MD5 is not the expected one)"
    return None


# --- replacing a folder --------------------------------------------------------------------------


def _install(target: Path, title: str, fill: Callable[[Path], str | None]) -> Path:
    """Return `target`, replaced by a folder that `fill` fills unless it is complete.

    `fill` returns the SHA-256 of the archive that its files are from, if any.
    """
    try:
        if target.is_dir() and find_damage(target) is None:  # without a lock: it may be read-only
            print(f"{title} is already complete in {target}")
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.parent):
            if os.path.lexists(target):
                problem = find_damage(target)
                if problem is None:
                    print(f"{title} is complete in {target}: another run has installed it.")
                    return target
                _require_ours(target, problem)
                print(f"{target} is not complete: {problem}. Installing it afresh ...")
            for leftover in target.parent.glob(f".{target.name}.*.tmp"):  # of killed runs
                shutil.rmtree(leftover, ignore_errors=True)
            _replace(target, fill)
    except OSError as error:
        raise DataError(_describe(error, target.parent)) from error
    print(f"{title} is installed in {target}")
    return target


def _require_ours(target: Path, problem: str) -> None:
    """Raise DataError unless the damaged `target` is a folder of CIFAR-10's files and caches."""
    if not target.is_symlink() and target.is_dir():
        others = {path.name for path in target.iterdir() if not path.name.startswith("decoded-")}
        if others <= {*KNOWN, RECORD}:
            return
    raise DataError(
        f"{target} is not complete: {problem}. It is a link, or holds other files than CIFAR-10's. "
        "Move it elsewhere and run this again."
    )


def _replace(target: Path, fill: Callable[[Path], str | None]) -> None:
    new = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        new.mkdir()
        sha256 = fill(new)
        md5 = {path.name: file_digest(path, "md5") for path in sorted(new.iterdir())}
        record = json.dumps({"sha256": sha256, "md5": md5}, indent=2) + "\n"
        (new / RECORD).write_text(record, encoding="utf-8")
        if target.exists():
            shutil.rmtree(target)
        new.rename(target)
    finally:
        shutil.rmtree(new, ignore_errors=True)


@contextlib.contextmanager
def _locked(datasets: Path) -> Iterator[None]:
    """Hold the datasets folder's lock; the system releases it if the process is killed."""
    with (datasets / ".lock").open("a", encoding="utf-8") as file:
        if not _try_lock(file):
            print(f"Another run is at work in {datasets}; waiting for it to finish ...")
            while not _try_lock(file):
                time.sleep(LOCK_INTERVAL)
        yield


def _try_lock(file: IO[str]) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Any other error: a network file system without locks, on which a lone run works too.
        return error.errno not in (errno.EACCES, errno.EAGAIN)
    return True


def _describe(error: OSError, datasets: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return (
            f"There is no room left to write in {datasets} ({error.strerror}). Free some space "
            "(CIFAR-10 needs about 360 MB) and run this again; what was downloaded is kept."
        )
    return (
        f"{error.filename or datasets} cannot be used ({error.strerror or error}). Make {datasets} "
        "writable for yourself, or work in a copy of the project that is yours, and run this again."
    )
