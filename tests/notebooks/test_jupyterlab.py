"""JupyterLab in a browser: what a student sees who opens the released notebook and runs it.

The server, the kernel and the browser are real ones, on two copies of the starter: one as it is
handed out, one with the solution in it.
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
WIDTH, MARGIN = 1280, 150  # pixels: of the window, and of what Lab has above and below a notebook
START = 60.0  # seconds that the server may need to start, and Lab and its kernel to be there
RUN = 600.0  # seconds for the whole notebook, which takes half a minute where it has a core

# The server ends when its standard input does, which is when the tests end, even if they were
# killed: then nobody is left to stop it.
CONFIG = """
import os, signal, sys, threading

def end_with_the_tests():
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=end_with_the_tests, daemon=True).start()
c.ServerApp.allow_root = True
c.ServerApp.open_browser = False
c.ServerApp.ip = "127.0.0.1"
c.ServerApp.port = 0  # any that is free
"""
# A student is asked once whether Lab may fetch its news, and about new versions. This one said no:
# the question would lie over the notebook, and nothing here asks the network.
SETTINGS = {"apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False}}

# From the top of the notebook to the end of its last cell. Below that Lab leaves room to scroll on.
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
    """A running server: its address and token, and what it logs."""

    url: str
    token: str
    log: Path

    def address(self, copy: str) -> str:
        """Where the notebook of a copy of the starter is, in a workspace of its own.

        In a common one, Lab would open again what was open before.
        """
        path = f"lab/workspaces/{copy}/tree/{copy}/{EXERCISE.notebook}"
        return f"{self.url}{path}?token={self.token}"


# --- the starter, and the server -----------------------------------------------------------------


def hand_out(folder: Path) -> None:
    """Write the starter, as students unpack it."""
    for path, content in starter_files(PROJECT, ["softmax"]).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def solve(folder: Path) -> None:
    """Write the solution and the answers into the regions of a starter, and nothing else.

    The markers stay the students' own, in the notebook's code as in the files.
    """
    for path in EXERCISE.files:
        solution = extract(read_source(PROJECT / path), path)
        (folder / path).write_text(graft(read_source(folder / path), solution, path), "utf-8")
    path = EXERCISE.notebook
    students = read_notebook((folder / path).read_text("utf-8"), path)
    solved, given = extract_cells(NOTEBOOK, path), extract_cells(students, path)
    for name, text in solved.items():
        if code := extract(text, path):
            solved[name] = graft(given[name], code, path)
    grafted = graft_cells(students, solved, path)
    (folder / path).write_text(write_notebook(grafted), "utf-8")


def environment_in(home: Path) -> dict[str, str]:
    """The environment of someone who has never used Jupyter, but for what SETTINGS say."""
    for name, values in SETTINGS.items():
        file = home / f"config/lab/user-settings/@jupyterlab/{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(values))
    (home / "config/jupyter_server_config.py").write_text(CONFIG)
    theirs = re.compile("JUPYTER|JPY_|IPYTHON|XDG_")  # of whoever runs the tests
    env = {name: value for name, value in os.environ.items() if not theirs.match(name)}
    folders = {f"JUPYTER_{kind.upper()}_DIR": kind for kind in ("config", "data", "runtime")}
    return env | {name: str(home / kind) for name, kind in folders.items()} | {"HOME": str(home)}


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory, stand_in: Callable[[Path], None]
) -> Iterator[Lab]:
    """JupyterLab on two copies of the starter, `unsolved` and `solved`."""
    root, home = tmp_path_factory.mktemp("students"), tmp_path_factory.mktemp("home")
    for copy in ("unsolved", "solved"):
        hand_out(root / copy)
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
            start_new_session=True,  # Ctrl-C is for the tests, which then stop the server
        )
    try:
        yield wait_for(server, home, log)
    finally:
        stop(server)


def wait_for(server: subprocess.Popen[bytes], home: Path, log: Path) -> Lab:
    """The server as it describes itself when it has started."""
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and server.poll() is None:
        for file in (home / "runtime").glob("jpserver-*.json"):
            about = json.loads(file.read_text() or "null")
            if about:
                return Lab(about["url"], about["token"], log)
        time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start:\n{tail(log)}")


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server, which ends its kernels."""
    assert server.stdin
    server.stdin.close()
    try:
        server.wait(timeout=30)
    except subprocess.TimeoutExpired:
        server.kill()  # its kernels see that it is gone, and end themselves
        server.wait()


def tail(log: Path) -> str:
    return "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-40:])


# --- what a student does, and sees ---------------------------------------------------------------


