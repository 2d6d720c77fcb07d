"""The archive comes in: from an address into a partial file, piece by piece, until it is right.

    addresses   the published address, or the mirrors that the environment names
    Download    tries them in turn, resumes what was cut off or stalls, and verifies the SHA-256

What arrives goes into a file that outlives the run, so that the next one goes on from there.
"""

import contextlib
import http.client
import re
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from assignment.cifar10.archive import (
    ARCHIVE_NAME,
    CHUNK,
    MAX_ARCHIVE_BYTES,
    Archive,
    DataError,
    file_digest,
    kind,
    looks_like_gzip,
)

PUBLISHED_ADDRESS = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE_NAME}"
MIRRORS_VARIABLE = "CIFAR10_MIRRORS"

STALL_SECONDS = 30.0
SLOWEST = 1024  # bytes per second: whoever sends less over STALL_SECONDS has stalled
RESUMES = 4  # after a stall or a cut, per address and run
RESUME_PAUSE = 1.0  # seconds before the first of them; then twice, three times as long ...


def addresses(environment: Mapping[str, str]) -> list[str]:
    """The addresses of the archive: the mirrors of the environment, or else the published one.

    Raises DataError for a mirror that is not an http or https address.
    """
    mirrors = environment.get(MIRRORS_VARIABLE, "").split()
    for mirror in mirrors:
        try:
            parts = urlsplit(mirror)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise DataError(
                f"{MIRRORS_VARIABLE} names {mirror!r}, which is not an http:// or https:// "
                "address. Correct the variable, or unset it to use the published address."
            )
    mirrors = [mirror + ARCHIVE_NAME if mirror.endswith("/") else mirror for mirror in mirrors]
    return mirrors or [PUBLISHED_ADDRESS]


class _Refused(Exception):
    """An address will not give the archive; the text says why."""


class _Interrupted(Exception):
    """A connection stalled or was cut off, and is worth another try; the text says how."""


@dataclass(frozen=True)
class Download:
    """The download of `archive` into the file `part`, which may hold a beginning of it."""

    part: Path
    archive: Archive
    stall: float  # seconds

    def from_any(self, addresses: list[str]) -> None:
        """Download from the first address that gives the archive. Raises DataError."""
        if self.part.exists() and file_digest(self.part, "sha256") == self.archive.sha256:
            return  # a run was killed, or had no room, after the last byte
        reasons = []
        for address in addresses:
            try:
                self._from_one(address)
                return
            except _Refused as error:
                reasons.append(f"  {address}\n    {error}")
        size = self.part.stat().st_size if self.part.exists() else 0
        kept = f"The {size:,} bytes fetched so far are kept, and the next run goes on from there. "
        raise DataError(
            "The CIFAR-10 archive could not be downloaded:\n" + "\n".join(reasons) + "\n"
            f"Check the network and the address, and run this again. {kept if size else ''}"
            f"You can also get {ARCHIVE_NAME} in another way and install it with --from FILE, name "
            f"other addresses in {MIRRORS_VARIABLE}, or draw a stand-in with --synthetic."
        )

    def _from_one(self, address: str) -> None:
        """Download and verify. A file put together of pieces gets a second chance in one piece."""
        print(f"Downloading {address}")
        for chance in (1, 2):
            in_pieces = self._persist(address) > 0
            digest = file_digest(self.part, "sha256")
            if digest == self.archive.sha256:
                return
            self.part.unlink()
            if not in_pieces or chance == 2:
                break
            print("The resumed file has the wrong checksum. It is downloaded afresh, from zero.")
        raise _Refused(f"sent another file: its SHA-256 is {digest}, not {self.archive.sha256}")

    def _persist(self, address: str) -> int:
        """Receive the rest, in several requests if need be; return where the last one began."""
        for attempt in range(RESUMES + 1):
            try:
                return self._receive(address)
            except _Interrupted as error:
                reason = str(error)
            if attempt < RESUMES:
                print(f"The server {reason}; trying to resume ...")
                time.sleep(RESUME_PAUSE * (1 + attempt))
        raise _Refused(f"{reason}; {RESUMES + 1} tries in a row did not complete the file")

    def _receive(self, address: str) -> int:
        """Append the answer to one request to the part file; return the byte it began at."""
        from tqdm import tqdm

        response, start = self._request(address, self._resumable())
        with contextlib.closing(response):
            whole, end = self._extent(response, start)
            head = b"" if start else self._head(response, end)
            self._check_size(whole)
            with (
                # Only now, with an archive in sight, may a good part file be overwritten.
                self.part.open("ab" if start else "wb") as file,
                tqdm(total=whole, initial=start, unit="B", unit_scale=True, file=sys.stderr) as bar,
            ):
                at = start
                for piece in chain([head], self._pieces(response, start + len(head), end)):
                    file.write(piece)
                    at += len(piece)
                    bar.update(len(piece))
        if whole is not None and at < whole:
            raise _Interrupted(f"closed the connection after {at:,} of {whole:,} bytes")
        if whole is None and at == end:
            self.part.unlink()
            raise _Refused(f"sent {at:,} bytes and no end, more than any CIFAR-10 archive has")
        return start

    def _resumable(self) -> int:
        """How many bytes of the part file a download can go on from."""
        if not self.part.exists():
            return 0
        with self.part.open("rb") as file:
            genuine = looks_like_gzip(file.read(2))
        size = self.part.stat().st_size
        return size if genuine and size < (self.archive.size or MAX_ARCHIVE_BYTES) else 0

    def _request(self, address: str, start: int) -> tuple[http.client.HTTPResponse, int]:
        """Ask for the bytes from `start`; return the answer and the byte that it begins at."""
        response = _open(address, start, self.stall)
        if start and response.status == http.HTTPStatus.PARTIAL_CONTENT:
            if (response.headers["Content-Range"] or "").startswith(f"bytes {start}-"):
                return response, start
        elif response.status == http.HTTPStatus.OK:
            return response, 0
        response.close()
        if start:  # a server that is confused by ranges, or has no such range: all of it, then
            return self._request(address, 0)
        raise _Refused(f"answered {_status(response.status)}")

    def _extent(self, response: http.client.HTTPResponse, start: int) -> tuple[int | None, int]:
        """The bytes of the whole file, None if unknown, and the byte at which this answer ends."""
        body, whole = response.length, self.archive.size
        if start:
            total = re.search(r"/(\d{1,15})$", response.headers["Content-Range"])
            whole = int(total[1]) if total else whole
        elif body is not None:
            whole = body
        most = MAX_ARCHIVE_BYTES if whole is None else whole
        return whole, most if body is None else min(start + body, most)

    def _check_size(self, whole: int | None) -> None:
        if whole is None:
            return
        if self.archive.size not in (None, whole):
            raise _Refused(
                f"offers a file of {whole:,} bytes, but the published archive has "
                f"{self.archive.size:,}; a re-encoded copy needs --accept-checksum"
            )
        if whole > MAX_ARCHIVE_BYTES:
            raise _Refused(f"offers {whole:,} bytes, far more than any CIFAR-10 archive has")

    def _head(self, response: http.client.HTTPResponse, end: int) -> bytes:
        """The first bytes of the file, once they are seen to be those of an archive."""
        head = b""
        while piece := _read(response, min(CHUNK, end - len(head)), self.stall):
            head += piece
            if len(head) >= 2:
                break
        if not head:
            raise _Interrupted("closed the connection before the first byte")
        if not looks_like_gzip(head):
            raise _Refused(
                f"sent {kind(head)} instead of an archive. Perhaps this network wants you "
                "to sign in first: open any page in a browser to see"
            )
        return head

    def _pieces(self, response: http.client.HTTPResponse, at: int, end: int) -> Iterator[bytes]:
        """The body from byte `at` of the file to `end`, or to where the server ends it."""
        since, clock = at, time.monotonic()
        while at < end and (piece := _read(response, min(CHUNK, end - at), self.stall)):
            yield piece
            at += len(piece)
            if time.monotonic() - clock >= self.stall:
                if at - since < SLOWEST * self.stall:
                    raise _Interrupted(f"sends next to nothing ({at - since:,} bytes lately)")
                since, clock = at, time.monotonic()


