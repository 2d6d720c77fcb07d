"""The graded notebook's parameters."""

from typing import Any

import pytest

from assignment.checks import graded
from gradkit.autograder.sandbox import Isolation
from gradkit.autograder.spec import GradingSpec


def test_parameters_name_files_that_each_isolation_can_reach(spec: GradingSpec) -> None:
    def sources(role: str, isolation: Isolation) -> list[str]:
        cells = spec.notebook({}, isolation)["cells"]
        return [c["source"] for c in cells if c["metadata"]["gradkit"].get("role") == role]

    [parameters] = sources("parameters", Isolation.SANDBOX)
    assert "BEST_MODEL = Path('/tmp/best_model.npz')" in parameters
    [parameters] = sources("parameters", Isolation.SEPARATE_USER)
    assert "BEST_MODEL = Path.home() / 'best_model.npz'" in parameters
    [data, other] = sources("data", Isolation.SANDBOX)
    assert (data.count("load_variables('/data/"), other) == (1, "pass")
    for isolation in (Isolation.NONE, Isolation.SEPARATE_USER):
        assert f"load_variables('{spec.data_folder}/" in sources("data", isolation)[0]


def test_checks_read_the_parameters_of_grading_whatever_a_cell_did_to_them(
    spec: GradingSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: dict[str, Any] = {}
    monkeypatch.setattr(graded, "answer", lambda *arguments: read.update(arguments[3]))
    cells = spec.notebook({})["cells"]
    [source] = [c["source"] for c in cells if c["metadata"]["gradkit"].get("check") == "tuning"]
    exec(source, {"TUNING_REGS": [1.0], "best_val": 0.3})
    assert read["TUNING_REGS"] == spec.config.parameters["TUNING_REGS"]
    assert read["best_val"] == 0.3
