"""The starter: what is in it, that it is always the same, and that nothing leaks into it."""

import json
import os
import shutil
import stat
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assignment import PROJECT
from assignment.checks.check import load_exercise
from assignment.checks.softmax import EXERCISE
from assignment.workspace.regions import read_notebook
from assignment.workspace.starter import STARTER_MANIFEST, read_manifest, read_zip
from gradkit.course.exercises import STARTERS, exercise_names
from gradkit.course.instructor_tree import CourseError
from gradkit.course.starter import starter_files
from gradkit.release.build import ReleaseError, release
from gradkit.release.leaks import find_leaks, find_secrets, squeeze

NAME = "softmax-starter"
NOTEBOOK = "notebooks/softmax.ipynb"
SOFTMAX = "assignment/classifiers/softmax.py"
LINEAR = "assignment/classifiers/linear_classifier.py"
TOP_LEVEL = ["README.md", "assignment", "datasets"]
TOP_LEVEL += ["get_datasets.sh", "notebooks", "requirements.txt"]

Files = dict[str, bytes]


def copy_tree(folder: Path) -> Path:
    """A copy of what a release is made from."""
    litter = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "cifar-10-*", "*.npz")
    for name in ("assignment", "gradkit", "grading", "notebooks", "docs", "datasets"):
        shutil.copytree(PROJECT / name, folder / name, ignore=litter)
    for name in ("get_datasets.sh", "requirements.txt"):
        shutil.copy(PROJECT / name, folder)
    return folder


def with_softmax_alone(tree: Path) -> Path:
    """A tree without the other exercises, since one is enough for most of what may go wrong."""
    for name in set(exercise_names(tree)) - {"softmax"}:
        own = load_exercise(name)
        shutil.rmtree(tree / "grading" / name)
        for path in (*own.files, *own.modules, own.notebook):
            if path not in EXERCISE.files:
                (tree / path).unlink()
        for ending in ("py", "json"):
            (tree / "assignment" / "checks" / f"{name}.{ending}").unlink()
    (tree / STARTERS).write_text(f'{NAME} = ["softmax"]\n', encoding="utf-8")
    return tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return with_softmax_alone(copy_tree(tmp_path / "tree"))


@pytest.fixture(scope="module")
def files() -> Files:
    return starter_files(PROJECT, ["softmax"])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a starter as it is handed out, unpacked from its zip file."""
    place = tmp_path_factory.mktemp("handed out")
    tree = with_softmax_alone(
        copy_tree(place / "tree")
    )  # which git does not know: what is new may be tried
    ran = build(tree, "--out", str(place / "dist"))
    assert ran.returncode == 0, ran.stderr
    with zipfile.ZipFile(place / "dist" / f"{NAME}.zip") as archive:
        archive.extractall(place / "unpacked")
    return place / "unpacked"


def build(tree: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gradkit", "release", *arguments]
    env = os.environ | {"PYTHONPATH": ""} | environment
    return subprocess.run(
        command, cwd=tree, env=env, capture_output=True, encoding="utf-8", check=False
    )


def contents(folder: Path) -> Files:
    """All files below a folder, by path, but for what Python leaves there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    }


def append(path: Path, text: str) -> None:
    path.write_bytes(path.read_bytes() + text.encode())


# --- what is in it -------------------------------------------------------------------------------


