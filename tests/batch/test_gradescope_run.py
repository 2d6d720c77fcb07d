"""The autograder for Gradescope: unpacked, set up and run as that service does it, in a folder.

Where the service's container forbids namespaces, submissions run as another user; here the same is
had by taking the power to make them away from root.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from assignment import PROJECT
from assignment.checks.softmax import EXERCISE, SOFTMAX
from assignment.workspace import regions
from gradkit.autograder.sandbox import FIRST_FREE_UID
from gradkit.batch import gradescope_run as gradescope
from gradkit.course.config import read_config
from gradkit.course.starter import starter_files
from gradkit.release.build import release
from gradkit.release.errors import ReleaseError
from tests.banks import BANK
from tests.trees import FILES

ARCHIVE = "softmax-gradescope.zip"
AS_IN_A_CONTAINER = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-all")
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")

Image = Callable[[Mapping[str, bytes]], tuple[int, str, dict[str, Any]]]


def copy_tree(folder: Path) -> Path:
    """A copy of what a release is made from, which git does not know."""
    litter = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "cifar-10-*", "*.npz")
    for name in ("assignment", "gradkit", "grading", "notebooks", "docs", "datasets"):
        shutil.copytree(PROJECT / name, folder / name, ignore=litter)
    for name in FILES:
        shutil.copy(PROJECT / name, folder)
    return folder


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = copy_tree(tmp_path_factory.mktemp("released") / "tree")
    said = release(tree, tree / "dist", gradescope=True)
    assert "hold the solutions: upload them to Gradescope only" in said
    return tree / "dist" / ARCHIVE


def unpack(archive: Path, folder: Path) -> Path:
    """What Gradescope makes of an archive: AUTOGRADER/source and AUTOGRADER/run_autograder."""
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            path = Path(opened.extract(member, folder / "source"))
            path.chmod(member.external_attr >> 16 & 0o777)
    shutil.copy(folder / "source" / "run_autograder", folder)
    return folder


def set_up(autograder: Path, python: str, before: tuple[str, ...] = ()) -> str:
    command = [*before, "bash", str(autograder / "source" / "setup.sh")]
    env = os.environ | {"PYTHON": python, "PYTHONPATH": ""}
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def runner(autograder: Path, before: tuple[str, ...] = ()) -> Image:
    """What takes a submission's files, as they are uploaded, through `run_autograder`."""

    def run(files: Mapping[str, bytes]) -> tuple[int, str, dict[str, Any]]:
        submission = autograder / "submission"
        shutil.rmtree(submission, ignore_errors=True)
        submission.mkdir()
        for name, content in files.items():
            (submission / name).parent.mkdir(parents=True, exist_ok=True)
            (submission / name).write_bytes(content)
        (autograder / "submission_metadata.json").write_text('{"users": [{"name": "Ada"}]}')
        ran = subprocess.run(
            [*before, str(autograder / "run_autograder")],
            cwd=autograder,
            env=os.environ | {"PYTHONPATH": ""},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        results = json.loads((autograder / "results" / "results.json").read_text("utf-8"))
        assert sorted(p.name for p in (autograder / "results").iterdir()) == ["results.json"]
        return ran.returncode, ran.stdout + ran.stderr, results

    return run


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Callable[[], Path]]:
    """Makes folders that other users can get to; pytest's own are for their owner only."""
    with contextlib.ExitStack() as stack:

        def new() -> Path:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="autograder-")))
            folder.chmod(0o755)
            return folder

        yield new


@pytest.fixture(scope="module")
def image(archive: Path, open_folder: Callable[[], Path], sandbox: None) -> Image:
    """An image in which a sandbox can be had."""
    autograder = unpack(archive, open_folder())
    said = set_up(autograder, sys.executable)
    assert "Submissions run in the sandbox.\nThe solution passes.\n" in said
    return runner(autograder)


@pytest.fixture(scope="module")
def container(archive: Path, open_folder: Callable[[], Path]) -> Path:
    """Where an image was set up that forbids namespaces."""
    if os.geteuid() != 0:
        pytest.skip("only root can let another user run a submission")
    folder = open_folder()
    autograder = unpack(archive, folder)
    said = set_up(autograder, open_python(folder / "python"), AS_IN_A_CONTAINER)
    assert "So submissions run as another user: without network" in said
    assert "The solution passes." in said
    return autograder


