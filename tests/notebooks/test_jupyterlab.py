"""JupyterLab in a browser: a student opens the released notebook and runs it.

Server, kernel and browser are real. They run two copies of the starter: one as handed out, one with
the solution and with parameters for a short training.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from assignment import PROJECT
from assignment.checks.check import Check
from assignment.checks.softmax import EXERCISE
from assignment.workspace.regions import (
    extract,
    extract_cells,
    graft,
    graft_cells,
    read_notebook,
    read_source,
    write_notebook,
)
from gradkit.course.starter import starter_files

NOTEBOOK = read_notebook((PROJECT / EXERCISE.notebook).read_text("utf-8"), EXERCISE.notebook)
CODE_CELLS = sum(cell["cell_type"] == "code" for cell in NOTEBOOK["cells"])
PLOTS = 8
WIDTH, MARGIN = 1280, 150  # pixels: the window, and Lab's bars above and below a notebook
START_TIMEOUT = 60.0  # seconds for the server to start, or for Lab and its kernel
RUN_TIMEOUT = 600.0  # seconds for the whole notebook, which takes ten seconds of one core

# The checks of the results still pass: fewer and larger steps, and fewer pairs.
SHORT_TRAINING = {
    "NUM_DEV": 100,
    "LEARNING_RATE": 1e-6,
    "NUM_ITERS": 300,
    "TUNING_LEARNING_RATES": [1e-6],
    "TUNING_REGS": [1e2, 1e3],
    "TUNING_ITERS": 500,
}

# The server ends with its standard input, and so with the tests, even if they are killed.
CONFIG = """
import os, signal, sys, threading

def end_with_the_tests():
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=end_with_the_tests, daemon=True).start()
c.ServerApp.allow_root = True
c.ServerApp.open_browser = False
c.ServerApp.ip = "127.0.0.1"
c.ServerApp.port = 0  # any free port
"""
# Lab asks each student once whether it may fetch news. This student said no: the question would
# hide the notebook, and tests do not use the network.
SETTINGS = {"apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False}}

# From the top of the notebook to the end of its last cell, below which Lab leaves empty space.
LENGTH = """panel => {
    const [last] = [...panel.querySelectorAll(".jp-Cell")].slice(-1);
    const from = panel.getBoundingClientRect().top - panel.scrollTop;
    return Math.ceil(last.getBoundingClientRect().bottom - from);
}"""

OUTPUTS = ".jp-OutputArea-output"
ERRORS = (
    '.jp-RenderedText[data-mime-type="application/vnd.jupyter.error"],'
    '.jp-RenderedText[data-mime-type="application/vnd.jupyter.stderr"]'
)


@dataclass(frozen=True)
class Lab:
    """A running server: its address, its token and its log."""

    url: str
    token: str
    log: Path

    def address(self, copy: str) -> str:
        """The address of the notebook of a copy, in a workspace of its own.

        In a common workspace Lab would open previous notebooks again.
        """
        path = f"lab/workspaces/{copy}/tree/{copy}/{EXERCISE.notebook}"
        return f"{self.url}{path}?token={self.token}"


# --- the starter, and the server -----------------------------------------------------------------


def write_starter(folder: Path) -> None:
    """Write the starter, as students unpack it."""
    for path, content in starter_files(PROJECT, ["softmax"]).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def solve(folder: Path) -> None:
    """Write the solution, the written answers and a short training into a starter.

    The markers of regions remain the student's, in the notebook and in the files.
    """
    for path in EXERCISE.files:
        solution = extract(read_source(PROJECT / path), path)
        (folder / path).write_text(graft(read_source(folder / path), solution, path), "utf-8")
    path = EXERCISE.notebook
    students = read_notebook((folder / path).read_text("utf-8"), path)
    solved, stubs = extract_cells(NOTEBOOK, path), extract_cells(students, path)
    for name, text in solved.items():
        if code := extract(text, path):
            solved[name] = graft(stubs[name], code, path)
    grafted = graft_cells(students, solved, path)
    [parameters] = [cell for cell in grafted["cells"] if cell["id"] == "parameters"]
    lines = [f"\n{name} = {value!r}" for name, value in SHORT_TRAINING.items()]
    parameters["source"] = "".join([*parameters["source"], *lines])
    (folder / path).write_text(write_notebook(grafted), "utf-8")


def environment_in(home: Path) -> dict[str, str]:
    """The environment of someone who has never used Jupyter, except for SETTINGS."""
    for name, values in SETTINGS.items():
        file = home / f"config/lab/user-settings/@jupyterlab/{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(values))
    (home / "config/jupyter_server_config.py").write_text(CONFIG)
    inherited = re.compile("JUPYTER|JPY_|IPYTHON|XDG_")  # settings of the person who runs the tests
    env = {name: value for name, value in os.environ.items() if not inherited.match(name)}
    folders = {f"JUPYTER_{kind.upper()}_DIR": kind for kind in ("config", "data", "runtime")}
    return env | {name: str(home / kind) for name, kind in folders.items()} | {"HOME": str(home)}


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory, stand_in: Callable[[Path], None]
) -> Iterator[Lab]:
    """JupyterLab on two copies of the starter, `unsolved` and `solved`."""
    root, home = tmp_path_factory.mktemp("students"), tmp_path_factory.mktemp("home")
    for copy in ("unsolved", "solved"):
        write_starter(root / copy)
        stand_in(root / copy / "datasets")
    solve(root / "solved")
    log = home / "server.log"
    with log.open("wb") as file:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyter", "lab"],
            cwd=root,
            env=environment_in(home),
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches only the tests, which then stop the server
        )
    try:
        yield wait_for(server, home, log)
    finally:
        stop(server)


def wait_for(server: subprocess.Popen[bytes], home: Path, log: Path) -> Lab:
    """Wait until the server has written its address and token."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and server.poll() is None:
        for file in (home / "runtime").glob("jpserver-*.json"):
            about = json.loads(file.read_text() or "null")
            if about:
                return Lab(about["url"], about["token"], log)
        time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start:\n{tail(log)}")


