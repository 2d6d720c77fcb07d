"""The version of the code that comes to a verdict."""

from pathlib import Path

from gradkit.files import content_digest

GRADKIT = Path(__file__).parent.parent
# The code that verdicts depend on besides the grading spec: a change of it regrades everyone.
DECIDING = ("autograder/**/*.py", "course/answer_key.py", "course/mistakes.py")


def kit_digest() -> str:
    """Hash the code on which verdicts depend: 16 hexadecimal digits."""
    paths = [path for pattern in DECIDING for path in GRADKIT.glob(pattern)]
    contents = {path.relative_to(GRADKIT).as_posix(): path.read_bytes() for path in paths}
    return content_digest(contents)[:16]