def open_python(folder: Path) -> str:
    """A Python that other users may run, with the packages: this one, or a copy of it."""
    if others_can_run(sys.executable):
        return sys.executable
    prefix, version = Path(sys.base_prefix), f"python3.{sys.version_info.minor}"
    unneeded = shutil.ignore_patterns("test", "config-*", "idlelib", "site-packages")
    library = folder / "lib" / version
    shutil.copytree(prefix / "lib" / version, library, ignore=unneeded)
    for path in (prefix / "lib").glob("libpython*.so*"):
        shutil.copy(path, folder / "lib")
    here = Path(next(p for p in sys.path if p.endswith("site-packages")))
    (library / "site-packages").symlink_to(here)
    # It finds its library by a path that others cannot get to.
    old = f"{prefix}/lib".encode() + b"\0"
    program = (prefix / "bin" / version).read_bytes()
    copied = folder / "bin" / "python3"
    copied.parent.mkdir()
    copied.write_bytes(program.replace(old, b"$ORIGIN/../lib".ljust(len(old), b"\0")))
    copied.chmod(0o755)
    if not others_can_run(str(copied)):
        pytest.skip("there is no Python here that another user could run")
    return str(copied)


def others_can_run(python: str) -> bool:
    program = 'exec "$0" -c "import ipykernel, numpy"'
    command = [*AS_NOBODY, "sh", "-c", program, python]
    return subprocess.run(command, cwd="/", capture_output=True, check=False).returncode == 0


# --- submissions ---------------------------------------------------------------------------------


def handed_in(softmax: bytes | None = None, **cells: str) -> dict[str, bytes]:
    """A starter with the solution in it, or with another softmax.py or other cells."""
    starter = starter_files(PROJECT, ["softmax"])
    path = EXERCISE.notebook
    nb = regions.read_notebook(starter[path].decode(), path)
    solved = regions.read_notebook((PROJECT / path).read_text("utf-8"), path)
    bodies = regions.extract_cells(solved, path) | cells
    files = {path: (PROJECT / path).read_bytes() for path in EXERCISE.files}
    files[path] = regions.write_notebook(regions.graft_cells(nb, bodies, path)).encode()
    return files | ({SOFTMAX: softmax} if softmax is not None else {})


def with_naive(body: str) -> bytes:
    return BANK.solution.with_region("softmax_naive", body).files[SOFTMAX].encode()


def lost(results: dict[str, Any]) -> dict[str, str]:
    """What was said of the checks that did not pass."""
    return {
        title: line["output"]
        for title, line in lines(results).items()
        if line["status"] != "passed"
    }


