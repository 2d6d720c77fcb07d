"""A release: what it builds, that it is always the same, and what stops it."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from assignment import PROJECT
from assignment.workspace.regions import read_notebook
from assignment.workspace.starter import STARTER_MANIFEST, read_manifest, read_zip
from gradkit.course.exercises import STARTERS
from gradkit.course.starter import starter_files
from gradkit.errors import GradkitError
from gradkit.release.build import autograder_sources, release
from gradkit.release.errors import ReleaseError
from tests.release.conftest import end_too_early
from tests.trees import contents

NAME = "softmax-starter"
NOTEBOOK = "notebooks/softmax.ipynb"
SOFTMAX = "assignment/classifiers/softmax.py"
LINEAR = "assignment/classifiers/linear_classifier.py"


def append(path: Path, text: str) -> None:
    path.write_bytes(path.read_bytes() + text.encode())


# --- the starters --------------------------------------------------------------------------------


def test_every_starter_holds_its_exercises_alone(starter: Callable[[str], Path]) -> None:
    of_svm = {"assignment/classifiers/linear_svm.py", "notebooks/svm.ipynb"}
    of_svm |= {"assignment/checks/svm.json", "assignment/classifiers/svm_classifier.py"}
    for name, exercises in (
        ("softmax-starter", {"softmax"}),
        ("knn-starter", {"knn"}),
        ("assignment1-starter", {"knn", "softmax", "svm"}),
    ):
        files = contents(starter(name))
        manifest = read_manifest(files[STARTER_MANIFEST].decode())
        assert (manifest.name, set(manifest.exercises)) == (name, exercises)
        assert of_svm & set(files) == (of_svm if "svm" in exercises else set())
    readme = (starter("assignment1-starter") / "README.md").read_text(encoding="utf-8")
    title = "The k-nearest-neighbor classifier, The softmax classifier and The linear SVM"
    assert readme.startswith(f"# {title}\n")
    assert "    python -m assignment submit svm\n" in readme
    # With a notebook as argument, JupyterLab shows that notebook's folder only, without .py files.
    assert re.findall(r"^    (jupyter[^#\n]+?) *(?:#|$)", readme, re.MULTILINE) == ["jupyter lab"]


def test_starter_is_a_folder_and_a_zip_file_with_the_same_files(tree: Path) -> None:
    report = release(tree, tree / "dist")
    files = starter_files(tree, ["softmax"])
    version = read_manifest(files[STARTER_MANIFEST].decode()).version
    assert report.startswith(f"{NAME}, version {version}: {len(files)} files, no leaks\n")
    assert sorted(path.name for path in (tree / "dist").iterdir()) == [NAME, f"{NAME}.zip"]
    assert contents(tree / "dist" / NAME) == files
    with zipfile.ZipFile(tree / "dist" / f"{NAME}.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files
        for member in archive.infolist():
            mode = 0o755 if member.filename == "get_datasets.sh" else 0o644
            assert member.external_attr >> 16 == stat.S_IFREG | mode
            assert (tree / "dist" / NAME / member.filename).stat().st_mode & 0o777 == mode
    manifest, texts = read_zip(tree / "dist" / f"{NAME}.zip")
    assert manifest.name == NAME
    assert {path: text.encode() for path, text in texts.items()} == files


def test_release_of_the_same_tree_has_the_same_bytes_everywhere(tree: Path, tmp_path: Path) -> None:
    other = shutil.copytree(tree, tmp_path / "a copy elsewhere")
    for path in other.rglob("*"):
        os.utime(path, (1e9, 1e9))
        path.chmod(0o700)
    release(tree, tree / "dist")
    odd = {"PYTHONHASHSEED": "7", "LC_ALL": "C", "TZ": "Pacific/Auckland", "PYTHONUTF8": "0"}
    subprocess.run(
        [sys.executable, "-m", "gradkit", "release"],
        cwd=other,
        env=os.environ | {"PYTHONPATH": ""} | odd,
        umask=0o077,
        check=True,
    )
    assert contents(tree / "dist") == contents(other / "dist")
    assert (other / "dist" / NAME / "get_datasets.sh").stat().st_mode & 0o777 == 0o755


def test_starter_holds_the_students_readme_and_other_files_unchanged(
    starter: Callable[[str], Path],
) -> None:
    built = starter(NAME)
    readme = (built / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("# The softmax classifier\n\nYou build a classifier")
    assert "$" not in readme
    assert len(readme.splitlines()) <= 80
    for name in (NOTEBOOK, SOFTMAX, LINEAR):
        assert (built / name).is_file()
        assert name in readme
    for name in ("requirements.txt", "get_datasets.sh", "datasets/README.md"):
        assert (built / name).read_bytes() == (PROJECT / name).read_bytes()
    old, new = (read_notebook((x / NOTEBOOK).read_text(), NOTEBOOK) for x in (PROJECT, built))
    assert [cell["id"] for cell in new["cells"]] == [cell["id"] for cell in old["cells"]]


def test_a_badge_opens_the_notebook_in_colab_where_the_settings_name_its_folder(tree: Path) -> None:
    config = tree / "grading" / "softmax" / "exercise.toml"
    text = config.read_text(encoding="utf-8")
    assert b"colab-badge" not in starter_files(tree, ["softmax"])["README.md"]
    config.write_text(f'colab = "cs/ml.26/blob/main/hw1"\n{text}', encoding="utf-8")
    readme = starter_files(tree, ["softmax"])["README.md"].decode()
    assert f"(https://colab.research.google.com/github/cs/ml.26/blob/main/hw1/{NOTEBOOK})" in readme
    config.write_text(f'colab = "https://github.com/cs/ml"\n{text}', encoding="utf-8")
    with pytest.raises(GradkitError, match=r"exercise.toml does not fit: .*colab"):
        starter_files(tree, ["softmax"])


def test_starter_can_be_imported_and_its_regions_are_open(starter: Callable[[str], Path]) -> None:
    program = """
