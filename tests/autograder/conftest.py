"""A grading spec with short time limits, built once per run, and a runner that is kept open."""

import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as replace_fields

from assignment import PROJECT
from gradkit.autograder.spec import GradingSpec, build_spec
from gradkit.course.config import Limits
from tests.autograder.live_runner import LiveRunner, open_live_runner

SECRET = 271828182845904523536028747135266249
LIMITS = Limits(check_seconds=2, cell_seconds=5, memory_mb=300, files_mb=32, processes=64)


@pytest.fixture(scope="session")
def spec(shared: Callable[[str, Callable[[Path], object]], Path]) -> GradingSpec:
    """The softmax exercise's grading spec."""

    def build(folder: Path) -> None:
        built = build_spec("softmax", PROJECT, SECRET, folder / "spec")
        quick = replace(built, config=replace_fields(built.config, limits=LIMITS))
        (folder / "spec.pickle").write_bytes(pickle.dumps(quick))

    folder = shared("softmax-spec", build)
    return pickle.loads((folder / "spec.pickle").read_bytes())  # noqa: S301


@pytest.fixture(scope="module")
def live(spec: GradingSpec, sandbox: None) -> Iterator[LiveRunner]:
    with open_live_runner(spec) as runner:
        yield runner
