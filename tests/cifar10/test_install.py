"""Installing: complete, damaged and foreign folders, full disks, killed runs, two runs at once."""

import errno
import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from assignment import PROJECT
from assignment.__main__ import main
from assignment.cifar10 import install, synthetic
from assignment.cifar10.archive import CIFAR10_FOLDER, PUBLISHED, REQUIRED, DataError
from assignment.cifar10.install import (
    RECORD,
    SYNTHETIC_FOLDER,
    find_damage,
    install_cifar10,
    install_synthetic,
)
from tests.cifar10.archives import (
    ARCHIVE,
    FILES,
    PACKED,
    PART,
    assert_installed,
    failure,
    fetch,
    half_install,
    snapshot,
)
from tests.cifar10.bad_server import BadServer, reply, serve
from tests.cifar10.conftest import NO_SERVER

MD5 = {name: hashlib.md5(data).hexdigest() for name, data in FILES.items()}

ACCEPT = ("--accept-checksum", ARCHIVE.sha256.upper())

Mirror = Callable[..., BadServer]
Data = Callable[..., tuple[int, str, str]]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def given(tmp_path: Path) -> Path:
    path = tmp_path / "given.tar.gz"
    path.write_bytes(PACKED)
    return path


@pytest.fixture
def data(datasets: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Data:
    """Runs `python -m assignment data` in this process, for the test's datasets folder."""
    for function in (install_cifar10, install_synthetic):
        monkeypatch.setattr(function, "__defaults__", (datasets,))

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(["data", *arguments])
        return status, *capsys.readouterr()

    return run


def test_a_local_archive_is_installed_with_a_record_of_checksums(
    data: Data, datasets: Path, given: Path
) -> None:
    (datasets / PART).write_bytes(PACKED[:100])
    status, _, err = data("--from", str(given), *ACCEPT)
    assert (status, err) == (0, "")
    assert_installed(datasets)
    assert given.read_bytes() == PACKED
    assert json.loads((datasets / CIFAR10_FOLDER / RECORD).read_bytes()) == {"md5": MD5}


def test_a_complete_folder_is_left_alone_and_may_be_read_only(
    datasets: Path, given: Path, mirror: Mirror, capsys: Capture
) -> None:
    fetch(datasets, source=given)
    (datasets / ".lock").unlink()
    server = mirror(reply(500))
    datasets.chmod(0o555)
    try:
        fetch(datasets)
    finally:
        datasets.chmod(0o755)
    assert "already complete" in capsys.readouterr().out
    assert server.ranges == []
    assert not (datasets / ".lock").exists(), "nothing is written"
    assert_installed(datasets)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("given.tar.gz", rf"SHA-256 is {ARCHIVE.sha256}, not {PUBLISHED.sha256}.*accept-checksum"),
        ("missing.tar.gz", r"cannot be read \(No such file .*\)\. Give --from the path"),
        (".", r"cannot be read \(Is a directory\)\. Give --from the path"),
    ],
)
def test_a_local_file_that_is_not_the_archive_is_refused(
    name: str, sentence: str, datasets: Path, given: Path
) -> None:
    assert re.search(sentence, failure(datasets, PUBLISHED, given.parent / name))


@pytest.mark.parametrize(
    ("name", "data", "damage"),
    [
        *[(name, b"?", f"{name} is damaged") for name in REQUIRED],
        ("data_batch_3", b"", "data_batch_3 is damaged"),
        ("batches.meta", None, "batches.meta is missing"),
        *[
            (RECORD, record, "its installed.json does not list")
            for record in (b"{", b"[]", b'{"md5": 3}', b"\xff", b'{"md5": {"../x": ""}}')
        ],
    ],
)
def test_a_damaged_folder_is_installed_afresh(
    name: str, data: bytes | None, damage: str, datasets: Path, given: Path, capsys: Capture
) -> None:
    folder = fetch(datasets, source=given)
    (folder / name).unlink()
    if data is not None:
        (folder / name).write_bytes(data)
    fetch(datasets, source=given)
    assert f"is not complete: {damage}" in capsys.readouterr().out
    assert_installed(datasets)


