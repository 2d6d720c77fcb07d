"""Downloads from servers that break off, stall, or have something else.

In every test that fails on purpose, the datasets folder must be afterwards what it was before.
"""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assignment.cifar10 import download
from assignment.cifar10.archive import Archive, DataError
from tests.cifar10.archives import (
    ARCHIVE,
    PACKED,
    PART,
    assert_installed,
    failure,
    fetch,
    pack,
    sha256,
    snapshot,
)
from tests.cifar10.bad_server import Answer, BadServer, reply, serve
from tests.cifar10.conftest import NO_SERVER

SIZED = Archive(ARCHIVE.sha256, size=len(PACKED))
STALL = 0.05  # seconds
LIMIT = 300_000  # bytes of an archive
ENDLESS = b"\x1f\x8b" + bytes(10 * LIMIT)

Mirror = Callable[..., BadServer]
Capture = pytest.CaptureFixture[str]


# --- servers from which the archive can be had ---------------------------------------------------

TOO_FAR = f"bytes={len(PACKED) + 99}-"
OTHER_RANGE = reply(206, Content_Range="bytes 7-21/9999")
RESUMED = {
    "a good server": (b"", [serve(PACKED)], [None]),
    "without a length": (b"", [reply(200, PACKED + bytes(99), sized=False)], [None]),
    "longer than announced": (b"", [serve(PACKED + bytes(99), length=len(PACKED))], [None]),
    "cut off": (b"", [serve(PACKED, count=20_000), serve(PACKED)], [None, "bytes=20000-"]),
    "a part": (PACKED[:30_000], [serve(PACKED)], ["bytes=30000-"]),
    "ignores ranges": (PACKED[:30_000], [serve(PACKED, ranges=False)], ["bytes=30000-"]),
    "refuses ranges": (PACKED[:30_000], [reply(416), serve(PACKED)], ["bytes=30000-", None]),
    "confuses ranges": (PACKED[:30_000], [OTHER_RANGE, serve(PACKED)], ["bytes=30000-", None]),
    "a part of another archive": (b"\x1f\x8b" + bytes(98), [serve(PACKED)], ["bytes=100-", None]),
    "a part of a web page": (b"<html>", [serve(PACKED)], ["bytes=6-", None]),
    "a part that is too long": (PACKED + bytes(99), [reply(416), serve(PACKED)], [TOO_FAR, None]),
    "a complete part": (PACKED, [reply(500)], []),
}


@pytest.mark.parametrize("case", RESUMED)
def test_a_download_is_resumed_verified_and_unpacked(
    case: str, datasets: Path, mirror: Mirror, capsys: Capture
) -> None:
    part, answers, ranges = RESUMED[case]
    if part:
        (datasets / PART).write_bytes(part)
    server = mirror(*answers)
    fetch(datasets, SIZED)
    assert server.ranges == ranges
    assert_installed(datasets)
    assert ("B/s" in capsys.readouterr().err) == bool(ranges), "progress, in bytes"


def test_a_stalled_download_is_interrupted_and_resumed(
    datasets: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "STALL_TIMEOUT", STALL)
    monkeypatch.setattr(download, "TRIES", 1000)  # a busy machine may be as slow as a bad server
    server = mirror(serve(PACKED, count=20_000, stall=True), serve(PACKED))
    fetch(datasets)
    assert len(server.ranges) >= 2
    assert_installed(datasets)


def test_a_download_that_is_always_cut_off_is_kept_for_the_next_run(
    datasets: Path, mirror: Mirror
) -> None:
    server = mirror(*[serve(PACKED, count=5000)] * 5, serve(PACKED))
    with pytest.raises(DataError, match=r"closed the connection after 25,000 of .*; 5 tries"):
        fetch(datasets)
    assert snapshot(datasets) == {PART: PACKED[:25_000]}
    fetch(datasets)
    assert server.ranges[-1] == "bytes=25000-"
    assert_installed(datasets)


