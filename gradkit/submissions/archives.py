"""Read a folder or an archive that anyone may have made, without unpacking it.

What is read is bounded in number and size. Nothing is written to disk. No link is followed, no pipe
or device opened, no archive inside an archive read. A problem of one member is reported with that
member (`Member.problem`, or the text in place of its bytes); a problem of the whole raises
`SubmissionRejected`.
"""

import contextlib
import gzip
import io
import math
import os
import re
import stat
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from assignment.workspace.starter import LITTER
from gradkit.errors import GradkitError
from gradkit.files import open_file, shown

# A project with a virtual environment, as Jupyter and PyTorch fill it, has about 40,000 files.
MAX_ENTRIES = 200_000

# A project with CIFAR-10 in it three times (packed, unpacked, decoded) has 0.6 GB. Unpacking a
# gigabyte takes some 3 s, and a tar file can only be read from its beginning.
MAX_UNPACKED = 1_000_000_000

MAX_HEADER = 100_000  # bytes of the headers of a member of a tar file, which hold a path

MAX_PATH = 4096  # characters, as on Linux
MAX_NAME = 255  # characters of a file's or a folder's name, as everywhere

CHUNK = 1 << 18  # bytes

HOSTILE = "has a path that leads out of its folder, or that no system accepts"
_BAD_HEADERS = "its headers make no sense"
_NOT_A_FILE = "is a link, a device or the like"
_GZIP = b"\x1f\x8b"
_SMALLEST_ZIP_ENTRY = 46  # bytes in the zip's directory, with an empty name

# Left behind by systems, editors, environments and `update`, beside the files to be graded.
_IGNORED = re.compile(
    rf"{LITTER.pattern}|\.(?!\.?$).*|~\$.*|Icon\r|.*:Zone\.Identifier"
    r"|site-packages|node_modules|backup-\d+"
)


class SubmissionRejected(GradkitError):
    """A submission that cannot be graded; the text gives the reason, for the gradebook."""


@dataclass(frozen=True)
class Member:
    """A file in a folder or archive."""

    name: str  # its path, with slashes
    time: float  # of the last change, in seconds since 1970; 0 if unknown
    number: int = 0  # its position among an archive's members
    path: Path | None = None  # its place on disk, outside archives
    problem: str = ""  # why it is not read, such as "is a link"


