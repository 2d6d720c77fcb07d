"""Verify a CIFAR-10 archive and unpack it.

    PUBLISHED              SHA-256 and size of the archive that the data set's author publishes
    check_local_archive    a file -> DataError unless it is the expected archive
    unpack                 an archive -> CIFAR-10's files in a folder

Every archive counts as hostile, even one with the expected checksum: a student may have been talked
into accepting that checksum.
"""

import functools
import gzip
import hashlib
import re
import shutil
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

ARCHIVE_NAME = "cifar-10-python.tar.gz"
CIFAR10_FOLDER = "cifar-10-batches-py"
PUBLISHED_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
REQUIRED = (*PUBLISHED_MD5, "batches.meta")
KNOWN = (*REQUIRED, "readme.html")

# Limits for an archive of which only the checksum is known. CIFAR-10 stays well below each.
MAX_ARCHIVE_BYTES = 400_000_000
MAX_UNPACKED_BYTES = 400_000_000
MAX_MEMBERS = 100
CHUNK = 1 << 16  # bytes
GZIP_MAGIC = b"\x1f\x8b"

# Raised by tarfile, gzip and zlib for archives that are cut off, damaged or malicious.
_UNREADABLE = (
    *(tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError),
    *(ValueError, OverflowError, RecursionError),
)


class DataError(Exception):
    """Data that cannot be fetched, installed or read; the text says what to do."""


@dataclass(frozen=True)
class Archive:
    """SHA-256 of an archive in lower-case hex, and its size in bytes, if known."""

    sha256: str
    size: int | None = None


PUBLISHED = Archive("6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce", 170_498_071)


def check_local_archive(path: Path, archive: Archive) -> None:
    """Raise DataError unless the file at `path` has the checksum of `archive`."""
    try:
        sha256 = file_digest(path, "sha256")
        with path.open("rb") as file:
            kind = file_kind(file.read(100))
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}). Give --from the path of {ARCHIVE_NAME}."
        ) from error
    if sha256 != archive.sha256:
        raise DataError(
            f"{path} is {kind}, but not the expected archive: its SHA-256 is {sha256}, not "
            f"{archive.sha256}. Download it again; or, if it is a re-encoded copy, give the "
            "checksum that its publisher names with --accept-checksum."
        )


def unpack(archive: Path, folder: Path) -> None:
    """Write CIFAR-10's files from the archive into `folder`, and skip its other members.

    Names from the archive are never used as paths. Raises DataError for an archive that is
    damaged, hostile or incomplete.
    """
    print("The archive's checksum is right. Unpacking ...")
    wanted = {f"{CIFAR10_FOLDER}/{name}": name for name in KNOWN}
    unpacked = 0
    try:
        with (
            _BoundedGzip(archive) as stream,
            tarfile.open(fileobj=stream, mode="r|", encoding="utf-8") as tar,
        ):
            for count, member in enumerate(tar, start=1):
                unpacked += max(member.size, 0)
                if problem := _member_problem(member, count, unpacked):
                    name = repr(member.name[:80])
                    raise _unusable(archive, f"is refused: its member {name} {problem}")
                content = tar.extractfile(member)
                if content and member.size and member.name in wanted:
                    with (folder / wanted.pop(member.name)).open("xb") as file:
                        shutil.copyfileobj(content, file, CHUNK)
            while stream.read(CHUNK):  # up to the gzip checksum at the very end
                pass
    except _UNREADABLE as error:
        raise _unusable(archive, f"is truncated or corrupt ({error})") from error
    if missing := [name for name in REQUIRED if name in wanted.values()]:
        raise _unusable(archive, f"is not CIFAR-10: it does not hold {', '.join(missing)}")


def _unusable(archive: object, problem: str) -> DataError:
    return DataError(
        f"{archive} {problem}. Nothing was installed. Get {ARCHIVE_NAME} again, from a place that "
        "you trust."
    )


def _member_problem(member: tarfile.TarInfo, count: int, unpacked: int) -> str | None:
    """Return why the archive is refused at its member number `count`, or None."""
    name = member.name.replace("\\", "/")
    if name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in name.split("/"):
        return "has a path that leads out of the folder"
    if not (member.isdir() or member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)):
        return "is a link, a device or the like, not a file"
    if count > MAX_MEMBERS:
        return f"is number {count}, and CIFAR-10 has at most {len(KNOWN)} files"
    if member.size < 0 or unpacked > MAX_UNPACKED_BYTES:
        return f"brings it to {unpacked / 1e6:,.0f} MB unpacked, far more than CIFAR-10"
    return None


class _BoundedGzip(gzip.GzipFile):
    """A gzip file that raises DataError past the limit; in a tar, headers alone can be a bomb."""

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if self.tell() > MAX_UNPACKED_BYTES:
            raise _unusable(self.name, "is refused: it unpacks to far more than CIFAR-10")
        return data


def file_kind(head: bytes) -> str:
    """Return what a file seems to be, by its first bytes."""
    if head.startswith(GZIP_MAGIC):
        return "a gzip file"
    page = head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
    return "a web page" if page else "another kind of file"


def file_digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        new = functools.partial(hashlib.new, algorithm, usedforsecurity=False)
        return hashlib.file_digest(file, new).hexdigest()
