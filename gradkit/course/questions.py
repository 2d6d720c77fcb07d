"""The inline questions of an exercise, whose written answers people grade.

The answer is a text cell that is a region; the cell above it asks the question. The points are in
exercise.toml, by the region's name.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from assignment.workspace.regions import Notebook, region_of, source_of, title_of
from gradkit.course.instructor_tree import CourseError


@dataclass(frozen=True)
class Question:
    """A question: the region of its answer, its title and text, and the points it is worth."""

    name: str
    title: str
    text: str
    points: int


def read_questions(nb: Notebook, points: Mapping[str, int]) -> tuple[Question, ...]:
    """Return the questions of a notebook, in its order; `points` are those of each, by name.

    Raise CourseError if there are points for a question that the notebook does not ask.
    """
    questions, above = [], ""
    for cell in nb["cells"]:
        name = region_of(cell)
        if name is not None and cell["cell_type"] == "markdown":
            title, text = title_of(above)
            questions.append(Question(name, title or name, text.strip(), points.get(name, 0)))
        above = source_of(cell).strip() if cell["cell_type"] == "markdown" else ""
    if unknown := sorted(set(points) - {question.name for question in questions}):
        asked = ", ".join(question.name for question in questions) or "none"
        raise CourseError(
            f"[questions] has points for {', '.join(unknown)}, but the notebook has no answer cell "
            f"of that name. It has: {asked}."
        )
    return tuple(questions)


def answer_digest(answer: str) -> str:
    """Return 16 digits that name an answer, so that points go only to the text that was read."""
    return hashlib.sha256(answer.strip().encode("utf-8", "backslashreplace")).hexdigest()[:16]
