"""The leak scan: it finds a solution, an output, a stray file and a folder's name anywhere."""

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from assignment import PROJECT
from assignment.workspace.regions import stub
from gradkit.course.starter import starter_files
from gradkit.release.leaks import Guard, find_leaks, read_guard, words_of, write_record
from tests.release.conftest import end_too_early

NOTEBOOK = "notebooks/softmax.ipynb"
SOFTMAX = "assignment/classifiers/softmax.py"
LINEAR = "assignment/classifiers/linear_classifier.py"
VIS = "assignment/vis_utils.py"
JSON = "assignment/checks/softmax.json"

Files = dict[str, bytes]

GUARD = read_guard(PROJECT, "softmax")


@pytest.fixture(scope="module")
def files() -> Files:
    return starter_files(PROJECT, ["softmax"])


def scan(files: Files, guards: Sequence[Guard] = (GUARD,)) -> list[str]:
    """Scan files for the solutions of this project."""
    return find_leaks(files, guards, PROJECT)


def text_cell(files: Files, text: str) -> bytes:
    nb = json.loads(files[NOTEBOOK])
    nb["cells"][0]["source"] = ["# The softmax classifier\n", text]
    return json.dumps(nb).encode()


def as_json(text: str) -> bytes:
    return json.dumps({"hints": [{"hint": f"Write\n  {text}"}]}).encode()


# --- lines of a solution -------------------------------------------------------------------------


def test_starter_of_this_tree_has_no_leaks(files: Files) -> None:
    assert scan(files) == []


def test_lines_of_solution_and_variants_are_secrets() -> None:
    for line, place in (
        ("scores = scores - np.max(scores)", f"{SOFTMAX}, line "),
        ("the probabilities stay the same, exp() stays finite", f"{SOFTMAX}, line "),
        ("self.W -= learning_rate * dW", f"{LINEAR}, line "),
        ("best_val, best_softmax = val_accuracy, candidate", f"{NOTEBOOK}, cell "),
        ("With weights near zero all ten scores are nearly equal", f"{NOTEBOOK}, cell "),
        ('s = np.einsum("nd,dc->nc", X, W)', "variants"),
        ("y_pred = X.dot(self.W).argmax(1)", "grading/linear/variants"),
    ):
        found = [secret for words, secret in GUARD.secrets.items() if words_of(line) in words]
        assert any(place in secret for secret in found), line
    assert words_of("scores = -(X @ W)") not in GUARD.secrets  # a mistake's own line is harmless


def test_starter_is_compared_with_its_own_exercises(files: Files) -> None:
    """A line of the SVM's solution stops the starter with the SVM, and no other one."""
    svm = read_guard(PROJECT, "svm")
    [line] = [x for x in svm.secrets if x.startswith("margins = np . maximum (")][:1]
    changed = {"README.md": f"Try {line}".encode()}
    assert scan(changed) == []
    assert "a line of the solution" in scan(changed, [GUARD, svm])[0]


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
        SOFTMAX: files[SOFTMAX].replace(
            b'"""Compute the softmax loss and its gradient, with', f"{line}\n".encode()
        ),
        "README.md": f"# Read me\n{line}".encode(),
        JSON: as_json(line),
        NOTEBOOK: text_cell(files, line),
    }.items():
        leaks = scan({path: content})
        assert leaks
        assert leaks[0].startswith(f"{path}, line ")
        assert "is a line of the solution (" in leaks[0]


def test_words_are_compared_whole(files: Files) -> None:
    guard = GUARD._replace(secrets={words_of("n = X.shape[0]"): "`n = X.shape[0]`"}, accepted="")
    assert scan({VIS: b"num_train = X.shape[0]\nfun = X.shape[0]\n"}, [guard]) == []
    assert scan({VIS: b"m = 1\nn = X.shape[0]\n"}, [guard]) == [
        f"{VIS}, line 2: holds `n = X.shape[0]`."
    ]


def test_leak_is_reported_with_its_line_its_origin_and_advice() -> None:
    [leak] = scan({"README.md": f"# Read me\n\nTry\n{LINE}\n".encode()})
    start = "README.md, line 4: holds `dscores[samples, y] -= 1`, which is a line of the solution"
    assert leak.startswith(f"{start} ({SOFTMAX}, line ")
    assert leak.endswith(
        "If students may read it, add it to `given` in grading/softmax/exercise.toml."
    )


