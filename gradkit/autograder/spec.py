"""An exam: all that a class is graded with, the same for every submission.

It is made from the instructor's tree and one secret seed, from which everything drawn is derived:
a seed for each check, the stand-in that classifiers are trained on, and the pictures that they are
judged on. The latter and the right answers never enter a sandbox.
"""

import contextlib
import hashlib
import importlib.util
import io
import py_compile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from assignment.checks.answer_key import AnswerKey
from assignment.checks.check import Exercise, load_exercise
from assignment.cifar10.synthetic import draw_images, write_batches
from assignment.data_utils import get_CIFAR10_data, to_rows
from assignment.workspace import regions
from gradkit.autograder.sandbox import Isolation
from gradkit.course.answer_key import compute_answer_key, spec_digest
from gradkit.course.config import ExerciseConfig, read_config
from gradkit.course.mistakes import read_bank
from gradkit.course.starter import starter_files

DATA = "/data"  # where the stand-in is in a sandbox

BEST_MODEL = "/tmp/best_model.npz"

# Lines of the notebook's setup that look, before each cell, whether a module's file has changed.
# None does while a submission is graded.
RELOADING = ("%load_ext autoreload", "%autoreload 2")


@dataclass(frozen=True)
class GradingSpec:
    """See the module's description.

    Attributes
    ----------
    exercise : Exercise
    manifest : Manifest
    secret : int
        128 bits; who knows them knows the problems.
    digest : str
        What tells exams of other solutions, checks, manifests or mistakes from this one.
    starter : mapping
        The pristine files of a starter with this exercise, by their paths.
    answers : Answers
        What is right for this seed, and what known mistakes give.
    data_folder : Path
        The stand-in's batches.
    """

    exercise: Exercise
    config: ExerciseConfig
    secret: int
    digest: str
    starter: Mapping[str, bytes]
    answer_key: AnswerKey
    data_folder: Path

    @cached_property
    def data(self) -> dict[str, Any]:
        """What rules may look at: parameters and bounds; and, of an exercise with pictures, the
        stand-in's splits, and pictures that nobody has seen.
        """
        parameters: dict[str, Any] = {**self.config.parameters}
        if not self.config.images_per_batch:
            return {**parameters, **self.config.bounds}
        with contextlib.redirect_stdout(io.StringIO()):
            splits = get_CIFAR10_data(
                self.data_folder,
                num_training=parameters["NUM_TRAINING"],
                num_validation=parameters["NUM_VALIDATION"],
                num_test=parameters["NUM_TEST"],
                num_dev=parameters["NUM_DEV"],
            )
        unseen, labels = draw_images(
            self.config.unseen_images, derived(self.secret, "unseen pictures")
        )
        mean = splits.mean_image.reshape(-1)
        names = ("X_val", "y_val", "X_test", "y_test")
        return {
            **parameters,
            **self.config.bounds,
            **{name: getattr(splits, name) for name in names},
            "X_unseen": to_rows(unseen, mean, splits.X_val.dtype.type),
            "y_unseen": labels,
        }

    @property
    def all_deadlines(self) -> float:
        """The seconds that a submission's cells may take together."""
        limits, checks = self.config.limits, len(self.exercise.checks)
        others = len(self._cells) - checks
        return checks * limits.check_seconds + others * limits.cell_seconds

    def notebook(
        self, cells: Mapping[str, str], isolation: Isolation = Isolation.SANDBOX
    ) -> regions.Notebook:
        """The notebook that is run for a submission with these texts in its regions.

        Its code cells, as the starter has them, without those that only show something; checks
        answer with numbers for the secret seed, and the parameters are the grading ones.
        """
        graded = []
        for cell in self._cells:
            about = cell["metadata"].get("gradkit", {})
            source = cells.get(about.get("region", ""), regions.source_of(cell))
            if "check" in about:
                source = self._question(about["check"])
            elif about.get("role") == "parameters":
                source = "\n".join([source, *self._parameters(isolation)])
            elif about.get("role") == "setup":
                source = "\n".join(line for line in source.splitlines() if line not in RELOADING)
            graded.append({**cell, "source": source})
        return {**self._starter_notebook, "cells": graded}

    @cached_property
    def _starter_notebook(self) -> regions.Notebook:
        path = self.exercise.notebook
        return regions.read_notebook(self.starter[path].decode(), path)

    @cached_property
    def _cells(self) -> list[Any]:
        """The cells that are run: those of code, without those that only show something."""
        return [
            cell
            for cell in self._starter_notebook["cells"]
            if cell["cell_type"] == "code"
            and cell["metadata"].get("gradkit", {}).get("role") != "display"
        ]

    @cached_property
    def compiled(self) -> dict[str, bytes]:
        """The course's own files as Python compiles them, by the paths where it looks for that."""
        found = {}
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "source.py", Path(folder) / "compiled"
            for path, content in self.starter.items():
                if path.endswith(".py") and path not in self.exercise.files:
                    source.write_bytes(content)
                    never_again = py_compile.PycInvalidationMode.UNCHECKED_HASH
                    py_compile.compile(
                        str(source), str(target), path, doraise=True, invalidation_mode=never_again
                    )
                    found[importlib.util.cache_from_source(path)] = target.read_bytes()
        return found

    def _question(self, name: str) -> str:
        own_seed = self.exercise.check(name).seed_from(self.secret)
        return (
            "from assignment.checks.graded import answer\n"
            f"answer({self.exercise.name!r}, {name!r}, {own_seed}, globals())"
        )

    def _parameters(self, isolation: Isolation) -> list[str]:
        data = DATA if isolation is Isolation.SANDBOX else str(self.data_folder)
        model = f"Path({BEST_MODEL!r})"
        if isolation is Isolation.OTHER_USER:  # who cannot replace what another one left in /tmp
            model = f"Path.home() / {Path(BEST_MODEL).name!r}"
        lines = [f"{name} = {value!r}" for name, value in self.config.parameters.items()]
        return [*lines, f"DATA = {data!r}", f"BEST_MODEL = {model}"]


