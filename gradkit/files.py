"""Helpers for files and names, also a stranger's, which import nothing of gradkit."""

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import stat
import subprocess
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from assignment.workspace.regions import RegionError, decode

# Unicode's Default_Ignorable_Code_Point, such as joiners, soft hyphens and marks of direction.
IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]+"
)

# Bytes that are not UTF-8, as Python escapes them -> characters of Windows's Western code page.
_STRAY_BYTES = {
    0xDC00 + byte: bytes([byte]).decode("cp1252", "replace") for byte in range(128, 256)
}
_DECLARATION = re.compile(
    r"\A((?:[^\r\n]*(?:\r\n?|\n))??[ \t\f]*#[^\r\n]*?coding[:=][ \t]*)[-\w.]+"
)


def write_atomic(path: Path, content: str | bytes, mode: int | None = None) -> Path:
    """Write a whole file, or leave the older one in its place untouched; return its path.

    Readers see the old content or the new, never half of it. Text is written as UTF-8 with its
    line ends unchanged. `mode` are the permissions, such as 0o600 (default: those of the umask).
    """
    unfinished = path.with_name(f".{path.name}.tmp")
    try:
        with unfinished.open("wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(content.encode() if isinstance(content, str) else content)
        unfinished.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        if isinstance(error, OSError):  # a full disk names no file
            error.filename, error.filename2 = str(path), None
        raise
    return path


@contextlib.contextmanager
def temporary_folder(prefix: str = "gradkit-", parent: str | None = None) -> Iterator[Path]:
    """Make a folder for temporary files, closed to other users; remove it afterwards."""
    folder = Path(parent or tempfile.gettempdir(), prefix + secrets.token_hex(8))
    try:
        folder.mkdir(0o700)
        yield folder
    except OSError as error:
        full = error.errno == errno.ENOSPC and os.statvfs(folder.parent).f_bavail == 0
        if full and error.filename is None:  # it came from writing, which names no file
            error.filename = str(folder.parent)
        raise
    finally:
        try:
            remove_tree(folder)
        except BaseException:  # Ctrl-C
            remove_tree(folder)
            raise


def remove_tree(path: Path) -> None:
    """Remove a folder and everything in it, as far as this user may; follow no links."""
    with contextlib.suppress(RecursionError):
        shutil.rmtree(path, ignore_errors=True)
    if path.is_dir() and not path.is_symlink():
        # Folders that are closed, or nested deeper than Python's stack allows.
        for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
            subprocess.run([*command, "--", path], stderr=subprocess.DEVNULL, check=False)


def content_digest(contents: Mapping[str, bytes]) -> str:
    """Return the SHA-256 of named contents as 64 hexadecimal digits, whatever their order."""
    sha256 = hashlib.sha256()
    for name, content in sorted(contents.items()):
        sha256.update(f"{name}\0{len(content)}\0".encode() + content)
    return sha256.hexdigest()


def open_file(path: Path) -> io.BufferedReader:
    """Open a regular file to read it; raise OSError at once for a link, a pipe or a device."""
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(number, "rb")
    if not stat.S_ISREG(os.fstat(number).st_mode):
        file.close()
        raise OSError(None, "not a regular file, but a pipe, a device or the like")
    return file


def plain(text: str) -> str:
    """Return a text in NFC, with " " for blanks of any other kind, and without joiners."""
    text = unicodedata.normalize("NFC", text)
    return text if text.isprintable() else re.sub(r"\s", " ", IGNORABLE.sub("", text))


def shown(text: str, most: int = 80) -> str:
    """Return a text on one line of at most `most` characters, the unprintable ones escaped."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[: 2 * most])
    return text if len(text) <= most else f"{text[: most - 1]}…"


def shown_names(names: Sequence[str], separator: str = ", ", most: int = 80) -> str:
    """Return three names as `shown`, and the number of the others: "a, b, c and 2 more"."""
    listed = separator.join(shown(name, most) for name in names[:3])
    return f"{listed} and {len(names) - 3:,} more" if len(names) > 3 else listed


def distinct(text: str, most: int) -> str:
    """Return a printable name of at most `most` characters, another one for another text."""
    text = unicodedata.normalize("NFC", text)
    clean = shown(plain(text), 2 * most).strip()
    if clean == text and len(clean) <= most:
        return clean
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{clean[: most - len(digest) - 1]}~{digest}"


def decode_anything(content: bytes) -> tuple[str, str]:
    """Return a text, and the encoding it was read in if Python would not read the same bytes.

    Such a text can be encoded as UTF-8: it declares that, where it declared another encoding.
    """
    with contextlib.suppress(RegionError):
        text = decode(content, "")
        if "\0" not in text:
            return text, ""
    encoding: str = json.detect_encoding(content)  # by a byte order mark, or the zero bytes
    try:
        text, encoding = content.decode(encoding), encoding.upper()
    except UnicodeDecodeError:
        text = content.decode("utf-8", "surrogateescape").translate(_STRAY_BYTES)
        encoding = "UTF-8 with bytes of Windows-1252"
    if "\0" in text:
        text, encoding = text.replace("\0", ""), f"{encoding} without its zero bytes"
    return _DECLARATION.sub(r"\1utf-8", text.removeprefix("\ufeff")), encoding
