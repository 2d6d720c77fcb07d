"""The softmax notebook passes as stored, finds its assignment, and stops at mistakes.

One full run proves that it passes. One kernel answers the questions about the setup cell and about
checks of wrong code (`kernel_run`), another run those about the unsolved starter.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from assignment import PROJECT
from assignment.checks.check import load_exercise
from assignment.checks.softmax import EXERCISE, SOFTMAX
from assignment.workspace.regions import extract_cells, graft_cells, read_notebook
from gradkit.authoring.notebook_outputs import printed, role, set_parameters
from gradkit.course.exercise_config import read_config
from tests.banks import BANK
from tests.notebooks.solved import CALLED, CODE_CELLS, NB, copy_solved, passed_line, verdict_line

NOTEBOOK = PROJECT / EXERCISE.notebook
SETUP = next(cell.source for cell in NB.cells if cell.id == "setup")
NAME = "softmax-starter"

Build = Callable[[Path], object]
Starter = Callable[[str], Path]
KernelRun = tuple[Path, Mapping[str, Any]]


def nbval(folder: Path, option: str = "--nbval") -> subprocess.CompletedProcess[str]:
    """Run the command of the README, from a folder that is not the notebook's.

    Without pytest's summary, which repeats each failure.
    """
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rN", option]
    return subprocess.run(
        [*command, EXERCISE.notebook], cwd=folder, capture_output=True, text=True, check=False
    )


# --- as stored ------------------------------------------------------------------------------------


def test_nbval_passes_on_a_fresh_copy_and_draws_the_stand_in(
    tmp_path: Path, starter: Starter
) -> None:
    project = copy_solved(starter(NAME), tmp_path / "我的 homework")
    ran = nbval(project)
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert f"{CODE_CELLS} passed" in ran.stdout
    assert (project / "datasets" / "cifar-10-synthetic" / "test_batch").exists()


def test_a_students_solved_notebook_has_the_same_code(starter: Starter) -> None:
    students, stored = (
        read_notebook((folder / EXERCISE.notebook).read_text("utf-8"), "")
        for folder in (starter(NAME), PROJECT)
    )
    solved = graft_cells(students, extract_cells(stored, ""), "")
    assert [(cell["id"], "".join(cell["source"])) for cell in solved["cells"]] == [
        (cell["id"], "".join(cell["source"])) for cell in stored["cells"]
    ]


def test_nbval_still_passes_when_the_real_data_have_arrived(
    tmp_path: Path, starter: Starter, real_cifar10: Path
) -> None:
    copy_solved(starter(NAME), tmp_path)
    (tmp_path / "datasets" / "cifar-10-batches-py").symlink_to(real_cifar10.resolve())
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)  # as in the instructor's tree
    ran = nbval(tmp_path)
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert not (tmp_path / "datasets" / "cifar-10-synthetic").exists()


def test_each_check_of_the_exercise_is_one_line_whose_output_nbval_compares() -> None:
    cells = [cell for cell in NB.cells if "check" in cell.metadata.get("gradkit", {})]
    assert [cell.metadata.gradkit.check for cell in cells] == EXERCISE.names
    for cell in cells:
        name = cell.metadata.gradkit.check
        assert cell.source == f'check("{name}")'
        assert cell.execution_count  # nbval compares only cells that were run before
        assert not cell.metadata.get("tags")
        assert printed(cell) == [passed_line(name)]


def test_every_code_cell_is_a_check_a_region_or_has_a_role() -> None:
    for cell in NB.cells:
        about = cell.metadata.get("gradkit", {})
        assert cell.cell_type == "markdown" or len(about) == 1
        assert set(about) <= {"role", "region", "check"}
        assert about.get("role", "setup") in {"setup", "parameters", "data", "display"}
    assert [c.id for c in NB.cells if "parameters" in c.metadata.get("tags", [])] == ["parameters"]
    assert [c.id for c in NB.cells if role(c) == "parameters"] == ["parameters"]
    regions = {cell.metadata.get("gradkit", {}).get("region") for cell in NB.cells} - {None}
    answers = {f"answer_{name}" for name in ("added_picture", "initial_loss", "step", "templates")}
    assert regions == answers | {"tuning"}


def test_checks_without_points_come_before_those_with_a_reference_and_print_one_line() -> None:
    practice = [check.name for check in EXERCISE.practice]
    assert CALLED[:4] == [practice[0], "naive_loss", practice[1], "naive_gradient"]
    assert {*CALLED} == {*EXERCISE.names, *practice}
    for cell in NB.cells:
        if cell.source in {f'check("{name}")' for name in practice}:
            assert role(cell) == "display"  # left out when graded
            assert printed(cell) == [passed_line(cell.source.split('"')[1])]


@pytest.mark.parametrize("name", ["knn", "softmax", "svm"])
def test_the_notebook_and_the_readme_give_the_points_of_each_part_and_their_sum(
    name: str, starter: Starter
) -> None:
    exercise, questions = load_exercise(name), read_config(PROJECT, name).questions
    cells = read_notebook((PROJECT / exercise.notebook).read_text("utf-8"), "")["cells"]
    parts: dict[str, int] = {}
    asked = ""
    for cell in cells:
        text, about = "".join(cell["source"]), cell["metadata"].get("gradkit", {})
        if heading := re.match(r"## (\d+\. .+)", text):
            part = heading[1]
        if "check" in about:
            parts[part] = parts.get(part, 0) + exercise.check(about["check"]).points
        if (region := about.get("region", "")) in questions:
            parts[part] = parts.get(part, 0) + questions[region]
            assert f"({questions[region]} points)" in asked
        asked = text
    total = sum(parts.values())
    assert total == sum(c.points for c in exercise.checks) + sum(questions.values())
    title = "".join(cells[0]["source"])
    assert re.findall(r"\| (\d+\. .+) \| (\d+) \|", title) == [
        (p, str(n)) for p, n in parts.items()
    ]
    assert title.count(f"{total}") == 2
    readme = (starter("assignment1-starter") / "README.md").read_text("utf-8")
    assert f"{exercise.title} gives {total} points" in readme


def test_the_stored_notebook_names_no_machine_and_holds_no_errors() -> None:
    assert str(PROJECT) not in NOTEBOOK.read_text(encoding="utf-8")
    assert NB.metadata.kernelspec.name == "python3"
    assert NB.metadata.language_info == {"name": "python"}
    assert not [o for c in NB.cells for o in c.get("outputs", []) if o.output_type == "error"]
    assert NOTEBOOK.stat().st_size < 2**20


def test_nbval_fails_at_each_check_of_an_unsolved_starter(
    tmp_path: Path, starter: Starter, stand_in: Callable[[Path], None]
) -> None:
    shutil.copytree(starter(NAME), tmp_path, dirs_exist_ok=True)
    stand_in(tmp_path / "datasets")
    nb = nbformat.read(tmp_path / EXERCISE.notebook, as_version=4)
    nb.cells = [cell for cell in nb.cells if role(cell) != "display"]
    set_parameters(nb, NUM_TRAINING=500)
    nbformat.write(nb, tmp_path / EXERCISE.notebook)
    ran = nbval(tmp_path, "--nbval-lax")
    assert ran.returncode == 1
    for name in EXERCISE.names:
        assert ran.stdout.count(verdict_line(name, "·", ": not attempted yet")) == 1


def test_what_runs_all_cells_stops_at_a_check_that_does_not_pass(
    tmp_path: Path, starter: Starter
) -> None:
    folder = Path(shutil.copytree(starter(NAME), tmp_path / "starter"))
    nb = nbformat.v4.new_notebook()
    cells = [SETUP, 'check()\ncheck("naive_loss")', 'check("naive_loss")', "print('reached')"]
    for stops_at, sources in ((1, cells), (1, [SETUP, *cells[2:]])):
        nb.cells = [nbformat.v4.new_code_cell(source) for source in sources]
        resources = {"metadata": {"path": str(folder / "notebooks")}}
        client = NotebookClient(nb, timeout=600, kernel_name="python3", resources=resources)
        with pytest.raises(CellExecutionError, match="· Naive loss: not attempted yet"):
            client.execute()
        assert not nb.cells[stops_at + 1].outputs
    [output] = nb.cells[1].outputs
    assert output.output_type == "display_data"


def test_ipython_in_a_terminal_shows_a_failed_check_once(tmp_path: Path, starter: Starter) -> None:
    code = (
        "from assignment.checks.notebook import Checks\ncheck = Checks('softmax', globals())\n"
        "result = get_ipython().run_cell('check(\"naive_loss\")')"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "IPython", "--colors=nocolor", "-c", code],
        cwd=starter(NAME),
        env=os.environ | {"IPYTHONDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout + ran.stderr).count("not attempted yet") == 1, ran


# --- one kernel, in a tree whose files change -----------------------------------------------------

MISTAKES = {
    "sum_not_mean": ("softmax_naive", "naive_loss"),
    "right_class_added": ("softmax_naive", "naive_gradient"),
    "no_max_shift": ("softmax_naive", "naive_large_scores"),
    "other_convention": ("softmax_vectorized", "vectorized_loss"),
    "loop_in_vectorized": ("softmax_vectorized", "vectorized_no_loops"),
    "same_batch_every_step": ("train_batch", "train_batch"),
    "update_with_plus": ("train_update", "train_update"),
    "predicts_the_lowest": ("predict", "predict"),
}

# Ways to find the assignment: the folder that the kernel starts in, JPY_SESSION_NAME, and the
# variable that VS Code sets in the kernel.
PLACES = {
    "the notebook's folder": ("tree/notebooks", "", ""),
    "JPY_SESSION_NAME": ("elsewhere", "tree/notebooks/softmax.ipynb", ""),
    "VS Code's variable": ("elsewhere", "", "tree/notebooks/softmax.ipynb"),
    # nbval called from a notebook of another copy inherits the name of that session.
    "another session's name": ("tree/notebooks", "outer/notebooks/softmax.ipynb", ""),
    "nowhere": ("elsewhere", "", ""),
}


def setup_in(folder: Path, start: str, session: str, vs_code: str) -> str:
    """The setup cell, as it runs in a kernel that was started in this way."""
    session, vs_code = (str(folder / path) if path else "" for path in (session, vs_code))
    return (
        f"import os\nos.chdir({str(folder / start)!r})\n"
        f"os.environ['JPY_SESSION_NAME'] = {session!r}\n"
        f"__vsc_ipynb_file__ = {vs_code!r}\n"
        f"{SETUP}\nprint('PROJECT', project)"
    )


def kernel_cells(folder: Path) -> dict[str, str]:
    """The sources of the cells to run, by what they try."""
    restore = f"shutil.copytree({str(folder / 'solved')!r}, project, dirs_exist_ok=True)\n"
    cells = {place: setup_in(folder, *how) for place, how in PLACES.items()}
    cells["setup"] = setup_in(folder, *PLACES["the notebook's folder"])
    edit = (
        f"path = project / {SOFTMAX!r}\nsource = path.read_text(encoding='utf-8')\npath.write_text"
    )
    cells["another cell"] = (
        "import shutil\nW, X, y = np.zeros((2, 3)), np.ones((1, 2)), np.array([0])"
    )
    cells["edit"] = f"{edit}('# one more line\\n' + source.replace('loss = 0.0', 'loss = 7.0'))"
    cells["a cell after the edit"] = "print(softmax_loss_naive(W, X, y, 0.0)[0])"
    cells["setup after an edit"] = SETUP
    cells["traceback"] = "softmax_loss_naive(W, X.T, y, 0.0)"
    cells["half saved"] = f"{edit}(source + 'def half_saved(')"
    cells["a cell while it is half saved"] = cells["a cell after the edit"]
    cells["a check while it is half saved"] = "check('naive_loss')"
    cells["name deleted"] = "path.write_text(source.replace('softmax_loss_naive', 'renamed'))"
    cells["a cell without the name"] = "softmax_loss_naive"
    cells["saved"] = "path.write_text(source)"
    cells["a cell after the mending"] = cells["a cell after the edit"]
    cells["markers deleted"] = (
        "import re\npath.write_text(re.sub('.* SOLUTION.*', '', source, count=2))"
    )
    cells["setup without markers"] = SETUP
    for id, (_, check) in MISTAKES.items():
        form = str(folder / "forms" / id)
        cells[id] = f"shutil.copytree({form!r}, project, dirs_exist_ok=True)\ncheck({check!r})"
    cells["mended"] = f"{restore}check('naive_loss')"
    cells["undefined name"] = (
        "path.write_text(path.read_text().replace('scores = X[i] @ W', "
        "'scores = np.dot(X[i], w)'))\ncheck('naive_loss')"
    )
    cells["endless loop"] = (
        f"{restore}path.write_text(path.read_text().replace('scores = X[i] @ W', "
        "'import signal; signal.raise_signal(signal.SIGINT)'))"  # as Jupyter's Stop button
    )
    cells["a stopped check"] = "check('naive_loss')"
    stub = '### START OF YOUR CODE: tuning\nraise NotImplementedError("{}")\n### END OF YOUR CODE'
    cells["a stub"] = f"results = {{}}\n{stub.format('tuning')}"
    cells["a student's own exception"] = f"print(1)\n{stub.format('later')}"
    cells["unsolved file"] = (
        f"{restore}path.write_text(path.read_text().replace('scores = X[i] @ W', "
        "'raise NotImplementedError(\"softmax_naive\")'))"
    )
    cells["a call of a stub"] = "print('before')\nsoftmax_loss_naive(W, X, y, 0.0)"
    form = str(folder / "forms" / "print_statement")
    cells["syntax error"] = f"shutil.copytree({form!r}, project, dirs_exist_ok=True)"
    cells["setup with a syntax error"] = SETUP
    return cells


@pytest.fixture(scope="module")
def kernel_run(shared: Callable[[str, Build], Path], starter: Starter) -> KernelRun:
    """The folder of one kernel's run, and its cells with their outputs, by what they try."""

    def build(folder: Path) -> None:
        copy_solved(starter(NAME), folder / "tree")
        (folder / "elsewhere").mkdir()
        (folder / "outer" / "assignment" / "checks").mkdir(parents=True)
        forms = {"print_statement": "softmax_naive"} | {
            id: region for id, (region, _) in MISTAKES.items()
        }
        trees = {"solved": BANK.solution} | {
            f"forms/{m.id}": m.tree
            for m in reversed(BANK.mutants)  # the first form last
            if forms.get(m.id) == m.region
        }
        for name, tree in trees.items():
            for path, source in tree.files.items():
                (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / name / path).write_text(source, encoding="utf-8")
        cells = kernel_cells(folder)
        nb = nbformat.v4.new_notebook()
        nb.cells = [nbformat.v4.new_code_cell(source) for source in cells.values()]
        NotebookClient(nb, timeout=600, kernel_name="python3", allow_errors=True).execute()
        outputs = dict(zip(cells, (cell.outputs for cell in nb.cells), strict=True))
        (folder / "outputs.json").write_text(json.dumps(outputs), encoding="utf-8")

    folder = shared("notebook-kernel-run", build)
    outputs = json.loads((folder / "outputs.json").read_text(encoding="utf-8"))
    cells = {
        name: nbformat.from_dict({"cell_type": "code", "outputs": outputs_})
        for name, outputs_ in outputs.items()
    }
    return folder, cells


