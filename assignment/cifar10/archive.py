"""What a CIFAR-10 archive is: its checksum, its files, and how they are taken out of it.

An archive is hostile until its SHA-256 says otherwise, and is treated as hostile even then, since
the checksum may be one that somebody was talked into accepting.
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

# For an archive of which only the checksum is known. CIFAR-10 stays well below each.
MAX_ARCHIVE_BYTES = 400_000_000
MAX_UNPACKED_BYTES = 400_000_000
MAX_MEMBERS = 100
CHUNK = 1 << 16  # bytes


class DataError(Exception):
    """The data cannot be had as it is; the text says what was found, where, and what to do."""


@dataclass(frozen=True)
class Archive:
    """A CIFAR-10 archive: its SHA-256 in lower-case hex, and its bytes, where they are known."""

    sha256: str
    size: int | None = None


PUBLISHED = Archive("6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce", 170_498_071)


# What tarfile, gzip and zlib raise for archives that are cut off, damaged or malicious.
_UNREADABLE = (
    *(tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError),
    *(ValueError, OverflowError, RecursionError),
)


def check_source(source: Path, archive: Archive) -> None:
    """Raise DataError unless `source` is a file with the checksum of `archive`."""
    if not source.is_file():
        found = "is a folder" if source.is_dir() else "is not there"
        raise DataError(f"{source} {found}. Give --from the path of {ARCHIVE_NAME} itself.")
    try:
        with source.open("rb") as file:
            head = file.read(100)
        digest = file_digest(source, "sha256")
    except OSError as error:
        raise DataError(f"{source} cannot be read: {error.strerror}.") from error
    if not looks_like_gzip(head):
        raise DataError(f"{source} is {kind(head)}, no archive. Download {ARCHIVE_NAME} again.")
    if digest != archive.sha256:
        raise DataError(
            f"{source} is damaged, or another file: its SHA-256 is {digest}, not {archive.sha256}. "
            "Download it again; or, if it is a re-encoded copy, give the checksum that its "
            "publisher names with --accept-checksum."
        )


def unpack(archive: Path, folder: Path) -> None:
    """Write the known files of the archive into `folder`; raise DataError if it is not in order.

    No name from the archive is ever used as a path: what is written has one of the KNOWN names.
    """
    print("The archive's checksum is right. Unpacking ...")
    wanted = {f"{CIFAR10_FOLDER}/{name}": name for name in KNOWN}
    total = 0
    try:
        with (
            _BoundedGzip(archive) as stream,
            tarfile.open(fileobj=stream, mode="r|", encoding="utf-8") as tar,
        ):
            for count, member in enumerate(tar, start=1):
                total += max(member.size, 0)
                if fault := _fault(member, count, total):
                    shown = repr(member.name[:80])
                    raise _unusable(archive, f"is refused: its member {shown} {fault}")
                content = tar.extractfile(member)
                if content is not None and member.size and member.name in wanted:
                    with (folder / wanted.pop(member.name)).open("xb") as file:
                        shutil.copyfileobj(content, file, CHUNK)
            while stream.read(CHUNK):  # the gzip checksum comes at the very end
                pass
    except _UNREADABLE as error:
        raise _unusable(archive, f"is truncated or corrupt ({error})") from error
    missing = [name for name in REQUIRED if name in wanted.values()]
    if missing:
        raise _unusable(archive, f"is not CIFAR-10: it does not hold {', '.join(missing)}")


def _unusable(archive: object, fault: str) -> DataError:
    return DataError(
        f"{archive} {fault}. Nothing was installed. Get {ARCHIVE_NAME} again, from a place that "
        "you trust."
    )


def _fault(member: tarfile.TarInfo, count: int, total: int) -> str | None:
    """What is wrong with an archive whose member number `count` this is; None if nothing is."""
    name = member.name.replace("\\", "/")
    if name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in name.split("/"):
        return "has a path that leads out of the folder"
    if not (member.isdir() or member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)):
        return "is a link, a device or the like, not a file"
    if count > MAX_MEMBERS:
        return f"is number {count}, and CIFAR-10 has no more than {len(KNOWN)} files"
    if member.size < 0 or total > MAX_UNPACKED_BYTES:
        return f"brings it to {mb(total)} unpacked, far more than CIFAR-10"
    return None


class _BoundedGzip(gzip.GzipFile):
    """Raises DataError where a gzip file is a bomb; in a tar, headers can be one as well."""

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if self.tell() > MAX_UNPACKED_BYTES:
            raise _unusable(self.name, "is refused: it unpacks to far more than CIFAR-10")
        return data


def looks_like_gzip(head: bytes) -> bool:
    return head.startswith(b"\x1f\x8b")


def kind(head: bytes) -> str:
    return "a web page" if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") else "no gzip file"


def file_digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        new = functools.partial(hashlib.new, algorithm, usedforsecurity=False)
        return hashlib.file_digest(file, new).hexdigest()


def mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