def lines(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The line of each check, by the check's title."""
    return {line["name"]: line for line in results["tests"]}


def score(results: dict[str, Any]) -> float:
    return sum(line["score"] for line in results["tests"])


def require_nothing_given_away(results: dict[str, Any]) -> None:
    """No seed and no result to its digits, and no line of the solution."""
    text = json.dumps(results, ensure_ascii=False)
    assert not re.search(r"\d{6,}", text)
    for region in ("softmax_naive", "softmax_vectorized"):
        for line in BANK.solution.body(region).text.splitlines():
            assert len(line.strip()) < 20 or line.strip() not in text


TITLES = [check.title for check in EXERCISE.checks]


def test_the_solution_gets_all_points_on_a_line_for_each_check(image: Image) -> None:
    status, said, results = image(handed_in())
    assert status == 0, said
    assert [line["name"] for line in results["tests"]] == TITLES
    for line, check in zip(results["tests"], EXERCISE.checks, strict=True):
        assert line["score"] == line["max_score"] == check.points
        assert (line["status"], line["visibility"]) == ("passed", "visible")
        assert line["output"].startswith(f"✓ {check.title}")
    assert results["output"].startswith("100 of 100 points")
    assert results["stdout_visibility"] == "hidden"
    assert said == "Submissions run in the sandbox.\n"
    require_nothing_given_away(results)


def test_a_starter_as_it_was_handed_out_has_no_points_and_is_told_where_to_begin(
    image: Image,
) -> None:
    status, _, results = image(starter_files(PROJECT, ["softmax"]))
    assert status == 0
    assert score(results) == 0
    assert len(results["tests"]) == len(TITLES)
    assert "Write `softmax_naive`" in lines(results)["Naive loss"]["output"]


def test_a_mistake_is_called_by_its_name_and_costs_what_it_costs(image: Image) -> None:
    mutants = [mutant for mutant in BANK.mutants if mutant.region == "softmax_naive"]
    [mutant] = [p for p in mutants if (p.id, p.number) == ("sum_not_mean", 0)]
    status, _, results = image(handed_in(mutant.tree.files[SOFTMAX].encode()))
    assert status == 0
    naive = lines(results)["Naive loss"]
    assert (naive["score"], naive["status"]) == (0, "failed")
    assert BANK.mistakes["sum_not_mean"].name in naive["output"]
    assert lines(results)["Vectorized loss"]["score"] == 8
    assert 60 < score(results) < 95
    require_nothing_given_away(results)


def test_single_files_are_a_submission_and_what_is_missing_is_not_attempted(image: Image) -> None:
    status, _, results = image({"softmax.py": handed_in()[SOFTMAX]})
    assert status == 0
    assert lines(results)["Vectorized gradient"]["status"] == "passed"
    assert "not attempted" in lines(results)[EXERCISE.check("predict").title]["output"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "holds none of softmax.py"),
        ({"softmax-submission.zip": b"PK\x03\x04 damaged"}, "damaged"),
        ({"essay.pdf": b"%PDF-1.4"}, "essay.pdf"),
        ({"softmax.ipynb": b"{"}, "softmax.ipynb"),
    ],
)
def test_what_cannot_be_opened_is_told_in_a_sentence(
    image: Image, files: dict[str, bytes], words: str
) -> None:
    status, said, results = image(files)
    assert status == 0, said
    assert results["score"] == 0
    assert words in results["output"]
    assert "no verdict on your code" in results["output"]
    assert "tests" not in results


def test_what_code_in_a_run_has_learnt_of_its_problems_is_not_told(image: Image) -> None:
    body = (
        "import sys\n"
        "frame, seeds = sys._getframe(), []\n"
        "while frame:\n"
        "    seeds.append(frame.f_locals.get('own_seed') or 0)\n"
        "    frame = frame.f_back\n"
        "print(max(seeds), W[0, 0])\n"
        "codes = [ord(c) for c in str(seeds)]\n"
        "raise RuntimeError(f'{max(seeds):b} {W[0, 0]} {max(seeds)} {codes}')"
    )
    status, _, results = image(handed_in(with_naive(body)))
    assert status == 0
    assert lines(results)["Naive loss"]["status"] == "failed"
    require_nothing_given_away(results)


# --- where the service fails ---------------------------------------------------------------------


