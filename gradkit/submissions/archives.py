"""What is in a folder or an archive that anyone may have made, without unpacking it.

    opened           a path -> a Source: a folder, a zip or tar file, whatever its name says
    Source.members   what is in it, one by one, bounded in number
    Source.read      the bytes of a few of its members, bounded in size

Nothing is written to disk, no link is followed, no pipe or device is opened, no archive inside an
archive either. Whatever is wrong with a member is told of that member (`Member.fault`, or the text
in the place of its bytes); with all of it, it is a `SubmissionRejected`.
"""

import contextlib
import io
import itertools
import os
import re
import stat
import tarfile
import zipfile
import zlib
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

# A project with CIFAR-10 in it three times (packed, unpacked, decoded) has 0.6 GB. A gigabyte is
# unpacked in some 3 s, and a tar file can only be read from its beginning.
MAX_UNPACKED = 1_000_000_000

MAX_DEPTH = 30  # of folders; the deepest ones of an environment are at 15

MAX_PATH = 4096  # characters, as on Linux

MAX_HEADER = 100_000  # bytes of a tar header; it holds a path

MAX_HEADERS = 2 * MAX_ENTRIES  # of a tar file: a member has one, or two; 30 µs each

CHUNK = 1 << 18  # bytes


# The faults of members as nobody's archiver makes them.
HOSTILE = (
    "has a path that leads out of its folder",
    "has control characters in its name",
    "has a path that is longer than systems take",
)


_SMALLEST_ZIP_ENTRY = 46  # bytes in the zip's directory, with an empty name

_BLOCK = 512  # bytes of a tar file


# What people have beside their work, and nobody looks for it there.
_ASIDE = re.compile(rf"{LITTER.pattern}|\.(?!\.?$).*|site-packages|node_modules|backup-\d+")

_OTHER_KINDS = {
    b"Rar!": "a .rar archive",
    b"7z\xbc\xaf": "a .7z archive",
    b"\xfd7zXZ": "an .xz archive",
    b"BZh": "a .bz2 archive",
    b"\x28\xb5\x2f\xfd": "a .zst archive",
    b"%PDF": "a PDF",
    b"<": "a web page",
}


class SubmissionRejected(GradkitError):
    """A submission cannot be graded; the text is the reason, a sentence for the gradebook."""


@dataclass(frozen=True)
class Member:
    """A file in a folder or archive.

    Attributes
    ----------
    name : str
        Its path, with slashes, whatever system it comes from.
    time : float
        When it was changed last, in seconds since 1970; 0 where nothing tells.
    number : int
        Which one of an archive's members it is.
    path : Path, optional
        Where it lies, outside archives.
    fault : str
        Why it is not read, as in "is a link"; empty if it may be.
    """

    name: str
    time: float
    number: int = 0
    path: Path | None = None
    fault: str = ""


class Source:
    """A folder or archive.

    Attributes
    ----------
    name : str
        What people call it.
    cut : str
        Why `members` ended before all were seen; empty where it did not.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.cut = ""

    def members(self) -> Iterator[Member]:
        """All files that somebody may look for; Refused where it is damaged."""
        raise NotImplementedError

    def read(self, wanted: Mapping[Member, int]) -> dict[Member, bytes | str]:
        """The bytes of these members, each of which may have so many; or what is wrong with one."""
        raise NotImplementedError


def opened(path: Path, name: str) -> Source:
    """The folder or archive at `path`, of which people are told by this name.

    Raises
    ------
    Refused
        It is neither, or cannot be read.
    """
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            raise SubmissionRejected(
                f"{name} is a link, which is not followed: put what it leads to there."
            )
        if stat.S_ISDIR(mode):
            return FolderSource(path, name)
        with open_file(path) as file:
            head = file.read(_BLOCK)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise SubmissionRejected(f"{name} cannot be read: {error.strerror or error}.") from error
    if head.startswith(b"PK"):
        return ZipSource(path, name)
    gzipped = head.startswith(b"\x1f\x8b")
    if gzipped or head[257:262] == b"ustar":
        if size > MAX_UNPACKED:
            raise SubmissionRejected(f"{name} has {gigabytes(size)}, far more than any submission.")
        return TarSource(path, name, gzipped)
    kind = next((kind for magic, kind in _OTHER_KINDS.items() if head.startswith(magic)), "")
    kind = kind or ("empty" if not head else "neither a .zip nor a .tar.gz archive, or damaged")
    raise SubmissionRejected(f"{name} is {kind}. Ask for a .zip or a .tar.gz archive, or a folder.")


def gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def megabytes(size: int) -> str:
    return f"{size / 1e6:g} MB"


def moment(seconds: float) -> datetime | None:
    """A file's time; None for one that no calendar has."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def is_aside(name: str) -> bool:
    """Whether a path is among what systems, editors, environments and `update` leave behind."""
    return any(_ASIDE.fullmatch(part) for part in name.split("/"))


