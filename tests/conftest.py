"""Fixtures of several test modules.

    shared                                   folders built once per run, for all workers
    starter                                  a starter as handed out, unpacked
    small_tree                               a tree with one exercise, whose answer key is quick
    small_batches, stand_in_folder, stand_in, real_cifar10    data in CIFAR-10's format
    sandbox                                  submissions can be locked up
    graded_class                             a small class and its gradebook, graded once per run
    open_page                                a page in Chromium that may not fail quietly

Where there is no CIFAR-10, sandbox or browser, what needs it is skipped, and says so.
"""

import fcntl
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from assignment import PROJECT
from assignment.cifar10.install import SYNTHETIC_FOLDER, install_synthetic
from assignment.cifar10.synthetic import write_batches
from gradkit.autograder.sandbox import SandboxError, self_test
from gradkit.release.build import release
from tests.classes import GradedClass, grade, write_class
from tests.trees import write_small_tree

# The same examples in every run, and no deadline: a slow machine is not a wrong answer.
settings.register_profile("gradkit", deadline=None, derandomize=True)
settings.load_profile("gradkit")


# Ctrl-C is heard by what the tests start, even where they themselves were started in a background
# in which it is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ.pop("PYTHONUNBUFFERED", None)  # commands buffer their output as they do for users


Build = Callable[[Path], object]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Use one worker more than there are processors: many tests wait for a limit to pass."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Lets the run remember answer keys and proofs in a folder of its own, for all workers."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    os.environ.setdefault("MPLCONFIGDIR", str(home / "matplotlib"))  # a list of all fonts
    os.environ.setdefault("PIP_CACHE_DIR", str(home / "pip"))
    os.environ["XDG_CACHE_HOME"] = str(_run_folder(tmp_path_factory) / "cache")


def _run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the temporary folder of this run of pytest, which all workers share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Build], Path]:
    """Builds a folder once per run of pytest, whichever worker asks for it first.

        folder = shared("softmax-starter", lambda folder: release(PROJECT, folder))

    The other workers wait for it. Tests only read such a folder: whoever changes it copies it.
    """
    root = _run_folder(tmp_path_factory)

    def build_once(name: str, build: Build) -> Path:
        folder, done = root / f"shared-{name}", root / f"shared-{name}.done"
        with (root / f"shared-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # a build that failed in another worker
                folder.mkdir()
                build(folder)
                done.touch()
        return folder

    return build_once


@pytest.fixture(scope="session")
def starter(shared: Callable[[str, Build], Path]) -> Callable[[str], Path]:
    """Gives a starter of this tree by its name, unpacked from its zip file; only to be read."""

    def unpacked(name: str) -> Path:
        def unpack(folder: Path) -> None:
            release(PROJECT, folder / "dist")
            for archive in (folder / "dist").glob("*.zip"):
                shutil.unpack_archive(archive, folder / archive.stem)

        return shared("starters", unpack) / name

    return unpacked


@pytest.fixture(scope="session")
def small_tree(shared: Callable[[str, Build], Path]) -> Path:
    """The instructor's tree with the softmax exercise alone; only to be read."""
    return shared("small-tree", write_small_tree) / "tree"


@pytest.fixture
def small_batches(tmp_path: Path, shared: Callable[[str, Build], Path]) -> Path:
    """A stand-in of 6 batches with 40 images each, in a folder of the test's own."""
    drawn = shared("small-batches", lambda to: write_batches(to, seed=1, images_per_batch=40))
    return Path(shutil.copytree(drawn, tmp_path / "cifar-10-batches-py"))


@pytest.fixture(scope="session")
def stand_in_folder(shared: Callable[[str, Build], Path]) -> Path:
    """The stand-in as installed, drawn once per run; only to be read."""
    return shared("stand-in", install_synthetic) / SYNTHETIC_FOLDER


@pytest.fixture(scope="session")
def stand_in(stand_in_folder: Path) -> Callable[[Path], None]:
    """Puts the stand-in into a datasets folder."""

    def put_into(datasets: Path) -> None:
        (datasets / SYNTHETIC_FOLDER).symlink_to(stand_in_folder)

    return put_into


@pytest.fixture(scope="session")
def sandbox() -> None:
    """Skips what needs a sandbox where none can be had, but for CI, which has to have one."""
    try:
        self_test()
    except SandboxError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"not tried, since there is no sandbox here: {error}")


