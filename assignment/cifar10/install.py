"""Put CIFAR-10, or the stand-in drawn for it, into the datasets folder.

Both go the same way (`_install`). A folder that is complete is left alone. Otherwise a new folder
is filled under a temporary name beside the old one, gets an install record, and takes its place in
one rename, so that a run that fails or is killed leaves what was there. (To replace a damaged
folder takes a second rename; a run killed between the two leaves none, and the next one installs
it.) A lock on the datasets folder keeps two runs apart. The new folder is filled by

    download.Download and archive.unpack   for CIFAR-10
    synthetic.write_batches                for the stand-in

Whatever goes wrong on the way is a `DataError`, whose text is for the person at the keyboard.
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
    check_source,
    file_digest,
    mb,
    unpack,
)
from assignment.cifar10.download import STALL_SECONDS, Download, addresses

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

DATASETS = PROJECT / "datasets"
SYNTHETIC_FOLDER = "cifar-10-synthetic"
RECORD = "installed.json"
UNPACKED_BYTES = 187_000_000  # what the published archive unpacks to, rounded up


def install_cifar10(
    datasets: Path = DATASETS,
    *,
    archive: Archive = PUBLISHED,
    source: Path | None = None,
    stall: float = STALL_SECONDS,
) -> Path:
    """Make sure that `datasets` holds a complete CIFAR-10, and return its folder.

    The archive is the local file `source`, which stays, or else a download. One that brings next
    to nothing for `stall` seconds is interrupted, and resumed a few times. Raises DataError, and
    ModuleNotFoundError where tqdm is missing.
    """
    part = datasets / f"{ARCHIVE_NAME}.part"

    def fill(folder: Path) -> str:
        if source is not None:
            check_source(source, archive)
            _check_space(datasets, archive, fetched=archive.size or 0)
            unpack(source, folder)
        else:
            _check_space(datasets, archive, fetched=part.stat().st_size if part.exists() else 0)
            Download(part, archive, stall).from_any(addresses(os.environ))
            try:
                unpack(part, folder)
            except DataError:
                part.unlink()  # verified, and yet of no use: the next run would fail the same way
                raise
        return archive.sha256

    return _install(datasets / CIFAR10_FOLDER, "CIFAR-10", fill, part)


def install_synthetic(datasets: Path = DATASETS) -> Path:
    """Make sure that `datasets` holds the drawn stand-in for CIFAR-10, and return its folder.

    Raises DataError, and ModuleNotFoundError where numpy is missing.
    """

    def fill(folder: Path) -> None:
        from assignment.cifar10.synthetic import (
            write_batches,  # needs numpy, which a download does not
        )

        print("Drawing a stand-in for CIFAR-10: simple pictures, made up on this computer.")
        write_batches(folder)

    return _install(datasets / SYNTHETIC_FOLDER, "The drawn stand-in (not CIFAR-10)", fill)


def damage(folder: Path) -> str | None:
    """Say what keeps a data folder from being complete; None if nothing does.

    Every file must match the install record, or, where there is none, the published MD5s.
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
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size == 0:
            return f"{name} is empty"
        if name in md5s and file_digest(path, "md5") != md5s[name]:
            return f"{name} is damaged (its MD5 is not the expected one)"
    return None


# --- a folder takes its place --------------------------------------------------------------------


def _install(
    target: Path, title: str, fill: Callable[[Path], str | None], spent: Path | None = None
) -> Path:
    """Return `target`, made by `fill` if it is not complete; then `spent` is no longer needed.

    `fill` writes the files into the empty folder that it is given, and returns the SHA-256 of the
    archive that they are from, if they are from one.
    """
    try:
        if target.is_dir() and damage(target) is None:  # without a lock: it may be read-only
            print(f"{title} is already complete in {target}")
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.parent):
            _remove_leftovers(target)
            if os.path.lexists(target):
                found = damage(target)
                if found is None:
                    print(f"{title} is complete in {target}: another run has installed it.")
                    return target
                print(f"{target} is not complete: {found}. Installing it afresh ...")
            _replace(target, fill)
            if spent is not None:
                spent.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(_explain(error, target.parent)) from error
    print(f"{title} is installed in {target}")
    return target


def _replace(target: Path, fill: Callable[[Path], str | None]) -> None:
    fresh = _temporary(target)
    try:
        fresh.mkdir()
        sha256 = fill(fresh)
        md5 = {path.name: file_digest(path, "md5") for path in sorted(fresh.iterdir())}
        record = {"sha256": sha256, "md5": md5}
        (fresh / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        _swap(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _swap(fresh: Path, target: Path) -> None:
    """Rename `fresh` to `target`. What was there goes, or is kept if it holds files of others."""
    if not os.path.lexists(target):
        fresh.rename(target)
        return
    ours = _holds_only_ours(target)
    old = _temporary(target) if ours else _free_name(target)
    target.rename(old)
    try:
        fresh.rename(target)
    except OSError:
        old.rename(target)
        raise
    if ours:
        shutil.rmtree(old, ignore_errors=True)  # what resists is a leftover for the next run
    else:
        print(f"The old {target.name} holds files that are not ours. It is kept as {old}")


def _holds_only_ours(target: Path) -> bool:
    if target.is_symlink() or not target.is_dir():
        return False
    return all(
        path.is_file() if path.name in (*KNOWN, RECORD) else path.name.startswith("decoded-")
        for path in target.iterdir()
    )


def _free_name(target: Path) -> Path:
    number = 1
    while os.path.lexists(kept := target.with_name(f"{target.name}.kept-{number}")):
        number += 1
    return kept


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")


def _remove_leftovers(target: Path) -> None:
    """Remove the temporary folders of killed runs; the lock says that no living run owns them."""
    for leftover in target.parent.glob(f".{target.name}.*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def _locked(datasets: Path) -> Iterator[None]:
    """Hold the datasets folder's lock; the system releases it if the process is killed."""
    path = datasets / ".lock"
    file = _lock(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows keeps a file that is open, which does no harm
            path.unlink()
        file.close()


def _lock(path: Path) -> IO[str]:
    waiting = False
    while True:
        file = path.open("a", encoding="utf-8")
        # The run before removes the file it has locked: a lock on a removed file holds nobody off.
        with contextlib.suppress(FileNotFoundError):
            if _try_lock(file) and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()
        if not waiting:
            print(f"Another run is at work in {path.parent}; waiting for it to finish ...")
            waiting = True
        time.sleep(0.1)


def _try_lock(file: IO[str]) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Any other error: a network file system without locks. A lone run is well without one.
        return error.errno not in (errno.EACCES, errno.EAGAIN)
    return True


def _explain(error: OSError, datasets: Path) -> str:
    place = error.filename or datasets
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return (
            f"There is no room left to write in {datasets} ({error.strerror}). Free some space "
            "(CIFAR-10 needs about 360 MB) and run this again; what was downloaded is kept."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"{place} may not be changed ({error.strerror}). Make {datasets} writable for "
            "yourself, or work in a copy of the project that is yours, and run this again."
        )
    return (
        f"{place} cannot be used: {error.strerror or error}. Nothing was installed; "
        "put this right and run this again."
    )


def _check_space(datasets: Path, archive: Archive, fetched: int) -> None:
    if archive.size is None:
        return  # its needs are not known; a disk that fills up is noticed all the same
    needed = max(archive.size - fetched, 0) + UNPACKED_BYTES
    free = shutil.disk_usage(datasets).free
    if free < needed:
        raise DataError(
            f"{datasets} has {mb(free)} free, but {mb(needed)} are needed. "
            "Free some space and run this again."
        )