class Source:
    """A folder or archive."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name  # in messages

    def members(self) -> Iterator[Member]:
        """Yield the files; raise SubmissionRejected if the source is damaged or too large."""
        raise NotImplementedError

    def read(self, wanted: Mapping[Member, int]) -> dict[Member, bytes | str]:
        """Return the bytes of members that may have so many bytes each, or the problem of one."""
        contents: dict[Member, bytes | str] = {}
        for member, most in wanted.items():
            assert member.path
            try:
                with open_file(member.path) as file:
                    contents[member] = _read_bounded(file, most)
            except OSError as error:
                contents[member] = f"cannot be read ({error.strerror or error})"
        return contents

    def _too_large(self, problem: str) -> SubmissionRejected:
        advice = "Ask for it without data sets and environments."
        return SubmissionRejected(f"{self.name} {problem}. {advice}")


def open_source(path: Path, name: str) -> Source:
    """Return the folder or archive at `path`; raise SubmissionRejected if it is neither.

    `name` stands for it in messages.
    """
    if path.is_symlink():
        raise SubmissionRejected(f"{name} is a link. Put the folder or archive itself there.")
    try:
        if path.is_dir():
            next(path.iterdir(), None)
            return FolderSource(path, name)
        with open_file(path) as file:
            head = file.read(512)  # the beginning tells the format
    except OSError as error:
        raise SubmissionRejected(f"{name} cannot be read: {error.strerror or error}.") from error
    if head.startswith(b"PK"):
        return ZipSource(path, name)
    if head.startswith(_GZIP) or head[257:262] == b"ustar":
        return TarSource(path, name)
    raise SubmissionRejected(
        f"{name} is damaged, or neither a .zip nor a .tar.gz archive. Ask for one, or for a folder."
    )


def is_ignored(path: str) -> bool:
    """Return whether a path belongs to a system, an editor, an environment or a backup."""
    return any(_IGNORED.fullmatch(part) for part in path.split("/"))


def _read_bounded(file: IO[bytes], most: int) -> bytes | str:
    pieces = []
    left = most
    while piece := file.read(min(left + 1, CHUNK)):
        left -= len(piece)
        if left < 0:
            return f"has more than {most / 1e6:g} MB"
        pieces.append(piece)
    return b"".join(pieces)


def _clean_path(raw: str) -> tuple[str, str]:
    """Return a member's path with slashes, and the problem with it, or an empty text.

    An absolute path, also with a drive letter, becomes a relative one: nothing is written there.
    """
    slashed = re.sub("^[A-Za-z]:(?=/)", "", raw[:MAX_PATH].replace("\\", "/"))
    parts = [part for part in slashed.split("/") if part not in ("", ".")]
    too_long = len(raw) > MAX_PATH or any(len(part) > MAX_NAME for part in parts)
    bad = too_long or ".." in parts or re.search("[\x00-\x1f\x7f-\x9f]", slashed)
    return "/".join(parts), HOSTILE if bad else ""


# --- folders -------------------------------------------------------------------------------------


class FolderSource(Source):
    """A folder on disk."""

    def members(self) -> Iterator[Member]:
        left = MAX_ENTRIES
        for place, folders, names in os.walk(self.path):
            left -= len(folders) + len(names)
            if left < 0:
                raise self._too_large(f"has more than {MAX_ENTRIES:,} entries")
            folders[:] = sorted(name for name in folders if not is_ignored(name))
            for path in sorted(Path(place, name) for name in names if not is_ignored(name)):
                name, problem = _clean_path(str(path.relative_to(self.path)))
                with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                    status = path.lstat()
                    if not stat.S_ISREG(status.st_mode):
                        problem = problem or _NOT_A_FILE
                    yield Member(name, status.st_mtime, path=path, problem=problem)


# --- zip files -----------------------------------------------------------------------------------


class ZipSource(Source):
    """A zip file."""

    def members(self) -> Iterator[Member]:
        with self._archive() as archive:
            for number, info in enumerate(archive.infolist()):
                raw = _zip_name(info)
                if not raw.endswith(("/", "\\")):
                    name, problem = _clean_path(raw)
                    problem = problem or _zip_problem(info)
                    yield Member(name, _zip_time(info), number, problem=problem)

    def read(self, wanted: Mapping[Member, int]) -> dict[Member, bytes | str]:
        contents: dict[Member, bytes | str] = {}
        with self._archive() as archive:
            infos = archive.infolist()
            for member, most in wanted.items():
                try:
                    with archive.open(infos[member.number]) as file:
                        contents[member] = _read_bounded(file, most)
                except Exception as error:  # zipfile raises anything on damaged and hostile files
                    contents[member] = f"is damaged ({shown(str(error))})"
        return contents

    @contextlib.contextmanager
    def _archive(self) -> Iterator[zipfile.ZipFile]:
        with _BoundedZip(open_file(self.path).detach()) as file:
            try:
                archive = zipfile.ZipFile(file)
            except Exception as error:  # as above
                raise SubmissionRejected(
                    f"{self.name} is a damaged zip file ({shown(str(error))}). Ask for it again."
                ) from error
            yield archive


class _BoundedZip(io.BufferedReader):
    """A zip file that refuses to read a directory of too many entries.

    zipfile reads the directory in one piece, by far the largest read; the number of entries that
    the file itself gives may be false.
    """

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > MAX_ENTRIES * _SMALLEST_ZIP_ENTRY:
            raise ValueError(f"it has far more than {MAX_ENTRIES:,} entries")
        return super().read(size)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Return a member's path; macOS writes UTF-8 without the flag that says so."""
    name = info.orig_filename  # info.filename is cut off at a null byte
    try:
        return name if info.flag_bits & 0x800 else name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def _zip_time(info: zipfile.ZipInfo) -> float:
    try:
        return datetime(*info.date_time, tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _zip_problem(info: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system else 0  # 0 is Windows
    if kind not in (0, stat.S_IFREG):
        return _NOT_A_FILE
    if info.flag_bits & 1:
        return "is encrypted"
    # bzip2 and lzma unpack a few bytes to any number, whatever the size that one asks for.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is compressed in a way that only some programs know"
    return ""


# --- tar files -----------------------------------------------------------------------------------


class _TooManyBytes(Exception):
    """A tar file that unpacks to more than MAX_UNPACKED bytes."""


class _TarStream:
    """The bytes of a tar file, for tarfile: read once, forward only, as far as `limit`.

    While tarfile reads the headers of a member, the limit is MAX_HEADER bytes away. So paths, maps
    of sparse files and headers before headers are bounded, in memory and in recursion.
    """

    def __init__(self, file: gzip.GzipFile | io.BufferedReader) -> None:
        self._file = file
        self.limit = MAX_UNPACKED
        self.last_read = b""

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int) -> bytes:
        """Return exactly `size` bytes; raise EOFError if there are fewer."""
        self._check(self.tell() + size)
        self.last_read = self._file.read(size)
        if len(self.last_read) < size:
            raise EOFError("it ends too early")
        return self.last_read

    def seek(self, position: int) -> None:
        if position < self.tell():
            raise ValueError(_BAD_HEADERS)
        self._check(position)
        self._file.seek(position)

    def skip_to_end(self) -> None:
        while self._file.read(CHUNK):
            self._check(self.tell())

    def _check(self, position: int) -> None:
        if position > self.limit:
            raise ValueError(_BAD_HEADERS) if self.limit < MAX_UNPACKED else _TooManyBytes


def _tar_members(stream: _TarStream) -> Iterator[tarfile.TarInfo]:
    """Yield the members of a tar file, while the stream is at the data of each."""
    stream.limit = MAX_HEADER
    archive = tarfile.TarFile(
        fileobj=stream,  # type: ignore[arg-type]  # which need not write
        encoding="utf-8",
        errors="surrogateescape",
    )
    while info := archive.next():
        stream.limit = MAX_UNPACKED
        yield info
        archive.members.clear()  # type: ignore[attr-defined]  # 2 KB a member
        archive.pax_headers = {}
        stream.seek(archive.offset)
        stream.limit = archive.offset + MAX_HEADER
    if stream.last_read.strip(b"\0"):  # tarfile takes a damaged header for the end
        raise ValueError(_BAD_HEADERS)
    stream.limit = MAX_UNPACKED


class TarSource(Source):
    """A tar file, mostly gzipped, which is read from its beginning to its end."""

    def members(self) -> Iterator[Member]:
        with self._stream() as stream:
            for number, info in enumerate(_tar_members(stream)):
                if number >= MAX_ENTRIES:
                    raise self._too_large(f"has more than {MAX_ENTRIES:,} entries")
                if not info.isdir():
                    name, problem = _clean_path(info.name)
                    if not info.isreg() or info.issparse():
                        problem = problem or _NOT_A_FILE
                    time = info.mtime if math.isfinite(info.mtime) else 0.0
                    yield Member(name, time, number, problem=problem)
            stream.skip_to_end()  # where a checksum shows whether it is complete

    def read(self, wanted: Mapping[Member, int]) -> dict[Member, bytes | str]:
        left = {member.number: member for member in wanted}
        contents: dict[Member, bytes | str] = {}
        with self._stream() as stream:
            for number, info in enumerate(_tar_members(stream)):
                if member := left.pop(number, None):
                    data = stream.read(min(info.size, wanted[member] + 1))
                    contents[member] = _read_bounded(io.BytesIO(data), wanted[member])
                if not left:
                    break
        return contents

    @contextlib.contextmanager
    def _stream(self) -> Iterator[_TarStream]:
        """Open the tar file; raise SubmissionRejected if it is damaged or too large."""
        try:
            with (
                open_file(self.path) as file,
                gzip.GzipFile(fileobj=file) if file.peek().startswith(_GZIP) else file as unpacked,
            ):
                yield _TarStream(unpacked)
        except SubmissionRejected:
            raise
        except _TooManyBytes:
            raise self._too_large(f"unpacks to more than {MAX_UNPACKED / 1e9:.1f} GB") from None
        except Exception as error:  # tarfile raises anything on damaged and hostile files
            raise SubmissionRejected(
                f"{self.name} is damaged, or not a tar file ({shown(str(error))}). "
                "Ask for it again."
            ) from error
