"""A search's results: a dict that shows a progress bar and, in a notebook, a heat map."""

import gc
import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from assignment import PROJECT, vis_utils
from assignment.tuning import SearchResults


def test_the_results_of_a_search_are_a_dict_and_count_its_pairs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = SearchResults([1e-7, 1e-6], [10.0], "")
    assert capsys.readouterr().out == ""
    for pair in ((1e-7, 10.0), (1e-7, 10.0), (1e-5, 3.0)):
        results[pair] = (0.4, 0.3)
    assert dict(results) == {(1e-7, 10.0): (0.4, 0.3), (1e-5, 3.0): (0.4, 0.3)}
    assert "2/3" in capsys.readouterr().out


def test_a_search_outside_a_notebook_draws_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[object] = []
    monkeypatch.setattr(vis_utils, "plot_tuning", lambda *arguments: drawn.append(arguments))
    SearchResults([1e-7], [10.0], "")[1e-7, 10.0] = (0.4, 0.3)
    assert "1/1" in capsys.readouterr().out
    assert not drawn


def test_a_stopped_search_prints_nothing_when_the_next_one_replaces_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = SearchResults([1e-7, 1e-6], [10.0], "")
    results[1e-7, 10.0] = (0.4, 0.3)
    assert "1/2" in capsys.readouterr().out
    del results
    gc.collect()
    assert capsys.readouterr() == ("", "")


CELLS = """
import sys
sys.path.insert(0, {project!r})
from assignment.tuning import SearchResults
results = SearchResults([1e-7, 1e-6], [10.0], "some images")
results[1e-7, 10.0] = (0.4, 0.3)
---
%matplotlib inline
from assignment import vis_utils
results[1e-6, 10.0] = "good"
---
results = SearchResults([1e-7, 1e-6], [10.0], "some images")
results[1e-7, 10.0] = (0.4, 0.3)
results[1e-6, 10.0] = (0.4, 0.35)
"""


def test_a_notebook_with_plots_shows_one_heat_map_that_fills_in(tmp_path: Path) -> None:
    nb = nbformat.v4.new_notebook()
    sources = CELLS.format(project=str(PROJECT)).split("---\n")
    nb.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(nb, timeout=300, kernel_name="python3", resources=resources).execute()
    without, malformed, shown = ([o for o in c.outputs if "data" in o] for c in nb.cells)
    assert not without
    assert not malformed
    [figure] = shown
    assert "image/png" in figure.data
    bars = json.dumps([o.text for o in nb.cells[2].outputs if o.output_type == "stream"])
    assert "2/2" in bars
