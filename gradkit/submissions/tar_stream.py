"""Read a tar file of unknown origin with tarfile, from its beginning to its end, within bounds.

TarStream(file)  ->  tar_members  ->  headers, while the stream is at the data of each
"""

import gzip
import io
import tarfile
from collections.abc import Iterator

# A project with CIFAR-10 in it three times (packed, unpacked, decoded) has 0.6 GB. Unpacking a
# gigabyte takes some 3 s, and a tar file can only be read from its beginning.
MAX_UNPACKED = 1_000_000_000

MAX_HEADER = 100_000  # bytes of a member's headers, which hold a path

CHUNK = 1 << 18  # bytes

_BAD_HEADERS = "its headers make no sense"


class TooManyBytes(Exception):
    """A tar file that unpacks to more than MAX_UNPACKED bytes."""


class TarStream:
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
            raise ValueError(_BAD_HEADERS) if self.limit < MAX_UNPACKED else TooManyBytes


def tar_members(stream: TarStream) -> Iterator[tarfile.TarInfo]:
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