def stop(server: subprocess.Popen[bytes]) -> None:
    """Stop the server, which stops its kernels."""
    assert server.stdin
    server.stdin.close()
    try:
        server.wait(timeout=30)
    except subprocess.TimeoutExpired:
        server.kill()  # its kernels notice, and end
        server.wait()


def tail(log: Path) -> str:
    return "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-40:])


# --- the student's actions ------------------------------------------------------------------------


@pytest.fixture
def open_notebook(
    lab: Lab, open_page: Callable[..., Page], tmp_path: Path
) -> Iterator[Callable[[str], Page]]:
    """Opens the notebook of a copy of the starter in Lab, and waits for its kernel.

    At the end, saves a picture of the whole notebook in `tmp_path`, and prints the server's log,
    which pytest shows if the test failed.
    """
    pages: dict[str, Page] = {}

    def open_one(copy: str) -> Page:
        page = pages[copy] = open_page(viewport={"width": WIDTH, "height": 900})
        page.goto(lab.address(copy))
        wait_until(page, is_idle, START_TIMEOUT)
        return page

    yield open_one
    print(f"The server's log ends with:\n{tail(lab.log)}")
    for copy, page in pages.items():
        draw(page, tmp_path / f"{copy}.png")


def draw(page: Page, picture: Path) -> None:
    """Save a screenshot of the whole notebook, in a window that is high enough for it."""
    panel = page.locator(".jp-WindowedPanel-outer")
    for _ in range(2):  # Lab learns the height of a cell only when it comes into view
        height = panel.evaluate(LENGTH)
        page.set_viewport_size({"width": WIDTH, "height": height + MARGIN})
        panel.evaluate("panel => panel.scrollTo(0, 0)")
        page.wait_for_timeout(1000)
    page.screenshot(path=picture)


def run_all(page: Page) -> None:
    """Choose Run All Cells from the menu, and wait until no cell waits for the kernel."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    wait_until(page, lambda page: set(prompts(page)) != {"[ ]:"}, START_TIMEOUT)
    wait_until(page, has_run, RUN_TIMEOUT)


def wait_until(page: Page, holds: Callable[[Page], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds(page):
        assert time.monotonic() < deadline, f"not after {seconds:.0f} seconds: {prompts(page)}"
        page.wait_for_timeout(200)


def is_idle(page: Page) -> bool:
    """Return whether the status bar reports an idle kernel.

    The circle beside the kernel's name looks idle even before the kernel exists, when Run All does
    nothing.
    """
    return page.locator("#jp-main-statusbar").get_by_text(re.compile(r"\| Idle$")).count() == 1


def has_run(page: Page) -> bool:
    """Return whether no cell waits; Lab adds the cells to the page one after another."""
    shown = prompts(page)
    return len(shown) == CODE_CELLS and "[*]:" not in shown and is_idle(page)


def prompts(page: Page) -> list[str]:
    """The prompt of each code cell: a number, a star while it waits, or empty brackets."""
    return page.locator(".jp-CodeCell .jp-InputPrompt").all_text_contents()


def plots(page: Page) -> Locator:
    return page.locator(f"{OUTPUTS} img")


def check_line(check: Check, mark: str, headline: str = "", points: int = 0) -> str:
    unit = "point" if check.points == 1 else "points"
    return f"{mark} {check.title}{headline} ({points} of {check.points} {unit})"


def test_the_solved_notebook_runs_to_its_end_with_every_check_and_every_plot(
    open_notebook: Callable[[str], Page],
) -> None:
    page = open_notebook("solved")
    run_all(page)
    assert page.locator(ERRORS).all_text_contents() == []
    assert prompts(page) == [f"[{number}]:" for number in range(1, CODE_CELLS + 1)]
    verdicts = page.locator(OUTPUTS).filter(has_text=re.compile("[✓✗·] ")).all_text_contents()
    assert verdicts == [check_line(check, "✓", points=check.points) for check in EXERCISE.checks]
    sizes = plots(page).evaluate_all("all => all.map(img => [img.complete, img.naturalWidth])")
    assert len(sizes) == PLOTS
    assert all(complete and width > 100 for complete, width in sizes)
    expect(page.locator(".jp-Dialog")).to_have_count(0)


def test_the_released_notebook_stops_at_the_first_check_with_its_verdict(
    open_notebook: Callable[[str], Page],
) -> None:
    page = open_notebook("unsolved")
    run_all(page)
    first = EXERCISE.checks[0]
    [message] = page.locator(ERRORS).all_text_contents()
    assert message.startswith(check_line(first, "·", ": not attempted yet"))
    assert "Traceback" not in message
    numbers = [prompt for prompt in prompts(page) if prompt != "[ ]:"]
    assert numbers == [f"[{number}]:" for number in range(1, len(numbers) + 1)]
    assert len(numbers) < len(prompts(page))
    cell = page.locator(".jp-CodeCell").nth(len(numbers) - 1)
    expect(cell).to_contain_text(f'check("{first.name}")')
    expect(page.locator(".jp-Dialog")).to_have_count(0)
