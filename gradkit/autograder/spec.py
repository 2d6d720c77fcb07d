"""The grading spec of an exercise: the same for every submission of a class.

    instructor's tree + secret seed -> GradingSpec -> graded notebook, tree, answer key

Everything drawn at random derives from the secret seed: a seed for each check, the stand-in that
classifiers are trained on, its disguise, and the images that classifiers are judged on. The latter
and the answer key never enter a sandbox.
"""

import contextlib
import hashlib
import io
import marshal
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
from pathlib import Path
from typing import Any

from assignment.checks.answer_key import AnswerKey
from assignment.checks.check import Exercise, load_exercise
from assignment.cifar10.synthetic import Disguise, draw_images, write_batches
from assignment.data_utils import get_CIFAR10_data, to_rows
from assignment.workspace import regions
from gradkit.autograder.sandbox import Isolation
from gradkit.course.answer_key import compute_answer_key, spec_digest
from gradkit.course.exercise_config import ExerciseConfig, read_config
from gradkit.course.mistakes import read_bank
from gradkit.course.starter import starter_files

DATA = "/data"  # where the stand-in lies in a sandbox
BEST_MODEL = "/tmp/best_model.npz"


@dataclass(frozen=True)
class GradingSpec:
    """The data that every submission of an exercise is graded with."""

    exercise: Exercise
    config: ExerciseConfig
    secret: int  # the secret seed, 128 bits; the problems can be computed from it
    digest: str  # hash of solution, checks, config and mistakes
    starter: Mapping[str, bytes]  # the pristine files of a starter with this exercise, by path
    answer_key: AnswerKey  # the references and the mistakes' fingerprints for this seed
    data_folder: Path  # the stand-in's batches

    @cached_property
    def data(self) -> dict[str, Any]:
        """The data for rules: parameters and bounds; for exercises with images, also arrays.

        X_val, X_test, X_unseen : (N, D) images of the stand-in, and images that no submission has
        seen. y_val, y_test, y_unseen : (N,) integers, their labels.
        """
        data: dict[str, Any] = {**self.config.parameters, **self.config.bounds}
        if not self.config.images_per_batch:
            return data
        with contextlib.redirect_stdout(io.StringIO()):
            splits = get_CIFAR10_data(
                self.data_folder,
                num_training=data["NUM_TRAINING"],
                num_validation=data["NUM_VALIDATION"],
                num_test=data["NUM_TEST"],
                num_dev=data["NUM_DEV"],
            )
        for name in ("X_val", "y_val", "X_test", "y_test"):
            data[name] = getattr(splits, name)
        seed = derive_seed(self.secret, "unseen pictures")
        drawn = draw_images(self.config.unseen_images, seed)
        unseen, data["y_unseen"] = _disguise(self.secret).apply(*drawn)
        mean = splits.mean_image.reshape(-1)
        data["X_unseen"] = to_rows(unseen, mean, splits.X_val.dtype.type)
        return data

    def notebook(
        self, cells: Mapping[str, str], isolation: Isolation = Isolation.SANDBOX
    ) -> regions.Notebook:
        """Return the graded notebook of a submission; `cells` are its texts by region.

        Its checks use the secret seed, and its parameters are those for grading, which no cell
        changes for them.
        """
        graded = []
        for cell in self._notebook["cells"]:
            metadata = cell["metadata"].get("gradkit", {})
            source = cells.get(metadata.get("region", ""), regions.source_of(cell))
            if "check" in metadata:
                exercise, name = self.exercise, metadata["check"]
                own_seed = exercise.check(name).seed_from(self.secret)
                source = (
                    "from assignment.checks.graded import answer\n"
                    f"answer({exercise.name!r}, {name!r}, {own_seed}, "
                    f"globals() | {self.config.parameters!r})"
                )
            elif metadata.get("role") == "parameters":
                source = f"{source}\n{self._parameters(isolation)}"
            graded.append({**cell, "source": source})
        return {**self._notebook, "cells": graded}

    @cached_property
    def _notebook(self) -> regions.Notebook:
        """The starter's notebook with its code cells, except those that only display."""
        path = self.exercise.notebook
        notebook = regions.read_notebook(self.starter[path].decode(), path)
        cells = [
            cell
            for cell in notebook["cells"]
            if cell["cell_type"] == "code"
            and cell["metadata"].get("gradkit", {}).get("role") != "display"
        ]
        return {**notebook, "cells": cells}

    @cached_property
    def compiled(self) -> dict[str, bytes]:
        """The course's own modules as byte code, by the paths where Python looks for it."""
        hash_based = (1).to_bytes(4, "little")  # PEP 552: with a hash that Python does not check
        compiled = {}
        for path, content in self.starter.items():
            if path.endswith(".py") and path not in self.exercise.files:
                code = compile(content, path, "exec", dont_inherit=True)
                header = MAGIC_NUMBER + hash_based + source_hash(content)
                compiled[cache_from_source(path)] = header + marshal.dumps(code)
        return compiled

    def _parameters(self, isolation: Isolation) -> str:
        data = DATA if isolation is Isolation.SANDBOX else str(self.data_folder)
        model = f"Path({BEST_MODEL!r})"
        if isolation is Isolation.SEPARATE_USER:  # one cannot replace another one's file in /tmp
            model = f"Path.home() / {Path(BEST_MODEL).name!r}"
        lines = [f"{name} = {value!r}" for name, value in self.config.parameters.items()]
        return "\n".join([*lines, f"DATA = {data!r}", f"BEST_MODEL = {model}"])


def derive_seed(secret: int, purpose: str) -> int:
    """Return a seed for one purpose, from which neither the secret nor other seeds follow."""
    return int.from_bytes(hashlib.sha256(f"{secret}:{purpose}".encode()).digest()[:8], "big")


def _disguise(secret: int) -> Disguise:
    return Disguise(derive_seed(secret, "disguise"))


def build_spec(
    name: str, project: Path, secret: int, folder: Path, answer_key: AnswerKey | None = None
) -> GradingSpec:
    """Build the grading spec of an exercise for a secret seed; draw its stand-in into `folder`.

    `answer_key` is the one computed before for the same digest and seed, if there is one.
    """
    exercise = load_exercise(name)
    config = read_config(project, name)
    starter = starter_files(project, [name])
    data_folder = folder / "stand-in"
    data_folder.mkdir(parents=True)
    if config.images_per_batch:
        seed = derive_seed(secret, "stand-in")
        write_batches(data_folder, seed, config.images_per_batch, _disguise(secret))
    answer_key = answer_key or compute_answer_key(read_bank(exercise, project), secret)
    digest = spec_digest(name, project, starter)
    spec = GradingSpec(exercise, config, secret, digest, starter, answer_key, data_folder)
    _ = spec.data  # writes a decoded copy beside the batches, for every kernel to map
    _make_readable(data_folder)
    return spec


def write_tree(spec: GradingSpec, files: Mapping[str, bytes], tree: Path) -> None:
    """Write the starter's tree with a student's files in their places, for a sandbox to read."""
    for path, content in {**spec.starter, **spec.compiled, **files}.items():
        place = tree / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    _make_readable(tree)


def _make_readable(folder: Path) -> None:
    """Let all users read a folder, whatever the umask: a sandbox runs as another user."""
    for place in (folder, *folder.rglob("*")):
        place.chmod(0o755 if place.is_dir() else 0o644)
