"""The autograder for Gradescope: unpacked, set up and run in a folder as that service does it.

In a container that forbids namespaces submissions run as a separate user; here root gives up the
capability to make them.
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
from typing import Any, NamedTuple

import pytest

from assignment import PROJECT
from assignment.checks.softmax import EXERCISE, SOFTMAX
from assignment.workspace import regions
from gradkit.autograder.sandbox import FIRST_FREE_UID
from gradkit.batch import gradescope_run
from gradkit.course.exercise_config import read_config
from gradkit.course.starter import starter_files
from gradkit.release.build import release
from gradkit.release.errors import ReleaseError
from tests.banks import BANK
from tests.classes import solved_cells, solved_files, with_mistake
from tests.trees import FILES

ARCHIVE = "softmax-gradescope.zip"
AS_IN_A_CONTAINER = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-all")
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")

pytestmark = pytest.mark.xdist_group("gradescope")

Results = dict[str, Any]


class Image(NamedTuple):
    """A folder as /autograder is in Gradescope's containers, and how its commands are started."""

    folder: Path
    before: tuple[str, ...] = ()

    def set_up(self, python: str, status: int = 0) -> str:
        """Run `setup.sh`, and return its output."""
        command = [*self.before, "bash", str(self.folder / "source" / "setup.sh")]
        env = os.environ | {"PYTHON": python, "PYTHONPATH": ""}
        ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert ran.returncode == status, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    def run(self, files: Mapping[str, bytes]) -> tuple[int, str, Results]:
        """Grade files by `run_autograder`; return its exit status, output and results."""
        submission, results = self.folder / "submission", self.folder / "results"
        shutil.rmtree(submission, ignore_errors=True)
        submission.mkdir()
        for name, content in files.items():
            (submission / name).parent.mkdir(parents=True, exist_ok=True)
            (submission / name).write_bytes(content)
        (self.folder / "submission_metadata.json").write_text('{"users": [{"name": "Ada"}]}')
        ran = subprocess.run(
            [*self.before, str(self.folder / "run_autograder")],
            cwd=self.folder, env=os.environ | {"PYTHONPATH": ""},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert [path.name for path in results.iterdir()] == ["results.json"]
        written = json.loads((results / "results.json").read_text("utf-8"))
        return ran.returncode, ran.stdout + ran.stderr, written


@pytest.fixture(scope="module")
def archive(small_tree: Path, shared: Callable[..., Path]) -> Path:
    """The archive of a release of the small tree."""

    def build(folder: Path) -> None:
        assert "upload them to Gradescope only" in release(small_tree, folder, gradescope=True)

    return shared("gradescope-archive", build) / ARCHIVE


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive into FOLDER/source and copy FOLDER/run_autograder, as Gradescope does."""
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            path = Path(opened.extract(member, folder / "source"))
            path.chmod(member.external_attr >> 16 & 0o777)
    shutil.copy(folder / "source" / "run_autograder", folder)
    return folder


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Callable[[], Path]]:
    """Makes folders that other users can reach; pytest's own are closed to them."""
    with contextlib.ExitStack() as stack:

        def new() -> Path:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="autograder-")))
            folder.chmod(0o755)
            return folder

        yield new


@pytest.fixture(scope="module")
def image(archive: Path, open_folder: Callable[[], Path], sandbox: None) -> Image:
    """An image whose container allows the sandbox."""
    image = Image(unpack(archive, open_folder()))
    output = image.set_up(sys.executable)
    assert "Submissions run in the sandbox.\nThe solution passes.\n" in output
    return image


@pytest.fixture(scope="module")
def container(archive: Path, open_folder: Callable[[], Path]) -> Image:
    """An image whose container forbids namespaces."""
    if os.geteuid() != 0:
        pytest.skip("only root can let a separate user run a submission")
    image = Image(unpack(archive, open_folder()), AS_IN_A_CONTAINER)
    output = image.set_up(open_python(image.folder / "python"))
    assert "So submissions run as another user: without network" in output
    assert "The solution passes." in output
    return image


def open_python(folder: Path) -> str:
    """Return a Python with the packages that other users can run: this one, or a copy of it."""
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


def submitted() -> dict[str, bytes]:
    """Return the files of a starter with the solution in it."""
    path = EXERCISE.notebook
    nb = regions.read_notebook(starter_files(PROJECT, ["softmax"])[path].decode(), path)
    notebook = regions.write_notebook(regions.graft_cells(nb, solved_cells(), path)).encode()
    return {**solved_files(), path: notebook}


def with_naive(body: str) -> bytes:
    return BANK.solution.with_region("softmax_naive", body).files[SOFTMAX].encode()


def lines(results: Results) -> dict[str, Results]:
    """Return the line of each check by the check's title."""
    return {line["name"]: line for line in results["tests"]}


