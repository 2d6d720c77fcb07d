"""Data sets for the tests: a small stand-in, and the real pictures where CIFAR10_DIR names them."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from assignment.install import SYNTHETIC_FOLDER, install_synthetic
from assignment.synthetic import write_batches
from gradkit.sandbox import SandboxError, probe

# The same examples in every run, and no deadline: a slow machine is not a wrong answer.
settings.register_profile("gradkit", deadline=None, derandomize=True)
settings.load_profile("gradkit")


# Ctrl-C is heard by what the tests start, even where they themselves were started in a background
# in which it is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def small_batches(tmp_path: Path) -> Path:
    """A stand-in of 6 batches with 40 pictures each, in a folder of the test's own."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    write_batches(folder, seed=1, pictures_per_batch=40)
    return folder


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], None]:
    """Puts the stand-in into a datasets folder; it is drawn once for all tests."""
    drawn = install_synthetic(tmp_path_factory.mktemp("datasets"))

    def put_into(datasets: Path) -> None:
        (datasets / SYNTHETIC_FOLDER).symlink_to(drawn)

    return put_into


@pytest.fixture(scope="session")
def sandbox() -> None:
    """Skips what needs a sandbox where none can be had, but for CI, which has to have one."""
    try:
        probe()
    except SandboxError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"not tried, since there is no sandbox here: {error}")


@pytest.fixture(scope="session")
def real_cifar10() -> Path:
    """The folder of the real pictures."""
    folder = os.environ.get("CIFAR10_DIR")
    if not folder:
        pytest.skip("CIFAR10_DIR names no folder with the real CIFAR-10: not tested on it")
    return Path(folder)
