"""A student's project, as a whole and as `python -m assignment submit` packs it."""

import pytest

from assignment import PROJECT
from assignment.workspace.regions import read_notebook, region_of, source_of, write_notebook
from assignment.workspace.starter import STARTER_MANIFEST
from gradkit.course.starter import starter_files
from tests.submissions.packing import (
    ANSWER,
    FILE,
    NOTEBOOK,
    OTHER_FILE,
    TUNING,
    Files,
    code_cell,
)


@pytest.fixture(scope="session")
def project() -> Files:
    """The files of a student who has begun."""
    files = starter_files(PROJECT, ["softmax"])
    files[FILE] = files[FILE].replace(b'raise NotImplementedError("softmax_naive")', b"loss = 1.5")
    nb = read_notebook(files[NOTEBOOK].decode(), NOTEBOOK)
    mine = {"tuning": TUNING, "answer_initial_loss": ANSWER}
    for cell in nb["cells"]:
        cell["source"] = mine.get(region_of(cell) or "", source_of(cell))
    nb["cells"].insert(3, code_cell("import os; os.abort()  # mine, outside my region"))
    return {**files, NOTEBOOK: write_notebook(nb).encode()}


@pytest.fixture(scope="session")
def wanted(project: Files) -> Files:
    """The files that `python -m assignment submit` packs."""
    return {path: project[path] for path in (FILE, OTHER_FILE, NOTEBOOK, STARTER_MANIFEST)}
