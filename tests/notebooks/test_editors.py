"""Notebooks as other editors than Jupyter save them, handed in and graded."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assignment.checks.softmax import EXERCISE
from assignment.workspace.submit import submit
from gradkit.submissions.discover import single_submission
from gradkit.submissions.extract import read_submission
from tests.notebooks.solved import copy_solved


def saved_by_colab(text: str) -> str:
    """The text of a notebook as Colab saves it: format 4.0, ids and views in the metadata."""
    nb = json.loads(text)
    for number, cell in enumerate(nb["cells"]):
        cell["metadata"] |= {"id": cell.pop("id"), "colab": {"base_uri": "https://localhost:8080/"}}
        if cell["cell_type"] == "code":
            cell["metadata"] |= {"outputId": f"{number:08x}-0000", "cellView": "form"}
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["1\n"]}]
    nb["metadata"] |= {
        "colab": {"provenance": [], "gpuType": "T4", "toc_visible": True},
        "accelerator": "GPU",
        "widgets": {"application/vnd.jupyter.widget-state+json": {"x": {"model_name": "a"}}},
    }
    return json.dumps({**nb, "nbformat_minor": 0}, indent=2)


def saved_by_vs_code(text: str) -> str:
    """The text of a notebook as VS Code saves it: sorted keys, and its own keys in the metadata.

    A kernel that did not start leaves an output of VS Code's own type.
    """
    nb: dict[str, Any] = json.loads(text)
    problem = {"application/vnd.code.notebook.error": {"name": "Error", "message": "no kernel"}}
    for cell in nb["cells"]:
        is_code = cell["cell_type"] == "code"
        cell["metadata"]["vscode"] = {"languageId": "python" if is_code else "markdown"}
        if is_code:
            output = {"output_type": "display_data", "data": problem, "metadata": {}}
            cell |= {"execution_count": None, "outputs": [output]}
    nb["metadata"] |= {
        "kernelspec": {"display_name": ".venv (3.12.4)", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "version": "3.12.4", "codemirror_mode": {"version": 3}},
        "vscode": {"interpreter": {"hash": 64 * "0"}},
        "orig_nbformat": 4,
    }
    return json.dumps(nb, indent=1, sort_keys=True, ensure_ascii=False)


def without_ids(text: str) -> str:
    """The text of a notebook of format 4.2, as VS Code before 2022 saved it."""
    nb = json.loads(saved_by_vs_code(text))
    for cell in nb["cells"]:
        del cell["id"]
    return json.dumps({**nb, "nbformat_minor": 2}, indent=1)


@pytest.mark.parametrize("save", [saved_by_colab, saved_by_vs_code, without_ids])
def test_a_notebook_saved_by_another_editor_is_packed_and_graded_as_before(
    save: Callable[[str], str], tmp_path: Path, starter: Callable[[str], Path]
) -> None:
    project = copy_solved(starter("softmax-starter"), tmp_path / "project")
    notebook = project / EXERCISE.notebook
    contents, text = [], notebook.read_text("utf-8")
    for saved in (text, save(text)):
        notebook.write_text(saved, "utf-8")
        report = submit(EXERCISE, tmp_path / "packed.zip", project)
        assert "Look at this first" not in report, report
        contents.append(read_submission(single_submission(tmp_path / "packed.zip"), EXERCISE))
    of_jupyter, of_editor = contents
    assert of_editor.cells == of_jupyter.cells
    assert of_editor.written_answers == of_jupyter.written_answers
    assert of_editor.notes == []
    assert of_editor.files == of_jupyter.files
