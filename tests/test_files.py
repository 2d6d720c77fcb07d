"""Files are written whole or not at all, and read only where they are regular files."""

import os
from pathlib import Path

import pytest

from gradkit.files import content_digest, open_file, shown, write_atomic


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