def test_a_failure_of_the_graders_own_is_no_silent_0(
    archive: Path, tmp_path: Path, image: Image
) -> None:
    """A solution that does not pass stops the image; if it is used all the same, it says so."""
    autograder = unpack(archive, tmp_path / "broken")
    config = autograder / "source" / "project" / "grading" / "softmax" / "exercise.toml"
    config.write_text("nonsense = 1\n")
    env = os.environ | {"PYTHON": sys.executable, "PYTHONPATH": ""}
    script = autograder / "source" / "setup.sh"
    ran = subprocess.run([script], env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "unknown key 'nonsense'" in ran.stderr
    status, said, results = runner(autograder)(handed_in())
    assert status == 1
    assert "unknown key 'nonsense'" in said
    assert "no fault of its own" in results["output"]
    assert "The 0 is no grade" in results["output"]
    assert "nonsense" not in results["output"]


def test_a_grader_that_is_killed_leaves_a_result_that_says_so(
    archive: Path, tmp_path: Path
) -> None:
    autograder = unpack(archive, tmp_path / "killed")
    killed = tmp_path / "killed-python"
    killed.write_text("#!/bin/sh\nkill -9 $$\n")
    killed.chmod(0o755)
    (autograder / "source" / "python").write_text(f"{killed}\n")
    status, said, results = runner(autograder)(handed_in())
    assert status == 1
    assert "ended with status 137" in said
    assert "The 0 is no grade" in results["output"]


def test_the_archive_is_the_same_in_every_build_and_holds_what_grading_needs_only(
    archive: Path, tmp_path: Path
) -> None:
    tree = tmp_path / "again"
    shutil.copytree(archive.parents[1], tree, ignore=shutil.ignore_patterns("dist"))
    (tree / "gradkit" / ".notes").write_text("mine")
    (tree / "grading" / "softmax" / "__pycache__").mkdir()
    (tree / "grading" / "softmax" / "__pycache__" / "x.pyc").write_text("mine")
    release(tree, tree / "dist", gradescope=True)
    assert (tree / "dist" / ARCHIVE).read_bytes() == archive.read_bytes()
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
        modes = {name: opened.getinfo(name).external_attr >> 16 & 0o777 for name in names}
    top = {name.split("/")[0] for name in names}
    assert top == {"exercise", "project", "run_autograder", "setup.sh"}
    assert {name.split("/")[1] for name in names if "/" in name} == {
        *("assignment", "datasets", "docs", "gradkit", "grading", "notebooks"),
        *FILES,
    }
    assert modes["setup.sh"] == modes["run_autograder"] == 0o755
    assert modes[f"project/{SOFTMAX}"] == 0o644


@pytest.mark.parametrize(
    ("container", "submissions"),
    [("max", 2000), ("805306368", 505), ("9223372036854771712", 2000), ("104857600", 300)],
)
def test_a_submission_has_no_more_memory_than_the_container_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, container: str, submissions: int
) -> None:
    (tmp_path / "memory.max").write_text(f"{container}\n")
    places = (tmp_path / "memory.max", tmp_path / "not there")
    monkeypatch.setattr(gradescope, "CONTAINERS_MEMORY", places)
    config = read_config(PROJECT, "softmax")
    assert gradescope._within_the_container(config).limits.memory_mb == submissions


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git")
def test_a_file_that_git_does_not_track_is_in_no_archive(tmp_path: Path) -> None:
    tree = copy_tree(tmp_path / "tree")
    for command in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *command], cwd=tree, check=True)
    (tree / "grading" / "softmax" / "grades.csv").write_text("ada,100\n")
    with pytest.raises(ReleaseError, match=r"to Gradescope that git .*\n.*grades\.csv is"):
        release(tree, tree / "dist", gradescope=True)
    assert not (tree / "dist").exists()
    release(tree, tree / "dist")


# --- code that looks around ----------------------------------------------------------------------

# Finds what it can of all that it must not; `found` is empty where it can nothing.
LOOKING = """\
import os, socket
found = []
def tried(what, do):
    try:
        do()
        found.append(what)
    except OSError:
        pass
source = {source!r}
tried('solution', lambda: open(source + '/project/assignment/classifiers/softmax.py').close())
tried('mistakes', lambda: open(source + '/project/grading/softmax/exercise.toml').close())
tried('list', lambda: os.listdir(source))
tried('results', lambda: open(source + '/../results/results.json', 'w').write('100'))
tried('other_results', lambda: open(source + '/../results/results.tmp', 'w').close())
tried('script', lambda: open(source + '/../run_autograder', 'a').close())
tried('exam', lambda: open('../../softmax.ipynb').close())
tried('desk', lambda: os.listdir('../..') if os.getcwd() != '/project/notebooks' else os.stat('/x'))
for pid in (int(name) for name in os.listdir('/proc') if name.isdecimal()):
    try:
        mine = 'Uid:\\t%d\\t' % os.getuid() in open('/proc/%d/status' % pid).read()
    except OSError:
        continue  # has ended since the list was made
    if not mine or os.getuid() == 0:
        tried('kill', lambda: os.kill(pid, 0))
        tried('memory', lambda: open('/proc/%d/mem' % pid).close())
tried('network', lambda: socket.create_connection(('127.0.0.1', {port}), 1).close())
tried('root', lambda: os.setuid(0))
"""
RIGHT = "\n".join(
    line.removeprefix("    ") for line in BANK.solution.body("softmax_naive").text.splitlines()
)


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def looks_around(autograder: Path, port: int) -> bytes:
    """A naive loss that is right, unless it finds anything."""
    program = LOOKING.format(source=str(autograder / "source"), port=port)
    return with_naive(f"{program}if found: raise RuntimeError('found')\n{RIGHT}\n")


