"""The leak scan: it finds a solution, an output, a stray file and a folder's name anywhere."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from assignment import PROJECT
from assignment.workspace.regions import stub
from gradkit.course.starter import starter_files
from gradkit.release.build import tracked_files
from gradkit.release.leaks import INSTRUCTORS, TOP_LEVEL, find_leaks, find_secrets, squeeze
from tests.release.conftest import end_too_early

NOTEBOOK = "notebooks/softmax.ipynb"
SOFTMAX = "assignment/classifiers/softmax.py"
LINEAR = "assignment/classifiers/linear_classifier.py"
VIS = "assignment/vis_utils.py"
JSON = "assignment/checks/softmax.json"

Files = dict[str, bytes]

SECRETS = find_secrets(PROJECT)


@pytest.fixture(scope="module")
def files() -> Files:
    return starter_files(PROJECT, ["softmax"])


def scan(files: Files) -> list[str]:
    """Scan files for the solutions of this project."""
    return find_leaks(files, SECRETS, PROJECT)


def text_cell(files: Files, text: str) -> bytes:
    nb = json.loads(files[NOTEBOOK])
    nb["cells"][0]["source"] = ["# The softmax classifier\n", text]
    return json.dumps(nb).encode()


def as_json(text: str) -> bytes:
    return json.dumps({"hints": [{"hint": f"Write\n  {text}"}]}).encode()


# --- lines of a solution -------------------------------------------------------------------------


def test_starter_of_this_tree_has_no_leaks(files: Files) -> None:
    assert scan(files) == []


def test_scan_knows_the_solution_and_the_correct_lines_of_the_bank() -> None:
    origins = {secret.squeezed: secret.origin for secret in SECRETS}
    for line in (
        "scores = scores - np.max(scores)",
        "the probabilities stay the same, exp() stays finite",
        "self.W -= learning_rate * dW",
        "dscores[samples, y] -= 1",
        "best_val, best_softmax = val_accuracy, candidate",
        "With weights near zero all ten scores are nearly equal",
    ):
        assert any(squeeze(line) in secret for secret in origins), line
    for line, name in (
        ('s = np.einsum("nd,dc->nc", X, W)', "variants/einsum.toml"),
        ("y_pred = X.dot(self.W).argmax(1)", "variants/other_ways_to_predict.toml"),
    ):
        assert origins[squeeze(line)].endswith(name)
    assert squeeze("scores = -(X @ W)") not in origins  # a mistake's own line is harmless


@pytest.fixture
def full_bank(tmp_path: Path) -> Path:
    """A tree with the whole mistake bank, whose solutions can be changed."""
    shutil.copytree(PROJECT / "assignment" / "classifiers", tmp_path / "assignment" / "classifiers")
    for name in ("grading", "notebooks"):
        (tmp_path / name).symlink_to(PROJECT / name)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "region"),
    [
        (SOFTMAX, "softmax_naive"),
        (SOFTMAX, "softmax_vectorized"),
        (LINEAR, "train_batch"),
        (LINEAR, "train_update"),
        (LINEAR, "predict"),
    ],
)
def test_line_below_a_misplaced_end_is_a_leak(full_bank: Path, path: str, region: str) -> None:
    text = end_too_early((full_bank / path).read_text(), region)
    (full_bank / path).write_text(text)
    leaks = find_leaks({path: stub(text, path).encode()}, find_secrets(full_bank), full_bank)
    assert any(leak.startswith(f"{path}, line ") for leak in leaks)
    assert all("is a line of the solution (" in leak for leak in leaks)


def test_short_line_is_a_leak_only_on_its_own_where_students_write(files: Files) -> None:
    line = b"\n    dW += reg * W  # and so on\n"
    [leak] = scan({**files, SOFTMAX: files[SOFTMAX] + line})
    assert "holds `dW += reg * W`" in leak
    for path, content in (
        (SOFTMAX, files[SOFTMAX] + b"\n# dW += reg * W\n"),
        (VIS, files[VIS] + line),
        (NOTEBOOK, text_cell(files, "dW += reg * W")),
    ):
        assert scan({path: content}) == []


LINE = "    dscores[samples, y] -= 1"


@pytest.mark.parametrize(
    "line",
    [
        LINE,
        's = np.einsum("nd,dc->nc", X, W)  # of a variant',
        f"see `{LINE.strip()}` in the solution",
        LINE.replace(" ", "\t"),
        LINE.replace(" ", ""),
        "dscores[\n    samples,\n    y\n] -= 1",
        "# dscores[samples,\n# y] -= 1",
        "# vdot(W, W) is sum(W * W), without the\n# array between",
        "With weights near zero all ten\nscores are nearly equal, so each class gets a probability "
        "of about 1/10,",
        "WITH WEIGHTS NEAR ZERO ALL TEN SCORES ARE NEARLY EQUAL, SO EACH CLASS GETS A PROBABILITY "
        "OF ABOUT 1/10,",
    ],
)
def test_line_of_a_solution_is_found_in_every_kind_of_file(files: Files, line: str) -> None:
    for path, content in {
        VIS: files[VIS] + f"\n\n{line}\n".encode(),
        "README.md": f"# Read me\n{line}".encode(),
        JSON: as_json(line),
        NOTEBOOK: text_cell(files, line),
    }.items():
        leaks = scan({path: content})
        assert leaks
        assert all(leak.startswith(f"{path}, line ") for leak in leaks)
        assert "is a line of the solution (" in leaks[0]


def test_leak_is_reported_with_its_line_and_its_origin() -> None:
    [leak] = scan({"README.md": f"# Read me\n\nTry\n{LINE}\n".encode()})
    start = "README.md, line 4: holds `dscores[samples, y] -= 1`, which is a line of the solution"
    assert leak.startswith(f"{start} ({SOFTMAX}, line ")


# --- files, cells and folders --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("assignment/__pycache__/x.py", "cache"),
        ("notebooks/.ipynb_checkpoints/softmax-checkpoint.md", "hidden file"),
        ("assignment/.secret.py", "hidden file"),
        ("assignment/x.pyc", "kinds of files"),
        ("notebooks/best_softmax.npz", "kinds of files"),
        ("assignment/picture.png", "kinds of files"),
        ("assignment/Makefile", "instructor's"),
        ("assignment/grading/mistakes.json", "instructor's"),
        ("datasets/cifar-10-batches-py/readme.md", "data set"),
        ("gradkit/release.py", "'gradkit' is not part of a starter"),
        ("tests/test_x.py", "'tests' is not part of a starter"),
        ("notes.md", "'notes.md' is not part of a starter"),
        ("../README.md", "leads out"),
        ("/etc/x.md", "leads out"),
        ("assignment\\x.py", "leads out"),
    ],
)
def test_file_that_does_not_belong_in_a_starter_is_a_leak(path: str, words: str) -> None:
    leaks = scan({path: b"harmless\n"})
    assert any(leak.startswith(f"{path}: ") and words in leak for leak in leaks)


def test_scan_knows_every_top_level_name_of_the_tree() -> None:
    tracked = {path.split("/")[0] for path in tracked_files(PROJECT)}
    assert tracked <= TOP_LEVEL | INSTRUCTORS


NEW_ANSWER = {"cell_type": "markdown", "id": "new", "metadata": {}, "source": "**Your answer**: 4"}
STREAM = {"output_type": "stream", "name": "stdout", "text": "4"}


@pytest.mark.parametrize(
    ("change", "leak"),
    [
        (lambda nb, text, code: code.update(outputs=[STREAM]), "length <= 0 - at `$.cells[{code}]"),
        (lambda nb, text, code: code.update(execution_count=3), "at `$.cells[{code}].execution"),
        (lambda nb, text, code: text.update(attachments={"a.png": {}}), "at `$.cells[0].attach"),
        # an answer that is not a region, since its metadata are missing or misspelt
        (lambda nb, text, code: nb["cells"].append(NEW_ANSWER), "has the label of an answer"),
        (
            lambda nb, text, code: text["source"].append("\n\n**Your answer:** 4"),
            "cell 1 has the l",
        ),
        (
            lambda nb, text, code: text.update(metadata={"gradkit": {"Region": "answer_step"}}),
            "unknown field `Region` - at `$.cells[0].metadata.gradkit`",
        ),
        # keys that Jupyter does not show
        (lambda nb, text, code: nb.update(worksheets=["x"]), "unknown field `worksheets`"),
        (lambda nb, text, code: nb["metadata"]["kernelspec"].update(note="x"), "'note' - at `key`"),
        (lambda nb, text, code: text.update(answer="x"), "unknown field `answer`"),
        (lambda nb, text, code: text.update(id="2.3, why"), "at `$.cells[0].id`"),
        (
            lambda nb, text, code: code["metadata"]["gradkit"].update(role="train"),
            "'train' - at `$.cells[{code}].metadata.gradkit.role`",
        ),
        (lambda nb, text, code: code["metadata"].update(tags=["a b"]), ".metadata.tags[0]`"),
        (lambda nb, text, code: text.update(cell_type="heading"), "'heading' - at `$.cells[0]"),
    ],
)
def test_part_of_a_notebook_that_is_not_for_students_is_a_leak(
    files: Files, change: Callable[..., object], leak: str
) -> None:
    nb = json.loads(files[NOTEBOOK])
    [number] = [n for n, cell in enumerate(nb["cells"]) if cell["id"] == "train"]
    change(nb, nb["cells"][0], nb["cells"][number])
    leaks = scan({NOTEBOOK: json.dumps(nb).encode()})
    expected = leak.format(code=number)
    assert any(found.startswith(f"{NOTEBOOK}: ") and expected in found for found in leaks), leaks


@pytest.mark.parametrize(
    "marker", ["### BEGIN SOLUTION x", "    ### END SOLUTION", "#begin solution"]
)
def test_marker_of_a_solution_is_a_leak(files: Files, marker: str) -> None:
    for path, content in (
        (VIS, f"x = 1\n{marker}\n".encode()),
        ("README.md", f"x\n{marker}\n".encode()),
        (JSON, as_json(marker)),
        (NOTEBOOK, text_cell(files, marker)),
    ):
        [leak] = scan({path: content})
        assert leak.startswith(f"{path}, line ")
        assert "holds the marker of a solution" in leak


@pytest.mark.parametrize("name", [SOFTMAX, NOTEBOOK])
def test_region_that_is_filled_in_is_a_leak(files: Files, name: str) -> None:
    stub_line = b"raise NotImplementedError("
    assert stub_line in files[name]
    filled = files[name].replace(stub_line, b"return some_solution(", 1)
    [leak] = scan({name: filled})
    assert leak.startswith(f"{name}, line ")
    assert "which is not its stub" in leak


def test_file_that_is_not_utf8_or_not_json_is_reported() -> None:
    [leak] = scan({"README.md": b"a\n\xff\n"})
    assert leak == "README.md, line 2: is not UTF-8."
    [leak] = scan({NOTEBOOK: b"{"})
    assert leak.startswith(f"{NOTEBOOK}: is not a starter's notebook, or not JSON")
    [leak] = scan({JSON: b"{} # a comment"})
    assert leak.startswith(f"{JSON}: is not")


def readme_leaks(text: str) -> list[str]:
    return scan({"README.md": f"x\n{text}\n".encode()})


def test_folder_of_this_computer_is_a_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/srv/instructor")
    for text in (f"in {PROJECT}/assignment", '"/srv/instructor/x"', "file:///srv/instructor"):
        [leak] = readme_leaks(text)
        assert leak.startswith("README.md, line 2: names ")
    for text in ("/srv/instructors", "my/srv/instructor.d", "./srv/instructor"):
        assert readme_leaks(text) == []


def test_home_folder_of_anyone_is_a_leak() -> None:
    for text in (
        "--find-links /home/prof/secret",
        "file:///Users/prof.x",
        r"C:\Users\prof",
        r"'d:\\users\\prof'",
        "C:/Users/prof",
    ):
        [leak] = readme_leaks(text)
        assert leak.startswith("README.md, line 2: names ")
        assert "a folder of somebody's computer" in leak
    for text in ("my/home/page", "https://example.org/home/page", "/home", "~/x", "/homes/x"):
        assert readme_leaks(text) == []
