"""Fetching CIFAR-10: what it does with bad servers, bad archives, bad disks and sudden death.

The archives are small ones made here, and the servers are on loopback. In every test that fails
on purpose, the datasets folder must be afterwards what it was before, byte for byte.
"""

import errno
import hashlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest

from assignment import PROJECT
from assignment.cifar10 import archive, download, install
from assignment.cifar10.archive import (
    CIFAR10_FOLDER,
    PUBLISHED,
    PUBLISHED_MD5,
    REQUIRED,
    Archive,
    DataError,
)
from assignment.cifar10.install import (
    RECORD,
    SYNTHETIC_FOLDER,
    damage,
    install_cifar10,
    install_synthetic,
)
from tests.cifar10.bad_server import (
    BadServer,
    cut_after,
    drip_after,
    endless,
    refuse,
    serve,
    silence,
    stall_after,
    unsatisfiable,
    without_length,
    wrong_range,
)

PATIENCE = 10.0  # seconds: the stall timeout where nothing stalls, on a busy machine either
STALL = 0.25  # seconds, where something does
PART = "cifar-10-python.tar.gz.part"
POSIX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and limits")
Snapshot = dict[str, bytes | str]

FILES = {name: Random(name).randbytes(9000) for name in REQUIRED}


def pack(files: dict[str, bytes], *extra: tarfile.TarInfo) -> bytes:
    """An archive of the files in CIFAR-10's folder, and of extra members with zeros in them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{CIFAR10_FOLDER}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for member in extra:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return packed.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def archive_of(data: bytes) -> Archive:
    return Archive(sha256(data))


PACKED = pack(FILES)
ARCHIVE = archive_of(PACKED)


def snapshot(folder: Path) -> Snapshot:
    """Every name below the folder, with its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else "folder"
        for path in folder.rglob("*")
    }


def half_installed(datasets: Path) -> Path:
    """A folder in which a batch is missing: what a failed run must not touch."""
    folder = datasets / CIFAR10_FOLDER
    folder.mkdir(parents=True)
    for name in REQUIRED[1:]:
        (folder / name).write_bytes(b"old " + name.encode())
    return folder


