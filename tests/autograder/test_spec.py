"""The graded notebook's parameters, and the data that rules judge by."""

import numpy as np

from assignment.checks.check import RuleContext
from assignment.checks.softmax import EXERCISE
from gradkit.autograder.sandbox import Isolation
from gradkit.autograder.spec import GradingSpec


def test_parameters_name_files_that_each_isolation_can_reach(spec: GradingSpec) -> None:
    def parameters(isolation: Isolation) -> str:
        cells = spec.notebook({}, isolation)["cells"]
        [cell] = [c for c in cells if c["metadata"]["gradkit"].get("role") == "parameters"]
        return str(cell["source"])

    assert "DATA = '/data'\n" in parameters(Isolation.SANDBOX)
    assert "BEST_MODEL = Path('/tmp/best_model.npz')" in parameters(Isolation.SANDBOX)
    for other in (Isolation.NONE, Isolation.SEPARATE_USER):
        assert f"DATA = '{spec.data_folder}'\n" in parameters(other)
    assert "BEST_MODEL = Path.home() / 'best_model.npz'" in parameters(Isolation.SEPARATE_USER)


def test_rules_refuse_results_that_are_nan(spec: GradingSpec) -> None:
    pairs = [
        (lr, reg) for lr in spec.data["TUNING_LEARNING_RATES"] for reg in spec.data["TUNING_REGS"]
    ]
    W = np.zeros((3073, 10), np.float32)
    results = np.array([[*pair, np.nan, np.nan] for pair in pairs])
    tuning, training = EXERCISE.check("tuning").rule, EXERCISE.check("training").rule
    assert tuning and training
    context = RuleContext(0, {}, 0.0, spec.data)
    finding = tuning({"results": results, "best_val": np.array(np.nan), "W": W}, context)
    assert finding and finding.headline == "not numbers"
    losses = np.full(spec.data["NUM_ITERS"], np.nan)
    finding = training({"loss_history": losses, "W": W}, context)
    assert finding and finding.headline == "training stopped early"
