"""The graded notebook's parameters."""

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
