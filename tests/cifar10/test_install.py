"""Installing: complete, damaged and foreign folders, full disks, killed runs, two runs at once."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from assignment.__main__ import main
from assignment.cifar10 import install
from assignment.cifar10.archive import (
    CIFAR10_FOLDER,
    PUBLISHED,
    PUBLISHED_MD5,
    REQUIRED,
    DataError,
)
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
    save,
    sha256,
    snapshot,
)
from tests.cifar10.bad_server import BadServer, refuse, serve, stall_after
from tests.cifar10.conftest import NO_SERVER
from tests.trees import copy_tree

POSIX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and limits")


@pytest.fixture
def given(tmp_path: Path) -> Path:
    return save(tmp_path, PACKED)


# --- a local archive -----------------------------------------------------------------------------


def test_a_local_archive_is_installed_with_a_record_of_checksums(
    datasets: Path, given: Path
) -> None:
    (datasets / PART).write_bytes(PACKED[:100])
    fetch(datasets, source=given)
    assert_installed(datasets)
    assert given.read_bytes() == PACKED
    record = json.loads((datasets / CIFAR10_FOLDER / RECORD).read_bytes())
    md5 = {name: hashlib.md5(data).hexdigest() for name, data in FILES.items()}
    assert record == {"sha256": ARCHIVE.sha256, "md5": md5}


def test_a_local_archive_that_is_refused_changes_nothing(datasets: Path, given: Path) -> None:
    assert "--accept-checksum" in failure(datasets, PUBLISHED, given)


def test_a_complete_folder_is_left_alone_without_a_request(
    datasets: Path, given: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(datasets, source=given)
    before = snapshot(datasets)
    with BadServer(refuse(500)) as server:
        monkeypatch.setenv("CIFAR10_MIRRORS", server.url)
        fetch(datasets)
        assert server.ranges == []
    assert snapshot(datasets) == before
    assert "already complete" in capsys.readouterr().out


# --- damaged folders -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize(
    ("data", "damage"), [(b"?", "is damaged"), (b"", "is missing or empty"), (None, "is missing")]
)
def test_a_damaged_file_is_named_and_repaired(
    name: str,
    data: bytes | None,
    damage: str,
    datasets: Path,
    given: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = fetch(datasets, source=given)
    (folder / name).unlink()
    if data is not None:
        (folder / name).write_bytes(data)
    fetch(datasets, source=given)
    assert f"is not complete: {name} {damage}" in capsys.readouterr().out
    assert_installed(datasets)


@pytest.mark.parametrize("record", [b"{", b"[]", b'{"md5": 3}', b"\xff", b'{"md5": {"../x": ""}}'])
def test_a_damaged_record_is_repaired(
    record: bytes, datasets: Path, given: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fetch(datasets, source=given)
    (folder / RECORD).write_bytes(record)
    fetch(datasets, source=given)
    assert "its installed.json" in capsys.readouterr().out
    assert find_damage(folder) is None


def test_published_checksums_decide_without_a_record(
    datasets: Path, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fetch(datasets, source=given)
    (folder / RECORD).unlink()
    assert str(find_damage(folder)).startswith("data_batch_1 is damaged")
    md5 = {name: hashlib.md5(FILES[name]).hexdigest() for name in PUBLISHED_MD5}
    monkeypatch.setattr(install, "PUBLISHED_MD5", md5)
    assert find_damage(folder) is None


def test_caches_and_leftovers_of_killed_runs_are_removed(datasets: Path, given: Path) -> None:
    cache = half_install(datasets) / "decoded-1"
    leftover = datasets / f".{CIFAR10_FOLDER}.0123abcd.tmp"
    for folder in (cache, leftover):
        folder.mkdir()
        (folder / "data_batch_1").write_bytes(b"half")
    fetch(datasets, source=given)
    assert_installed(datasets)


def test_a_damaged_folder_with_files_of_others_is_not_replaced(datasets: Path, given: Path) -> None:
    (datasets / CIFAR10_FOLDER).mkdir()
    (datasets / CIFAR10_FOLDER / "my notes.txt").write_text("mine")
    before = snapshot(datasets)
    with pytest.raises(DataError, match=r"holds other files .*Move it elsewhere"):
        fetch(datasets, source=given)
    assert snapshot(datasets) == before


@POSIX_ONLY
def test_a_link_to_a_damaged_folder_is_not_replaced(
    datasets: Path, given: Path, tmp_path: Path
) -> None:
    elsewhere = half_install(tmp_path / "elsewhere")
    (datasets / CIFAR10_FOLDER).symlink_to(elsewhere)
    before = snapshot(elsewhere)
    with pytest.raises(DataError, match=r"data_batch_1 is missing.*is a link"):
        fetch(datasets, source=given)
    assert (datasets / CIFAR10_FOLDER).readlink() == elsewhere
    assert snapshot(elsewhere) == before


# --- disks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broken", "error", "sentence"),
    [
        (
            "pathlib.Path.mkdir",
            errno.EROFS,
            r"cannot be used \(.*\)\. Make .* writable for yourself",
        ),
        ("pathlib.Path.rename", errno.EACCES, r"cannot be used \(.*\)\. Make .* writable"),
        ("shutil.copyfileobj", errno.ENOSPC, r"There is no room left to write .* run this again"),
        ("pathlib.Path.write_text", errno.EDQUOT, r"There is no room left to write"),
    ],
)
def test_an_error_of_the_disk_is_reported_and_changes_nothing(
    broken: str,
    error: int,
    sentence: str,
    datasets: Path,
    given: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    half_install(datasets)
    before = snapshot(datasets)

    def fail(*args: object, **keywords: object) -> None:
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patch, pytest.raises(DataError, match=sentence):
        patch.setattr(broken, fail)
        fetch(datasets, source=given)
    if broken != "pathlib.Path.rename":  # by then the damaged folder has been removed
        assert snapshot(datasets) == before
    fetch(datasets, source=given)
    assert_installed(datasets)


@POSIX_ONLY
def test_a_complete_read_only_folder_is_good_enough(datasets: Path, given: Path) -> None:
    fetch(datasets, source=given)
    (datasets / ".lock").unlink()
    datasets.chmod(0o555)
    try:
        fetch(datasets)
    finally:
        datasets.chmod(0o755)
    assert not (datasets / ".lock").exists(), "nothing is written"


# --- the stand-in --------------------------------------------------------------------------------


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replaces the drawing of the stand-in by a quick one; lists the folders drawn into."""
    drawn: list[Path] = []

    def write_batches(folder: Path) -> None:
        drawn.append(folder)
        for name, data in FILES.items():
            (folder / name).write_bytes(data)

    synthetic = ModuleType("assignment.cifar10.synthetic")
    synthetic.__dict__["write_batches"] = write_batches
    monkeypatch.setitem(sys.modules, "assignment.cifar10.synthetic", synthetic)
    return drawn


