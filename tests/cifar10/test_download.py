"""Downloads from servers that break off, stall, or have something else.

The servers are on loopback. In every test that fails on purpose, the datasets folder must be
afterwards what it was before, byte for byte.
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
    archive_of,
    assert_installed,
    failure,
    fetch,
    half_install,
    pack,
    sha256,
    snapshot,
)
from tests.cifar10.bad_server import (
    Answer,
    BadServer,
    cut_after,
    endless,
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

Mirrors = Callable[..., None]


def begin_part(datasets: Path, data: bytes = PACKED[:30_000]) -> None:
    (datasets / PART).write_bytes(data)


# --- a good server -------------------------------------------------------------------------------


def test_a_download_is_verified_and_unpacked(
    datasets: Path, mirrors: Mirrors, capsys: pytest.CaptureFixture[str]
) -> None:
    with BadServer(serve(PACKED)) as server:
        mirrors(server)
        fetch(datasets)
    assert_installed(datasets)
    printed = capsys.readouterr()
    assert "CIFAR-10 is installed in" in printed.out
    assert "B/s" in printed.err, "progress, in bytes"


@pytest.mark.parametrize(
    ("answer", "archive"),
    [
        (without_length(PACKED), ARCHIVE),
        (without_length(PACKED + bytes(1000)), Archive(ARCHIVE.sha256, size=len(PACKED))),
        (serve(PACKED + bytes(1000), length=len(PACKED)), ARCHIVE),
    ],
    ids=["without a length", "too long for the known size", "longer than announced"],
)
def test_an_odd_length_does_no_harm(
    answer: Answer, archive: Archive, datasets: Path, mirrors: Mirrors
) -> None:
    with BadServer(answer) as server:
        mirrors(server)
        fetch(datasets, archive)
    assert_installed(datasets)


def test_a_redirection_is_followed_with_the_place_to_resume_from(
    datasets: Path, mirrors: Mirrors
) -> None:
    begin_part(datasets)
    with (
        BadServer(serve(PACKED)) as target,
        BadServer(refuse(302, Location=target.url)) as server,
    ):
        mirrors(server)
        fetch(datasets)
        assert target.ranges == ["bytes=30000-"]
    assert_installed(datasets)


@pytest.mark.parametrize(
    ("variable", "addresses"),
    [
        (
            " http://127.0.0.1/a/\n\thttps://127.0.0.1/b ",
            ["http://127.0.0.1/a/cifar-10-python.tar.gz", "https://127.0.0.1/b"],
        ),
        ("  ", ["https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"]),
    ],
)
def test_mirrors_replace_the_published_address(
    variable: str, addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIFAR10_MIRRORS", variable)
    assert download.mirrors() == addresses


# --- servers that break off ----------------------------------------------------------------------


def test_a_cut_off_download_resumes_where_it_stopped(datasets: Path, mirrors: Mirrors) -> None:
    with BadServer(cut_after(PACKED, 20_000), serve(PACKED)) as server:
        mirrors(server)
        fetch(datasets)
        assert server.ranges == [None, "bytes=20000-"]
    assert_installed(datasets)


def test_a_stalled_download_is_interrupted_and_resumed(
    datasets: Path, mirrors: Mirrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "STALL_TIMEOUT", STALL)
    monkeypatch.setattr(download, "TRIES", 1000)  # a busy machine may be as slow as a bad server
    with BadServer(stall_after(PACKED, 20_000), serve(PACKED)) as server:
        mirrors(server)
        fetch(datasets)
        assert len(server.ranges) >= 2
    assert_installed(datasets)


def test_a_download_that_is_always_cut_off_is_kept_for_the_next_run(
    datasets: Path, mirrors: Mirrors
) -> None:
    half_install(datasets)
    before = snapshot(datasets)
    with BadServer(cut_after(PACKED, 5000)) as server:
        mirrors(server)
        with pytest.raises(DataError) as caught:
            fetch(datasets)
    assert "closed the connection after 25,000 of" in str(caught.value)
    assert "5 tries" in str(caught.value)
    assert "25,000 bytes fetched so far are kept" in str(caught.value)
    assert snapshot(datasets) == before | {PART: PACKED[:25_000]}
    with BadServer(serve(PACKED)) as server:
        mirrors(server)
        fetch(datasets)
        assert server.ranges == ["bytes=25000-"]
    assert_installed(datasets)


def test_a_silent_server_is_given_up(
    datasets: Path, mirrors: Mirrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "STALL_TIMEOUT", STALL)
    with BadServer(silence) as server:
        mirrors(server)
        assert f"sent nothing for {STALL:g} seconds" in failure(datasets)


@pytest.mark.parametrize(
    ("answer", "requests"),
    [
        (serve(PACKED, ranges=False), ["bytes=30000-"]),
        (unsatisfiable(PACKED), ["bytes=30000-", None]),
        (wrong_range(PACKED), ["bytes=30000-", None]),
    ],
    ids=["ignores", "refuses", "confuses"],
)
def test_a_server_without_ranges_is_read_from_the_first_byte(
    answer: Answer, requests: list[str | None], datasets: Path, mirrors: Mirrors
) -> None:
    begin_part(datasets)
    with BadServer(answer) as server:
        mirrors(server)
        fetch(datasets)
        assert server.ranges == requests
    assert_installed(datasets)


@pytest.mark.parametrize("part", [b"\x1f\x8b" + bytes(5000), b"<html>sign in", PACKED + b"?"])
def test_a_part_of_another_file_is_fetched_afresh(
    part: bytes, datasets: Path, mirrors: Mirrors
) -> None:
    begin_part(datasets, part)
    with BadServer(serve(PACKED)) as server:
        mirrors(server)
        fetch(datasets)
        assert server.ranges[0] == f"bytes={len(part)}-"
        assert server.ranges[-1] is None
    assert_installed(datasets)


def test_a_complete_part_needs_no_server(datasets: Path) -> None:
    begin_part(datasets, PACKED)
    fetch(datasets)
    assert_installed(datasets)


# --- servers that have something else ------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (refuse(200), "sent a web page instead of an archive. Perhaps this network wants you to"),
        (
            serve(b"\x7fELF" + bytes(100), ranges=False),
            "sent another kind of file instead of an archive",
        ),
        (refuse(403), "answered 403 Forbidden"),
        (refuse(404), "answered 404 Not Found"),
        (refuse(500), "answered 500 Internal Server Error"),
        (refuse(204), "answered with status 204"),
        (refuse(302, Location="file:///etc/passwd"), "answered 302 Found (a redirection that"),
        (refuse(302, Location="nowhere:x"), "answered 302 Found (a redirection that leads nowhere"),
        (refuse(302, Location="ftp://127.0.0.1:9/x"), "could not be reached"),
        (serve(PACKED, ranges=False, length=10**12), "offers 1,000,000,000,000 bytes"),
    ],
)
def test_a_wrong_answer_is_final_and_spares_the_part(
    answer: Answer, sentence: str, datasets: Path, mirrors: Mirrors
) -> None:
    begin_part(datasets)
    with BadServer(answer) as server:
        mirrors(server)
        message = failure(datasets)
        assert set(server.ranges) <= {"bytes=30000-", None}
        assert len(server.ranges) <= 2, "the second without a range"
    assert sentence in message
    assert "30,000 bytes fetched so far are kept" in message


def test_a_redirection_in_a_circle_ends(datasets: Path, mirrors: Mirrors) -> None:
    with BadServer(refuse(302, Location="/cifar-10-python.tar.gz")) as server:
        mirrors(server)
        assert "answered 302 Found (a redirection that leads nowhere)" in failure(datasets)


def test_another_archive_is_refused_at_once_and_not_kept(datasets: Path, mirrors: Mirrors) -> None:
    other = pack({"data_batch_1": b"other"})
    with BadServer(serve(other)) as server:
        mirrors(server)
        message = failure(datasets)
        assert len(server.ranges) == 1
    assert f"sent another file: its SHA-256 is {sha256(other)}, not {ARCHIVE.sha256}" in message


@pytest.mark.parametrize("part", [b"", PACKED[:1000]])
def test_a_size_that_contradicts_the_published_one_is_refused_early(
    part: bytes, datasets: Path, mirrors: Mirrors
) -> None:
    if part:
        begin_part(datasets, part)
    with BadServer(serve(PACKED)) as server:
        mirrors(server)
        message = failure(datasets, Archive(ARCHIVE.sha256, size=123_456))
        assert len(server.ranges) == 1
    assert f"a file of {len(PACKED):,} bytes, but the published archive has 123,456" in message


def test_a_body_without_an_end_is_cut_at_the_limit(
    datasets: Path, mirrors: Mirrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MAX_ARCHIVE_BYTES", 300_000)
    with BadServer(endless) as server:
        mirrors(server)
        cut = sha256(b"\x1f\x8b" + bytes(299_998))
        assert f"sent another file: its SHA-256 is {cut}" in failure(datasets)


def test_a_downloaded_archive_that_is_hostile_is_not_kept(datasets: Path, mirrors: Mirrors) -> None:
    data = pack({"../escaped": b""})
    with BadServer(serve(data)) as server:
        mirrors(server)
        assert "leads out" in failure(datasets, archive_of(data))


# --- no server at all ----------------------------------------------------------------------------


def test_a_refused_connection_is_reported_with_other_ways(datasets: Path) -> None:
    message = failure(datasets)
    assert "Connection refused" in message
    assert all(hint in message for hint in ("--from FILE", "CIFAR10_MIRRORS", "--synthetic"))


def test_a_name_that_is_not_found_is_reported(
    datasets: Path, mirrors: Mirrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(*args: Any, **keywords: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)  # a real query would leave this computer
    mirrors("http://name.invalid/")
    assert "Name or service not known" in failure(datasets)


def test_gibberish_is_reported_but_not_printed(datasets: Path, mirrors: Mirrors) -> None:
    def gibberish(handler: Any) -> None:
        handler.wfile.write(b"220 \x1b[31mmail server ready\r\n")

    with BadServer(gibberish) as server:
        mirrors(server)
        assert "gave no usable answer (BadStatusLine)" in failure(datasets)


def test_a_plain_server_at_an_https_address_is_reported(datasets: Path, mirrors: Mirrors) -> None:
    with BadServer(serve(PACKED)) as server:
        mirrors(server.url.replace("http://", "https://"))
        assert "could not be reached" in failure(datasets)


def test_the_next_mirror_resumes_the_download_of_the_one_before(
    datasets: Path, mirrors: Mirrors
) -> None:
    with (
        BadServer(refuse(404)) as first,
        BadServer(cut_after(PACKED, 20_000), refuse(500)) as second,
        BadServer(serve(PACKED)) as third,
    ):
        mirrors(first, second, third)
        fetch(datasets)
        assert third.ranges == ["bytes=20000-"]
    assert_installed(datasets)


def test_the_problem_of_each_mirror_is_listed(datasets: Path, mirrors: Mirrors) -> None:
    with BadServer(refuse(404)) as missing, BadServer(refuse(200)) as portal:
        mirrors(missing, f"{NO_SERVER}x", portal)
        message = failure(datasets)
    for url, problem in (
        (missing.url, "answered 404"),
        (f"{NO_SERVER}x", "refused"),
        (portal.url, "sent a web page"),
    ):
        assert problem in message.split(url)[1].splitlines()[1]


@pytest.mark.parametrize(
    "mirror", ["ftp://127.0.0.1/x", "file:///etc/passwd", "127.0.0.1", "http://"]
)
def test_a_mirror_that_is_not_a_web_address_is_refused_before_any_request(
    mirror: str, datasets: Path, mirrors: Mirrors
) -> None:
    with BadServer(serve(PACKED)) as server:
        mirrors(server, mirror)
        message = failure(datasets)
        assert server.ranges == []
    assert f"names '{mirror}', which is not an http:// or https:// address" in message


@pytest.mark.parametrize("mirror", ["http://127.0.0.1:x/", "http://[127.0.0.1/"])
def test_an_address_that_cannot_be_used_is_reported(
    mirror: str, datasets: Path, mirrors: Mirrors
) -> None:
    mirrors(mirror)
    assert "gave no usable answer" in failure(datasets)
