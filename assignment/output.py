"""Standard output of the student's commands, in whatever encoding the terminal has."""

import codecs
import io
import sys

PLAIN = {"✓": "+", "✗": "x", "·": ".", "→": "->", "×": "x", "±": "+-"}


def prepare_output() -> None:
    """Let standard output write any text, and each line at once, also into a pipe.

    Pipes, Git Bash and older consoles on Windows have code pages without ✓: a mark becomes a plain
    one, any other character its number, as on standard error.
    """
    codecs.register_error("plain", _plain)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="plain", line_buffering=True)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    numbered = (PLAIN.get(x) or x.encode("ascii", "backslashreplace").decode() for x in text)
    return "".join(numbered), error.end
