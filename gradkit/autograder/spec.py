"""The grading spec of an exercise: the same for every submission of a class.

    instructor's tree + secret seed -> GradingSpec -> graded notebook, tree, answer key

Everything drawn at random derives from the secret seed: a seed for each check, and the exercise's
data. Of these, labels that models are judged by never enter a sandbox; nor does the answer key.
"""

import io
import marshal
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
from pathlib import Path
from typing import Any

import numpy as np

from assignment.checks.answer_key import AnswerKey
from assignment.checks.check import Exercise, load_exercise
from assignment.checks.draws import derive_seed
from assignment.checks.unseen import UNSEEN_INPUTS
from assignment.workspace import regions
from gradkit.autograder.sandbox import Isolation
from gradkit.course.answer_key import compute_answer_key, spec_digest
from gradkit.course.exercise_config import ExerciseConfig, read_config
from gradkit.course.exercise_data import draw_data, notebook_variables
from gradkit.course.mistakes import read_bank
from gradkit.course.starter import starter_files

DATA = "/data"  # where the data folder lies in a sandbox
VARIABLES = "variables.pickle"  # in that folder
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
    data_folder: Path  # holds VARIABLES, for the notebook

    @cached_property
    def data(self) -> dict[str, Any]:
        """The data for rules: the notebook's parameters, and what the exercise's `data` returns."""
        seed = derive_seed(self.secret, "data")
        return draw_data(self.exercise, self._notebook, self.config.parameters, seed)

    def unseen_inputs(self) -> list[bytes]:
        """Return a list of the samples to judge models by, an npy file; empty without samples."""
        if UNSEEN_INPUTS not in self.data:
            return []
        file = io.BytesIO()
        np.save(file, self.data[UNSEEN_INPUTS], allow_pickle=False)
        return [file.getvalue()]

    def notebook(
        self, cells: Mapping[str, str], isolation: Isolation = Isolation.SANDBOX
    ) -> regions.Notebook:
        """Return the graded notebook of a submission; `cells` are its texts by region.

        Its checks use the secret seed, and its parameters are those for grading, which no cell
        changes for them.
        """
        graded = []
        data = DATA if isolation is Isolation.SANDBOX else str(self.data_folder)
        load_data = (
            "from assignment.checks.graded import load_variables\n"
            f"globals().update(load_variables({f'{data}/{VARIABLES}'!r}))"
        )
        for cell in self._notebook["cells"]:
            metadata = cell["metadata"].get("gradkit", {})
            source = cells.get(metadata.get("region", ""), regions.source_of(cell))
            if name := regions.check_of(cell):
                exercise, metadata = self.exercise, {"check": name}
                own_seed = exercise.check(name).seed_from(self.secret)
                source = (
                    "from assignment.checks.graded import answer\n"
                    f"answer({exercise.name!r}, {name!r}, {own_seed}, "
                    f"globals() | {self.config.parameters!r})"
                )
            elif metadata.get("role") == "data":
                source, load_data = load_data, "pass"  # the first cell loads all
            elif metadata.get("role") == "parameters":
                source = f"{source}\n{self._parameters(source, isolation)}"
            about = {**cell["metadata"], "gradkit": metadata}
            graded.append({**cell, "source": source, "metadata": about})
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

    def _parameters(self, source: str, isolation: Isolation) -> str:
        """Return the lines that replace parameters in the cell with this source."""
        model = f"Path({BEST_MODEL!r})"
        if isolation is Isolation.SEPARATE_USER:  # one cannot replace another one's file in /tmp
            model = f"Path.home() / {Path(BEST_MODEL).name!r}"
        lines = [f"{name} = {value!r}" for name, value in self.config.parameters.items()]
        if "BEST_MODEL" in source:
            lines.append(f"BEST_MODEL = {model}")
        return "\n".join(lines)


def build_spec(
    name: str, project: Path, secret: int, folder: Path, answer_key: AnswerKey | None = None
) -> GradingSpec:
    """Build the grading spec of an exercise for a secret seed; write its data into `folder`.

    `answer_key` is the one computed before for the same digest and seed, if there is one.
    """
    exercise = load_exercise(name)
    config = read_config(project, name)
    starter = starter_files(project, [name])
    data_folder = folder / "data"
    data_folder.mkdir(parents=True)
    answer_key = answer_key or compute_answer_key(read_bank(exercise, project), secret)
    digest = spec_digest(name, project, starter)
    spec = GradingSpec(exercise, config, secret, digest, starter, answer_key, data_folder)
    variables = pickle.dumps(notebook_variables(spec.data))
    (data_folder / VARIABLES).write_bytes(variables)
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
