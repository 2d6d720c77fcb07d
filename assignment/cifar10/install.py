"""Install CIFAR-10, or the stand-in drawn for it, into the datasets folder.

    install_cifar10      download.download or a local file, then archive.unpack
    install_synthetic    synthetic.write_batches

Both leave a complete folder alone. Otherwise they fill a temporary folder, add a record of its
checksums, and rename it to its place. A run that fails or is killed costs no second download. A
lock on the datasets folder keeps two runs apart. Every failure is a DataError.
"""

import contextlib
import json
import os
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

    def fill(folder: Path) -> None:
        if source is None:
            download(part, archive)
        else:
            check_local_archive(source, archive)
        unpack(source or part, folder)

    folder = _install(datasets / CIFAR10_FOLDER, "CIFAR-10", fill)
    with contextlib.suppress(OSError):  # a complete folder may be read-only
        part.unlink()  # only now, so that a run killed before the end costs no second download
    return folder


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
    md5s: dict[str, str] = PUBLISHED_MD5
    if (folder / RECORD).is_file():
        try:
            md5s = dict(json.loads((folder / RECORD).read_bytes())["md5"])
        except (ValueError, KeyError, TypeError):
            md5s = {}
        if not set(REQUIRED) <= set(md5s) <= set(KNOWN):
            return f"its {RECORD} does not list the files of CIFAR-10"
    for name, md5 in md5s.items():
        if not (folder / name).is_file():
            return f"{name} is missing"
        if file_digest(folder / name, "md5") != md5:
            return f"{name} is damaged (its MD5 is not the expected one)"
    return None


# --- replacing a folder --------------------------------------------------------------------------


def _install(target: Path, title: str, fill: Callable[[Path], None]) -> Path:
    """Return `target`, replaced by a folder that `fill` fills unless it is complete."""
    try:
        if find_damage(target) is None:  # without a lock: the folder may be read-only
            print(f"{title} is already complete in {target}")
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.parent):
            if problem := find_damage(target):  # else another run has installed it meanwhile
                if os.path.lexists(target):
                    _require_ours(target, problem)
                    print(f"{target} is not complete: {problem}. Installing it afresh ...")
                _replace(target, fill)
    except OSError as error:
        raise DataError(
            f"{error.filename or target.parent} cannot be used ({error.strerror or error}). Make "
            f"sure that {target.parent} is yours to write to and has 360 MB of free space, or work "
            "in a copy of the project elsewhere. Then run this again: it keeps what was downloaded."
        ) from error
    print(f"{title} is installed in {target}")
    return target


def _require_ours(target: Path, problem: str) -> None:
    """Raise DataError unless the damaged `target` is a folder of CIFAR-10's files and caches."""
    if target.is_dir() and not target.is_symlink():
        names = {path.name for path in target.iterdir() if not path.name.startswith("decoded-")}
        if names <= {*KNOWN, RECORD}:
            return
    raise DataError(
        f"{target} is not complete: {problem}. It is a link, or holds other files than CIFAR-10's. "
        "Move it elsewhere and run this again."
    )


def _replace(target: Path, fill: Callable[[Path], None]) -> None:
    """Put a folder that `fill` fills in the place of `target`."""
    new = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(new, ignore_errors=True)  # of a killed run
    new.mkdir()
    try:
        fill(new)
        md5 = {path.name: file_digest(path, "md5") for path in sorted(new.iterdir())}
        (new / RECORD).write_text(json.dumps({"md5": md5}, indent=2) + "\n", encoding="utf-8")
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
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        pass  # a network file system without locks, on which a lone run works too
    return True
