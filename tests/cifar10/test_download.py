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
from tests.cifar10.bad_server import (
    Answer,
    BadServer,
    endless,
    gibberish,
    refuse,
    serve,
    silence,
    stall_after,
    unsatisfiable,
    without_length,
    wrong_range,
)
from tests.cifar10.conftest import NO_SERVER

STALL = 0.05  # seconds
LIMIT = 300_000  # bytes of an archive
CUT = sha256(b"\x1f\x8b" + bytes(LIMIT - 2))  # of a body without end

Mirror = Callable[..., BadServer]


@pytest.fixture
def part(datasets: Path) -> Path:
    """What an earlier run has downloaded: 30,000 bytes."""
    path = datasets / PART
    path.write_bytes(PACKED[:30_000])
    return path


# --- servers from which the archive can be had ---------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "archive"),
    [
        (serve(PACKED), ARCHIVE),
        (without_length(PACKED), ARCHIVE),
        (without_length(PACKED + bytes(1000)), Archive(ARCHIVE.sha256, size=len(PACKED))),
        (serve(PACKED + bytes(1000), length=len(PACKED)), ARCHIVE),
    ],
    ids=["good", "without a length", "too long for the known size", "longer than announced"],
)
def test_a_download_is_verified_and_unpacked(
    answer: Answer,
    archive: Archive,
    datasets: Path,
    mirror: Mirror,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mirror(answer)
    fetch(datasets, archive)
    assert_installed(datasets)
    assert "B/s" in capsys.readouterr().err, "progress, in bytes"


@pytest.mark.parametrize(
    ("answers", "ranges"),
    [
        ([serve(PACKED)], ["bytes=30000-"]),
        ([serve(PACKED, count=5000), serve(PACKED)], ["bytes=30000-", "bytes=35000-"]),
        ([serve(PACKED, ranges=False)], ["bytes=30000-"]),
        ([unsatisfiable(PACKED)], ["bytes=30000-", None]),
        ([wrong_range(PACKED)], ["bytes=30000-", None]),
    ],
    ids=["good", "cut off", "ignores ranges", "refuses ranges", "confuses ranges"],
)
def test_a_part_is_resumed_where_the_server_can(
    answers: list[Answer], ranges: list[str | None], datasets: Path, part: Path, mirror: Mirror
) -> None:
    server = mirror(*answers)
    fetch(datasets)
    assert server.ranges == ranges
    assert_installed(datasets)


@pytest.mark.parametrize("data", [b"\x1f\x8b" + bytes(5000), b"<html>sign in", PACKED + b"?"])
def test_a_part_of_another_file_is_fetched_afresh(
    data: bytes, datasets: Path, part: Path, mirror: Mirror
) -> None:
    part.write_bytes(data)
    server = mirror(serve(PACKED))
    fetch(datasets)
    assert (server.ranges[0], server.ranges[-1]) == (f"bytes={len(data)}-", None)
    assert_installed(datasets)


def test_a_redirection_is_followed_with_the_place_to_resume_from(
    datasets: Path, part: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = mirror(serve(PACKED))
    monkeypatch.setenv("CIFAR10_MIRRORS", mirror(refuse(302, Location=target.url)).url)
    fetch(datasets)
    assert target.ranges == ["bytes=30000-"]
    assert_installed(datasets)


def test_a_stalled_download_is_interrupted_and_resumed(
    datasets: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "STALL_TIMEOUT", STALL)
    monkeypatch.setattr(download, "TRIES", 1000)  # a busy machine may be as slow as a bad server
    server = mirror(stall_after(PACKED, 20_000), serve(PACKED))
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


def test_the_next_mirror_resumes_the_download_of_the_one_before(
    datasets: Path, mirror: Mirror
) -> None:
    mirror(refuse(404))
    mirror(serve(PACKED, count=20_000), refuse(500))
    last = mirror(serve(PACKED))
    fetch(datasets)
    assert last.ranges == ["bytes=20000-"]
    assert_installed(datasets)


def test_an_address_that_ends_in_a_slash_is_a_folder_with_the_archive(
    datasets: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = mirror(serve(PACKED)).url.removesuffix("cifar-10-python.tar.gz")
    monkeypatch.setenv("CIFAR10_MIRRORS", f" {folder}a/\n\t")
    fetch(datasets)
    assert_installed(datasets)


# --- servers that have something else ------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (refuse(200), "sent something other than an archive. Perhaps this network wants you to"),
        (serve(b"\x7fELF" + bytes(100), ranges=False), "sent something other than an archive"),
        (refuse(403), "answered 403 Forbidden"),
        (refuse(404), "answered 404 Not Found"),
        (refuse(500), "answered 500 Internal Server Error"),
        (refuse(204), "answered with status 204"),
        (refuse(302, Location="file:///etc/passwd"), "answered 302 Found"),
        (refuse(302, Location="nowhere:x"), "answered 302 Found"),
        (refuse(302, Location="ftp://127.0.0.1:9/x"), "could not be reached"),
        (serve(PACKED, ranges=False, length=10**12), "offers a file of 1,000,000,000,000 bytes"),
        (serve(PACKED[:-1]), f"offers a file of {len(PACKED) - 1:,} bytes, which is not the size"),
    ],
)
def test_a_wrong_answer_is_final_and_spares_the_part(
    answer: Answer, sentence: str, datasets: Path, part: Path, mirror: Mirror
) -> None:
    server = mirror(answer)
    message = failure(datasets, Archive(ARCHIVE.sha256, size=len(PACKED)))
    assert sentence in message
    assert "it goes on from what was downloaded" in message
    assert server.ranges in (["bytes=30000-"], ["bytes=30000-", None])


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (silence, f"sent nothing for {STALL:g} seconds; 5 tries did not complete the file"),
        (gibberish, "gave no usable answer (BadStatusLine)"),  # without the server's own text
        (serve(b"", length=len(PACKED)), "closed the connection before the first byte"),
        (refuse(302, Location="/cifar-10-python.tar.gz"), "answered 302 Found"),
        (endless, f"its SHA-256 is {CUT}"),
    ],
    ids=["silence", "gibberish", "nothing", "redirection in a circle", "endless"],
)
def test_a_server_that_never_ends_well_is_given_up(
    answer: Answer,
    sentence: str,
    datasets: Path,
    mirror: Mirror,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(download, "STALL_TIMEOUT", STALL)
    monkeypatch.setattr(download, "MAX_BYTES", LIMIT)
    mirror(answer)
    assert sentence in failure(datasets)


@pytest.mark.parametrize(
    ("data", "expected", "sentence"),
    [
        (pack({"data_batch_1": b"other"}), ARCHIVE, "sent another file: its SHA-256 is "),
        (pack({"../up": b""}), None, "leads outside"),
    ],
    ids=["other", "hostile"],
)
def test_another_archive_is_refused_at_once_and_not_kept(
    data: bytes, expected: Archive | None, sentence: str, datasets: Path, mirror: Mirror
) -> None:
    server = mirror(serve(data))
    assert sentence in failure(datasets, expected or Archive(sha256(data)))
    assert len(server.ranges) == 1


# --- no server at all ----------------------------------------------------------------------------


def test_the_problem_of_each_mirror_is_listed_with_other_ways(
    datasets: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_resolve = socket.getaddrinfo

    def resolve(host: str, *args: Any, **keywords: Any) -> Any:
        if host == "name.invalid":  # a real query would leave this computer
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real_resolve(host, *args, **keywords)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    server = mirror(refuse(404)).url
    problems = {
        server: "answered 404 Not Found",
        f"{NO_SERVER}x": "Connection refused",
        server.replace("http://", "https://"): "could not be reached",
        "http://name.invalid/x": "Name or service not known",
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
