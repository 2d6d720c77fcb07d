"""The folder of a run: it holds every temporary file of a grader, and is removed with it."""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gradkit.autograder.sandbox import MAX_SOCKET_PARENT, Isolation, end_sandboxes
from gradkit.files import remove_tree, temporary_folder
from gradkit.processes import started

PREFIX = "gradkit-run-"
_NAME = re.compile(rf"{PREFIX}(?P<pid>[0-9]{{1,9}})-(?P<started>[0-9.]+|ended)-")
MAX_PARENT = MAX_SOCKET_PARENT - 50  # characters; the folder's own name has fewer than 50


@contextlib.contextmanager
def run_folder(isolation: Isolation) -> Iterator[Path]:
    """Make a folder for the temporary files of this process and of those that it starts.

    Folders of processes that were killed are removed first, since they hold seeds. Sandboxes that
    still run in a folder end with it.
    """
    usual = tempfile.gettempdir()
    for path in (path for parent in {usual, "/tmp"} for path in Path(parent).glob(f"{PREFIX}*")):
        owner = _NAME.match(path.name)  # anybody may make another one in /tmp
        if owner and started(int(owner["pid"])) != owner["started"]:
            end_sandboxes(path)
            remove_tree(path)
    parent = usual if isolation is Isolation.SANDBOX or len(usual) <= MAX_PARENT else "/tmp"
    with temporary_folder(f"{PREFIX}{os.getpid()}-{started(os.getpid())}-", parent) as folder:
        folder.chmod(0o711)  # the sandbox reads the stand-in data in it
        try:
            yield folder
        finally:
            end_sandboxes(folder)
