"""gradkit.autograder.debug: to be described."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from assignment import PROJECT
from gradkit.autograder.grade_submission import TREE, GradingError, lay, new_sitting
from gradkit.autograder.runner import Sitting
from gradkit.autograder.sandbox import Enclosure, probe
from gradkit.autograder.spec import Exam, make_exam

ABOUT = "desk.json"


def lay_for_a_look(
    exam: Exam,
    files: Mapping[str, bytes],
    cells: Mapping[str, str],
    desk: Path,
    enclosure: Enclosure,
) -> Path:
    """Lay a desk that stays, for `pytest --nbval`, and return its notebook's path."""
    desk.mkdir(parents=True)
    desk.chmod(0o700)  # the secret seed is on it
    notebook = lay(exam, files, cells, desk, enclosure)
    desk.chmod(0o700)
    about = {
        "exercise": exam.exercise.name,
        "digest": exam.digest,
        "secret": f"{exam.secret:032x}",
        "files": sorted(files),
        "enclosure": enclosure.value,
    }
    (desk / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return notebook


def sitting_at(notebook: Path) -> Callable[[], Sitting] | None:
    """What begins the sitting at a desk that stayed; None where the notebook is on no desk.

    Raises
    ------
    GradkitError
        The sandbox that it asks for cannot be had, or the exam has changed since.
    """
    desk = notebook.parent
    if not (desk / ABOUT).is_file():
        return None
    about = json.loads((desk / ABOUT).read_text(encoding="utf-8"))

    def begin() -> Sitting:
        enclosure = Enclosure(about["enclosure"])
        if enclosure is not Enclosure.NONE:
            probe(enclosure)
        shutil.rmtree(desk / "exam", ignore_errors=True)
        exam = make_exam(about["exercise"], PROJECT, int(about["secret"], 16), desk / "exam")
        if exam.digest != about["digest"]:
            raise GradingError(f"The exercise has changed since {desk} was laid. Lay it anew.")
        files = {path: (desk / TREE / path).read_bytes() for path in about["files"]}
        return new_sitting(exam, files, desk, enclosure)

    return begin