def test_in_the_sandbox_a_submission_finds_nothing_and_changes_nothing(
    archive: Path, open_folder: Callable[[], Path], sandbox: None, port: int
) -> None:
    autograder = unpack(archive, open_folder())
    set_up(autograder, sys.executable)
    status, said, results = runner(autograder)(handed_in(looks_around(autograder, port)))
    assert status == 0, said
    assert lost(results) == {}
    assert score(results) == 100


def test_as_another_user_a_submission_finds_nothing_and_changes_nothing(
    container: Path, port: int
) -> None:
    run = runner(container, AS_IN_A_CONTAINER)
    status, said, results = run(handed_in(looks_around(container, port)))
    assert status == 0, said
    assert "run as another user: without network, and unable to read" in said
    assert lost(results) == {}
    assert score(results) == 100
    assert "another user" not in json.dumps(results)


def test_whoever_may_look_around_does_find_what_is_looked_for(container: Path, port: int) -> None:
    """So that the two tests before mean something: root finds it."""
    (container / "results").mkdir(exist_ok=True)
    program = LOOKING.format(source=str(container / "source"), port=port)
    program += "print(*sorted({*found}))"
    command = [sys.executable, "-c", program]
    workdir = container / "desk"
    (workdir / "tree" / "notebooks").mkdir(parents=True)
    (workdir / "softmax.ipynb").touch()
    ran = subprocess.run(
        command, cwd=workdir / "tree" / "notebooks", capture_output=True, text=True, check=False
    )
    found = "desk exam kill list memory mistakes network other_results results root script solution"
    assert ran.stdout.split() == found.split(), ran.stderr
    (container / "results" / "results.tmp").unlink()


def test_whatever_another_user_has_started_ends_with_its_kernel(container: Path) -> None:
    body = (
        "import os, time\n"
        "if len(X) == 5 and os.fork() == 0:\n"
        "    os.setpgid(0, 0)\n"
        "    if os.fork() == 0:\n"
        "        while True:\n"  # whoever looks for it finds its parent, which is gone
        "            if os.fork(): os._exit(0)\n"
        "            time.sleep(0.001)\n"
        "    while True: time.sleep(1)\n"
    )
    status, said, results = runner(container, AS_IN_A_CONTAINER)(
        handed_in(with_naive(f"{body}{RIGHT}\n"))
    )
    assert status == 0, said
    assert lines(results)["Vectorized loss"]["score"] == 8
    assert not list(others_here())


def others_here() -> Iterator[int]:
    """The processes of users that are made for submissions, but for those in sandboxes."""
    here = Path("/proc/self/ns/mnt").readlink()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            uid = re.search(r"^Uid:\t(\d+)", (place / "status").read_text(), re.MULTILINE)
            if uid and int(uid[1]) >= FIRST_FREE_UID and (place / "ns/mnt").readlink() == here:
                yield int(place.name)
        except OSError:
            continue


def test_a_tree_that_another_user_could_read_grades_nobody(container: Path) -> None:
    (container / "source").chmod(0o755)
    try:
        status, said, results = runner(container, AS_IN_A_CONTAINER)(handed_in())
    finally:
        (container / "source").chmod(0o700)
    assert status == 1
    assert "No other user can run a submission here: it can read" in said
    assert "has to be closed to others (chmod 700)" in said
    assert "The 0 is no grade" in results["output"]


def test_as_another_user_memory_and_processes_have_their_limits_too(container: Path) -> None:
    body = "import os\nwhile True: os.fork()"
    status, said, results = runner(container, AS_IN_A_CONTAINER)(handed_in(with_naive(body)))
    assert status == 0, said
    assert lines(results)["Naive loss"]["score"] == 0
    assert lines(results)["Vectorized loss"]["score"] == 8
    assert not list(others_here())