def failure(run: KernelRun, cell: str) -> str:
    """Return the lines that Jupyter shows of a CheckFailed."""
    [error] = [o for o in run[1][cell].outputs if o.output_type == "error"]
    assert error.ename == "CheckFailed"
    return "\n".join(error.traceback)


def bar(run: KernelRun, cell: str) -> str:
    """Return the text of a verdict that is the only output of a cell, with no exception."""
    [output] = run[1][cell].outputs
    assert output.output_type == "display_data"
    return str(output.data["text/plain"])


def test_the_notebook_finds_its_assignment_or_says_where_it_belongs(kernel_run: KernelRun) -> None:
    folder, cells = kernel_run
    for place in PLACES.keys() - {"nowhere"}:
        assert printed(cells[place])[-1] == f"PROJECT {folder / 'tree'}", place
    [error] = cells["nowhere"].outputs
    assert error.ename == "FileNotFoundError"
    assert "Keep this notebook in the folder `notebooks`" in error.evalue


def test_a_saved_edit_runs_in_the_next_cell_and_its_traceback_quotes_the_file_as_it_is(
    kernel_run: KernelRun,
) -> None:
    folder, cells = kernel_run
    [loss] = printed(cells["a cell after the edit"])
    assert 8 < float(loss) < 9
    assert printed(cells["setup after an edit"]) == printed(cells["setup"])[:-1]
    [error] = cells["traceback"].outputs
    text = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback))
    source = (folder / "solved" / SOFTMAX).read_text(encoding="utf-8").splitlines()
    number = source.index("        scores = X[i] @ W") + 2
    assert re.search(rf"^-+> {number} +scores = X\[i\] @ W$", text, re.MULTILINE), text