def _named(raw: str) -> tuple[str, str]:
    """The path that a member's name is, with slashes, and what is wrong with it.

    Nothing is unpacked, so a path can do no harm; but one that leads out of its folder is not what
    anyone's archiver makes.
    """
    if len(raw) > MAX_PATH:
        return raw[:MAX_PATH], HOSTILE[2]
    slashed = raw.replace("\\", "/")
    parts = [part for part in slashed.split("/") if part not in ("", ".")]
    fault = ""
    if slashed.startswith("/") or re.match("[A-Za-z]:", slashed) or ".." in parts:
        fault = HOSTILE[0]
    elif re.search("[\x00-\x1f\x7f-\x9f]", slashed):
        fault = HOSTILE[1]
    return "/".join(parts), fault


def _bounded(file: IO[bytes], most: int) -> bytes | str:
    """All bytes of a file; or what is wrong with one that has more than `most`."""
    pieces = []
    left = most
    while piece := file.read(min(left + 1, CHUNK)):
        left -= len(piece)
        if left < 0:
            return f"has more than {megabytes(most)}"
        pieces.append(piece)
    return b"".join(pieces)


# --- folders -------------------------------------------------------------------------------------


class FolderSource(Source):
    """A folder as it lies there."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(name)
        self.folder = folder

    def members(self) -> Iterator[Member]:
        left = MAX_ENTRIES
        waiting = [(self.folder, "", 0)]
        while waiting:
            folder, inside, depth = waiting.pop()
            try:
                with os.scandir(folder) as listing:
                    entries = sorted(itertools.islice(listing, left + 1), key=lambda e: e.name)
            except OSError as error:
                if folder == self.folder:
                    raise SubmissionRejected(
                        f"{self.name} cannot be read: {error.strerror}."
                    ) from error
                continue
            left -= len(entries)
            if left < 0:
                self.cut = f"has more than {MAX_ENTRIES:,} entries"
                return
            for entry in entries:
                name, fault = _named(f"{inside}{entry.name}")
                if is_aside(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if depth < MAX_DEPTH:
                        waiting.append((Path(entry.path), f"{name}/", depth + 1))
                    continue
                with contextlib.suppress(OSError):  # it has gone meanwhile
                    about = entry.stat(follow_symlinks=False)
                    fault = fault or _kind_fault(about.st_mode)
                    yield Member(name, about.st_mtime, path=Path(entry.path), fault=fault)

    def read(self, wanted: Mapping[Member, int]) -> dict[Member, bytes | str]:
        return {member: read_file(member.path, most) for member, most in wanted.items()}


def read_file(path: Path | None, most: int) -> bytes | str:
    """The bytes of a file that may have so many, or what is wrong with it."""
    assert path
    try:
        with open_file(path) as file:
            return _bounded(file, most)
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"


def _kind_fault(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "is a link"
    return "" if stat.S_ISREG(mode) else "is no file, but a pipe, a device or the like"


# --- zip files -----------------------------------------------------------------------------------


class ZipSource(Source):
    """A zip file."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(name)
        self.path = path

    def members(self) -> Iterator[Member]:
        with self._archive() as archive:
            for number, info in enumerate(archive.infolist()):
                if not info.orig_filename.endswith(("/", "\\")):
                    name, fault = _named(_zip_name(info))
                    yield Member(name, _zip_time(info), number, fault=fault or _zip_fault(info))

    def read(self, wanted: Mapping[Member, int]) -> dict[Member, bytes | str]:
        contents: dict[Member, bytes | str] = {}
        with self._archive() as archive:
            infos = archive.infolist()
            for member, most in wanted.items():
                try:
                    with archive.open(infos[member.number]) as file:
                        contents[member] = _bounded(file, most)
                except Exception as error:  # damaged and hostile files make zipfile raise anything
                    contents[member] = f"is damaged ({shown(str(error))})"
        return contents

    @contextlib.contextmanager
    def _archive(self) -> Iterator[zipfile.ZipFile]:
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(_FewEntries(open_file(self.path).detach()))
                archive = stack.enter_context(zipfile.ZipFile(file))
            except SubmissionRejected as error:
                raise SubmissionRejected(f"{self.name} {error}") from error
            except Exception as error:  # as above
                raise SubmissionRejected(
                    f"{self.name} is a damaged zip file ({shown(str(error))}). Ask for it again."
                ) from error
            yield archive