def derived(secret: int, purpose: str) -> int:
    """A seed for one purpose, which tells nothing of the secret or of the other purposes'."""
    return int.from_bytes(hashlib.sha256(f"{secret}:{purpose}".encode()).digest()[:8], "big")


def build_spec(
    name: str, project: Path, secret: int, folder: Path, answer_key: AnswerKey | None = None
) -> GradingSpec:
    """Make the exam of an exercise for a secret seed; its stand-in is drawn into `folder`.

    `answer_key` are those that were computed before for the same digest and seed, if they were.
    """
    exercise = load_exercise(name)
    config = read_config(project, name)
    starter = starter_files(project, [name])
    data_folder = folder / "stand-in"
    data_folder.mkdir(parents=True)
    if config.images_per_batch:
        write_batches(data_folder, derived(secret, "stand-in"), config.images_per_batch)
    answer_key = answer_key or compute_answer_key(read_bank(exercise, project), secret)
    digest = spec_digest(name, project, starter)
    spec = GradingSpec(exercise, config, secret, digest, starter, answer_key, data_folder)
    _ = spec.data  # which puts a decoded copy beside the batches, for every kernel to map
    _let_read(data_folder)
    return spec


def write_tree(spec: GradingSpec, files: Mapping[str, bytes], tree: Path) -> None:
    """The starter's tree with a student's files in their places, for a sandbox to read."""
    for path, content in {**spec.starter, **spec.compiled, **files}.items():
        place = tree / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    _let_read(tree)


def _let_read(folder: Path) -> None:
    """Let everyone read a folder, whatever the umask: a sandbox may be another user."""
    for place in (folder, *folder.rglob("*")):
        place.chmod(0o755 if place.is_dir() else 0o644)