def test_the_stand_in_is_drawn_once_and_redrawn_when_damaged(
    datasets: Path, drawing: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = install_synthetic(datasets)
    assert folder == datasets / SYNTHETIC_FOLDER
    assert find_damage(folder) is None
    assert json.loads((folder / RECORD).read_bytes())["sha256"] is None
    assert "not CIFAR-10" in capsys.readouterr().out
    install_synthetic(datasets)
    assert len(drawing) == 1
    assert drawing[0] != folder, "drawn under a temporary name"
    (folder / "test_batch").write_bytes(b"?")
    install_synthetic(datasets)
    assert len(drawing) == 2
    assert find_damage(folder) is None


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def data(
    datasets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs `python -m assignment data` in this process, for the test's datasets folder."""
    for function in (install_cifar10, install_synthetic):
        monkeypatch.setattr(function, "__defaults__", (datasets,))

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(["data", *arguments])
        out, err = capsys.readouterr()
        return status, out, err

    return run


Data = Callable[..., tuple[int, str, str]]
ACCEPT = ("--accept-checksum", sha256(PACKED).upper())


def test_the_command_installs_an_archive_of_an_accepted_checksum(
    data: Data, datasets: Path, given: Path
) -> None:
    status, _, err = data("--from", str(given), *ACCEPT)
    assert (status, err) == (0, "")
    assert_installed(datasets)
    complete = f"CIFAR-10 is already complete in {datasets / CIFAR10_FOLDER}\n"
    assert data(*ACCEPT) == (0, complete, "")


def test_the_command_draws_the_stand_in(data: Data, datasets: Path, drawing: list[Path]) -> None:
    status, out, err = data("--synthetic")
    assert (status, err) == (0, "")
    assert "not CIFAR-10" in out
    assert find_damage(datasets / SYNTHETIC_FOLDER) is None


def test_a_failure_is_a_sentence_on_stderr_and_status_1(data: Data, datasets: Path) -> None:
    status, _, err = data()
    assert status == 1
    assert "Connection refused" in err
    assert snapshot(datasets) == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fast"], "unrecognized arguments: --fast"),
        (["--from", "x", "--synthetic"], "not allowed with"),
        (["--accept-checksum", "123"], "'123' is not a SHA-256"),
        (["--synthetic", "--accept-checksum", "0" * 64], "no checksum can be given"),
    ],
)
def test_wrong_usage_is_explained_with_status_2(
    arguments: list[str], message: str, data: Data, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        data(*arguments)
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


@pytest.mark.parametrize(("package", "options"), [("tqdm", []), ("numpy", ["--synthetic"])])
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    package: str,
    options: list[str],
    data: Data,
    datasets: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "assignment.cifar10.synthetic")
    status, _, err = data(*options)
    assert status == 1
    assert err.startswith(f"{package} is not installed: run `pip install -r requirements.txt`")
    assert snapshot(datasets) == {}


