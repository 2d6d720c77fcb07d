"""Files are written whole or not at all, and read only where they are regular files."""

import errno
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from gradkit.files import (
    content_digest,
    open_file,
    remove_tree,
    shown,
    temporary_folder,
    write_atomic,
)


@pytest.mark.parametrize("content", ["ä\r\n", b"\xff\n"])
def test_write_atomic_replaces_a_file(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")
    assert write_atomic(path, content, mode=0o600) == path
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [*tmp_path.iterdir()] == [path]


def test_write_atomic_leaves_the_old_file_if_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_atomic(path, "\ud800")
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_an_error_in_writing_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "page.html"

    def fail(number: int, mode: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as `write` does

    monkeypatch.setattr(os, "fchmod", fail)
    with pytest.raises(OSError) as raised:
        write_atomic(path, "new", mode=0o600)
    assert raised.value.filename == str(path)
    assert not [*tmp_path.iterdir()]


def test_a_temporary_folder_goes_however_deep_closed_or_linked_its_content_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deeper than Python's stack, and with paths longer than the system takes."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    mine = tmp_path / "mine"
    mine.write_text("mine")
    with temporary_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        for side, depth in (("a", 2100), ("b", 3)):
            inner = os.open(folder, os.O_RDONLY)
            for number in range(depth):
                os.mkdir(side, dir_fd=inner)
                os.symlink(mine, f"to {side}", dir_fd=inner)
                deeper = os.open(side, os.O_RDONLY, dir_fd=inner)
                os.fchmod(inner, 0 if number % 100 == 99 else 0o700)
                os.close(inner)
                inner = deeper
            os.close(inner)
        (folder / "to").symlink_to(tmp_path)
    assert not [*(tmp_path / "tmp").iterdir()]
    assert mine.read_text() == "mine"


def test_a_temporary_folder_goes_though_its_removal_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    unlink, tries = os.unlink, []

    def interrupted_once(name: str, **options: int) -> None:
        tries.append(name)
        if len(tries) == 1:
            raise KeyboardInterrupt
        unlink(name, **options)

    monkeypatch.setattr(os, "unlink", interrupted_once)
    with pytest.raises(KeyboardInterrupt), temporary_folder() as folder:
        (folder / "seed").touch()
    assert not [*tmp_path.iterdir()]


def test_a_link_in_place_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    remove_tree(tmp_path / "link")
    assert (tmp_path / "mine" / "file").exists()


def test_an_error_of_a_full_disk_names_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=0))
    with pytest.raises(OSError) as raised, temporary_folder():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as `write` does
    assert raised.value.filename == str(tmp_path)


def test_content_digest_tells_names_from_contents() -> None:
    assert content_digest({"a": b"1", "b": b"2"}) == content_digest({"b": b"2", "a": b"1"})
    assert content_digest({"a": b"1"}) != content_digest({"a1": b""})


def test_open_file_refuses_links_and_pipes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(__file__)
    for name in ("pipe", "link"):
        with pytest.raises(OSError):
            open_file(tmp_path / name)


def test_shown_escapes_and_cuts() -> None:
    assert shown("a\nb\x1b") == r"a\nb\x1b"
    assert shown("a" * 100, most=5) == "aaaa…"
