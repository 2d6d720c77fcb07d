"""The inline questions of an exercise: what is asked, and what the answer is worth.

A question is a cell of the notebook whose text belongs to the student, a region of prose; what is
asked stands in the cell above it, and the points in the manifest. People grade the answers.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from assignment.workspace.regions import ANSWER_STUB, Notebook, region_of, source_of
from gradkit.course.instructor_tree import CourseError


@dataclass(frozen=True)
class Question:
    """One question: the name of its answer's region, what it is called, what is asked, points."""

    name: str
    title: str
    text: str
    points: int


def read_questions(nb: Notebook, points: Mapping[str, int]) -> tuple[Question, ...]:
    """The questions of an exercise's notebook, in its order, with these points by their names.

    Raises
    ------
    ManifestError
        There are points for a question that the notebook does not ask.
    """
    questions, above = [], ""
    for cell in nb["cells"]:
        name = region_of(cell)
        if name is not None and cell["cell_type"] == "markdown":
            titled = re.match(r"\*\*(.+?)(?: \(\d+ points?\))?[.:]?\*\*", above)
            title = titled[1] if titled else name
            text = above[titled.end() :].strip() if titled else above
            questions.append(Question(name, title, text, points.get(name, 0)))
        above = source_of(cell).strip() if cell["cell_type"] == "markdown" else ""
    if unknown := sorted(set(points) - {question.name for question in questions}):
        asked = ", ".join(question.name for question in questions) or "none"
        raise CourseError(
            f"[questions] has points for {', '.join(unknown)}, and the notebook has no such cell "
            f"for an answer. It has: {asked}."
        )
    return tuple(questions)


def is_answered(answer: str) -> bool:
    """Whether anything was written in the place of the stub."""
    return answer.strip() not in ("", ANSWER_STUB)


def answer_digest(answer: str) -> str:
    """What tells an answer from another one, so that points are given for the one that was read."""
    return hashlib.sha256(answer.strip().encode("utf-8", "backslashreplace")).hexdigest()[:16]
