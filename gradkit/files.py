"""gradkit.files: to be described."""

import io
import os
import stat
from pathlib import Path


def open_file(path: Path) -> io.BufferedReader:
    """A regular file, opened for reading; OSError for a link, and for a pipe or device at once."""
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(number, "rb")
    if not stat.S_ISREG(os.fstat(number).st_mode):
        file.close()
        raise OSError(None, "it is no file, but a pipe, a device or the like")
    return file


def shown(text: str, most: int = 80) -> str:
    """A name as people can read it, on one line: escapes for what cannot be printed, no more than
    `most` characters."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[: 2 * most])
    return text if len(text) <= most else f"{text[: most - 1]}…"