def require_nothing_given_away(results: Results) -> None:
    """Require that no seed, no exact number and no line of the solution is in the results."""
    text = json.dumps(results, ensure_ascii=False)
    assert not re.search(r"\d{6,}", text)
    for region in ("softmax_naive", "softmax_vectorized"):
        for line in BANK.solution.body(region).text.splitlines():
            assert len(line.strip()) < 20 or line.strip() not in text


def test_the_solution_has_a_line_with_all_points_for_each_check(image: Image) -> None:
    status, output, results = image.run(submitted())
    assert status == 0, output
    for line, check in zip(results["tests"], EXERCISE.checks, strict=True):
        assert (line["name"], line["score"]) == (check.title, line["max_score"])
        assert line["score"] == check.points
        assert (line["status"], line["visibility"]) == ("passed", "visible")
        assert line["output"].startswith(f"✓ {check.title}")
    assert results["output"].startswith("100 of 100 points")
    assert results["stdout_visibility"] == "hidden"
    assert output == "Submissions run in the sandbox.\n"
    require_nothing_given_away(results)


def test_a_single_file_has_its_mistake_named_and_its_other_checks_not_attempted(
    image: Image,
) -> None:
    mistaken = with_mistake("sum_not_mean", "softmax_naive")[SOFTMAX]
    status, _, results = image.run({"softmax.py": mistaken})
    assert status == 0
    naive = lines(results)["Naive loss"]
    assert (naive["score"], naive["status"]) == (0, "failed")
    assert BANK.mistakes["sum_not_mean"].name in naive["output"]
    assert lines(results)["Vectorized loss"]["score"] == 8
    assert lines(results)["Vectorized gradient"]["status"] == "passed"
    assert "not attempted" in lines(results)[EXERCISE.check("predict").title]["output"]
    require_nothing_given_away(results)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "holds none of softmax.py"),
        ({"softmax-submission.zip": b"PK\x03\x04 damaged"}, "damaged"),
        ({"essay.pdf": b"%PDF-1.4"}, "essay.pdf"),
        ({"softmax.ipynb": b"{"}, "softmax.ipynb"),
    ],
)
def test_a_submission_that_cannot_be_opened_is_explained_in_a_sentence(
    image: Image, files: dict[str, bytes], words: str
) -> None:
    status, output, results = image.run(files)
    assert status == 0, output
    assert results["score"] == 0
    assert words in results["output"]
    assert "no verdict on your code" in results["output"]
    assert "tests" not in results


def test_each_run_draws_another_seed_so_that_what_one_reveals_is_worthless(image: Image) -> None:
    body = (
        "import sys\n"
        "frame = sys._getframe()\n"
        "while 'own_seed' not in frame.f_locals:\n"
        "    frame = frame.f_back\n"
        "print('seen')\n"
        "raise RuntimeError(frame.f_locals['own_seed'])"
    )
    seeds = []
    for _ in range(2):
        _, _, results = image.run({"softmax.py": with_naive(body)})
        shown = lines(results)["Naive loss"]["output"]
        assert "It printed:\n    seen" in shown
        seeds += re.findall(r"RuntimeError: (\d+)", shown)
    assert len(set(seeds)) == 2


# --- where the service fails ---------------------------------------------------------------------


def test_an_image_whose_exercise_is_broken_is_not_built_and_grades_nobody(
    archive: Path, tmp_path: Path
) -> None:
    broken = Image(unpack(archive, tmp_path / "broken"))
    config = broken.folder / "source" / "project" / "grading" / "softmax" / "exercise.toml"
    config.write_text("nonsense = 1\n")
    assert "nonsense" in broken.set_up(sys.executable, status=1)
    status, output, results = broken.run(submitted())
    assert status == 1
    assert "nonsense" in output
    assert "no fault of its own. The 0 is no grade" in results["output"]
    assert "nonsense" not in results["output"]


def test_a_grader_that_is_killed_leaves_results_that_say_so(archive: Path, tmp_path: Path) -> None:
    image = Image(unpack(archive, tmp_path / "killed"))
    python = tmp_path / "killed-python"
    python.write_text("#!/bin/sh\nkill -9 $$\n")
    python.chmod(0o755)
    (image.folder / "source" / "python").write_text(f"{python}\n")
    status, output, results = image.run(submitted())
    assert status == 1
    assert "ended with status 137" in output
    assert "The 0 is no grade" in results["output"]