@pytest.fixture(scope="session")
def graded_class(shared: Callable[[str, Build], Path], sandbox: None) -> GradedClass:
    """A small class with all that can be right and wrong, and its gradebook; only to be read."""

    def build(folder: Path) -> None:
        write_class(folder / "class")
        ran = grade(folder / "class", folder / "grades", "--jobs", 2)
        assert ran.returncode == 0, ran.stderr
        assert "5 graded; 1 refused." in ran.stdout, ran.stdout

    folder = shared("graded-class", build)
    return GradedClass(folder / "class", folder / "grades")


@pytest.fixture(scope="session")
def real_cifar10() -> Path:
    """The folder of the real pictures."""
    folder = os.environ.get("CIFAR10_DIR")
    if not folder:
        pytest.skip("CIFAR10_DIR names no folder with the real CIFAR-10: not tested on it")
    return Path(folder)


# --- the browser ---------------------------------------------------------------------------------

PAGE_TIMEOUT = 120  # seconds
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = (
    "--disable-gpu",
    # What Chromium asks of its maker by itself is none of the pages' business.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A page that asks for anything else hears that there is no such host, with or without network.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The system's Chromium; skips where there is none, but for CI, which has to have one.

    Each file with such tests starts its own, in a second: as long as Playwright is there, an event
    loop is running in this thread, which the tests of other files are not to meet.
    """
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        missing = f"there is no browser here: none of {', '.join(CHROMIUM)} is on the PATH"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(f"not tried, since {missing}")
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses root otherwise
    # What it writes beside its profile would go to the home folder of whoever runs the tests.
    env = os.environ | {"XDG_CONFIG_HOME": str(tmp_path_factory.mktemp("chromium"))}
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(
            executable_path=program, args=[*SWITCHES, *as_root], env=dict(env)
        ) as browser,
    ):
        yield browser


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens an empty page in a profile of its own, with the given options of `new_context`.

        page = open_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
        page.goto(path.as_uri())

    The test fails in its end if a page told of an error in its console, had an exception that
    nobody caught, or asked for anything that is not on this computer.
    """
    faults: list[str] = []
    contexts: list[BrowserContext] = []

    def open_one(**options: Any) -> Page:
        context = chromium.new_context(**options)
        context.set_default_timeout(1000 * PAGE_TIMEOUT)
        expect.set_options(timeout=1000 * PAGE_TIMEOUT)
        contexts.append(context)
        _note_faults(context, faults)
        return context.new_page()

    yield open_one
    for context in contexts:
        context.close()  # all that is still to be told of comes before this returns
    if faults:
        pytest.fail("\n".join(["What the browser says:", *faults]))


def _note_faults(context: BrowserContext, faults: list[str]) -> None:
    """Add to `faults` what goes wrong in the pages of `context` from now on."""

    def note(what: str, url: str) -> None:
        if not _is_here(url):
            faults.append(f"{what} {url}, which is not on this computer")

    context.on("request", lambda request: note("asked for", request.url))
    context.on("page", lambda page: page.on("websocket", lambda socket: note("called", socket.url)))
    context.on("weberror", lambda error: faults.append(f"was not caught: {error.error}"))
    context.on(
        "console",
        lambda message: (
            faults.append(f"console: {message.text} ({message.location['url']})")
            if message.type == "error"
            else None
        ),
    )


def _is_here(url: str) -> bool:
    """Tell whether an address is a file, part of a page, or on this computer."""
    parts = urlsplit(url)
    if parts.scheme in ("file", "data", "blob", "about"):
        return True
    return parts.hostname in ("localhost", "127.0.0.1", "::1")