def _open(address: str, start: int, stall: float) -> http.client.HTTPResponse:
    """Send the request. Any status but an outright refusal is an answer for the caller to judge."""
    request = urllib.request.Request(address, headers={"User-Agent": "gradkit"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    opener = urllib.request.OpenerDirector()  # unlike urlopen: no ftp, no files, by no redirect
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    try:
        return cast(http.client.HTTPResponse, opener.open(request, timeout=stall))
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
            return _open(address, 0, stall)
        elsewhere = " (a redirection that leads nowhere)" if error.code < 400 else ""
        raise _Refused(f"answered {_status(error.code)}{elsewhere}") from error
    except urllib.error.URLError as error:
        raise _Refused(_no_connection(error.reason, stall)) from error
    except TimeoutError as error:
        raise _Interrupted(f"sent nothing for {stall:g} seconds") from error
    except (http.client.InvalidURL, ValueError) as error:
        raise _Refused(f"is not a usable address ({error})") from error
    except OSError as error:
        raise _Interrupted(f"cut off the connection ({_short(error)})") from error
    except http.client.HTTPException as error:
        raise _Refused(f"gave an answer that is not HTTP ({_short(error)})") from error


def _read(response: http.client.HTTPResponse, most: int, stall: float) -> bytes:
    """What has arrived, at most `most` bytes; nothing at the end of the body."""
    try:
        return response.read1(most)
    except TimeoutError as error:
        raise _Interrupted(f"sent nothing for {stall:g} seconds") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _Interrupted(f"cut off the connection ({_short(error)})") from error


def _short(error: Exception) -> str:
    """The text of an HTTPException may be whatever the server sent: only its name is shown."""
    return getattr(error, "strerror", None) or type(error).__name__


def _no_connection(reason: object, stall: float) -> str:
    if isinstance(reason, socket.gaierror):
        return "its name was not found: there is no network, or the address is mistyped"
    if isinstance(reason, ConnectionRefusedError):
        return "refused the connection"
    if isinstance(reason, TimeoutError):
        return f"did not answer within {stall:g} seconds"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return (
            f"has a certificate that could not be verified ({reason.verify_message}). With Python "
            "from python.org on macOS, run its 'Install Certificates.command' first"
        )
    return f"could not be reached ({reason})"


def _status(code: int) -> str:
    return f"{code} {http.client.responses.get(code, '')}".rstrip()
