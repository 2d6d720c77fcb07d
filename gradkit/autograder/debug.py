"""One submission written out to be run by hand, with pytest's report of every cell.

    gradkit debug SUBMISSION WORKDIR        writes the workdir, which stays
    python -m pytest -p gradkit.autograder.debug --nbval WORKDIR/...ipynb

The second command runs the notebook as `gradkit grade` does, with the same seed and sandbox.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from assignment import PROJECT
from gradkit.autograder.grade_submission import TREE, GradingError, open_runner, prepare_workdir
from gradkit.autograder.nbval_plugin import Plugin
from gradkit.autograder.runner import SubmissionRunner
from gradkit.autograder.sandbox import Isolation, self_test
from gradkit.autograder.spec import GradingSpec, build_spec
from gradkit.files import remove_tree

SETTINGS = "debug.json"


def pytest_configure(config: pytest.Config) -> None:
    """Let pytest run the notebooks of debug workdirs as submissions."""
    config.pluginmanager.register(Plugin(open_debug_runner), "gradkit debug")


def prepare_debug_workdir(
    spec: GradingSpec,
    files: Mapping[str, bytes],
    cells: Mapping[str, str],
    workdir: Path,
    isolation: Isolation,
) -> Path:
    """Write a submission's workdir with the settings to run it, and return its notebook's path."""
    workdir.mkdir(parents=True)
    notebook = prepare_workdir(spec, files, cells, workdir, isolation)
    workdir.chmod(0o700)  # it holds the secret seed
    settings = {
        "exercise": spec.exercise.name,
        "digest": spec.digest,
        "secret": f"{spec.secret:032x}",
        "files": sorted(files),
        "isolation": isolation.value,
    }
    (workdir / SETTINGS).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    return notebook


def open_debug_runner(notebook: Path) -> SubmissionRunner:
    """Return the runner of a notebook in a debug workdir.

    Raise GradkitError if its sandbox does not start, or the exercise has changed since.
    """
    workdir = notebook.parent
    settings = json.loads((workdir / SETTINGS).read_text(encoding="utf-8"))
    isolation, secret = Isolation(settings["isolation"]), int(settings["secret"], 16)
    if isolation is not Isolation.NONE:
        self_test(isolation)
    remove_tree(workdir / "spec")
    spec = build_spec(settings["exercise"], PROJECT, secret, workdir / "spec")
    if spec.digest != settings["digest"]:
        raise GradingError(
            f"The exercise has changed since {workdir} was written. Run gradkit debug again."
        )
    files = {path: (workdir / TREE / path).read_bytes() for path in settings["files"]}
    return open_runner(spec, files, workdir, isolation)