def installed(datasets: Path) -> Snapshot:
    found = snapshot(datasets / CIFAR10_FOLDER)
    found.pop(RECORD)
    return found


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may reach anything but this computer, not even by mistake."""
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        assert address[0] == "127.0.0.1", f"a test connects to {address}"
        connect(self, address)

    def guarded_resolve(host: Any, *args: Any, **keywords: Any) -> Any:
        assert host == "127.0.0.1", f"a test looks up {host}"
        return resolve(host, *args, **keywords)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_resolve)
    monkeypatch.setattr(download, "RESUME_PAUSE", 0.01)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("CIFAR10_MIRRORS", "http://127.0.0.1:9/")


@pytest.fixture
def datasets(tmp_path: Path) -> Path:
    folder = tmp_path / "datasets"
    folder.mkdir()
    return folder


@pytest.fixture
def mirrors(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def name(*addresses: str | BadServer) -> None:
        urls = [one.url if isinstance(one, BadServer) else one for one in addresses]
        monkeypatch.setenv("CIFAR10_MIRRORS", "\n ".join(urls))

    return name


Mirrors = Callable[..., None]


def fetch(datasets: Path, archive: Archive = ARCHIVE, **options: Any) -> Path:
    return install_cifar10(datasets, archive=archive, **({"stall": PATIENCE} | options))


def failure(datasets: Path, archive: Archive = ARCHIVE, **options: Any) -> str:
    """The sentence with which an installation fails; nothing may have changed."""
    half_installed(datasets)
    before = snapshot(datasets)
    with pytest.raises(DataError) as caught:
        fetch(datasets, archive, **options)
    assert snapshot(datasets) == before
    return str(caught.value)


# --- a good server -------------------------------------------------------------------------------


def test_the_archive_is_downloaded_verified_and_unpacked(
    datasets: Path, mirrors: Mirrors, capsys: pytest.CaptureFixture[str]
) -> None:
    with BadServer(serve(PACKED)) as server:
        mirrors(server)
        assert fetch(datasets) == datasets / CIFAR10_FOLDER
    assert installed(datasets) == FILES
    assert [path.name for path in datasets.iterdir()] == [CIFAR10_FOLDER], "nothing else is left"
    assert "CIFAR-10 is installed in" in capsys.readouterr().out


def test_the_record_holds_the_checksums_of_the_archive_and_of_each_file(datasets: Path) -> None:
    fetch(datasets, source=saved(datasets.parent, PACKED))
    record = json.loads((datasets / CIFAR10_FOLDER / RECORD).read_bytes())
    md5 = {name: hashlib.md5(data).hexdigest() for name, data in FILES.items()}
    assert record == {"sha256": ARCHIVE.sha256, "md5": md5}


def test_progress_is_shown_in_bytes_on_stderr(
    datasets: Path, mirrors: Mirrors, capsys: pytest.CaptureFixture[str]
) -> None:
    with BadServer(serve(PACKED)) as server:
        mirrors(server)
        fetch(datasets)
    assert "B/s" in capsys.readouterr().err


def test_a_complete_folder_is_left_alone_without_a_single_request(
    datasets: Path, mirrors: Mirrors, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(datasets, source=saved(datasets.parent, PACKED))
    before = snapshot(datasets)
    with BadServer(refuse(500)) as server:
        mirrors(server)
        fetch(datasets)
        assert server.ranges == []
    assert snapshot(datasets) == before
    assert "already complete" in capsys.readouterr().out


def test_a_server_that_does_not_announce_a_length_is_good_enough(
    datasets: Path, mirrors: Mirrors
) -> None:
    with BadServer(without_length(PACKED)) as server:
        mirrors(server)
        fetch(datasets)
    assert installed(datasets) == FILES


def test_a_redirection_is_followed(datasets: Path, mirrors: Mirrors) -> None:
    with (
        BadServer(serve(PACKED)) as target,
        BadServer(refuse(302, Location=target.url)) as server,
    ):
        mirrors(server)
        fetch(datasets)
    assert installed(datasets) == FILES


def test_a_redirection_does_not_lose_the_place_to_resume_from(
    datasets: Path, mirrors: Mirrors
) -> None:
    (datasets / PART).write_bytes(PACKED[:30_000])
    with (
        BadServer(serve(PACKED)) as target,
        BadServer(refuse(302, Location=target.url)) as server,
    ):
        mirrors(server)
        fetch(datasets)
        assert target.ranges == ["bytes=30000-"]
    assert installed(datasets) == FILES


def test_a_mirror_that_ends_in_a_slash_gets_the_name_of_the_archive() -> None:
    found = download.addresses({"CIFAR10_MIRRORS": " http://127.0.0.1/a/\n\thttps://127.0.0.1/b "})
    assert found == ["http://127.0.0.1/a/cifar-10-python.tar.gz", "https://127.0.0.1/b"]


@pytest.mark.parametrize("environment", [{}, {"CIFAR10_MIRRORS": "  "}])
def test_without_mirrors_the_published_address_is_used(environment: dict[str, str]) -> None:
    found = download.addresses(environment)
    assert found == ["https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"]


# --- servers that break off ----------------------------------------------------------------------


def test_a_cut_off_download_resumes_where_it_stopped(datasets: Path, mirrors: Mirrors) -> None:
    with BadServer(cut_after(PACKED, 20_000), serve(PACKED)) as server:
        mirrors(server)
        fetch(datasets)
        assert server.ranges == [None, "bytes=20000-"]
    assert installed(datasets) == FILES


@pytest.mark.parametrize("stalling", [stall_after, drip_after])
def test_a_stalled_download_is_given_up_and_resumed(
    stalling: Any, datasets: Path, mirrors: Mirrors
) -> None:
    with BadServer(stalling(PACKED, 20_000), serve(PACKED)) as server:
        mirrors(server)
        fetch(datasets, stall=STALL)
        assert len(server.ranges) >= 2
        resumed = int(str(server.ranges[1]).strip("bytes=-"))
        assert 20_000 <= resumed < 20_080, "it was given up long before the server hung up"
    assert installed(datasets) == FILES


def test_a_download_that_is_always_cut_off_ends_but_is_kept_for_the_next_run(
    datasets: Path, mirrors: Mirrors
) -> None:
    half_installed(datasets)
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
        assert server.ranges == ["bytes=25000-"], "the next run goes on where the first one ended"
    assert installed(datasets) == FILES


def test_a_server_that_never_says_a_word_is_given_up(datasets: Path, mirrors: Mirrors) -> None:
    with BadServer(silence) as server:
        mirrors(server)
        assert f"sent nothing for {STALL:g} seconds" in failure(datasets, stall=STALL)


def test_a_server_that_ignores_ranges_is_read_from_the_beginning(
    datasets: Path, mirrors: Mirrors
) -> None:
    (datasets / PART).write_bytes(PACKED[:30_000])
    with BadServer(serve(PACKED, ranges=False)) as server:
        mirrors(server)
        fetch(datasets)
        assert server.ranges == ["bytes=30000-"]
    assert installed(datasets) == FILES


def test_a_good_part_is_not_thrown_away_for_a_web_page(datasets: Path, mirrors: Mirrors) -> None:
    (datasets / PART).write_bytes(PACKED[:30_000])
    with BadServer(refuse(200)) as server:
        mirrors(server)
        assert "30,000 bytes fetched so far are kept" in failure(datasets)


@pytest.mark.parametrize("answer", [unsatisfiable, wrong_range])
def test_a_server_that_is_confused_by_ranges_is_asked_for_everything(
    answer: Any, datasets: Path, mirrors: Mirrors
) -> None:
    (datasets / PART).write_bytes(PACKED[:30_000])
    with BadServer(answer(PACKED)) as server:
        mirrors(server)
        fetch(datasets)
        assert server.ranges == ["bytes=30000-", None]
    assert installed(datasets) == FILES


def test_a_resumed_file_with_a_wrong_checksum_is_fetched_once_afresh(
    datasets: Path, mirrors: Mirrors, capsys: pytest.CaptureFixture[str]
) -> None:
    (datasets / PART).write_bytes(b"\x1f\x8b" + bytes(5000))
    with BadServer(serve(PACKED)) as server:
        mirrors(server)
        fetch(datasets)
        assert server.ranges == ["bytes=5002-", None]
    assert installed(datasets) == FILES
    assert "wrong checksum" in capsys.readouterr().out


def test_a_part_that_is_no_archive_is_not_resumed(datasets: Path, mirrors: Mirrors) -> None:
    (datasets / PART).write_bytes(b"<html>sign in</html>")
    with BadServer(serve(PACKED)) as server:
        mirrors(server)
        fetch(datasets)
        assert server.ranges == [None]


def test_a_part_that_is_complete_needs_no_server(datasets: Path) -> None:
    (datasets / PART).write_bytes(PACKED)
    fetch(datasets)
    assert installed(datasets) == FILES
    assert not (datasets / PART).exists()


# --- servers that have something else ------------------------------------------------------------


def test_a_web_page_in_place_of_the_archive_is_recognised(datasets: Path, mirrors: Mirrors) -> None:
    with BadServer(refuse(200)) as server:
        mirrors(server)
        said = failure(datasets)
    assert "sent a web page instead of an archive" in said
    assert "sign in" in said


def test_anything_else_that_is_no_archive_is_recognised(datasets: Path, mirrors: Mirrors) -> None:
    with BadServer(serve(b"\x7fELF" + bytes(100))) as server:
        mirrors(server)
        assert "sent no gzip file instead of an archive" in failure(datasets)


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found", "500 Internal Server Error"])
def test_an_error_status_is_named(status: str, datasets: Path, mirrors: Mirrors) -> None:
    with BadServer(refuse(int(status[:3]))) as server:
        mirrors(server)
        assert f"answered {status}" in failure(datasets)
        assert len(server.ranges) == 1, "such an answer is final"


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1:9/x", "nowhere:x"])
def test_a_redirection_to_anything_but_the_web_is_not_followed(
    place: str, datasets: Path, mirrors: Mirrors
) -> None:
    with BadServer(refuse(302, Location=place)) as server:
        mirrors(server)
        said = failure(datasets)
    assert "redirection that leads nowhere" in said or "unknown url type: ftp" in said


def test_a_redirection_in_a_circle_ends(datasets: Path, mirrors: Mirrors) -> None:
    with BadServer(refuse(302, Location="/cifar-10-python.tar.gz")) as server:
        mirrors(server)
        assert "answered 302 Found (a redirection that leads nowhere)" in failure(datasets)


def test_another_archive_is_refused_and_not_kept(datasets: Path, mirrors: Mirrors) -> None:
    other = pack({"data_batch_1": b"other"})
    with BadServer(serve(other)) as server:
        mirrors(server)
        said = failure(datasets)
        assert len(server.ranges) == 1, "what came in one piece is not fetched twice"
    assert f"sent another file: its SHA-256 is {sha256(other)}, not {ARCHIVE.sha256}" in said


def test_a_size_that_contradicts_the_published_one_is_refused_early(
    datasets: Path, mirrors: Mirrors
) -> None:
    with BadServer(stall_after(PACKED, 2000)) as server:
        mirrors(server)
        said = failure(datasets, Archive(ARCHIVE.sha256, size=123_456))
        assert len(server.ranges) == 1
    assert f"offers a file of {len(PACKED):,} bytes, but the published archive has 123,456" in said


def test_a_resumed_size_that_contradicts_the_published_one_spares_the_part(
    datasets: Path, mirrors: Mirrors
) -> None:
    (datasets / PART).write_bytes(PACKED[:30_000])
    with BadServer(serve(PACKED)) as server:
        mirrors(server)
        said = failure(datasets, Archive(ARCHIVE.sha256, size=123_456))
    assert "offers a file of" in said


def test_a_body_longer_than_announced_is_not_read_to_its_end(
    datasets: Path, mirrors: Mirrors
) -> None:
    with BadServer(serve(PACKED + bytes(1000), length=len(PACKED))) as server:
        mirrors(server)
        fetch(datasets)
    assert installed(datasets) == FILES


def test_an_archive_of_known_size_is_not_read_beyond_it(datasets: Path, mirrors: Mirrors) -> None:
    with BadServer(without_length(PACKED + bytes(1000))) as server:
        mirrors(server)
        fetch(datasets, Archive(ARCHIVE.sha256, size=len(PACKED)))
    assert installed(datasets) == FILES


def test_a_body_without_an_end_is_cut_at_the_limit(
    datasets: Path, mirrors: Mirrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MOST_ARCHIVE_BYTES", 300_000)
    with BadServer(endless) as server:
        mirrors(server)
        assert "sent 300,000 bytes and no end" in failure(datasets)


def test_an_offer_beyond_the_limit_is_refused_early(datasets: Path, mirrors: Mirrors) -> None:
    with BadServer(serve(PACKED, length=10**12)) as server:
        mirrors(server)
        assert "offers 1,000,000,000,000 bytes" in failure(datasets)


# --- no server at all ----------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_refused_connection_is_said_with_what_to_do(datasets: Path, mirrors: Mirrors) -> None:
    mirrors(f"http://127.0.0.1:{free_port()}/")
    said = failure(datasets)
    assert "refused the connection" in said
    assert all(hint in said for hint in ("--from FILE", "CIFAR10_MIRRORS", "--synthetic"))


def test_a_name_that_is_not_found_is_said(
    datasets: Path, mirrors: Mirrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(*args: Any, **keywords: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)  # a real query would leave this computer
    mirrors("http://name.invalid/")
    assert "its name was not found: there is no network" in failure(datasets)


def test_something_that_does_not_speak_http_is_said(datasets: Path, mirrors: Mirrors) -> None:
    def gibberish(handler: Any) -> None:
        handler.wfile.write(b"220 \x1b[31mmail server ready\r\n")

    with BadServer(gibberish) as server:
        mirrors(server)
        assert "gave an answer that is not HTTP (BadStatusLine)" in failure(datasets)


def test_a_plain_server_behind_an_https_address_is_said(datasets: Path, mirrors: Mirrors) -> None:
    with BadServer(serve(PACKED)) as server:
        mirrors(server.url.replace("http://", "https://"))
        assert "could not be reached" in failure(datasets)


def test_the_next_mirror_helps_out(datasets: Path, mirrors: Mirrors) -> None:
    with (
        BadServer(refuse(404)) as first,
        BadServer(cut_after(PACKED, 20_000), refuse(500)) as second,
        BadServer(serve(PACKED)) as third,
    ):
        mirrors(first, second, third)
        fetch(datasets)
        assert third.ranges == ["bytes=20000-"], "it goes on with what the second one gave"
    assert installed(datasets) == FILES


def test_when_all_mirrors_fail_each_reason_is_listed(datasets: Path, mirrors: Mirrors) -> None:
    closed = f"http://127.0.0.1:{free_port()}/x"
    with BadServer(refuse(404)) as missing, BadServer(refuse(200)) as portal:
        mirrors(missing, closed, portal)
        said = failure(datasets)
    for url, reason in (
        (missing.url, "answered 404"),
        (closed, "refused"),
        (portal.url, "sent a web page"),
    ):
        assert reason in said.split(url)[1].splitlines()[1]


@pytest.mark.parametrize(
    "mirror", ["ftp://127.0.0.1/x", "file:///etc/passwd", "127.0.0.1", "http://", "http://h:x/"]
)
def test_a_mirror_that_is_no_web_address_is_refused_before_any_is_asked(
    mirror: str, datasets: Path, mirrors: Mirrors
) -> None:
    with BadServer(serve(PACKED)) as server:
        mirrors(server, mirror)
        said = failure(datasets)
        assert server.ranges == []
    assert f"CIFAR10_MIRRORS names '{mirror}', which is not an http:// or https:// address" in said


# --- archives ------------------------------------------------------------------------------------


def saved(folder: Path, data: bytes) -> Path:
    path = folder / "given.tar.gz"
    path.write_bytes(data)
    return path


def test_a_local_archive_is_installed_and_stays(datasets: Path, tmp_path: Path) -> None:
    given = saved(tmp_path, PACKED)
    (datasets / PART).write_bytes(PACKED[:100])
    fetch(datasets, source=given)
    assert installed(datasets) == FILES
    assert given.read_bytes() == PACKED
    assert not (datasets / PART).exists(), "a partial download is of no more use"


def test_harmless_other_members_are_skipped(datasets: Path, tmp_path: Path) -> None:
    folder = tarfile.TarInfo(CIFAR10_FOLDER)
    folder.type = tarfile.DIRTYPE
    note = tarfile.TarInfo("cifar-10-batches-py/._data_batch_1")
    note.size = 10
    data = pack(FILES | {"readme.html": b"hello"}, folder, note)
    fetch(datasets, archive_of(data), source=saved(tmp_path, data))
    assert installed(datasets) == FILES | {"readme.html": b"hello"}


def member(name: str, **attributes: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for attribute, value in attributes.items():
        setattr(made, attribute, value)
    return made


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (member("/etc/cron.d/job"), "a path that leads out"),
        (member("cifar-10-batches-py/../../escaped"), "a path that leads out"),
        (member("..\\escaped"), "a path that leads out"),
        (member("C:\\escaped"), "a path that leads out"),
        (member("soft", type=tarfile.SYMTYPE, linkname="/etc"), "is a link"),
        (member("hard", type=tarfile.LNKTYPE, linkname="/etc/passwd"), "is a link"),
        (member("fifo", type=tarfile.FIFOTYPE), "is a link, a device or the like"),
        (member("device", type=tarfile.CHRTYPE), "is a link, a device or the like"),
        (member("cifar-10-batches-py/data_batch_1", type=tarfile.SYMTYPE), "is a link"),
    ],
    ids=lambda value: value.name if isinstance(value, tarfile.TarInfo) else "",
)
def test_an_archive_with_a_dangerous_member_is_refused_by_name(
    bad: tarfile.TarInfo, sentence: str, datasets: Path, tmp_path: Path
) -> None:
    data = pack(FILES, bad)
    before = set(tmp_path.parent.rglob("*"))  # by name: other tests' files may be huge
    said = failure(datasets, archive_of(data), source=saved(tmp_path, data))
    assert f"its member {bad.name!r}" in said
    assert sentence in said
    created = {path.name for path in set(tmp_path.parent.rglob("*")) - before}
    assert not any("escaped" in name for name in created)


def test_an_archive_with_too_many_members_is_refused(datasets: Path, tmp_path: Path) -> None:
    data = pack(FILES, *(member(f"m{k}") for k in range(100)))
    said = failure(datasets, archive_of(data), source=saved(tmp_path, data))
    assert "'m93' is number 101" in said


def test_an_archive_that_unpacks_to_too_much_is_refused(
    datasets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MOST_UNPACKED_BYTES", 2_000_000)
    data = pack(FILES, member("bomb", size=3_000_000))
    said = failure(datasets, archive_of(data), source=saved(tmp_path, data))
    assert "its member 'bomb' brings it to 3 MB unpacked" in said


def test_an_archive_whose_headers_are_a_bomb_is_refused(
    datasets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MOST_UNPACKED_BYTES", 2_000_000)
    data = pack(FILES, member("x", pax_headers={"comment": "c" * 3_000_000}))
    said = failure(datasets, archive_of(data), source=saved(tmp_path, data))
    assert "unpacks to far more than CIFAR-10" in said


def test_an_archive_without_all_batches_is_refused(datasets: Path, tmp_path: Path) -> None:
    data = pack({name: FILES[name] for name in REQUIRED[:3]})
    said = failure(datasets, archive_of(data), source=saved(tmp_path, data))
    assert "does not hold data_batch_4, data_batch_5, test_batch, batches.meta" in said


def test_an_empty_batch_does_not_count_as_one(datasets: Path, tmp_path: Path) -> None:
    data = pack(FILES | {"data_batch_2": b""})
    said = failure(datasets, archive_of(data), source=saved(tmp_path, data))
    assert "does not hold data_batch_2." in said


def test_batches_in_a_folder_of_another_name_are_not_taken(datasets: Path, tmp_path: Path) -> None:
    data = pack({f"inner/{name}": content for name, content in FILES.items()})
    said = failure(datasets, archive_of(data), source=saved(tmp_path, data))
    assert "is not CIFAR-10" in said


@pytest.mark.parametrize(
    "data",
    [PACKED[:-4], PACKED[:30_000], PACKED[:30_000] + bytes(5000), PACKED[:-8] + bytes(8)],
    ids=["end", "half", "zeros", "crc"],
)
def test_a_damaged_archive_is_refused(data: bytes, datasets: Path, tmp_path: Path) -> None:
    said = failure(datasets, archive_of(data), source=saved(tmp_path, data))
    assert "truncated or corrupt" in said


def test_a_downloaded_archive_that_is_refused_is_not_kept(datasets: Path, mirrors: Mirrors) -> None:
    data = pack(FILES, member("/absolute"))
    with BadServer(serve(data)) as server:
        mirrors(server)
        assert "leads out" in failure(datasets, archive_of(data))


def test_a_local_archive_with_another_checksum_is_refused(datasets: Path, tmp_path: Path) -> None:
    said = failure(datasets, PUBLISHED, source=saved(tmp_path, PACKED))
    assert f"its SHA-256 is {ARCHIVE.sha256}, not {PUBLISHED.sha256}" in said
    assert "--accept-checksum" in said


def test_a_local_file_that_is_not_there_is_said(datasets: Path, tmp_path: Path) -> None:
    assert "none.tar.gz is not there" in failure(datasets, source=tmp_path / "none.tar.gz")


def test_a_folder_in_place_of_a_local_file_is_said(datasets: Path, tmp_path: Path) -> None:
    assert "is a folder" in failure(datasets, source=tmp_path)


def test_a_saved_web_page_in_place_of_an_archive_is_said(datasets: Path, tmp_path: Path) -> None:
    given = saved(tmp_path, b"\n<!DOCTYPE html><title>404</title>")
    assert "given.tar.gz is a web page, no archive" in failure(datasets, source=given)


# --- what is complete, and what is repaired ------------------------------------------------------


@pytest.mark.parametrize("name", REQUIRED)
def test_a_damaged_file_is_named_and_repaired(
    name: str, datasets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = saved(tmp_path, PACKED)
    folder = fetch(datasets, source=given)
    (folder / name).write_bytes(FILES[name][:-1] + b"?")
    fetch(datasets, source=given)
    assert f"is not complete: {name} is damaged" in capsys.readouterr().out
    assert installed(datasets) == FILES
    assert [path.name for path in datasets.iterdir()] == [CIFAR10_FOLDER]


def test_a_missing_file_is_named_and_repaired(
    datasets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = saved(tmp_path, PACKED)
    folder = fetch(datasets, source=given)
    (folder / "data_batch_3").unlink()
    fetch(datasets, source=given)
    assert "data_batch_3 is missing" in capsys.readouterr().out
    assert installed(datasets) == FILES


@pytest.mark.parametrize("record", [b"{", b"[]", b'{"md5": 3}', b"\xff", b'{"md5": {"../x": ""}}'])
def test_a_damaged_record_is_repaired(
    record: bytes, datasets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = saved(tmp_path, PACKED)
    folder = fetch(datasets, source=given)
    (folder / RECORD).write_bytes(record)
    fetch(datasets, source=given)
    assert "its installed.json" in capsys.readouterr().out
    assert damage(folder) is None


def test_without_a_record_the_published_checksums_decide(
    datasets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fetch(datasets, source=saved(tmp_path, PACKED))
    (folder / RECORD).unlink()
    assert str(damage(folder)).startswith("data_batch_1 is damaged")
    md5 = {name: hashlib.md5(FILES[name]).hexdigest() for name in PUBLISHED_MD5}
    monkeypatch.setattr(install, "PUBLISHED_MD5", md5)
    assert damage(folder) is None
    (folder / "batches.meta").write_bytes(b"")
    assert damage(folder) == "batches.meta is empty"


def test_the_cache_of_decoded_pictures_does_not_count_as_foreign(
    datasets: Path, tmp_path: Path
) -> None:
    folder = half_installed(datasets)
    (folder / "decoded-1").mkdir()
    (folder / "decoded-1" / "train.npy").write_bytes(b"cache")
    fetch(datasets, source=saved(tmp_path, PACKED))
    assert installed(datasets) == FILES
    assert [path.name for path in datasets.iterdir()] == [CIFAR10_FOLDER]


def test_files_of_others_in_the_old_folder_are_kept_under_another_name(
    datasets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (datasets / f"{CIFAR10_FOLDER}.kept-1").mkdir()
    folder = half_installed(datasets)
    (folder / "my notes.txt").write_text("mine")
    before = snapshot(folder)
    fetch(datasets, source=saved(tmp_path, PACKED))
    kept = datasets / f"{CIFAR10_FOLDER}.kept-2"
    assert f"is kept as {kept}" in capsys.readouterr().out
    assert snapshot(kept) == before
    assert installed(datasets) == FILES


@POSIX_ONLY
def test_a_link_to_a_folder_elsewhere_is_kept_and_so_is_the_folder(
    datasets: Path, tmp_path: Path
) -> None:
    elsewhere = half_installed(tmp_path / "elsewhere")
    before = snapshot(elsewhere)
    (datasets / CIFAR10_FOLDER).symlink_to(elsewhere)
    fetch(datasets, source=saved(tmp_path, PACKED))
    assert snapshot(elsewhere) == before
    assert installed(datasets) == FILES
    assert (datasets / f"{CIFAR10_FOLDER}.kept-1").readlink() == elsewhere


def test_when_the_new_folder_cannot_take_its_place_the_old_one_returns(
    datasets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename
    failing = iter([PermissionError(errno.EACCES, "in use by another program")])

    def stubborn(self: Path, target: Path) -> Path:
        if target.name == CIFAR10_FOLDER:
            for error in failing:
                raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stubborn)
    said = failure(datasets, source=saved(tmp_path, PACKED))
    assert "may not be changed (in use by another program)" in said


def test_leftovers_of_killed_runs_are_removed(datasets: Path, tmp_path: Path) -> None:
    leftover = datasets / f".{CIFAR10_FOLDER}.0123abcd.tmp"
    leftover.mkdir()
    (leftover / "data_batch_1").write_bytes(b"half")
    fetch(datasets, source=saved(tmp_path, PACKED))
    assert [path.name for path in datasets.iterdir()] == [CIFAR10_FOLDER]


# --- the stand-in --------------------------------------------------------------------------------


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The drawing of the stand-in, replaced by a quick one; the folders that it was called for."""
    calls: list[Path] = []

    def write_batches(folder: Path) -> None:
        calls.append(folder)
        for name, data in FILES.items():
            (folder / name).write_bytes(data)

    synthetic = ModuleType("assignment.cifar10.synthetic")
    synthetic.__dict__["write_batches"] = write_batches
    monkeypatch.setitem(sys.modules, "assignment.cifar10.synthetic", synthetic)
    return calls


