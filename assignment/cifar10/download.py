"""Download the CIFAR-10 archive into a partial file, which outlives the run and is resumed.

    mirrors     CIFAR10_MIRRORS, or else the published address
    download    try each address in turn, each several times; verify the SHA-256

Redirects, proxies and certificates are the standard library's business.
"""

import contextlib
import http.client
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
    GZIP_MAGIC,
    MAX_ARCHIVE_BYTES,
    Archive,
    DataError,
    file_digest,
    file_kind,
)

PUBLISHED_ADDRESS = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE_NAME}"
MIRRORS_VARIABLE = "CIFAR10_MIRRORS"

STALL_TIMEOUT = 30.0  # seconds without a byte
TRIES = 5  # requests per address and run
RETRY_PAUSE = 1.0  # seconds before the second try; then twice, three times as long ...
CERTIFICATES_HELP = (
    ". With Python from python.org on macOS, run its 'Install Certificates.command' first"
)


class _Refused(Exception):
    """An address that will not give the archive; the text says why."""


class _Interrupted(Exception):
    """A request worth another try; the text says what went wrong."""


def mirrors() -> list[str]:
    """Return the addresses of the archive: CIFAR10_MIRRORS, or else the published one.

    Raises DataError for a mirror that is not an http or https address.
    """
    addresses = os.environ.get(MIRRORS_VARIABLE, "").split()
    for address in addresses:
        if not re.match("https?://[^/]", address):
            raise DataError(
                f"{MIRRORS_VARIABLE} names {address!r}, which is not an http:// or https:// "
                "address. Correct the variable, or unset it to use the published address."
            )
    named = [address + ARCHIVE_NAME if address.endswith("/") else address for address in addresses]
    return named or [PUBLISHED_ADDRESS]


def download(part: Path, archive: Archive) -> None:
    """Download `archive` into `part`, going on from what `part` holds of it.

    Raises DataError, with the problem of each address, if none gives the archive.
    """
    addresses = mirrors()
    if part.exists() and file_digest(part, "sha256") == archive.sha256:
        return  # the last run was killed, or out of disk space, after the last byte
    problems = []
    for address in addresses:
        print(f"Downloading {address}")
        try:
            _download_from(address, part, archive)
            return
        except _Refused as problem:
            problems.append(f"  {address}\n    {problem}")
    size = part.stat().st_size if part.exists() else 0
    kept = f"The {size:,} bytes fetched so far are kept, and the next run goes on from there. "
    raise DataError(
        "The CIFAR-10 archive could not be downloaded:\n" + "\n".join(problems) + "\n"
        f"Check the network and the address, and run this again. {kept if size else ''}"
        f"You can also get {ARCHIVE_NAME} in another way and install it with --from FILE, name "
        f"other addresses in {MIRRORS_VARIABLE}, or draw a stand-in with --synthetic."
    )


def _download_from(address: str, part: Path, archive: Archive) -> None:
    """Download and verify, in at most TRIES requests. Raises _Refused."""
    for attempt in range(1, TRIES + 1):
        try:
            start = _receive(address, part, archive)
            _verify(part, archive, resumed=start > 0)
            return
        except _Interrupted as interruption:
            problem = str(interruption)
        if attempt < TRIES:
            print(f"The server {problem}; trying again ...")
            time.sleep(RETRY_PAUSE * attempt)
    raise _Refused(f"{problem}; {TRIES} tries did not complete the file")


def _verify(part: Path, archive: Archive, resumed: bool) -> None:
    """Remove `part` and raise unless its checksum is right; once resumed, it is worth a retry."""
    sha256 = file_digest(part, "sha256")
    if sha256 != archive.sha256:
        part.unlink()
        problem = f"sent another file: its SHA-256 is {sha256}, not {archive.sha256}"
        raise _Interrupted(problem) if resumed else _Refused(problem)


def _receive(address: str, part: Path, archive: Archive) -> int:
    """Append the answer to one request to `part`; return the byte of the file it began at."""
    from tqdm import tqdm

    with _network_problems():
        response, start = _request(address, part.stat().st_size if part.exists() else 0)
    with contextlib.closing(response):
        size = archive.size if response.length is None else start + response.length
        head = b"" if start else _archive_head(response)
        _check_size(size, archive)
        limit = size or MAX_ARCHIVE_BYTES
        received = start
        with (
            # Opened only now, so that a web page does not overwrite a good part of an archive.
            part.open("ab" if start else "wb") as file,
            tqdm(total=size, initial=start, unit="B", unit_scale=True, file=sys.stderr) as bar,
        ):
            piece = head or _read(response, limit - received)
            while piece:
                file.write(piece)
                received += len(piece)
                bar.update(len(piece))
                piece = _read(response, limit - received)
    if size is not None and received < size:
        raise _Interrupted(f"closed the connection after {received:,} of {size:,} bytes")
    return start


def _request(address: str, start: int) -> tuple[http.client.HTTPResponse, int]:
    """Request the file from byte `start`, or all of it where the server cannot do that.

    Returns the response and the byte of the file that it begins at.
    """
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


def _read(response: http.client.HTTPResponse, limit: int) -> bytes:
    """Return what has arrived, at most `limit` bytes; nothing at the end of the body."""
    with _network_problems():
        return response.read1(min(CHUNK, limit)) if limit > 0 else b""


def _archive_head(response: http.client.HTTPResponse) -> bytes:
    """Return the first bytes of the file. Raises _Refused unless an archive begins so."""
    with _network_problems():
        head = response.read(len(GZIP_MAGIC))
        if head == GZIP_MAGIC:
            return head
        if not head:
            raise _Interrupted("closed the connection before the first byte")
        kind = file_kind(head + response.read1(100))
    raise _Refused(
        f"sent {kind} instead of an archive. Perhaps this network wants you to sign in first: open "
        "any page in a browser to see"
    )


def _check_size(size: int | None, archive: Archive) -> None:
    if size is not None and archive.size not in (None, size):
        raise _Refused(
            f"offers a file of {size:,} bytes, but the published archive has {archive.size:,}; "
            "a re-encoded copy needs --accept-checksum"
        )
    if size is not None and size > MAX_ARCHIVE_BYTES:
        raise _Refused(f"offers {size:,} bytes, far more than any CIFAR-10 archive has")


@contextlib.contextmanager
def _network_problems() -> Iterator[None]:
    """Raise _Refused or _Interrupted, with a sentence, in place of errors of the network."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        status = f"{error.code} {http.client.responses.get(error.code, '')}".rstrip()
        elsewhere = " (a redirection that leads nowhere)" if error.code < 400 else ""
        raise _Refused(f"answered {status}{elsewhere}") from error
    except urllib.error.URLError as error:
        untrusted = isinstance(error.reason, ssl.SSLCertVerificationError)
        hint = CERTIFICATES_HELP if untrusted else ""
        raise _Refused(f"could not be reached ({error.reason}){hint}") from error
    except TimeoutError as error:
        raise _Interrupted(f"sent nothing for {STALL_TIMEOUT:g} seconds") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise _Interrupted(f"cut off the connection ({reason})") from error
    except (http.client.HTTPException, ValueError) as error:
        # Without its text, which may be whatever the server sent.
        raise _Interrupted(f"gave no usable answer ({type(error).__name__})") from error