def test_a_half_saved_file_is_shown_once_in_a_cell_and_the_code_from_before_runs(
    kernel_run: KernelRun,
) -> None:
    note, *_ = kernel_run[1]["a cell while it is half saved"].outputs
    text = note.data["text/plain"]
    loss = printed(kernel_run[1]["a cell after the edit"])
    assert printed(kernel_run[1]["a cell while it is half saved"]) == [*text.splitlines(), *loss]
    assert text.startswith("✗ softmax.py cannot be loaded: raised SyntaxError")
    assert "The code from before this edit still runs." in text
    assert "def half_saved(" in text
    assert len(text.splitlines()) < 7
    assert "SyntaxError" in bar(kernel_run, "a check while it is half saved")


def test_a_name_that_its_file_no_longer_defines_is_gone_until_it_is_defined_again(
    kernel_run: KernelRun,
) -> None:
    note, error = kernel_run[1]["a cell without the name"].outputs
    assert "softmax.py no longer defines softmax_loss_naive" in note.data["text/plain"]
    assert error.ename == "NameError"
    [number] = kernel_run[1]["saved"].outputs  # and not the note again
    assert number.output_type == "execute_result"
    again = printed(kernel_run[1]["a cell after the mending"])
    assert again == printed(kernel_run[1]["a cell after the edit"])