def test_the_stand_in_is_drawn_once_and_called_a_stand_in(
    datasets: Path, drawing: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = install_synthetic(datasets)
    assert folder == datasets / SYNTHETIC_FOLDER
    assert damage(folder) is None
    assert json.loads((folder / RECORD).read_bytes())["sha256"] is None
    assert "not CIFAR-10" in capsys.readouterr().out
    install_synthetic(datasets)
    assert len(drawing) == 1
    assert drawing[0] != folder, "it is drawn under a temporary name"


def test_a_damaged_stand_in_is_drawn_again(datasets: Path, drawing: list[Path]) -> None:
    folder = install_synthetic(datasets)
    (folder / "test_batch").write_bytes(b"?")
    install_synthetic(datasets)
    assert len(drawing) == 2
    assert damage(folder) is None


# --- disks ---------------------------------------------------------------------------------------


def test_too_little_free_space_is_said_before_anything_is_asked_for(
    datasets: Path, mirrors: Mirrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(datasets)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=90_000_000))
    with BadServer(serve(PACKED)) as server:
        mirrors(server)
        said = failure(datasets, PUBLISHED)
        assert server.ranges == []
    assert "has 90 MB free, but 357 MB are needed" in said


# --- the command ---------------------------------------------------------------------------------

FAKE_SYNTHETIC = f"""
def write_batches(folder):
    import numpy
    for name in {REQUIRED!r}:
        (folder / name).write_bytes(b"drawn " + name.encode())
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of its own, in which the stand-in is a quick one."""
    folder = tmp_path / "project"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "assignment", folder / "assignment", ignore=ignored)
    (folder / "assignment" / "synthetic.py").write_text(FAKE_SYNTHETIC)
    (folder / "datasets").mkdir()
    return folder


