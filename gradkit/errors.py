"""Errors that a command answers with one sentence and exit status 1."""

import errno
import os
import sqlite3
from concurrent.futures import BrokenExecutor

from assignment.workspace.regions import RegionError


class GradkitError(Exception):
    """A command cannot do its work; the text says to its user what was found and what to do."""


ADVICE = {
    errno.ENOSPC: " Make room there; the same command then goes on.",
    errno.EMFILE: " Allow more of them (ulimit -n 1024).",
    errno.EAGAIN: " Allow more processes (ulimit -u), or add --jobs 1.",
    errno.ENOMEM: " Free or allow more memory (ulimit -v), or add --jobs 1.",
}
ADVICE[errno.EDQUOT] = ADVICE[errno.ENOSPC]


def describe(error: Exception) -> str | None:
    """Return a sentence for an error of the user, the machine or its files.

    Return None for one of the program.
    """
    match error:
        case GradkitError() | RegionError():
            return str(error)
        case OSError(errno=int(number)):
            place = error.filename if error.filename2 is None else error.filename2
            prefix = "" if place is None else f"{os.fsdecode(place)}: "
            return f"{prefix}{os.strerror(number)}.{ADVICE.get(number, '')}"
        case MemoryError():
            return f"There is not enough memory.{ADVICE[errno.ENOMEM]}"
        case BrokenExecutor():
            return f"A process was ended from outside.{ADVICE[errno.ENOMEM]}"
        case RuntimeError() if "start new thread" in str(error):
            return f"No more threads can be started.{ADVICE[errno.EAGAIN]}"
        case ValueError() if type(error).__name__ == "ExerciseError":  # importing it loads numpy
            return str(error)
        case OSError() | sqlite3.Error() | UnicodeError():
            return str(error)
    return None