def test_lost_marker_lines_are_reported_by_the_setup_cell(kernel_run: KernelRun) -> None:
    problem, _ = printed(kernel_run[1]["setup without markers"])
    assert problem.startswith(f"✗ {SOFTMAX} has lost the line `### START OF YOUR CODE: softmax_n")


def test_a_check_stops_at_a_mistake_of_the_saved_file_and_passes_once_it_is_mended(
    kernel_run: KernelRun,
) -> None:
    for id, (_, check) in MISTAKES.items():
        text = failure(kernel_run, id)
        assert text.startswith(verdict_line(check, "✗", f": {BANK.mistakes[id].name}"))
        assert BANK.mistakes[id].hint.split(".")[0] in " ".join(text.split())
        assert "Traceback" not in text
    assert printed(kernel_run[1]["mended"]) == [passed_line("naive_loss")]


def test_code_that_raises_is_quoted_by_its_own_lines_only(kernel_run: KernelRun) -> None:
    text = failure(kernel_run, "undefined name")
    assert "an undefined name" in text
    assert "scores = np.dot(X[i], w)" in text
    assert "name 'w' is not defined" in text
    assert "checks/" not in text
    assert "site-packages" not in text


def test_a_stopped_check_shows_the_students_line_that_ran(kernel_run: KernelRun) -> None:
    first, *lines, last = bar(kernel_run, "a stopped check").splitlines()
    assert first == verdict_line("naive_loss", "✗", ": interrupted")
    assert "signal.raise_signal(signal.SIGINT)" in "".join(lines)
    assert SOFTMAX in lines[0]
    assert last.strip() == "KeyboardInterrupt"
    assert len(lines) < 4


def test_a_stub_is_a_note_without_a_traceback_wherever_it_is_met(kernel_run: KernelRun) -> None:
    assert bar(kernel_run, "a stub").startswith("· Your code: not attempted yet")
    text = bar(kernel_run, "a call of a stub")
    assert f"Write `softmax_loss_naive` in {SOFTMAX}, at line " in text
    cell = kernel_run[1]["a student's own exception"]
    assert printed(cell) == ["1"]
    assert cell.outputs[-1].ename == "NotImplementedError"


def test_a_file_that_cannot_be_loaded_is_explained_by_the_setup_cell(
    kernel_run: KernelRun,
) -> None:
    text = bar(kernel_run, "setup with a syntax error")
    for part in ("a print statement", "print 'N', num_train", "print is a function in Python 3"):
        assert part in text