def test_every_starter_of_the_manifest_is_built_with_its_exercises_alone(tmp_path: Path) -> None:
    tree = copy_tree(tmp_path / "tree")
    ran = build(tree)
    assert (ran.returncode, ran.stderr) == (0, "")
    of_svm = {"assignment/classifiers/linear_svm.py", "notebooks/svm.ipynb"}
    of_svm |= {"assignment/checks/svm.json", "assignment/classifiers/svm_classifier.py"}
    for name, exercises in (
        ("softmax-starter", {"softmax"}),
        ("linear-starter", {"softmax", "svm"}),
    ):
        files = contents(tree / "dist" / name)
        record = read_manifest(files[STARTER_MANIFEST].decode())
        assert (record.name, set(record.exercises)) == (name, exercises)
        assert of_svm & set(files) == (of_svm if "svm" in exercises else set())
        check = subprocess.run(
            [sys.executable, "-m", "assignment", "check", sorted(exercises)[-1]],
            cwd=tree / "dist" / name,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert "Naive loss: not attempted yet" in check.stdout
    readme = (tree / "dist" / "linear-starter" / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("# The softmax classifier and The linear SVM\n")
    assert "    python -m assignment submit svm\n" in readme


def test_the_starter_is_a_folder_and_a_zip_file_of_the_same(tree: Path, files: Files) -> None:
    ran = build(tree)
    assert (ran.returncode, ran.stderr) == (0, "")
    version = read_manifest(files[STARTER_MANIFEST].decode()).version
    assert f"{NAME}, version {version}: {len(files)} files" in ran.stdout
    assert sorted(path.name for path in (tree / "dist").iterdir()) == [NAME, f"{NAME}.zip"]
    assert contents(tree / "dist" / NAME) == files
    assert sorted(path.name for path in (tree / "dist" / NAME).iterdir()) == TOP_LEVEL
    with zipfile.ZipFile(tree / "dist" / f"{NAME}.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files
        assert archive.namelist() == sorted(files)
        for member in archive.infolist():
            mode = 0o755 if member.filename == "get_datasets.sh" else 0o644
            assert member.external_attr >> 16 == stat.S_IFREG | mode
            assert member.date_time == (1980, 1, 1, 0, 0, 0)
            assert member.compress_type == zipfile.ZIP_STORED
            assert (tree / "dist" / NAME / member.filename).stat().st_mode & 0o777 == mode


def test_two_builds_are_the_same_in_every_byte(tree: Path, tmp_path: Path) -> None:
    other = copy_tree(tmp_path / "a copy elsewhere")
    for path in other.rglob("*"):
        os.utime(path, (1e9, 1e9))
        path.chmod(0o700)
    assert build(tree).returncode == 0
    odd = {"PYTHONHASHSEED": "7", "LC_ALL": "C", "TZ": "Pacific/Auckland", "PYTHONUTF8": "0"}
    umask = os.umask(0o077)
    try:
        ran = build(other, **odd)
    finally:
        os.umask(umask)
    assert ran.returncode == 0, ran.stderr
    archives = [(folder / "dist" / f"{NAME}.zip").read_bytes() for folder in (tree, other)]
    assert archives[0] == archives[1]
    assert contents(tree / "dist" / NAME) == contents(other / "dist" / NAME)
    assert (other / "dist" / NAME / "get_datasets.sh").stat().st_mode & 0o777 == 0o755


def test_the_starter_holds_the_students_readme_and_the_rest_as_it_is(built: Path) -> None:
    readme = (built / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("# The softmax classifier\n\nYou build a classifier")
    assert "$" not in readme
    for name in ("requirements.txt", "get_datasets.sh", "datasets/README.md"):
        assert (built / name).read_bytes() == (PROJECT / name).read_bytes()
    old, new = (read_notebook((x / NOTEBOOK).read_text(), NOTEBOOK) for x in (PROJECT, built))
    assert [cell["id"] for cell in new["cells"]] == [cell["id"] for cell in old["cells"]]


def test_the_students_readme_fits_on_one_screen_and_names_what_there_is(built: Path) -> None:
    text = (built / "README.md").read_text()
    assert len(text.splitlines()) <= 70
    for name in (NOTEBOOK, SOFTMAX, "assignment/classifiers/linear_classifier.py"):
        assert (built / name).is_file()
        assert name in text


CALLS = {
    "softmax_naive": "softmax.softmax_loss_naive(W, X, y, 0.1)",
    "softmax_vectorized": "softmax.softmax_loss_vectorized(W, X, y, 0.1)",
    "train_batch": "Softmax().train(X, y, verbose=False)",
    "predict": "model.predict(X)",
}


def test_the_starter_can_be_imported_and_its_regions_are_open(built: Path) -> None:
    program = """
import importlib, pkgutil, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
import assignment
for found in pkgutil.walk_packages(assignment.__path__, "assignment."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
assert assignment.__file__.startswith(sys.argv[1])
from assignment.classifiers import softmax
from assignment.classifiers.softmax_classifier import Softmax
W, X, y = np.zeros((3, 2)), np.ones((4, 3)), np.array([0, 1, 0, 1])
model = Softmax()
model.W = W
for call in sys.argv[2:]:
    try:
        eval(call)
    except NotImplementedError as error:
        print(error)
"""
    ran = subprocess.run(
        [sys.executable, "-I", "-B", "-c", program, str(built), *CALLS.values()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == list(CALLS)


def test_the_record_names_every_file_and_the_version(tree: Path, files: Files) -> None:
    record = read_manifest(files[STARTER_MANIFEST].decode())
    assert (record.name, record.exercises) == (NAME, ("softmax",))
    assert set(record.skeletons) == set(files) - {STARTER_MANIFEST}
    assert list(record.stubs[SOFTMAX]) == ["softmax_naive", "softmax_vectorized"]
    assert "tuning" in record.stubs[NOTEBOOK]
    number, _, build_digits = record.version.partition("+")
    assert number == "1.0"
    assert len(build_digits) == 10
    append(tree / "requirements.txt", "# one more line\n")
    changed = read_manifest(starter_files(tree, ["softmax"])[STARTER_MANIFEST].decode()).version
    assert changed.startswith("1.0+")
    assert changed != record.version


def test_what_is_on_no_list_stays_out_and_is_named(tree: Path) -> None:
    meant = [
        "assignment/checks/svm.json",
        "assignment/notes.md",
        "datasets/tiny.csv",
        "notebooks/helper.py",
        "notebooks/svm.ipynb",
    ]
    litter = ["assignment/__pycache__/x.pyc", "notebooks/.ipynb_checkpoints/softmax.ipynb"]
    litter += ["datasets/cifar-10-batches-py/test_batch", "notebooks/best_softmax.npz"]
    for name in (*meant, *litter):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text('{"cells": []}')
    ran = build(tree)
    assert ran.returncode == 0, ran.stderr
    told = ran.stdout.partition("In no starter, in case it should have been:\n")[2]
    assert told.split() == meant
    assert contents(tree / "dist" / NAME) == starter_files(tree, ["softmax"])
    assert set(starter_files(tree, ["softmax"])) == set(starter_files(PROJECT, ["softmax"]))


# --- what stops a build --------------------------------------------------------------------------


def git(tree: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=tree, check=True)


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git")
def test_a_file_that_git_does_not_track_stops_the_build(tree: Path) -> None:
    git(tree, "init", "--quiet")
    git(tree, "add", ".")
    assert "Git does not know" not in release(tree, tree / "dist")
    shutil.rmtree(tree / "dist")
    for name in ("scratch.py", "test_softmax.py"):
        (tree / "assignment" / name).write_text("x = 1\n")
    (tree / ".gitignore").write_text("scratch.py\n")
    with pytest.raises(ReleaseError) as caught:
        release(tree, tree / "dist")
    for name in ("scratch.py", "test_softmax.py"):
        assert f"\n  assignment/{name} is not tracked by git: commit it if" in str(caught.value)
    assert not (tree / "dist").exists()
    (tree / "assignment" / "scratch.py").unlink()
    git(tree, "add", "assignment/test_softmax.py")
    release(tree, tree / "dist")
    assert (tree / "dist" / NAME / "assignment" / "test_softmax.py").exists()


def test_where_there_is_no_git_the_build_says_what_it_could_not_see(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Git does not know this tree" in release(tree, tree / "dist")
    monkeypatch.setenv("PATH", "")
    assert "Git does not know this tree" in release(tree, tree / "dist")


@pytest.mark.parametrize("name", ["linear_classifier (copy).py", "prüfung.py"])
def test_a_name_that_a_starters_file_cannot_have_is_told(tree: Path, name: str) -> None:
    (tree / "assignment" / name).write_text("x = 1\n", encoding="utf-8")
    ran = build(tree)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"error: assignment/{name} is not a name that a starter's file")
    assert "Rename it" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_two_names_that_differ_by_capital_letters_only_are_told(tree: Path) -> None:
    (tree / "assignment" / "Starter.py").write_text("x = 1\n")
    with pytest.raises(
        ReleaseError, match=r"assignment/starter\.py and assignment/Starter\.py are"
    ):
        release(tree, tree / "dist")
    assert not (tree / "dist").exists()


def test_a_zip_file_that_update_would_refuse_takes_no_place(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(tree, tree / "dist")
    before = contents(tree / "dist")
    append(tree / "requirements.txt", "# one more line\n")
    monkeypatch.setattr("assignment.workspace.starter.MAX_BYTES", 1000)
    with pytest.raises(ReleaseError, match=r"`update` would refuse this starter: it has more than"):
        release(tree, tree / "dist")
    assert contents(tree / "dist") == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("grading/softmax/mistakes/log2.toml", "which measures", "this measures"),
        ("assignment/checks/softmax.json", None, "{}"),
        ("assignment/checks/softmax.json", '"reference": {', '"reference": {}, "was": {'),
        ("assignment/checks/softmax.json", '"arrays": {', '"arrays": {}, "was": {'),
    ],
)
def test_public_answers_that_are_not_those_of_today_stop_the_build(
    tree: Path, name: str, old: str | None, new: str
) -> None:
    text = (tree / name).read_text(encoding="utf-8")
    assert old is None or old in text
    (tree / name).write_text(text.replace(old, new) if old else new, encoding="utf-8")
    with pytest.raises(ReleaseError, match=r"softmax\.json .*: run `python -m gradkit build`"):
        release(tree, tree / "dist")
    assert not (tree / "dist").exists()


def test_a_file_of_the_bank_that_is_wrong_stops_the_build(tree: Path) -> None:
    append(tree / "grading/softmax/mistakes/log2.toml", "name = 3\n")
    ran = build(tree)
    assert ran.returncode == 1
    assert "log2.toml" in ran.stderr
    assert "Traceback" not in ran.stderr


def remove(name: str) -> Callable[[Path], None]:
    def change(tree: Path) -> None:
        shutil.rmtree(tree / name) if (tree / name).is_dir() else (tree / name).unlink()

    return change


def write(name: str, text: str) -> Callable[[Path], None]:
    def change(tree: Path) -> None:
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(text, encoding="utf-8")

    return change


def link(name: str) -> Callable[[Path], None]:
    """Put a link in the place of a file or folder, to the same contents elsewhere."""

    def change(tree: Path) -> None:
        elsewhere = tree.parent / "elsewhere"
        (tree / name).rename(elsewhere)
        (tree / name).symlink_to(elsewhere)

    return change


def replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(tree: Path) -> None:
        text = (tree / name).read_text()
        assert old in text
        (tree / name).write_text(text.replace(old, new))

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (remove("requirements.txt"), "requirements.txt is missing, and a starter needs it"),
        (remove("docs/README-students.md"), "README-students.md is missing"),
        (remove("assignment/checks/softmax.json"), "softmax.json is missing"),
        (remove(NOTEBOOK), "softmax.ipynb is missing"),
        (remove(SOFTMAX), "softmax.py is missing"),
        (remove("grading/softmax"), "grading holds no exercise"),
        (remove("grading"), "grading/starters.toml is missing"),
        (write(STARTERS, ""), "starters.toml names no starter"),
        (write(STARTERS, "x = ["), "starters.toml is not valid TOML"),
        (write(STARTERS, 'Mine = ["softmax"]'), "'Mine' is no name for a starter"),
        (write(STARTERS, 'x = "softmax"'), "x does not list its exercises"),
        (write(STARTERS, 'x = ["svm"]'), "has the exercise 'svm', which is not there"),
        (write("grading/svm/exercise.toml", ""), "assignment/checks/svm.py is missing"),
        (replace("docs/README-students.md", "$title", "$tittle"), "README-students.md cannot be"),
        (link("get_datasets.sh"), "get_datasets.sh is a link"),
        (link("assignment/vis_utils.py"), "vis_utils.py is a link"),
        (link("assignment/classifiers"), "classifiers is a link"),
        (link("notebooks"), "notebooks is a link"),
        (lambda tree: os.mkfifo(tree / "assignment/pipe.py"), "pipe.py is neither"),
        (replace(SOFTMAX, "### END SOLUTION", "### END SOLUTON"), f"{SOFTMAX}, line 68: "),
        (replace(SOFTMAX, "SOLUTION softmax_naive", "SOLUTION"), f"{SOFTMAX}, line 52: "),
        (replace(NOTEBOOK, "### END SOLUTION", "done"), "line 7: region 'tuning' begins"),
        (replace(NOTEBOOK, '"cells"', '"sells"'), f"{NOTEBOOK} is not a notebook"),
        (replace("assignment/__init__.py", "__version__", "version"), "does not say `__version__"),
        (
            lambda tree: (tree / "requirements.txt").write_bytes(b"# a\n# caf\xe9\n"),
            "requirements.txt, line 2: the byte 0xe9 is not UTF-8",
        ),
    ],
)
def test_a_tree_that_is_not_in_order_is_not_built(
    tree: Path, change: Callable[[Path], None], words: str
) -> None:
    change(tree)
    with pytest.raises(ReleaseError) as caught:
        release(tree, tree / "dist")
    assert words in str(caught.value)
    assert not (tree / "dist").exists()


def test_a_failure_is_told_in_a_sentence_with_status_1(tree: Path) -> None:
    (tree / "requirements.txt").unlink()
    ran = build(tree)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("error: ")
    assert "requirements.txt is missing" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_build_takes_the_place_of_an_older_one(tree: Path) -> None:
    assert build(tree).returncode == 0
    before = contents(tree / "dist")
    (tree / "dist" / NAME / "assignment" / "__pycache__").mkdir()  # somebody has tried it
    (tree / "dist" / NAME / "assignment" / "__pycache__" / "x.pyc").touch()
    append(tree / "requirements.txt", "# one more line\n")
    assert build(tree).returncode == 0
    after = contents(tree / "dist")
    assert after.keys() == before.keys()
    assert after[f"{NAME}/requirements.txt"].endswith(b"# one more line\n")
    assert after[f"{NAME}.zip"] != before[f"{NAME}.zip"]


def test_a_build_that_fails_leaves_the_older_one(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(tree, tree / "dist")
    before = contents(tree / "dist")
    append(tree / "requirements.txt", "# one more line\n")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for name in ("write_bytes", "rename", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, name, full)
            with pytest.raises(ReleaseError, match="No space left on device"):
                release(tree, tree / "dist")
        assert contents(tree / "dist") == before
        assert not list((tree / "dist").glob(".*"))
    append(tree / SOFTMAX, "### END SOLUTION\n")
    with pytest.raises(ReleaseError):
        release(tree, tree / "dist")
    assert contents(tree / "dist") == before


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: folder.mkdir(), "is not a starter that was built here"),
        (lambda folder: folder.write_text("mine"), "is not a folder"),
        (lambda folder: folder.symlink_to(folder.parent), "is not a folder"),
    ],
)
def test_what_is_no_starter_is_never_replaced(
    tree: Path, spoil: Callable[[Path], None], words: str
) -> None:
    (tree / "dist").mkdir()
    spoil(tree / "dist" / NAME)
    with pytest.raises(ReleaseError) as caught:
        release(tree, tree / "dist")
    assert words in str(caught.value)
    assert os.path.lexists(tree / "dist" / NAME)
    assert not (tree / "dist" / f"{NAME}.zip").exists()


@pytest.mark.parametrize("name", [SOFTMAX, "datasets/cifar-10-batches-py/test_batch", "mine.txt"])
def test_a_starter_with_work_in_it_is_never_replaced(tree: Path, name: str) -> None:
    release(tree, tree / "dist")
    work = tree / "dist" / NAME / name
    work.parent.mkdir(exist_ok=True)
    work.write_text("work")
    with pytest.raises(ReleaseError, match=r"was changed since .* move it away"):
        release(tree, tree / "dist")
    assert work.read_text() == "work"


ALL = {NAME, f"{NAME}.zip", f"{NAME}-github", "softmax-gradescope.zip"}


def test_all_that_is_handed_out_is_built_at_once_and_in_every_build_the_same(tree: Path) -> None:
    ran = build(tree, "--gradescope", "--github")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert {path.name for path in (tree / "dist").iterdir()} == ALL
    for name in ALL:
        assert f"  {tree / 'dist' / name}\n" in ran.stdout
    before = contents(tree / "dist")
    assert build(tree, "--gradescope", "--github").returncode == 0
    assert contents(tree / "dist") == before
    assert build(tree).returncode == 0  # which leaves the others as they are
    assert contents(tree / "dist") == before


def test_a_build_of_all_that_fails_at_any_step_leaves_all_that_was_there(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(tree, tree / "dist", gradescope=True, github=True)
    before = contents(tree / "dist")
    append(tree / "requirements.txt", "# one more line\n")
    original = Path.replace
    for name in ALL:

        def full(path: Path, target: Path, name: str = name) -> Path:
            if target.name == name:
                raise OSError(28, "No space left on device")
            return original(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", full)
            with pytest.raises(ReleaseError, match="No space left on device"):
                release(tree, tree / "dist", gradescope=True, github=True)
        assert contents(tree / "dist") == before
        assert not list((tree / "dist").glob(".*"))


def test_a_starter_is_not_built_where_the_next_one_would_take_it_in(tree: Path) -> None:
    ran = build(tree, "--out", "assignment/dist")
    assert ran.returncode == 1
    assert "from which starters are made" in ran.stderr
    assert not (tree / "assignment/dist").exists()


def test_a_folder_in_the_place_of_the_zip_file_is_told(tree: Path) -> None:
    (tree / "dist" / f"{NAME}.zip").mkdir(parents=True)
    with pytest.raises(ReleaseError, match="is a folder, and the zip file goes there"):
        release(tree, tree / "dist")


# --- leaks ---------------------------------------------------------------------------------------


def test_nothing_leaks_today(files: Files) -> None:
    assert find_leaks(files, PROJECT) == []


def test_the_scan_knows_all_of_the_solution() -> None:
    secrets = {secret.squeezed for secret in find_secrets(PROJECT)}
    for line in (
        "scores = scores - np.max(scores)",
        "the probabilities stay the same, exp() stays finite",
        "self.W -= learning_rate * dW",
        "dscores[samples, y] -= 1",
        "best_val, best_softmax = val_accuracy, candidate",
        "whatever the picture is, and the loss of each picture is about",
        "With weights near zero all ten scores are nearly equal",
    ):
        assert any(squeeze(line) in secret for secret in secrets), line


def change_cell(tree: Path, cell_id: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change one cell of the notebook, or the notebook itself where none has that id."""
    nb = json.loads((tree / NOTEBOOK).read_text())
    change(next((cell for cell in nb["cells"] if cell["id"] == cell_id), nb))
    (tree / NOTEBOOK).write_text(json.dumps(nb))


def test_the_scan_knows_what_the_bank_tells_of_solutions() -> None:
    origins = {secret.squeezed: secret.origin for secret in find_secrets(PROJECT)}
    for line, name in (
        ("s = np.einsum('nd,dc->nc', X, W)".replace("'", '"'), "variants/einsum.toml"),
        ("y_pred = X.dot(self.W).argmax(1)", "variants/other_ways_to_predict.toml"),
    ):
        assert origins[squeeze(line)].endswith(name)
    assert squeeze("scores = -(X @ W)") not in origins  # what a mistake puts in is no secret


def end_too_early(source: str, region: str) -> str:
    """A text in which the last line of a region has come to stand below its end."""
    lines = source.splitlines()
    begin = next(n for n, line in enumerate(lines) if line.strip().endswith(f"SOLUTION {region}"))
    end = next(n for n in range(begin, len(lines)) if lines[n].strip() == "### END SOLUTION")
    lines[end - 1], lines[end] = lines[end], lines[end - 1]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("region", ["softmax_naive", "softmax_vectorized"])
def test_a_line_of_the_loss_below_a_misplaced_end_is_a_leak(tree: Path, region: str) -> None:
    text = end_too_early((tree / SOFTMAX).read_text(), region)
    (tree / SOFTMAX).write_text(text)
    with pytest.raises(ReleaseError, match=rf"{SOFTMAX}, line .* is a line of the solution"):
        release(tree, tree / "dist")


@pytest.mark.parametrize("region", ["train_batch", "train_update", "predict"])
def test_a_line_of_the_classifier_below_a_misplaced_end_is_a_leak(tree: Path, region: str) -> None:
    text = end_too_early((tree / LINEAR).read_text(), region)
    (tree / LINEAR).write_text(text)
    with pytest.raises(ReleaseError, match=rf"{LINEAR}, line .* is a line of the solution"):
        release(tree, tree / "dist")


def test_a_line_of_a_cell_below_a_misplaced_end_is_a_leak(tree: Path) -> None:
    def move(cell: dict[str, Any]) -> None:
        cell["source"] = end_too_early("".join(cell["source"]), "tuning")

    change_cell(tree, "tuning", move)
    # A mistake of the bank replaces that line, and does not find it any more.
    with pytest.raises(CourseError, match="which stands 0 times in tuning"):
        release(tree, tree / "dist")


def test_the_last_lines_of_a_solution_are_told_one_by_one(tree: Path) -> None:
    lines = (tree / SOFTMAX).read_text().splitlines(keepends=True)
    end = max(n for n, line in enumerate(lines) if line.strip() == "### END SOLUTION")
    above = max(n for n, line in enumerate(lines) if line.strip() == "dscores = probs")
    lines.insert(above, lines.pop(end))
    (tree / SOFTMAX).write_text("".join(lines))
    with pytest.raises(ReleaseError) as caught:
        release(tree, tree / "dist")
    for line in ("dscores = probs", "dscores[samples, y] -= 1", "dW += reg * W"):
        assert f"{SOFTMAX}, line " in str(caught.value)
        assert f"holds `{line}`" in str(caught.value)


def test_a_short_line_is_a_leak_only_as_a_line_of_its_own_where_students_write(
    files: Files,
) -> None:
    line = b"\n    dW += reg * W  # and so on\n"
    [leak] = find_leaks({**files, SOFTMAX: files[SOFTMAX] + line}, PROJECT)
    assert "holds `dW += reg * W`" in leak
    assert find_leaks({**files, SOFTMAX: files[SOFTMAX] + b"\n# dW += reg * W\n"}, PROJECT) == []
    other = "assignment/vis_utils.py"
    assert find_leaks({**files, other: files[other] + line}, PROJECT) == []
    assert find_leaks({**files, NOTEBOOK: in_text_cell(files, "dW += reg * W")}, PROJECT) == []


def test_a_variant_in_a_comment_is_a_leak(files: Files) -> None:
    name = "assignment/gradient_check.py"
    variant = tomllib.loads((PROJECT / "grading/softmax/variants/einsum.toml").read_text())
    body = variant["plant"][0]["body"].splitlines()
    comment = "".join(f"# {line}\n" for line in body[1:4])
    leaks = find_leaks({**files, name: files[name] + comment.encode()}, PROJECT)
    assert len(leaks) >= 2
    assert all("is a line of the solution (grading/softmax/variants/" in leak for leak in leaks)


def in_text_cell(files: Files, text: str) -> bytes:
    nb = json.loads(files[NOTEBOOK])
    nb["cells"][0]["source"] = ["# The softmax classifier\n", text]
    return json.dumps(nb).encode()


def as_json(text: str) -> bytes:
    return json.dumps({"hints": [{"hint": f"Write\n  {text}"}]}).encode()


LINE = "    dscores[samples, y] -= 1"


@pytest.mark.parametrize(
    "line",
    [
        LINE,
        f"see `{LINE.strip()}` in the solution",
        LINE.replace(" ", "\t"),
        LINE.replace(" ", ""),
        "dscores[\n    samples,\n    y\n] -= 1",
        "# dscores[samples,\n# y] -= 1",
        "# vdot(W, W) is sum(W * W), without the\n# array between",
        "whatever the picture is, and the loss of each picture\nis about $-\\log(1/10) \\approx "
        "2.30$. With 100 classes it would be",
        "WITH WEIGHTS NEAR ZERO ALL TEN SCORES ARE NEARLY EQUAL, SO EACH CLASS GETS A PROBABILITY "
        "OF ABOUT 1/10,",
    ],
)
def test_a_line_of_a_solution_is_found_wherever_it_is(files: Files, line: str) -> None:
    tampered = {
        "assignment/vis_utils.py": files["assignment/vis_utils.py"] + f"\n\n{line}\n".encode(),
        "README.md": f"# Read me\n{line}".encode(),
        "assignment/checks/softmax.json": as_json(line),
        NOTEBOOK: in_text_cell(files, line),
    }
    for path, content in tampered.items():
        leaks = find_leaks({**files, path: content}, PROJECT)
        assert leaks
        assert all(leak.startswith(f"{path}, line ") for leak in leaks)
        assert "is a line of the solution (" in leaks[0]


def test_a_leak_is_told_with_its_line_and_where_it_is_from(files: Files) -> None:
    readme = f"# Read me\n\nTry\n{LINE}\n".encode()
    [leak] = find_leaks({**files, "README.md": readme}, PROJECT)
    assert leak.startswith(
        "README.md, line 4: holds `dscores[samples, y] -= 1`, which is a line of the solution "
        "(assignment/classifiers/softmax.py, line "
    )


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
        ("grading/softmax/manifest.txt", "'grading' is not part of a starter"),
        ("tests/test_x.py", "'tests' is not part of a starter"),
        ("docs/notes.md", "'docs' is not part of a starter"),
        ("notes.md", "'notes.md' is not part of a starter"),
        ("../README.md", "leads out"),
        ("/etc/x.md", "leads out"),
        ("assignment\\x.py", "leads out"),
    ],
)
def test_a_file_that_has_no_business_there_is_a_leak(files: Files, path: str, words: str) -> None:
    leaks = find_leaks({**files, path: b"harmless\n"}, PROJECT)
    assert any(leak.startswith(f"{path}: ") and words in leak for leak in leaks)


def tampered_cell(files: Files, number: int, **values: object) -> bytes:
    nb = json.loads(files[NOTEBOOK])
    nb["cells"][number - 1] |= values
    return json.dumps(nb).encode()


def test_outputs_counts_and_attachments_are_leaks(files: Files) -> None:
    for number, key, value, words in (
        (2, "outputs", [{"output_type": "stream", "name": "stdout", "text": "4"}], "has outputs"),
        (2, "execution_count", 3, "has execution count"),
        (1, "attachments", {"a.png": {"image/png": "aaaa"}}, "has attachments"),
    ):
        tampered = tampered_cell(files, number, **{key: value})
        leaks = find_leaks({**files, NOTEBOOK: tampered}, PROJECT)
        assert leaks == [f"{NOTEBOOK}, cell {number}: {words}."]


NEW_ANSWER = {"cell_type": "markdown", "id": "new", "metadata": {}, "source": "**Your answer**: 4"}


@pytest.mark.parametrize(
    ("cell_id", "change", "words"),
    [
        # an answer that is no region, since its metadata are missing or misspelt
        ("answer-step", lambda cell: cell.update(metadata={}), "has the label of an answer"),
        (
            "answer-step",
            lambda cell: cell.update(metadata={"gradkit": {"Region": "answer_step"}}),
            "has the unknown gradkit metadata 'Region'; there are check, region, role",
        ),
        ("new", lambda nb: nb["cells"].append(NEW_ANSWER), "has the label of an answer"),
        (
            "question-step",
            lambda cell: cell["source"].append("\n\n**Your answer:** It is rounding."),
            "has the label of an answer",
        ),
        # what no reader of the notebook sees
        ("", lambda nb: nb.update(worksheets=["x"]), "has the unknown key 'worksheets'"),
        (
            "",
            lambda nb: nb["metadata"]["kernelspec"].update(note="x"),
            "has the unknown kernelspec key 'note'",
        ),
        ("step-text", lambda cell: cell.update(answer="x"), "has the unknown key 'answer'"),
        (
            "train",
            lambda cell: cell.update(prompt_outputs=["x"]),
            "has the unknown key 'prompt_outputs'",
        ),
        ("2.3, why", lambda nb: nb["cells"][0].update(id="2.3, why"), "has the id '2.3, why'"),
        (
            "train",
            lambda cell: cell["metadata"]["gradkit"].update(note="x"),
            "has the unknown gradkit metadata 'note'",
        ),
        (
            "train",
            lambda cell: cell["metadata"]["gradkit"].update(role="train"),
            "says 'train' for its role",
        ),
        (
            "train",
            lambda cell: cell["metadata"].update(tags=["it is 2.3"]),
            "has the tag 'it is 2.3'",
        ),
        ("title", lambda cell: cell.update(cell_type="heading"), "is of the kind 'heading'"),
    ],
)
def test_a_notebook_with_anything_that_is_not_meant_for_students_is_not_built(
    tree: Path, cell_id: str, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    change_cell(tree, cell_id, change)
    ids = [cell["id"] for cell in json.loads((tree / NOTEBOOK).read_text())["cells"]]
    place = f"cell {ids.index(cell_id) + 1}" if cell_id else "the notebook"
    with pytest.raises(ReleaseError) as caught:
        release(tree, tree / "dist")
    assert f"\n  {NOTEBOOK}, {place}: {words}" in str(caught.value)


@pytest.mark.parametrize(
    "marker", ["### BEGIN SOLUTION x", "    ### END SOLUTION", "#begin solution"]
)
def test_a_marker_of_a_solution_is_a_leak(files: Files, marker: str) -> None:
    for path, content in (
        ("assignment/install.py", f"x = 1\n{marker}\n".encode()),
        ("README.md", f"x\n{marker}\n".encode()),
        ("assignment/checks/softmax.json", as_json(marker)),
        (NOTEBOOK, in_text_cell(files, marker)),
    ):
        [leak] = find_leaks({**files, path: content}, PROJECT)
        assert leak.startswith(f"{path}, line ")
        assert "holds the marker of a solution" in leak


@pytest.mark.parametrize("name", [SOFTMAX, NOTEBOOK])
def test_a_region_in_the_students_form_that_is_filled_in_is_a_leak(files: Files, name: str) -> None:
    stub = b"raise NotImplementedError("
    assert stub in files[name]
    tampered = files[name].replace(stub, b"return some_solution(", 1)
    [leak] = find_leaks({**files, name: tampered}, PROJECT)
    assert leak.startswith(f"{name}, line ")
    assert "which is not its stub" in leak


def test_what_is_not_utf8_or_not_json_is_told(files: Files) -> None:
    assert find_leaks({**files, "README.md": b"a\n\xff\n"}, PROJECT) == [
        "README.md, line 2: is not UTF-8."
    ]
    [leak] = find_leaks({**files, NOTEBOOK: b"{"}, PROJECT)
    assert leak.startswith(f"{NOTEBOOK}, line 1: is not JSON")


def test_folders_of_this_computer_are_leaks(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/srv/instructor")
    for text in (f"in {PROJECT}/assignment", '"/srv/instructor/x"', "file:///srv/instructor"):
        [leak] = find_leaks({**files, "README.md": f"x\n{text}\n".encode()}, PROJECT)
        assert leak.startswith("README.md, line 2: names ")
    for text in ("/srv/instructors", "my/srv/instructor.d", "./srv/instructor"):
        assert find_leaks({**files, "README.md": text.encode()}, PROJECT) == []


def test_the_home_folder_of_anyone_is_a_leak(files: Files) -> None:
    for text in (
        "--find-links /home/prof/secret",
        "file:///Users/prof.x",
        r"C:\Users\prof",
        r"'d:\\users\\prof'",
        "C:/Users/prof",
    ):
        [leak] = find_leaks({**files, "requirements.txt": f"x\n{text}\n".encode()}, PROJECT)
        assert leak.startswith("requirements.txt, line 2: names ")
        assert "a folder of somebody's computer" in leak
    for text in ("my/home/page", "https://example.org/home/page", "/home", "~/x", "/homes/x"):
        assert find_leaks({**files, "requirements.txt": text.encode()}, PROJECT) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("docs/README-students.md", f"\nTry{LINE}\n"),
        ("assignment/vis_utils.py", f"\n\n# {LINE}\n"),
        ("datasets/README.md", "\n    ### BEGIN SOLUTION x\n"),
        ("requirements.txt", "# {tree}/assignment\n"),
    ],
)
def test_a_build_with_a_leak_fails_and_writes_nothing(tree: Path, name: str, text: str) -> None:
    append(tree / name, text.format(tree=tree))
    ran = build(tree)
    assert ran.returncode == 1
    released = "README.md" if name.startswith("docs") else name
    assert "would give away what students must not get. Nothing was written." in ran.stderr
    assert f"\n  {released}, line " in ran.stderr
    assert not (tree / "dist").exists()


def test_the_scan_notices_when_solutions_are_not_taken_out(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradkit.release.build.stub", lambda source, where: source)
    monkeypatch.setattr("gradkit.release.build.stub_cells", lambda nb, where: nb)
    with pytest.raises(ReleaseError) as caught:
        release(tree, tree / "dist")
    assert "holds the marker of a solution" in str(caught.value)
    assert "is a line of the solution" in str(caught.value)
    assert "more." in str(caught.value)
    assert not (tree / "dist").exists()


def test_solutions_that_cannot_be_read_stop_the_build(tree: Path) -> None:
    (tree / "notebooks" / "svm.ipynb").write_text("{")
    with pytest.raises(ReleaseError, match=r"svm\.ipynb is not a notebook"):
        release(tree, tree / "dist")


def test_the_zip_file_is_one_that_update_accepts(tree: Path, files: Files) -> None:
    release(tree, tree / "dist")
    starter, texts = read_zip(tree / "dist" / f"{NAME}.zip")
    assert starter.name == NAME
    assert {path: text.encode() for path, text in texts.items()} == files