def test_mirrors_are_tried_in_turn_and_resumed_behind_a_redirection(
    datasets: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    last = mirror(serve(PACKED))
    redirecting = mirror(reply(302, Location=last.url)).url
    mirrors = (
        mirror(reply(404)).url,
        mirror(serve(PACKED, count=20_000), reply(500)).url,
        redirecting.removesuffix("cifar-10-python.tar.gz"),  # a folder with the archive
    )
    monkeypatch.setenv("CIFAR10_MIRRORS", "\n\t ".join(mirrors))
    fetch(datasets)
    assert f"Downloading {redirecting}\n" in capsys.readouterr().out
    assert last.ranges == ["bytes=20000-"]
    assert_installed(datasets)


# --- servers that have something else ------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (reply(200), "sent something other than an archive. Perhaps this network wants you to"),
        (serve(b"\x7fELF" + bytes(100), ranges=False), "sent something other than an archive"),
        (reply(403), "answered 403 Forbidden"),
        (reply(404), "answered 404 Not Found"),
        (reply(500), "answered 500 Internal Server Error"),
        (reply(204), "answered with status 204"),
        (reply(302, Location="file:///etc/passwd"), "answered 302 Found"),
        (reply(302, Location="nowhere:x"), "answered 302 Found"),
        (reply(302, Location="ftp://127.0.0.1:9/x"), "could not be reached"),
        (serve(PACKED[:-1]), f"offers a file of {len(PACKED) - 1:,} bytes, which is not the size"),
    ],
)
def test_a_wrong_answer_is_final_and_spares_the_part(
    answer: Answer, sentence: str, datasets: Path, mirror: Mirror
) -> None:
    (datasets / PART).write_bytes(PACKED[:30_000])
    server = mirror(answer)
    message = failure(datasets, SIZED)
    assert sentence in message
    assert "it goes on from what was downloaded" in message
    assert server.ranges in (["bytes=30000-"], ["bytes=30000-", None])


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            lambda handler: handler.server.closing.wait(20),
            f"sent nothing for {STALL:g} seconds; 5 tries did not complete the file",
        ),
        (
            lambda handler: handler.wfile.write(b"220 \x1b[31mmail server ready\r\n"),
            "gave no usable answer (BadStatusLine)",  # without the server's own text
        ),
        (serve(b"", length=len(PACKED)), "closed the connection before the first byte"),
        (serve(PACKED, length=10**12), "offers a file of 1,000,000,000,000 bytes"),
        (reply(302, Location="/cifar-10-python.tar.gz"), "answered 302 Found"),
        (reply(200, ENDLESS, sized=False), f"its SHA-256 is {sha256(ENDLESS[:LIMIT])}"),
    ],
    ids=["silence", "gibberish", "nothing", "too much", "redirection in a circle", "endless"],
)
def test_a_server_that_never_ends_well_is_given_up(
    answer: Answer,
    sentence: str,
    datasets: Path,
    mirror: Mirror,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "sent nothing" in sentence:  # the other servers answer, on a busy machine late
        monkeypatch.setattr(download, "STALL_TIMEOUT", STALL)
    monkeypatch.setattr(download, "MAX_BYTES", LIMIT)
    mirror(answer)
    assert sentence in failure(datasets)


def test_another_archive_is_refused_at_once_and_not_kept(datasets: Path, mirror: Mirror) -> None:
    other = pack({"data_batch_1": b"other"})
    server = mirror(serve(other))
    assert f"sent another file: its SHA-256 is {sha256(other)}, not " in failure(datasets)
    assert len(server.ranges) == 1


# --- no server at all ----------------------------------------------------------------------------


def test_without_mirrors_the_published_address_is_tried(
    datasets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(*args: Any, **keywords: Any) -> Any:  # a real query would leave this computer
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setenv("CIFAR10_MIRRORS", "  ")
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    message = failure(datasets)
    assert "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz\n    could not be" in message
    assert "Name or service not known" in message


def test_the_problem_of_each_mirror_is_listed_with_other_ways(
    datasets: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = mirror(reply(404)).url
    problems = {
        server: "answered 404 Not Found",
        f"{NO_SERVER}x": "Connection refused",
        server.replace("http://", "https://"): "could not be reached",
        "http://127.0.0.1:x/y": "gave no usable answer",
        "http://[127.0.0.1/x": "gave no usable answer",
        "ftp://127.0.0.1/x": "is not an http:// or https:// address",
        "file:///etc/passwd": "is not an http:// or https:// address",
        "127.0.0.1": "is not an http:// or https:// address",
        "http:///x": "is not an http:// or https:// address",
    }
    monkeypatch.setenv("CIFAR10_MIRRORS", " ".join(problems))
    message = failure(datasets)
    for address, problem in problems.items():
        assert problem in message.split(f"  {address}\n")[1].splitlines()[0]
    assert all(way in message for way in ("--from FILE", "CIFAR10_MIRRORS", "--synthetic"))
