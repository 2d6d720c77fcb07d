"""Submissions as students pack them, and what is extracted from them."""

import io
import json
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from assignment.checks.check import load_exercise
from gradkit.submissions.archives import SubmissionRejected
from gradkit.submissions.discover import single_submission
from gradkit.submissions.extract import SubmissionContent, read_submission

SOFTMAX = load_exercise("softmax")
FILE, OTHER_FILE = SOFTMAX.files
NOTEBOOK = SOFTMAX.notebook
TUNING = "# mine\nresults, best_val, best_softmax = {}, 0.5, Softmax()\n"
ANSWER = "**Your answer:** because of the logarithm — 対数."

Files = Mapping[str, bytes]
# Puts a student's files into the class's folder; returns the path.
Pack = Callable[[Files, Path], Path]


def code_cell(text: str, region: str | None = None) -> dict[str, Any]:
    metadata = {"gradkit": {"region": region}} if region else {}
    return {
        **{"cell_type": "code", "id": "x", "metadata": metadata, "source": text},
        **{"outputs": [], "execution_count": None},
    }


def notebook(*cells: dict[str, Any]) -> bytes:
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}).encode()


def write_files(files: Files, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return folder


def zip_of(files: Files, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo("", (2026, 3, 1, 12, 0, 0))
            info.filename = name  # whatever it is
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return path


def tar_of(files: Files, path: Path, form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix != ".tar" else "w", format=form) as archive:
        for name, content in files.items():
            add_to_tar(archive, name, content)
    return path


def add_to_tar(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mtime = len(content), 1_000_000_000
    archive.addfile(info, io.BytesIO(content))


def inside(files: Files, folder: str) -> dict[str, bytes]:
    return {f"{folder}{name}": content for name, content in files.items()}


def content_of(path: Path) -> SubmissionContent:
    return read_submission(single_submission(path), SOFTMAX)


@contextmanager
def memory_below(most: int) -> Iterator[None]:
    """Fail if Python allocates more bytes at a time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def notes_of(path: Path) -> str:
    return " ".join(content_of(path).notes)


def rejection(path: Path) -> str:
    with pytest.raises(SubmissionRejected) as rejected:
        content_of(path)
    return str(rejected.value)