# --- processes that are killed, wait, or fill the disk -------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the package with half an installation."""
    folder = copy_tree(tmp_path / "project", ["assignment"])
    half_install(folder / "datasets")
    return folder


def start(
    project: Path, *arguments: str, mirror: str = NO_SERVER, prelude: str = ""
) -> subprocess.Popen[str]:
    """Start `python -m assignment data` in the project, after some Python code."""
    script = f"{textwrap.dedent(prelude)}\nimport sys\nfrom assignment.__main__ import main\n"
    return subprocess.Popen(
        [sys.executable, "-B", "-c", f"{script}sys.exit(main(sys.argv[1:]))", "data", *arguments],
        cwd=project,
        env=os.environ | {"CIFAR10_MIRRORS": mirror, "PYTHONPATH": str(project)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    with process:
        out, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    return process.returncode, out, err


def wait_for_part(project: Path) -> Path:
    """Wait until the partial download has some bytes."""
    part, deadline = project / "datasets" / PART, time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 8000):
        assert time.monotonic() < deadline, "nothing was downloaded"
        time.sleep(0.002)
    return part


@POSIX_ONLY
@pytest.mark.parametrize("death", [signal.SIGINT, signal.SIGKILL])
def test_a_download_that_is_ended_is_resumed_by_the_next_run(
    death: signal.Signals, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(project / "datasets")
    with BadServer(stall_after(PACKED, 30_000), serve(PACKED)) as server:
        process = start(project, *ACCEPT, mirror=server.url)
        part = wait_for_part(project)
        process.send_signal(death)
        status, _, err = finish(process)
        if death == signal.SIGINT:
            assert status == 130
            assert "Interrupted. What was downloaded is kept" in err
            assert snapshot(project / "datasets") == before | {PART: part.read_bytes()}
        assert PACKED.startswith(part.read_bytes())
        monkeypatch.setenv("CIFAR10_MIRRORS", server.url)
        fetch(project / "datasets")
        assert str(server.ranges[1]).startswith("bytes=")
    assert_installed(project / "datasets")


@POSIX_ONLY
def test_a_run_killed_while_unpacking_is_repaired_by_the_next(project: Path, given: Path) -> None:
    before = snapshot(project / "datasets")
    kill = """
        import os, shutil
        shutil.copyfileobj = lambda source, target, chunk: os.kill(os.getpid(), 9)
    """
    status, _, _ = finish(start(project, "--from", str(given), *ACCEPT, prelude=kill))
    assert status == -signal.SIGKILL
    assert snapshot(project / "datasets").items() > before.items(), "a temporary folder is left"
    fetch(project / "datasets", source=given)
    assert_installed(project / "datasets")


def test_a_second_run_waits_for_the_first(project: Path) -> None:
    at_once = "from assignment.cifar10 import download; download.RETRY_PAUSE = 0"
    with BadServer(stall_after(PACKED, 30_000), serve(PACKED)) as server:
        first = start(project, *ACCEPT, mirror=server.url, prelude=at_once)
        wait_for_part(project)
        second = start(project, *ACCEPT, mirror=server.url)
        assert second.stdout is not None
        assert "Another run is at work" in second.stdout.readline()
        server.closing.set()  # which ends the stalled answer, so that the first run resumes
        status, out, err = finish(second)
        assert (status, err) == (0, "")
        assert "another run has installed it" in out
        assert finish(first)[0] == 0
        assert len(server.ranges) == 2, "the second run has downloaded nothing"
    assert_installed(project / "datasets")


@POSIX_ONLY
def test_a_download_that_fills_the_disk_is_reported_and_kept(project: Path) -> None:
    before = snapshot(project / "datasets")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))"
    with BadServer(serve(PACKED)) as server:
        status, _, err = finish(start(project, *ACCEPT, mirror=server.url, prelude=limit))
    assert status == 1
    assert "There is no room left to write" in err
    assert snapshot(project / "datasets") == before | {PART: PACKED[:20_000]}