@pytest.fixture
def open_notebook(
    lab: Lab, open_page: Callable[..., Page], tmp_path: Path
) -> Iterator[Callable[[str], Page]]:
    """Opens the notebook of a copy of the starter in Lab, with its kernel waiting.

    In the end the whole notebook is drawn to `tmp_path`; the server's log is shown if the test
    failed, as is everything that is printed.
    """
    pages: dict[str, Page] = {}

    def open_one(copy: str) -> Page:
        page = pages[copy] = open_page(viewport={"width": WIDTH, "height": 900})
        page.goto(lab.address(copy))
        wait_until(page, is_idle, START)
        return page

    yield open_one
    print(f"The server's log ends with:\n{tail(lab.log)}")
    for copy, page in pages.items():
        draw(page, tmp_path / f"{copy}.png")


def draw(page: Page, picture: Path) -> None:
    """A screenshot of the whole notebook, in a window that is high enough for it."""
    panel = page.locator(".jp-WindowedPanel-outer")
    for _ in range(2):  # how high a cell is, Lab only knows when it has come into view
        height = panel.evaluate(LENGTH)
        page.set_viewport_size({"width": WIDTH, "height": height + MARGIN})
        panel.evaluate("panel => panel.scrollTo(0, 0)")
        page.wait_for_timeout(1000)
    page.screenshot(path=picture)


def run_all(page: Page) -> None:
    """Choose Run All Cells from the menu, and wait until nothing waits for the kernel any more."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    wait_until(page, lambda page: set(prompts(page)) != {"[ ]:"}, START)
    wait_until(page, has_run, RUN)


def wait_until(page: Page, holds: Callable[[Page], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds(page):
        assert time.monotonic() < deadline, f"not after {seconds:.0f} seconds: {prompts(page)}"
        page.wait_for_timeout(200)


def is_idle(page: Page) -> bool:
    """Whether the status bar says so of the kernel.

    The circle beside the kernel's name looks idle before there is a kernel: Run All then does
    nothing.
    """
    return page.locator("#jp-main-statusbar").get_by_text(re.compile(r"\| Idle$")).count() == 1


def has_run(page: Page) -> bool:
    """Whether no cell waits any more; Lab puts the cells into the page one after another."""
    there = prompts(page)
    return len(there) == CODE_CELLS and "[*]:" not in there and is_idle(page)


def prompts(page: Page) -> list[str]:
    """What stands before each code cell: a number, a star while it waits, or nothing yet."""
    return page.locator(".jp-CodeCell .jp-InputPrompt").all_text_contents()


def plots(page: Page) -> Locator:
    return page.locator(f"{OUTPUTS} img")


def line(check: Check, mark: str, said: str = "", points: int = 0) -> str:
    of = "point" if check.points == 1 else "points"
    return f"{mark} {check.title}{said} ({points} of {check.points} {of})"


def test_the_solved_notebook_runs_to_its_end_with_every_check_passed_and_every_plot(
    open_notebook: Callable[[str], Page],
) -> None:
    page = open_notebook("solved")
    run_all(page)
    assert page.locator(ERRORS).all_text_contents() == []
    assert prompts(page) == [f"[{number}]:" for number in range(1, CODE_CELLS + 1)]
    verdicts = page.locator(OUTPUTS).filter(has_text=re.compile("[✓✗·] ")).all_text_contents()
    assert verdicts == [line(check, "✓", points=check.points) for check in EXERCISE.checks]
    sizes = plots(page).evaluate_all("all => all.map(img => [img.complete, img.naturalWidth])")
    assert len(sizes) == PLOTS
    assert all(complete and width > 100 for complete, width in sizes)
    expect(page.locator(".jp-Dialog")).to_have_count(0)


def test_the_notebook_as_it_is_handed_out_stops_at_the_first_check_and_says_why(
    open_notebook: Callable[[str], Page],
) -> None:
    page = open_notebook("unsolved")
    run_all(page)
    first = EXERCISE.checks[0]
    [said] = page.locator(ERRORS).all_text_contents()
    assert said.startswith(line(first, "·", ": not attempted yet"))
    assert "Traceback" not in said
    numbers = [prompt for prompt in prompts(page) if prompt != "[ ]:"]
    assert numbers == [f"[{number}]:" for number in range(1, len(numbers) + 1)]
    assert len(numbers) < len(prompts(page))
    cell = page.locator(".jp-CodeCell").nth(len(numbers) - 1)
    expect(cell).to_contain_text(f'check("{first.name}")')
    expect(page.locator(".jp-Dialog")).to_have_count(0)