class _FewEntries(io.BufferedReader):
    """A file that does not read the directory of a zip with too many entries.

    zipfile takes the directory in one piece, far larger than all else that is read here; the number
    of entries that a zip gives need not be true.
    """

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > MAX_ENTRIES * _SMALLEST_ZIP_ENTRY:
            raise SubmissionRejected(f"has far more than {MAX_ENTRIES:,} entries.")
        return super().read(size)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """A member's name. macOS writes UTF-8 without saying so, which is taken for cp437 then."""
    name = info.orig_filename  # ZipInfo.filename is cut off at a null byte, for one
    if not info.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            return name.encode("cp437").decode("utf-8")
    return name


def _zip_time(info: zipfile.ZipInfo) -> float:
    try:
        return datetime(*info.date_time, tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _zip_fault(info: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system else 0  # 0 is Windows
    if kind not in (0, stat.S_IFREG):
        return "is a link, a device or the like"
    if info.flag_bits & 1:
        return "is encrypted"
    # What bzip2 and lzma make of a few bytes is not bounded by how many one asks for.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is compressed in a way that only some programs know"
    return ""


# --- tar files -----------------------------------------------------------------------------------


class TarSource(Source):
    """A tar file, mostly gzipped, which is read from its beginning to its end.

    tarfile would do it, but keeps all it has seen, and takes headers of any size. What is looked at
    here is a member's name, size and kind.
    """

    def __init__(self, path: Path, name: str, gzipped: bool) -> None:
        super().__init__(name)
        self.path, self.gzipped = path, gzipped

    def members(self) -> Iterator[Member]:
        with self._stream() as stream:
            for number, (header, name) in enumerate(_headers(stream)):
                if number >= MAX_ENTRIES:
                    self.cut = f"has more than {MAX_ENTRIES:,} entries"
                    return
                if not header.isdir():
                    name, fault = _named(name)
                    kind = "" if header.type in _FILES else "is a link, a device or the like"
                    yield Member(name, header.mtime, number, fault=fault or kind)
                _skip(stream, _padded(header.size))
            while stream.read(CHUNK):  # what tells whether it is whole comes at the very end
                pass

    def read(self, wanted: Mapping[Member, int]) -> dict[Member, bytes | str]:
        left = {member.number: member for member in wanted}
        contents: dict[Member, bytes | str] = dict.fromkeys(wanted, "cannot be found again")
        with self._stream() as stream:
            for number, (header, _) in enumerate(_headers(stream)):
                taken = 0
                if member := left.pop(number, None):
                    taken = min(header.size, wanted[member] + 1)
                    contents[member] = _bounded(io.BytesIO(stream.read(taken)), wanted[member])
                if not left:
                    break
                _skip(stream, _padded(header.size) - taken)
        return contents

    @contextlib.contextmanager
    def _stream(self) -> Iterator[io.BufferedReader]:
        """The bytes of the tar file; what is wrong with them is a Refused, too many a `cut`."""
        try:
            with open_file(self.path) as file, _Unpacked(file, self.gzipped) as raw:
                yield io.BufferedReader(raw, CHUNK)
        except _TooMuch:
            self.cut = f"unpacks to more than {gigabytes(MAX_UNPACKED)}"
        except (OSError, zlib.error, tarfile.HeaderError, EOFError, ValueError) as error:
            raise SubmissionRejected(
                f"{self.name} is no tar file, or damaged ({shown(str(error))}). Ask for it again."
            ) from error


class _TooMuch(Exception):
    """A tar file has more bytes than are looked at."""


class _Unpacked(io.RawIOBase):
    """The bytes in a gzip file, one piece after the other; or those of a file that is none."""

    def __init__(self, file: IO[bytes], gzipped: bool) -> None:
        self._file = file
        self._inflate = zlib.decompressobj(wbits=31) if gzipped else None
        self._total = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._next(len(buffer))
        self._total += len(data)
        if self._total > MAX_UNPACKED:
            raise _TooMuch
        buffer[: len(data)] = data
        return len(data)

    def _next(self, most: int) -> bytes:
        if self._inflate is None:
            return self._file.read(most)
        while not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._file.read(CHUNK)
            if not packed:
                raise EOFError("it ends too early")
            if data := self._inflate.decompress(packed, most):
                return data
        return b""


_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)

_WITHOUT_DATA = (
    *(tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE),
    *(tarfile.DIRTYPE, tarfile.FIFOTYPE),
)


def _headers(stream: io.BufferedReader) -> Iterator[tuple[tarfile.TarInfo, str]]:
    """The headers of a tar file's members, with their full names; the caller skips what is in them.

    A long name stands in a header of its own before the member's: GNU's, or a POSIX one, which may
    also give the size.
    """
    name, size = "", None
    for number in itertools.count():
        block = stream.read(_BLOCK)
        if len(block) < _BLOCK:
            raise EOFError("it ends too early")
        if not block.strip(b"\0"):
            return
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if header.size < 0 or number > MAX_HEADERS:
            raise ValueError("its headers make no sense")
        if header.type in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
            if header.size > MAX_HEADER:
                raise ValueError(f"a header of {header.size:,} bytes")
            data = stream.read(_padded(header.size))[: header.size]
            if header.type == tarfile.GNUTYPE_LONGNAME:
                name = data.partition(b"\0")[0].decode("utf-8", "surrogateescape")
            else:
                posix = _posix_header(data)
                name, size = posix.get("path", name), _number(posix.get("size"))
            continue
        if header.type in (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
            _skip(stream, _padded(header.size))
            continue
        if header.type == tarfile.GNUTYPE_SPARSE:
            more = block[482]
            while more:
                more = stream.read(_BLOCK).ljust(_BLOCK)[504] if more else 0
        header.size = header.size if size is None else size
        if header.type in _WITHOUT_DATA:
            header.size = 0
        yield header, name or header.name
        name, size = "", None


def _posix_header(data: bytes) -> dict[str, str]:
    """What is said in a POSIX header: lines of `length key=value`."""
    said, position = {}, 0
    while match := re.compile(rb"(\d{1,6}) ([^=]{1,100})=").match(data, position):
        end = position + int(match[1])
        if end <= match.end() or end > len(data):
            break
        value = data[match.end() : end - 1]
        said[match[2].decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        position = end
    return said


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch("[0-9]{1,15}", text) else None


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _skip(stream: io.BufferedReader, size: int) -> None:
    while size > 0:
        skipped = len(stream.read(min(size, CHUNK)))
        if not skipped:
            raise EOFError("it ends too early")
        size -= skipped
