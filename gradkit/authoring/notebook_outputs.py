"""Run a solved notebook from top to bottom, and store its outputs in it."""

import re
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert.preprocessors import CoalesceStreamsPreprocessor

from assignment import PROJECT
from assignment.cifar10.install import DATASETS, install_synthetic
from gradkit.errors import GradkitError

NOTEBOOKS = PROJECT / "notebooks"

# The slowest cell, tuning, takes half a minute; a machine twenty times as slow still passes.
CELL_TIMEOUT = 600  # seconds


class NotebookFailed(GradkitError):
    """A cell raised, as a check does that does not pass, or the kernel died."""


def store_outputs(path: Path) -> None:
    """Run a notebook on the stand-in, and store in it what every run of it will print again.

    Raises
    ------
    NotebookFailed
        A cell raised; the notebook is left as it was.
    """
    nb = nbformat.read(path, as_version=4)
    sources = [cell.source for cell in nb.cells]
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
    unfinished = path.with_suffix(".tmp")
    nbformat.write(nb, unfinished)
    unfinished.replace(path)
    print(f"Stored the outputs in {path}")


def role(cell: Any) -> str | None:
    """What a cell is there for, as its metadata say: setup, parameters, display, or nothing."""
    return cell.metadata.get("gradkit", {}).get("role")


def set_parameters(nb: Any, **values: Any) -> None:
    """Give other values to names of the parameters cell, if there is one, by lines at its end."""
    lines = [f"{name} = {value!r}" for name, value in values.items()]
    for cell in nb.cells:
        if role(cell) == "parameters":
            cell.source = "\n".join([cell.source, *lines])


def run(nb: Any, name: str) -> None:
    """Execute all cells of the notebook of this name in a kernel of this Python.

    Raises
    ------
    NotebookFailed
        A cell raised or did not end, or the kernel died.
    """
    client = NotebookClient(
        nb,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # what goes wrong comes as a message
    )
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
        raise NotebookFailed(f"{name} did not run to its end:\n{plain}") from error


def printed(cell: Any) -> list[str]:
    """What a cell printed to its standard output, as it stands in the end, and its verdict."""
    text = ""
    for output in cell.get("outputs", []):
        if output.output_type == "stream" and output.name == "stdout":
            text += output.text
        elif output.output_type == "display_data" and "text/html" in output.data:
            text += output.data["text/plain"] + "\n"
    # A progress bar writes over itself: each new state of it follows a carriage return.
    return [line.rsplit("\r", 1)[-1] for line in text.split("\n") if line]
