"""Verify a CIFAR-10 archive and unpack it.

    PUBLISHED              SHA-256 and size of the archive that the data set's author publishes
    check_local_archive    a file -> DataError unless it is the expected archive
    unpack                 an archive -> CIFAR-10's files in a folder

Every archive counts as hostile, even one with the expected checksum: a student may have been talked
into accepting that checksum.
"""

import gzip
import hashlib
import shutil
import tarfile
import zlib
from dataclasses import dataclass
from functools import partial
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
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}
REQUIRED = tuple(PUBLISHED_MD5)
KNOWN = (*REQUIRED, "readme.html")

# Limits for an archive of which only the checksum is known. CIFAR-10 stays well below each.
MAX_BYTES = 400_000_000  # packed or unpacked
MAX_MEMBERS = 100
CHUNK = 1 << 16  # bytes
TOO_LARGE = "it holds far more than CIFAR-10"

# Raised for archives that are cut off, damaged or malicious.
GZIP_ERRORS = (gzip.BadGzipFile, zlib.error, EOFError)
TAR_ERRORS = (tarfile.TarError, ValueError, OverflowError, RecursionError)


class DataError(Exception):
    """Data that cannot be fetched, installed or read; the message gives what to do."""


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
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}). Give --from the path of {ARCHIVE_NAME}."
        ) from error
    if sha256 != archive.sha256:
        raise DataError(
            f"{path} is not the expected archive: its SHA-256 is {sha256}, not {archive.sha256}. "
            "Download it again; or, if it is a re-encoded copy, give the checksum that its "
            "publisher names with --accept-checksum."
        )


def unpack(archive: Path, folder: Path) -> None:
    """Write CIFAR-10's files from the archive into `folder`, and skip its other members.

    Names from the archive are never used as paths. Raises DataError for an archive that is
    damaged, hostile or incomplete.
    """
    print("The archive's checksum is right. Unpacking ...")
    wanted = {f"{CIFAR10_FOLDER}/{name}": name for name in KNOWN}
    try:
        with (
            _BoundedGzip(archive) as stream,
            tarfile.open(fileobj=stream, mode="r|", encoding="utf-8") as tar,
        ):
            for count, member in enumerate(tar):
                if count == MAX_MEMBERS or member.size > MAX_BYTES:
                    raise tarfile.TarError(TOO_LARGE)
                if not _is_harmless(member):
                    name = repr(member.name[:80])
                    raise tarfile.TarError(f"its member {name} is a link, or leads outside")
                content = tar.extractfile(member)
                if content and member.size > 0 and member.name in wanted:
                    with (folder / wanted.pop(member.name)).open("xb") as file:
                        shutil.copyfileobj(content, file, CHUNK)
            while stream.read(CHUNK):  # up to the gzip checksum at the very end
                pass
        if missing := [name for name in REQUIRED if name in wanted.values()]:
            raise tarfile.TarError(f"it is not CIFAR-10, without {', '.join(missing)}")
    except (*GZIP_ERRORS, *TAR_ERRORS) as error:
        raise DataError(
            f"{archive} cannot be unpacked: {error}. Nothing was installed. Get {ARCHIVE_NAME} "
            "again, from a place that you trust."
        ) from error


def _is_harmless(member: tarfile.TarInfo) -> bool:
    parts = member.name.replace("\\", "/").split("/")
    leads_out = parts[0] == "" or ":" in parts[0] or ".." in parts
    return not leads_out and (member.isdir() or member.type in (tarfile.REGTYPE, tarfile.AREGTYPE))


class _BoundedGzip(gzip.GzipFile):
    """A gzip file that fails past the limit; in a tar, headers alone can be a bomb."""

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if self.tell() > MAX_BYTES:
            raise tarfile.TarError(TOO_LARGE)
        return data


def file_digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        new = partial(hashlib.new, algorithm, usedforsecurity=False)
        return hashlib.file_digest(file, new).hexdigest()
