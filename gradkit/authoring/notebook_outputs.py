"""`gradkit run-notebooks`: run solved notebooks from top to bottom and store their outputs."""

import re
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert.preprocessors import CoalesceStreamsPreprocessor

from assignment import PROJECT
from assignment.checks.check import Exercise
from assignment.cifar10.install import DATASETS, install_synthetic
from gradkit.course.exercises import uses_images
from gradkit.errors import GradkitError
from gradkit.files import write_atomic

NOTEBOOKS = PROJECT / "notebooks"

# The slowest cell, tuning, takes half a minute; a machine twenty times as slow still passes.
CELL_TIMEOUT = 600  # seconds


class NotebookFailed(GradkitError):
    """A cell raised, such as a check that does not pass, or the kernel died."""


def store_outputs(exercise: Exercise) -> None:
    """Run a notebook, on the synthetic images if it uses some, and store its outputs in it.

    Raise NotebookFailed if a cell raised; the notebook is unchanged.
    """
    path = PROJECT / exercise.notebook
    nb = nbformat.read(path, as_version=4)
    sources = [cell.source for cell in nb.cells]
    if uses_images(exercise, PROJECT):
        set_parameters(nb, DATA=str(install_synthetic(DATASETS)))
    run(nb, path.name)
    for cell, source in zip(nb.cells, sources, strict=True):
        cell.source = source

    nb, _ = CoalesceStreamsPreprocessor().preprocess(nb, {})
    nb.metadata.language_info = {"name": "python"}  # its version would change with every machine
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            if "text" in output:
                output.text = output.text.replace(f"{PROJECT}/", "")
    write_atomic(path, nbformat.writes(nb) + "\n")
    print(f"Stored the outputs in {path}")


def role(cell: Any) -> str | None:
    """Return a cell's role from its metadata: setup, parameters, display or None."""
    return cell.metadata.get("gradkit", {}).get("role")


def set_parameters(nb: Any, **values: Any) -> None:
    """Append assignments to the parameters cell, if the notebook has one."""
    lines = [f"{name} = {value!r}" for name, value in values.items()]
    for cell in nb.cells:
        if role(cell) == "parameters":
            cell.source = "\n".join([cell.source, *lines])


def run(nb: Any, name: str) -> None:
    """Execute all cells of a notebook in a kernel of this Python; `name` is for messages.

    Raise NotebookFailed if a cell raised or exceeded its time, or the kernel died.
    """
    client = NotebookClient(
        nb,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # errors arrive as messages
    )
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
        raise NotebookFailed(f"{name} did not run to its end:\n{text}") from error


def printed(cell: Any) -> list[str]:
    """Return the lines on a cell's standard output, as finally shown, and of its verdict."""
    text = ""
    for output in cell.get("outputs", []):
        if output.output_type == "stream" and output.name == "stdout":
            text += output.text
        elif output.output_type == "display_data" and "text/html" in output.data:
            text += output.data["text/plain"] + "\n"
    # A progress bar overwrites itself: each new state follows a carriage return.
    return [line.rsplit("\r", 1)[-1] for line in text.split("\n") if line]
