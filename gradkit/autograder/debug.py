"""gradkit.autograder.debug: to be described."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from assignment import PROJECT
from gradkit.autograder.grade_submission import TREE, GradingError, open_runner, prepare_workdir
from gradkit.autograder.runner import SubmissionRunner
from gradkit.autograder.sandbox import Isolation, self_test
from gradkit.autograder.spec import GradingSpec, build_spec

ABOUT = "desk.json"


def prepare_debug_workdir(
    spec: GradingSpec,
    files: Mapping[str, bytes],
    cells: Mapping[str, str],
    workdir: Path,
    isolation: Isolation,
) -> Path:
    """Lay a desk that stays, for `pytest --nbval`, and return its notebook's path."""
    workdir.mkdir(parents=True)
    workdir.chmod(0o700)  # the secret seed is on it
    notebook = prepare_workdir(spec, files, cells, workdir, isolation)
    workdir.chmod(0o700)
    about = {
        "exercise": spec.exercise.name,
        "digest": spec.digest,
        "secret": f"{spec.secret:032x}",
        "files": sorted(files),
        "enclosure": isolation.value,
    }
    (workdir / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return notebook


def runner_at(notebook: Path) -> Callable[[], SubmissionRunner] | None:
    """What begins the sitting at a desk that stayed; None where the notebook is on no desk.

    Raises
    ------
    GradkitError
        The sandbox that it asks for cannot be had, or the exam has changed since.
    """
    workdir = notebook.parent
    if not (workdir / ABOUT).is_file():
        return None
    about = json.loads((workdir / ABOUT).read_text(encoding="utf-8"))

    def begin() -> SubmissionRunner:
        isolation = Isolation(about["enclosure"])
        if isolation is not Isolation.NONE:
            self_test(isolation)
        shutil.rmtree(workdir / "exam", ignore_errors=True)
        spec = build_spec(about["exercise"], PROJECT, int(about["secret"], 16), workdir / "exam")
        if spec.digest != about["digest"]:
            raise GradingError(f"The exercise has changed since {workdir} was laid. Lay it anew.")
        files = {path: (workdir / TREE / path).read_bytes() for path in about["files"]}
        return open_runner(spec, files, workdir, isolation)

    return begin