def test_the_archive_is_the_same_in_every_build_and_holds_only_the_files_for_grading(
    archive: Path, small_tree: Path, tmp_path: Path
) -> None:
    tree = shutil.copytree(small_tree, tmp_path / "again")
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
def test_a_submission_has_at_most_the_memory_that_the_container_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, container: str, submissions: int
) -> None:
    (tmp_path / "memory.max").write_text(f"{container}\n")
    places = (tmp_path / "memory.max", tmp_path / "not there")
    monkeypatch.setattr(gradescope_run, "MEMORY_LIMIT_FILES", places)
    config = read_config(PROJECT, "softmax")
    assert gradescope_run.limit_memory(config).limits.memory_mb == submissions


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git")
def test_a_file_that_git_does_not_track_stops_the_archive_alone(
    small_tree: Path, tmp_path: Path
) -> None:
    tree = shutil.copytree(small_tree, tmp_path / "tree")
    for command in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *command], cwd=tree, check=True)
    (tree / "grading" / "softmax" / "grades.csv").write_text("ada,100\n")
    with pytest.raises(ReleaseError, match=r"to Gradescope that git .*\n.*grades\.csv is"):
        release(tree, tree / "dist", gradescope=True)
    assert not (tree / "dist").exists()
    release(tree, tree / "dist")


# --- code that looks around ----------------------------------------------------------------------

# Tries all that a submission must not be able to do; `found` names what it could do.
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
tried('notebook', lambda: open('../../softmax.ipynb').close())
tried('top', lambda: os.listdir('../..') if os.getcwd() != '/project/notebooks' else os.stat('/x'))
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
    """The port of a server on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def looks_around(autograder: Path, port: int) -> bytes:
    """Return a softmax.py that is right, unless it finds anything."""
    program = LOOKING.format(source=str(autograder / "source"), port=port)
    return with_naive(f"{program}if found: raise RuntimeError('found')\n{RIGHT}\n")


def test_in_the_sandbox_a_submission_finds_and_changes_nothing(image: Image, port: int) -> None:
    status, output, results = image.run({"softmax.py": looks_around(image.folder, port)})
    assert status == 0, output
    assert lines(results)["Naive loss"]["status"] == "passed", results


def test_as_a_separate_user_a_submission_finds_and_changes_nothing(
    container: Image, port: int
) -> None:
    status, output, results = container.run({"softmax.py": looks_around(container.folder, port)})
    assert status == 0, output
    assert "run as another user: without network, and unable to read" in output
    assert lines(results)["Naive loss"]["status"] == "passed", results
    assert "another user" not in json.dumps(results)


def test_root_does_find_all_that_the_search_looks_for(container: Image, port: int) -> None:
    """Else the two tests before would prove nothing."""
    (container.folder / "results").mkdir(exist_ok=True)
    program = LOOKING.format(source=str(container.folder / "source"), port=port)
    command = [sys.executable, "-c", f"{program}print(*sorted({{*found}}))"]
    notebooks = container.folder / "workdir" / "tree" / "notebooks"
    notebooks.mkdir(parents=True)
    (container.folder / "workdir" / "softmax.ipynb").touch()
    ran = subprocess.run(command, cwd=notebooks, capture_output=True, text=True, check=False)
    (container.folder / "results" / "results.tmp").unlink()
    expected = "kill list memory mistakes network notebook other_results results root script"
    assert ran.stdout.split() == [*expected.split(), "solution", "top"], ran.stderr


def test_all_processes_of_a_separate_user_end_with_its_kernel(container: Image) -> None:
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
    status, output, results = container.run({"softmax.py": with_naive(f"{body}{RIGHT}\n")})
    assert status == 0, output
    assert lines(results)["Vectorized loss"]["score"] == 8
    assert not list(others_here())


def others_here() -> Iterator[int]:
    """Yield the processes of separate users, except those in sandboxes."""
    here = Path("/proc/self/ns/mnt").readlink()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            uid = re.search(r"^Uid:\t(\d+)", (place / "status").read_text(), re.MULTILINE)
            if uid and int(uid[1]) >= FIRST_FREE_UID and (place / "ns/mnt").readlink() == here:
                yield int(place.name)
        except OSError:
            continue


def test_a_tree_that_a_separate_user_could_read_grades_nobody(container: Image) -> None:
    (container.folder / "source").chmod(0o755)
    try:
        status, output, results = container.run(submitted())
    finally:
        (container.folder / "source").chmod(0o700)
    assert status == 1
    assert "No other user can run a submission here: it can read" in output
    assert "(chmod 700)" in output
    assert "The 0 is no grade" in results["output"]


def test_as_a_separate_user_memory_and_processes_are_limited_too(container: Image) -> None:
    body = "import os\nwhile True: os.fork()"
    status, output, results = container.run({"softmax.py": with_naive(body)})
    assert status == 0, output
    assert lines(results)["Naive loss"]["score"] == 0
    assert lines(results)["Vectorized loss"]["score"] == 8
    assert not list(others_here())