# --- lines that slip out of their region ---------------------------------------------------------


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A tree with the softmax exercise, whose solutions can be changed; git does not know it."""
    for path in (SOFTMAX, LINEAR, NOTEBOOK):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / path, tmp_path / path)
    shutil.copytree(PROJECT / "grading", tmp_path / "grading")
    return tmp_path


def leaks_of(course: Path) -> list[str]:
    """Scan the files of the exercise in a changed tree."""
    texts = {path: (course / path).read_text() for path in (SOFTMAX, LINEAR)}
    files = {path: stub(text, path).encode() for path, text in texts.items()}
    return find_leaks(files, [read_guard(course, "softmax")], course)


def move_out(course: Path, path: str, region: str) -> None:
    (course / path).write_text(end_too_early((course / path).read_text(), region))


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
def test_line_below_a_misplaced_end_is_new(course: Path, path: str, region: str) -> None:
    assert leaks_of(course) == []
    move_out(course, path, region)
    for leak in leaks_of(course):
        if "which is a line of the solution" not in leak:  # of the other function, or of a variant
            start = (
                "grading/softmax/starter.txt does not have these lines. If students may read them"
            )
            assert leak.startswith(
                f"{start}, run `gradkit release --accept softmax`:\n    {path}, "
            )
    assert leaks_of(course)


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git")
def test_line_that_a_committed_version_has_in_the_region_is_a_leak_and_cannot_be_accepted(
    course: Path,
) -> None:
    git(course, "init", "--quiet")
    git(course, "add", ".")
    git(course, "commit", "--quiet", "--message=solved")
    solved = (course / NOTEBOOK).read_text()
    for text in ("{", '{"nbformat": 4, "cells": [{"cell_type": "code"}]}', solved):
        (course / NOTEBOOK).write_text(text)  # a damaged notebook holds no secrets
        git(course, "commit", "--quiet", "--all", "--message=edited")
    git(course, "mv", LINEAR, "assignment/classifiers/old_name.py")  # history goes on
    git(course, "commit", "--quiet", "--message=renamed")
    git(course, "mv", "assignment/classifiers/old_name.py", LINEAR)
    move_out(course, LINEAR, "train_update")
    git(course, "commit", "--quiet", "--all", "--message=slipped")
    files = {LINEAR: stub((course / LINEAR).read_text(), LINEAR).encode()}
    for accept in ([], ["softmax"]):
        [leak] = find_leaks(files, [read_guard(course, "softmax")], course, accept)
        assert "holds `self.W -= learning_rate * dW`, which is a line of the solution (" in leak
        assert "solution (commit " in leak
    config = course / "grading/softmax/exercise.toml"
    given = 'given = ["self.W -= learning_rate * dW"]\n'
    config.write_text(given + config.read_text(encoding="utf-8"), encoding="utf-8")
    assert leaks_of(course) == []


def git(folder: Path, *arguments: str) -> None:
    author = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        (SOFTMAX, b"    loss = 0.0\n", b"    loss = 0.0\n    p = secret_step(X @ W, y, reg)\n"),
        (SOFTMAX, b"    Parameters\n", b"    Take 3 * reg off, then halve it.\n    Parameters\n"),
        (
            SOFTMAX,
            b"\n\ndef softmax_loss_v",
            b"\n\ndef helper(W):\n    return 7\n\n\ndef softmax_loss_v",
        ),
        (SOFTMAX, b'raise NotImplementedError("softmax_naive")', b"return some_solution(W)"),
        (NOTEBOOK, b'raise NotImplementedError(\\"tuning\\")', b"results = all_of_them()"),
        (NOTEBOOK, b"best_val = -1.0", b"best_val = guess(0.37)"),
    ],
)
def test_new_line_of_an_exercise_is_reported_until_it_is_accepted(
    files: Files, course: Path, path: str, old: bytes, new: bytes
) -> None:
    assert old in files[path]
    changed = {**files, path: files[path].replace(old, new, 1)}
    [leak] = scan(changed)
    assert "grading/softmax/starter.txt does not have these lines." in leak
    assert f"\n    {path}, " in leak
    record = write_record(course, "softmax", changed)
    assert find_leaks(changed, [read_guard(course, "softmax")], PROJECT) == []
    record.unlink()
    [leak] = find_leaks(changed, [read_guard(course, "softmax")], PROJECT)
    assert leak.endswith(" more")


def test_line_that_is_moved_wrapped_or_indented_is_not_new(files: Files) -> None:
    text = files[SOFTMAX].replace(b"    dW = np.zeros_like(W)\n", b"", 1)
    text = text.replace(b"    loss = 0.0\n", b"    if True:\n        dW = np.zeros_like(W)\n", 1)
    wrapped = text.replace(b"with explicit loops, over", b"with explicit\n    # loops, over", 1)
    assert wrapped != text
    assert scan({**files, SOFTMAX: wrapped}) == []


def test_short_line_is_a_leak_as_a_whole_line_of_a_file_with_regions(files: Files) -> None:
    line = b"\n    dW += reg * W  # and so on\n"
    for code in (line, b"\n    dW += reg * W\n"):
        [leak] = find_leaks(
            {**files, SOFTMAX: files[SOFTMAX] + code}, [GUARD], PROJECT, ["softmax"]
        )
        assert "holds `dW += reg * W`" in leak
    for path, content in ((VIS, files[VIS] + line), (NOTEBOOK, text_cell(files, "dW += reg * W"))):
        assert scan({path: content}) == []


# --- files, cells and folders --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("notebooks/.ipynb_checkpoints/softmax-checkpoint.md", "not a plain name"),
        ("assignment/.secret.py", "not a plain name"),
        ("assignment/x.pyc", "kinds of files"),
        ("notebooks/best_softmax.npz", "kinds of files"),
        ("assignment/picture.png", "kinds of files"),
        ("assignment/Makefile", "kinds of files"),
        ("datasets/cifar-10-batches-py/readme.md", "data set"),
        ("gradkit/release.py", "does not belong in a starter"),
        ("notes.md", "does not belong in a starter"),
        ("../README.md", "not a plain name"),
        ("/etc/x.md", "not a plain name"),
        ("assignment\\x.py", "not a plain name"),
    ],
)
def test_file_that_does_not_belong_in_a_starter_is_a_leak(path: str, words: str) -> None:
    leaks = scan({path: b"harmless\n"})
    assert any(leak.startswith(f"{path}: ") and words in leak for leak in leaks)


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
