"""Download the CIFAR-10 archive into a partial file, which outlives the run and is resumed.

Tries each address in turn, each several times, until the SHA-256 is right. Redirects, proxies and
certificates are the standard library's business.
"""

import contextlib
import http.client
import itertools
import os
import re
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from assignment.cifar10.archive import (
    ARCHIVE_NAME,
    CHUNK,
    MAX_BYTES,
    Archive,
    DataError,
    file_digest,
)

PUBLISHED_ADDRESS = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE_NAME}"
MIRRORS_VARIABLE = "CIFAR10_MIRRORS"

STALL_TIMEOUT = 30.0  # seconds without a byte
TRIES = 5  # requests per address and run
RETRY_PAUSE = 1.0  # seconds before the second try; then twice, three times as long ...
GZIP_MAGIC = b"\x1f\x8b"


class _Refused(Exception):
    """An address that does not give the archive; the message gives the reason."""


class _Interrupted(Exception):
    """A request worth another try; the message gives the problem."""


def download(part: Path, archive: Archive) -> None:
    """Download `archive` into `part`, going on from what `part` holds of it.

    Tries the addresses in CIFAR10_MIRRORS, or else the published one. Raises DataError, with the
    problem of each, if they all fail.
    """
    if part.exists() and file_digest(part, "sha256") == archive.sha256:
        return  # the last run ended after the last byte
    problems = ""
    for mirror in os.environ.get(MIRRORS_VARIABLE, "").split() or [PUBLISHED_ADDRESS]:
        address = mirror + ARCHIVE_NAME if mirror.endswith("/") else mirror
        print(f"Downloading {address}")
        try:
            _download_from(address, part, archive)
            return
        except _Refused as problem:
            problems += f"  {address}\n    {problem}\n"
    raise DataError(
        f"The CIFAR-10 archive could not be downloaded:\n{problems}Check the network and the "
        "address, and run this again: it goes on from what was downloaded. You can also get "
        f"{ARCHIVE_NAME} in another way and install it with --from FILE, name other addresses in "
        f"{MIRRORS_VARIABLE}, or draw a stand-in with --synthetic."
    )


def _download_from(address: str, part: Path, archive: Archive) -> None:
    """Download and verify, in at most TRIES requests. Raises _Refused."""
    if not re.match("https?://[^/]", address):
        raise _Refused("is not an http:// or https:// address")
    for attempt in range(1, TRIES + 1):
        try:
            start = _receive(address, part, archive)
            sha256 = file_digest(part, "sha256")
            if sha256 == archive.sha256:
                return
            part.unlink()
            problem = f"sent another file: its SHA-256 is {sha256}, not {archive.sha256}"
            if start == 0:  # else the part that was resumed may have been of another file
                raise _Refused(problem)
        except _Interrupted as interruption:
            problem = str(interruption)
        if attempt < TRIES:
            print(f"The server {problem}; trying again ...")
            time.sleep(RETRY_PAUSE * attempt)
    raise _Refused(f"{problem}; {TRIES} tries did not complete the file")


def _receive(address: str, part: Path, archive: Archive) -> int:
    """Append the answer to one request to `part`; return the byte of the file it began at."""
    from tqdm import tqdm

    with _network_problems():
        response, start = _request(address, part.stat().st_size if part.exists() else 0)
    with contextlib.closing(response):
        size = archive.size if response.length is None else start + response.length
        pieces = _pieces(response, max((size or MAX_BYTES) - start, 0))
        head = next(pieces, b"")
        if start == 0 and not head:
            raise _Interrupted("closed the connection before the first byte")
        if start == 0 and head != GZIP_MAGIC:
            raise _Refused(
                "sent something other than an archive. Perhaps this network wants you to sign in "
                "first: open any page in a browser to see"
            )
        if size is not None and (size > MAX_BYTES or archive.size not in (None, size)):
            raise _Refused(
                f"offers a file of {size:,} bytes, which is not the size of the expected archive; "
                "a re-encoded copy needs --accept-checksum"
            )
        with (
            # Opened only now, so that a web page does not overwrite a good part of an archive.
            part.open("ab" if start else "wb") as file,
            tqdm(total=size, initial=start, unit="B", unit_scale=True, file=sys.stderr) as bar,
        ):
            for piece in itertools.chain([head], pieces):
                bar.update(file.write(piece))
    received = part.stat().st_size
    if size is not None and received < size:
        raise _Interrupted(f"closed the connection after {received:,} of {size:,} bytes")
    return start


def _request(address: str, start: int) -> tuple[http.client.HTTPResponse, int]:
    """Request the file from byte `start`; return the response, and the byte it begins at."""
    ranges = {"Range": f"bytes={start}-"} if start else {}
    request = urllib.request.Request(address, headers={"User-Agent": "gradkit"} | ranges)
    try:
        response = urllib.request.urlopen(request, timeout=STALL_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        response = error
    if response.status == http.HTTPStatus.OK:
        return response, 0
    if start and (response.headers["Content-Range"] or "").startswith(f"bytes {start}-"):
        return response, start
    response.close()
    if start == 0:
        raise _Refused(f"answered with status {response.status}, not with the file")
    return _request(address, 0)


def _pieces(response: http.client.HTTPResponse, limit: int) -> Iterator[bytes]:
    """Yield the first two bytes of the body, then whatever arrives, up to `limit` bytes."""
    with _network_problems():
        piece = response.read(min(len(GZIP_MAGIC), limit))
        while piece:
            yield piece
            limit -= len(piece)
            piece = response.read1(min(CHUNK, limit))


@contextlib.contextmanager
def _network_problems() -> Iterator[None]:
    """Raise _Refused or _Interrupted, with a sentence, in place of errors of the network."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        phrase = http.client.responses.get(error.code, "")  # not the server's own text
        raise _Refused(f"answered {error.code} {phrase}".rstrip()) from error
    except urllib.error.URLError as error:
        problem = f"could not be reached ({error.reason})"
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            problem += ". With Python from python.org on macOS, run its 'Install Certificates"
            problem += ".command' first"
        raise _Refused(problem) from error
    except TimeoutError as error:
        raise _Interrupted(f"sent nothing for {STALL_TIMEOUT:g} seconds") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise _Interrupted(f"cut off the connection ({reason})") from error
    except (http.client.HTTPException, ValueError) as error:
        # Without its text, which may be whatever the server sent.
        raise _Interrupted(f"gave no usable answer ({type(error).__name__})") from error