import importlib, pkgutil, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
import assignment
for found in pkgutil.walk_packages(assignment.__path__, "assignment."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
assert assignment.__file__.startswith(sys.argv[1])
from assignment.classifiers.softmax import softmax_loss_naive, softmax_loss_vectorized
from assignment.classifiers.softmax_classifier import Softmax
W, X, y = np.zeros((3, 2)), np.ones((4, 3)), np.array([0, 1, 0, 1])
model = Softmax()
model.W = W
for call in (
    lambda: softmax_loss_naive(W, X, y, 0.1),
    lambda: softmax_loss_vectorized(W, X, y, 0.1),
    lambda: Softmax().train(X, y, verbose=False),
    lambda: model.predict(X),
):
    try:
        call()
    except NotImplementedError as error:
        print(error)
"""
    command = [sys.executable, "-I", "-B", "-c", program, str(starter(NAME))]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["softmax_naive", "softmax_vectorized", "train_batch", "predict"]


def test_manifest_names_every_file_and_the_version(tree: Path) -> None:
    files = starter_files(tree, ["softmax"])
    manifest = read_manifest(files[STARTER_MANIFEST].decode())
    assert (manifest.name, manifest.exercises) == (NAME, ("softmax",))
    assert set(manifest.skeletons) == set(files) - {STARTER_MANIFEST}
    assert list(manifest.stubs[SOFTMAX]) == ["softmax_naive", "softmax_vectorized"]
    assert "tuning" in manifest.stubs[NOTEBOOK]
    number, _, digest = manifest.version.partition("+")
    assert number == "1.0"
    assert len(digest) == 10
    append(tree / "requirements.txt", "# one more line\n")
    changed = read_manifest(starter_files(tree, ["softmax"])[STARTER_MANIFEST].decode()).version
    assert changed.startswith("1.0+")
    assert changed != manifest.version


def test_file_on_no_list_stays_out_and_is_reported(tree: Path) -> None:
    before = starter_files(tree, ["softmax"])
    strays = [
        "assignment/checks/svm.json",
        "assignment/notes.md",
        "datasets/tiny.csv",
        "notebooks/helper.py",
        "notebooks/svm.ipynb",
    ]
    litter = ["assignment/__pycache__/x.pyc", "notebooks/.ipynb_checkpoints/softmax.ipynb"]
    litter += ["datasets/cifar-10-batches-py/test_batch", "notebooks/best_softmax.npz"]
    for name in (*strays, *litter):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text('{"cells": []}')
    report = release(tree, tree / "dist")
    listed = report.partition("In no starter, in case it should have been:\n")[2]
    assert listed.split() == strays
    assert contents(tree / "dist" / NAME) == before


def test_autograder_holds_its_own_exercise_alone() -> None:
    """Also where files, mistakes and variants are shared."""
    for name, other in (("softmax", "svm"), ("svm", "softmax")):
        paths = {*autograder_sources(PROJECT, name).values()}
        assert {f"notebooks/{name}.ipynb", f"grading/{name}/exercise.toml", LINEAR} <= paths
        assert any(path.startswith("grading/linear/") for path in paths)
        strays = [path for path in paths if f"/{other}" in path or f"linear_{other}" in path]
        assert strays == []


def test_autograder_holds_what_installs_and_runs_the_grader(tree: Path) -> None:
    sources = autograder_sources(tree, "softmax")
    assert sources["setup.sh"] == "gradkit/release/gradescope/setup.sh"
    for name in ("pyproject.toml", "constraints.txt", "README.md", "LICENSE", "requirements.txt"):
        assert sources[f"project/{name}"] == name
    assert "project/gradkit/release/templates/classroom.yml" in sources
    assert not any(name.startswith(("project/tests", "project/dist")) for name in sources)


# --- what stops a release ------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git")
def test_file_that_git_does_not_track_stops_the_release(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Git does not know this tree" in release(tree, tree / "dist")
    for arguments in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *arguments], cwd=tree, check=True)
    assert "Git does not know" not in release(tree, tree / "dist")
    shutil.rmtree(tree / "dist")
    for name in ("scratch.py", "test_softmax.py"):
        (tree / "assignment" / name).write_text("x = 1\n")
    (tree / ".gitignore").write_text("scratch.py\n")
    with pytest.raises(ReleaseError) as caught:
        release(tree, tree / "dist")
    for name in ("scratch.py", "test_softmax.py"):
        assert f"\n  assignment/{name} is not tracked by git: commit it" in str(caught.value)
    assert not (tree / "dist").exists()
    (tree / "assignment" / "scratch.py").unlink()
    subprocess.run(["git", "add", "assignment/test_softmax.py"], cwd=tree, check=True)
    release(tree, tree / "dist")
    assert (tree / "dist" / NAME / "assignment" / "test_softmax.py").exists()
    monkeypatch.setenv("PATH", "")
    assert "Git does not know this tree" in release(tree, tree / "dist")


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
    """Replace a file or folder by a link to the same contents elsewhere."""

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


def end_tuning_too_early(tree: Path) -> None:
    nb = json.loads((tree / NOTEBOOK).read_text())
    [cell] = [cell for cell in nb["cells"] if cell["id"] == "tuning"]
    cell["source"] = end_too_early("".join(cell["source"]), "tuning")
    (tree / NOTEBOOK).write_text(json.dumps(nb))


JSON = "assignment/checks/softmax.json"
MISTAKES = "grading/softmax/mistakes.toml"
STALE = "run `gradkit answer-key`. Nothing was written."


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove("requirements.txt"), "requirements.txt is missing. Put it back."),
        (remove("docs/README-students.md"), "README-students.md is missing"),
        (remove(JSON), "softmax.json is missing"),
        (remove(NOTEBOOK), "softmax.ipynb is missing"),
        (remove("grading/softmax"), "grading holds no exercise"),
        (remove("grading"), "grading holds no exercise"),
        (write(STARTERS, ""), "starters.toml has no starter"),
        (write(STARTERS, "x = ["), "starters.toml is not valid TOML"),
        (write(STARTERS, 'Mine = ["softmax"]'), "starters.toml does not fit: Expected `str`"),
        (write(STARTERS, 'x = "softmax"'), "got `str` - at `$"),
        (write(STARTERS, 'x = ["svm"]'), "has the unknown exercise 'svm'"),
        (write("grading/svm/exercise.toml", ""), "assignment/checks/svm.py is missing"),
        (write("assignment/a (copy).py", "x = 1"), "assignment/a (copy).py has a part that is"),
        (write("assignment/Data_utils.py", "x = 1"), "are the same file on a computer that"),
        (replace("docs/README-students.md", "$title", "$tittle"), "README-students.md cannot be"),
        (link("get_datasets.sh"), "get_datasets.sh is a link"),
        (link("assignment/classifiers"), "classifiers is a link"),
        (link("notebooks"), "notebooks is a link"),
        (lambda tree: os.mkfifo(tree / "assignment/pipe.py"), "pipe.py is neither"),
        (replace(SOFTMAX, "### END SOLUTION", "### END SOLUTON"), f"{SOFTMAX}, line "),
        (replace(SOFTMAX, "SOLUTION softmax_naive", "SOLUTION"), f"{SOFTMAX}, line "),
        (replace(NOTEBOOK, "### END SOLUTION", "done"), ": region 'tuning' begins"),
        (end_tuning_too_early, f"{NOTEBOOK}, cell "),
        (replace(NOTEBOOK, '"cells"', '"sells"'), f"{NOTEBOOK} is not a notebook"),
        (write(MISTAKES, "x = 1"), "mistakes.toml: x does not fit: "),
        (replace(MISTAKES, "name = ", "name = 3 # "), "mistakes.toml: log2 does not fit: "),
        (replace("assignment/__init__.py", "__version__", "version"), "does not set `__version__"),
        (
            lambda tree: (tree / "requirements.txt").write_bytes(b"# a\n# caf\xe9\n"),
            "requirements.txt, line 2: the byte 0xe9 is not UTF-8",
        ),
        (replace(MISTAKES, "which measures", "this measures"), STALE),
        (write(JSON, "{}"), STALE),
        (replace(JSON, '"reference": {', '"reference": {}, "was": {'), STALE),
        (replace(JSON, '"arrays": {', '"arrays": {}, "was": {'), STALE),
    ],
)
def test_tree_that_is_wrong_is_not_released(
    tree: Path, change: Callable[[Path], None], message: str
) -> None:
    change(tree)
    with pytest.raises(GradkitError) as caught:
        release(tree, tree / "dist")
    assert message in str(caught.value)
    assert not (tree / "dist").exists()


def test_zip_file_that_update_would_refuse_is_not_released(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(tree, tree / "dist")
    before = contents(tree / "dist")
    append(tree / "requirements.txt", "# one more line\n")
    monkeypatch.setattr("assignment.workspace.starter.MAX_BYTES", 1000)
    with pytest.raises(ReleaseError, match="`update` would refuse this starter: it has more than"):
        release(tree, tree / "dist")
    assert contents(tree / "dist") == before


def test_starter_is_not_written_where_the_next_one_would_include_it(tree: Path) -> None:
    with pytest.raises(ReleaseError, match="from which starters are made"):
        release(tree, tree / "assignment" / "dist")
    assert not (tree / "assignment" / "dist").exists()


# --- leaks stop it -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("docs/README-students.md", "\nTry    dscores[samples, y] -= 1\n"),
        ("assignment/vis_utils.py", "\n\n#     dscores[samples, y] -= 1\n"),
        ("datasets/README.md", "\n    ### BEGIN SOLUTION x\n"),
        ("requirements.txt", "# {tree}/assignment\n"),
    ],
)
def test_leak_stops_the_release_and_nothing_is_written(tree: Path, name: str, text: str) -> None:
    append(tree / name, text.format(tree=tree))
    with pytest.raises(ReleaseError) as caught:
        release(tree, tree / "dist")
    released = "README.md" if name.startswith("docs") else name
    assert str(caught.value).startswith("The starters would give away what students must not get")
    assert f"\n  {released}, line " in str(caught.value)
    assert not (tree / "dist").exists()


def test_new_lines_stop_the_release_until_they_are_accepted(tree: Path) -> None:
    path = tree / SOFTMAX
    path.write_text(
        path.read_text().replace("    loss = 0.0\n", "    loss = 0.0\n    shifted = 7 * W\n")
    )
    with pytest.raises(ReleaseError, match="run `gradkit release --accept softmax`") as caught:
        release(tree, tree / "dist")
    assert "`shifted = 7 * W`" in str(caught.value)
    report = release(tree, tree / "dist", accept=["softmax"])
    assert f"Accepted lines are in {tree / 'grading/softmax/starter.txt'}: commit it." in report
    assert "    shifted = 7 * W\n" in (tree / "grading/softmax/starter.txt").read_text()
    release(tree, tree / "dist")


def test_starter_with_the_solutions_in_it_is_not_released(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradkit.course.starter.stub", lambda source, where: source)
    monkeypatch.setattr("gradkit.course.starter.stub_cells", lambda nb, where: nb)
    with pytest.raises(ReleaseError) as caught:
        release(tree, tree / "dist", accept=["softmax"])
    assert "holds the marker of a solution" in str(caught.value)
    assert "is a line of the solution" in str(caught.value)
    number = int(re.findall(r"leaks: (\d+)", str(caught.value))[0])
    assert number == len(str(caught.value).splitlines()) - 1
    assert not (tree / "dist").exists()