def test_published_checksums_decide_without_a_record(
    datasets: Path, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fetch(datasets, source=given)
    (folder / RECORD).unlink()
    assert str(find_damage(folder)).startswith("data_batch_1 is damaged")
    monkeypatch.setattr(install, "PUBLISHED_MD5", MD5)
    assert find_damage(folder) is None


def test_caches_and_leftovers_of_killed_runs_are_removed(datasets: Path, given: Path) -> None:
    for folder in (half_install(datasets) / "decoded-1", datasets / f".{CIFAR10_FOLDER}.tmp"):
        folder.mkdir()
        (folder / "data_batch_1").write_bytes(b"half")
    fetch(datasets, source=given)
    assert_installed(datasets)


@pytest.mark.parametrize("link", [False, True], ids=["with other files", "by a link"])
def test_a_damaged_folder_of_others_is_not_replaced(
    link: bool, datasets: Path, given: Path, tmp_path: Path
) -> None:
    target = datasets / CIFAR10_FOLDER
    if link:
        target.symlink_to(half_install(tmp_path / "elsewhere"))
    else:
        target.mkdir()
        (target / "my notes.txt").write_text("mine")
    before = snapshot(tmp_path)
    with pytest.raises(DataError, match=r"data_batch_1 is missing. It is a link, .*Move it"):
        fetch(datasets, source=given)
    assert target.is_symlink() == link
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        ("pathlib.Path.mkdir", errno.EROFS),
        ("shutil.copyfileobj", errno.ENOSPC),
        ("pathlib.Path.write_text", errno.EDQUOT),
        ("pathlib.Path.rename", errno.EACCES),
    ],
)
def test_an_error_of_the_disk_is_reported_and_keeps_what_was_there(
    broken: str, error: int, datasets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_install(datasets)
    (datasets / PART).write_bytes(PACKED)
    before = snapshot(datasets)

    def fail(*args: object, **keywords: object) -> None:
        raise OSError(error, os.strerror(error))

    reason = rf"cannot be used \({os.strerror(error)}\)\. Make sure that .* is yours to write to"
    with monkeypatch.context() as patch, pytest.raises(DataError, match=reason):
        patch.setattr(broken, fail)
        fetch(datasets)
    if broken != "pathlib.Path.rename":  # by then the damaged folder has been removed
        assert snapshot(datasets) == before
    fetch(datasets)  # without a server: the verified download is still there
    assert_installed(datasets)


def test_a_download_that_fills_the_disk_is_reported_and_kept(
    datasets: Path, mirror: Mirror
) -> None:
    mirror(serve(PACKED))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(DataError, match=r"File too large.*360 MB.*keeps what was downloaded"):
            fetch(datasets)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert snapshot(datasets) == {PART: PACKED[:20_000]}


# --- the command ---------------------------------------------------------------------------------


def test_the_command_draws_the_stand_in_once_and_again_when_damaged(
    data: Data, datasets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = partial(synthetic.write_batches, images_per_batch=1)
    monkeypatch.setattr(synthetic, "write_batches", small)
    folder = datasets / SYNTHETIC_FOLDER
    for report in ("is installed", "is already complete", "test_batch is damaged"):
        status, out, err = data("--synthetic")
        assert (status, err) == (0, "")
        assert report in out
        assert "not CIFAR-10" in out
        assert find_damage(folder) is None
        if report == "is already complete":
            (folder / "test_batch").write_bytes(b"?")


@pytest.mark.parametrize(
    ("missing", "options", "sentence"),
    [
        ("nothing", [], "The CIFAR-10 archive could not be downloaded:"),
        ("tqdm", [], "tqdm is not installed: run `pip install -r requirements.txt`"),
        ("numpy", ["--synthetic"], "numpy is not installed: run `pip install -r requirements.txt`"),
    ],
)
def test_a_failure_is_a_sentence_on_stderr_and_status_1(
    missing: str,
    options: list[str],
    sentence: str,
    data: Data,
    datasets: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "assignment.cifar10.synthetic")
    status, _, err = data(*options)
    assert status == 1
    assert err.startswith(sentence)
    assert snapshot(datasets) == {}


def test_an_interrupted_download_is_reported_and_resumed(
    data: Data, datasets: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = mirror(serve(PACKED, count=30_000), serve(PACKED))
    with monkeypatch.context() as patch:
        patch.setattr("time.sleep", lambda _: signal.raise_signal(signal.SIGINT))
        status, _, err = data(*ACCEPT)
    assert status == 130
    assert "Interrupted. What was downloaded is kept" in err
    assert snapshot(datasets) == {PART: PACKED[:30_000]}
    assert data(*ACCEPT)[0] == 0
    assert server.ranges == [None, "bytes=30000-"]
    assert_installed(datasets)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fast"], "unrecognized arguments: --fast"),
        (["--from"], "expected one argument"),
        (["--from", "x", "--synthetic"], "not allowed with"),
        (["--accept-checksum", "123"], "'123' is not a SHA-256"),
        (["--synthetic", "--accept-checksum", "0" * 64], "give no --accept-checksum"),
    ],
)
def test_wrong_usage_is_explained_with_status_2(
    arguments: list[str], message: str, data: Data, capsys: Capture
) -> None:
    with pytest.raises(SystemExit, match="2"):
        data(*arguments)
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


# --- processes that are killed, or wait ----------------------------------------------------------


def start(datasets: Path, mirror: str, prelude: str = "") -> subprocess.Popen[str]:
    """Install into `datasets` in a process of its own, after some Python code."""
    script = f"""if True:
        import os, pathlib
        from assignment.cifar10 import archive, download, install
        download.RETRY_PAUSE = 0
        {prelude}
        expected = archive.Archive({ARCHIVE.sha256!r})
        install.install_cifar10(pathlib.Path({str(datasets)!r}), archive=expected)
    """
    return subprocess.Popen(
        [sys.executable, "-B", "-u", "-c", script],
        cwd=PROJECT,
        env=os.environ | {"CIFAR10_MIRRORS": mirror},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_run_killed_before_it_renames_costs_no_second_download(datasets: Path) -> None:
    half_install(datasets)
    (datasets / PART).write_bytes(PACKED)
    kill = "pathlib.Path.rename = lambda *paths: os.kill(os.getpid(), 9)"
    with start(datasets, NO_SERVER, kill) as process:
        assert process.wait(60) == -signal.SIGKILL
    assert (datasets / f".{CIFAR10_FOLDER}.tmp" / RECORD).exists()
    fetch(datasets)
    assert_installed(datasets)


def test_a_second_run_waits_for_the_first(datasets: Path, mirror: Mirror) -> None:
    server = mirror(serve(PACKED, count=30_000, stall=True), serve(PACKED))
    part, deadline = datasets / PART, time.monotonic() + 60
    with start(datasets, server.url) as first:
        while not part.exists() or part.stat().st_size < 8000:
            assert time.monotonic() < deadline, "nothing was downloaded"
            time.sleep(0.002)
        with start(datasets, server.url) as second:
            assert second.stdout is not None
            assert "Another run is at work" in second.stdout.readline()
            server.closing.set()  # which ends the stalled answer, so that the first run resumes
            assert (first.wait(60), second.wait(60)) == (0, 0)
            assert "CIFAR-10 is installed" in second.stdout.read()
    assert len(server.ranges) == 2, "the second run has downloaded nothing"
    assert_installed(datasets)
