"""JupyterLab in a browser: a student opens the released notebook and runs it.

Server, kernel and browser are real. They run two copies of the starter: one as handed out, one with
the solution, few images and a short training.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from assignment.checks.softmax import EXERCISE
from tests.notebooks.solved import (
    CALLED,
    CODE_CELLS,
    copy_solved,
    passed_line,
    shorten,
    verdict_line,
)

PLOTS = 8
TIMEOUT = 1800.0  # seconds for what takes ten seconds of one core

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
OUTPUTS = ".jp-OutputArea-output"
ERRORS = (
    '.jp-RenderedText[data-mime-type="application/vnd.jupyter.error"],'
    '.jp-RenderedText[data-mime-type="application/vnd.jupyter.stderr"]'
)


def environment_in(home: Path) -> dict[str, str]:
    """The environment of someone who has never used Jupyter, and did not want its news.

    The question, whether Lab may fetch news, would hide the notebook.
    """
    settings = home / "config/lab/user-settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True)
    no_news = {"fetchNews": "false", "checkForUpdates": False}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(no_news))
    (home / "config/jupyter_server_config.py").write_text(CONFIG)
    inherited = re.compile("JUPYTER|JPY_|IPYTHON|XDG_")  # settings of the person who runs the tests
    env = {name: value for name, value in os.environ.items() if not inherited.match(name)}
    folders = {f"JUPYTER_{kind.upper()}_DIR": kind for kind in ("config", "data", "runtime")}
    return env | {name: str(home / kind) for name, kind in folders.items()} | {"HOME": str(home)}


@pytest.fixture(scope="module")
def address(
    tmp_path_factory: pytest.TempPathFactory,
    starter: Callable[[str], Path],
    stand_in: Callable[[Path], None],
) -> Iterator[Callable[[str], str]]:
    """The address, by its name, of each of two copies of the starter in JupyterLab.

    They are `unsolved` and `solved`, each in a workspace of its own: in a common one Lab would open
    previous notebooks again.
    """
    root, home = tmp_path_factory.mktemp("students"), tmp_path_factory.mktemp("home")
    shutil.copytree(starter("softmax-starter"), root / "unsolved")
    shorten(copy_solved(starter("softmax-starter"), root / "solved") / EXERCISE.notebook)
    for copy in ("unsolved", "solved"):
        stand_in(root / copy / "datasets")
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
        about = wait_for(server, home / "runtime", log)
        path = f"lab/workspaces/{{0}}/tree/{{0}}/{EXERCISE.notebook}?token={about['token']}"
        yield f"{about['url']}{path}".format
    finally:
        assert server.stdin
        server.stdin.close()  # which stops the server, and the server its kernels
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wait_for(server: subprocess.Popen[bytes], runtime: Path, log: Path) -> dict[str, Any]:
    """Wait until the server has written its address and token, and return these."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline and server.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            if text := file.read_text():
                return dict(json.loads(text))
        time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text('utf-8', errors='replace')}")


# --- the student's actions ------------------------------------------------------------------------


@pytest.fixture
def open_notebook(
    address: Callable[[str], str], open_page: Callable[..., Page]
) -> Callable[[str], Page]:
    """Opens the notebook of a copy of the starter in Lab, and waits for its kernel."""

    def open_one(copy: str) -> Page:
        page = open_page(viewport={"width": 1280, "height": 900})
        page.goto(address(copy))
        wait_until(page, is_idle)
        return page

    return open_one


def run_all(page: Page) -> None:
    """Choose Run All Cells from the menu, and wait until no cell waits for the kernel."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    wait_until(page, lambda page: set(prompts(page)) != {"[ ]:"})
    wait_until(page, has_run)


def wait_until(page: Page, holds: Callable[[Page], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not holds(page):
        assert time.monotonic() < deadline, f"not after {TIMEOUT:.0f} seconds: {prompts(page)}"
        page.wait_for_timeout(500)


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


def test_the_solved_notebook_runs_to_its_end_with_every_check_and_every_plot(
    open_notebook: Callable[[str], Page],
) -> None:
    page = open_notebook("solved")
    run_all(page)
    assert page.locator(ERRORS).all_text_contents() == []
    assert prompts(page) == [f"[{number}]:" for number in range(1, CODE_CELLS + 1)]
    verdicts = page.locator(OUTPUTS).filter(has_text=re.compile("[✓✗·] ")).all_text_contents()
    assert verdicts == [passed_line(name) for name in CALLED]
    sizes = page.locator(f"{OUTPUTS} img").evaluate_all(
        "all => all.map(img => [img.complete, img.naturalWidth])"
    )
    assert len(sizes) == PLOTS
    assert all(complete and width > 100 for complete, width in sizes)
    expect(page.locator(".jp-Dialog")).to_have_count(0)


def test_the_released_notebook_stops_at_the_first_check_with_its_verdict(
    open_notebook: Callable[[str], Page],
) -> None:
    page = open_notebook("unsolved")
    run_all(page)
    first = CALLED[0]
    expect(page.locator(ERRORS)).to_have_count(0)
    message = page.locator(OUTPUTS).last.text_content() or ""
    assert message.startswith(verdict_line(first, "·", ": not attempted yet"))
    assert f"in {EXERCISE.files[0]}, at line " in message
    numbers = [prompt for prompt in prompts(page) if prompt != "[ ]:"]
    assert numbers == [f"[{number}]:" for number in range(1, len(numbers) + 1)]
    assert len(numbers) < len(prompts(page))
    cell = page.locator(".jp-CodeCell").nth(len(numbers) - 1)
    expect(cell).to_contain_text(f'check("{first}")')
    expect(page.locator(".jp-Dialog")).to_have_count(0)