def start(project: Path, *arguments: str, mirror: str = "") -> subprocess.Popen[str]:
    environment = os.environ | {
        "CIFAR10_MIRRORS": mirror or f"http://127.0.0.1:{free_port()}/",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "assignment", *arguments],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def heard_ctrl_c() -> Iterator[None]:
    """What a script starts with & ignores Ctrl-C, and so do its children, these tests' too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def run(project: Path, *arguments: str, mirror: str = "") -> tuple[int, str, str]:
    with start(project, *arguments, mirror=mirror) as process:
        out, err = process.communicate(timeout=30)
    assert "Traceback" not in err
    return process.returncode, out, err


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def accept(data: bytes) -> tuple[str, str]:
    return "--accept-checksum", sha256(data).upper()


def test_the_command_downloads_into_its_own_project(project: Path) -> None:
    with BadServer(serve(PACKED)) as server:
        status, out, err = run(project, "data", *accept(PACKED), mirror=server.root)
    assert status == 0, err
    assert installed(project / "datasets") == FILES
    again, out, err = run(project, "data", *accept(PACKED))
    assert (again, err) == (0, "")
    assert out == f"CIFAR-10 is already complete in {project / 'datasets' / CIFAR10_FOLDER}\n"


def test_the_command_installs_a_local_archive(project: Path, tmp_path: Path) -> None:
    saved(tmp_path, PACKED)
    status, _, err = run(project, "data", "--from", "../given.tar.gz", *accept(PACKED))
    assert (status, err) == (0, "")
    assert installed(project / "datasets") == FILES


def test_the_command_draws_the_stand_in(project: Path) -> None:
    status, out, err = run(project, "data", "--synthetic")
    assert (status, err) == (0, "")
    assert "not CIFAR-10" in out
    assert damage(project / "datasets" / SYNTHETIC_FOLDER) is None


def test_a_failure_is_a_sentence_on_stderr_and_status_1(project: Path) -> None:
    before = snapshot(project / "datasets")
    status, _, err = run(project, "data")
    assert status == 1
    assert "refused the connection" in err
    assert snapshot(project / "datasets") == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "usage: python -m assignment"),
        (["dta"], "invalid choice: 'dta'"),
        (["data", "--fast"], "unrecognized arguments: --fast"),
        (["data", "--from", "x", "--synthetic"], "not allowed with"),
        (["data", "--accept-checksum", "123"], "'123' is not a SHA-256"),
        (["data", "--synthetic", "--accept-checksum", "0" * 64], "no checksum can be given"),
    ],
)
def test_wrong_usage_is_explained_with_status_2(
    arguments: list[str], said: str, project: Path
) -> None:
    before = snapshot(project / "datasets")
    status, out, err = run(project, *arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert snapshot(project / "datasets") == before


@pytest.mark.parametrize(("package", "option"), [("tqdm", ""), ("numpy", "--synthetic")])
def test_a_missing_package_is_named_with_what_to_run(
    package: str, option: str, project: Path
) -> None:
    (project / f"{package}.py").write_text(f"raise ModuleNotFoundError(name={package!r})")
    before = snapshot(project / "datasets")
    status, _, err = run(project, "data", *filter(None, [option]))
    assert status == 1
    assert err.startswith(f"{package} is not installed: run `pip install -r requirements.txt`")
    assert snapshot(project / "datasets") == before


@POSIX_ONLY
@pytest.mark.usefixtures("heard_ctrl_c")
def test_ctrl_c_ends_with_status_130_and_keeps_what_was_downloaded(project: Path) -> None:
    part = project / "datasets" / PART
    with BadServer(stall_after(PACKED, 30_000), serve(PACKED)) as server:
        with start(project, "data", *accept(PACKED), mirror=server.url) as process:
            wait_for(lambda: part.exists() and part.stat().st_size > 8000)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "Interrupted. What was downloaded is kept" in err
        assert "Traceback" not in err
        assert PACKED.startswith(part.read_bytes())
        assert set(snapshot(project / "datasets")) == {PART}


@POSIX_ONLY
def test_a_run_killed_in_the_middle_of_a_download_is_taken_up_by_the_next(project: Path) -> None:
    part = project / "datasets" / PART
    with BadServer(stall_after(PACKED, 30_000), serve(PACKED)) as server:
        with start(project, "data", *accept(PACKED), mirror=server.url) as process:
            wait_for(lambda: part.exists() and part.stat().st_size > 8000)
            process.kill()
        status, _, err = run(project, "data", *accept(PACKED), mirror=server.url)
        assert status == 0, err
        assert str(server.ranges[1]).startswith("bytes=")
    assert installed(project / "datasets") == FILES
    assert [path.name for path in (project / "datasets").iterdir()] == [CIFAR10_FOLDER]


@POSIX_ONLY
def test_a_run_killed_in_the_middle_of_unpacking_is_repaired_by_the_next(
    project: Path, tmp_path: Path
) -> None:
    large = {name: bytes(50_000_000) for name in REQUIRED}
    data = pack(large)
    arguments = ("data", "--from", str(saved(tmp_path, data)), *accept(data))
    datasets = project / "datasets"
    with start(project, *arguments) as process:
        wait_for(lambda: any(datasets.glob(".*.tmp/data_batch_1")))
        process.kill()
    assert not (datasets / CIFAR10_FOLDER).exists()
    assert any(datasets.glob(".*.tmp"))
    status, _, err = run(project, *arguments)
    assert (status, err) == (0, "")
    assert damage(datasets / CIFAR10_FOLDER) is None
    assert [path.name for path in datasets.iterdir()] == [CIFAR10_FOLDER]


def test_two_runs_at_once_do_not_harm_each_other(project: Path) -> None:
    arguments = ("data", *accept(PACKED))
    part = project / "datasets" / PART
    with BadServer(stall_after(PACKED, 30_000), serve(PACKED)) as server:
        with start(project, *arguments, mirror=server.url) as first:
            wait_for(part.exists)
            with start(project, *arguments, mirror=server.url) as second:
                assert second.stdout is not None
                assert "Another run is at work" in second.stdout.readline()
                server.closing.set()  # the stalled answer ends; the first run resumes
                out, err = second.communicate(timeout=30)
                assert (second.returncode, err) == (0, "")
                assert "another run has installed it" in out
            first.communicate(timeout=30)
        assert first.returncode == 0
        assert len(server.ranges) == 2, "the second run has downloaded nothing"
    assert installed(project / "datasets") == FILES


LIMITED = """
    import resource, sys
    from assignment.__main__ import main
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    sys.exit(main(sys.argv[1:]))
"""


def run_script(project: Path, script: str, *arguments: str, mirror: str) -> tuple[int, str]:
    found = subprocess.run(
        [sys.executable, "-B", "-c", textwrap.dedent(script), *arguments],
        check=False,
        cwd=project,
        env=os.environ | {"CIFAR10_MIRRORS": mirror},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert "Traceback" not in found.stderr
    return found.returncode, found.stderr


@POSIX_ONLY
def test_a_disk_that_fills_up_while_downloading_is_said_and_what_was_fetched_is_kept(
    project: Path,
) -> None:
    half_installed(project / "datasets")
    before = snapshot(project / "datasets")
    with BadServer(serve(PACKED)) as server:
        status, err = run_script(project, LIMITED, "data", *accept(PACKED), mirror=server.url)
    assert status == 1
    assert "There is no room left to write" in err
    assert snapshot(project / "datasets") == before | {PART: PACKED[:20_000]}


@POSIX_ONLY
def test_a_disk_that_fills_up_while_unpacking_is_said_and_changes_nothing(
    project: Path, tmp_path: Path
) -> None:
    half_installed(project / "datasets")
    before = snapshot(project / "datasets")
    data = pack(FILES | {"test_batch": bytes(50_000)})
    given = saved(tmp_path, data)
    arguments = ("data", "--from", str(given), *accept(data))
    status, err = run_script(project, LIMITED, *arguments, mirror="http://127.0.0.1:9/")
    assert status == 1
    assert "There is no room left to write" in err
    assert snapshot(project / "datasets") == before


def run_mounted(project: Path, mount: str, *arguments: str) -> tuple[int, str]:
    """Run the command after mounting something in the project, for its process alone."""
    if sys.platform == "win32" or os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a file system may not be mounted here")
    inside = ["unshare", "--mount", "sh", "-c"]
    tried = subprocess.run([*inside, mount], check=False, cwd=project, capture_output=True)
    if tried.returncode:
        pytest.skip("a file system may not be mounted here")
    command = [*inside, f'{mount} && exec "$0" "$@"', sys.executable, "-B", "-m", "assignment"]
    found = subprocess.run(
        [*command, *arguments], check=False, cwd=project, capture_output=True, text=True, timeout=30
    )
    assert "Traceback" not in found.stderr
    return found.returncode, found.stderr


def test_a_real_full_disk_is_said(project: Path, tmp_path: Path) -> None:
    data = pack(FILES | {"test_batch": bytes(50_000)})
    arguments = ("data", "--from", str(saved(tmp_path, data)), *accept(data))
    tiny = "mount -t tmpfs -o size=64k none datasets"
    status, err = run_mounted(project, tiny, *arguments)
    assert status == 1
    assert "There is no room left to write" in err
    assert "No space left on device" in err


@POSIX_ONLY
def test_a_read_only_folder_is_said(project: Path, tmp_path: Path) -> None:
    folder = half_installed(project / "datasets").parent
    before = snapshot(folder)
    arguments = ("data", "--from", str(saved(tmp_path, PACKED)), *accept(PACKED))
    if sys.platform != "win32" and os.geteuid() == 0:  # whom permissions do not hold back
        read_only = "mount --bind datasets datasets && mount -o remount,bind,ro datasets"
        status, err = run_mounted(project, read_only, *arguments)
    else:
        folder.chmod(0o555)
        status, _, err = run(project, *arguments)
        folder.chmod(0o755)
    assert status == 1
    assert "may not be changed (" in err
    assert snapshot(folder) == before


@POSIX_ONLY
def test_a_complete_read_only_folder_is_good_enough(project: Path, tmp_path: Path) -> None:
    fetch(project / "datasets", source=saved(tmp_path, PACKED))
    (project / "datasets").chmod(0o555)
    try:
        assert run(project, "data", *accept(PACKED))[0] == 0
    finally:
        (project / "datasets").chmod(0o755)
