"""Small archives in CIFAR-10's layout, and installing from them.

FILES, PACKED, ARCHIVE    the files of a small CIFAR-10, their archive, its checksum
fetch, failure            an installation that succeeds; one that must change nothing
"""

import hashlib
import io
import tarfile
from pathlib import Path
from random import Random

import pytest

from assignment.cifar10.archive import CIFAR10_FOLDER, REQUIRED, Archive, DataError
from assignment.cifar10.install import RECORD, find_damage, install_cifar10

PART = "cifar-10-python.tar.gz.part"
FILES = {name: Random(name).randbytes(9000) for name in REQUIRED}


def pack(files: dict[str, bytes], *extra: tarfile.TarInfo) -> bytes:
    """Return an archive of the files in CIFAR-10's folder, and of extra members of zeros."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{CIFAR10_FOLDER}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for member in extra:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return packed.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


PACKED = pack(FILES)
ARCHIVE = Archive(sha256(PACKED))


def snapshot(folder: Path) -> dict[str, bytes | str]:
    """Return every name below the folder with its bytes, except the lock's."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else "folder"
        for path in folder.rglob("*")
        if path.name != ".lock"
    }


def half_install(datasets: Path) -> Path:
    """Make a folder in which a batch is missing, which a failed run must not touch."""
    folder = datasets / CIFAR10_FOLDER
    folder.mkdir(parents=True)
    for name in REQUIRED[1:]:
        (folder / name).write_bytes(b"old " + name.encode())
    return folder


def assert_installed(datasets: Path) -> None:
    """Check that `datasets` holds FILES in CIFAR-10's folder, and nothing else."""
    assert find_damage(datasets / CIFAR10_FOLDER) is None
    found = snapshot(datasets)
    found.pop(f"{CIFAR10_FOLDER}/{RECORD}")
    files = {f"{CIFAR10_FOLDER}/{name}": data for name, data in FILES.items()}
    assert found == {CIFAR10_FOLDER: "folder"} | files


def fetch(datasets: Path, archive: Archive = ARCHIVE, source: Path | None = None) -> Path:
    return install_cifar10(datasets, archive=archive, source=source)


def failure(datasets: Path, archive: Archive = ARCHIVE, source: Path | None = None) -> str:
    """Return the sentence with which an installation fails; it must change nothing."""
    half_install(datasets)
    before = snapshot(datasets)
    with pytest.raises(DataError) as caught:
        fetch(datasets, archive, source)
    assert snapshot(datasets) == before
    return str(caught.value)
