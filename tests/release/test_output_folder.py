"""The output folder: all parts take their places, or none; nothing of anybody else is replaced."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gradkit.release.build import release
from gradkit.release.errors import ReleaseError
from tests.trees import contents

NAME = "softmax-starter"
SOFTMAX = "assignment/classifiers/softmax.py"
ALL = {NAME, f"{NAME}.zip", f"{NAME}-github", "softmax-gradescope.zip"}


def change(tree: Path) -> None:
    with (tree / "requirements.txt").open("a") as file:
        file.write("# one more line\n")


def disk_is_full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_release_replaces_an_older_one(tree: Path) -> None:
    release(tree, tree / "dist")
    before = contents(tree / "dist")
    (tree / "dist" / NAME / "assignment" / "__pycache__").mkdir()  # somebody has tried it
    (tree / "dist" / NAME / "assignment" / "__pycache__" / "x.pyc").touch()
    change(tree)
    release(tree, tree / "dist")
    after = contents(tree / "dist")
    assert after.keys() == before.keys()
    assert after[f"{NAME}/requirements.txt"].endswith(b"# one more line\n")
    assert after[f"{NAME}.zip"] != before[f"{NAME}.zip"]


def test_release_of_everything_is_the_same_each_time(tree: Path) -> None:
    report = release(tree, tree / "dist", gradescope=True, github=True)
    assert {path.name for path in (tree / "dist").iterdir()} == ALL
    for name in ALL:
        assert f"  {tree / 'dist' / name}\n" in report
    before = contents(tree / "dist")
    release(tree, tree / "dist", gradescope=True, github=True)
    assert contents(tree / "dist") == before
    release(tree, tree / "dist")  # leaves the others in their places
    assert contents(tree / "dist") == before


def test_release_that_fails_at_any_step_leaves_the_older_one(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(tree, tree / "dist", gradescope=True, github=True)
    before = contents(tree / "dist")
    change(tree)
    replace = Path.replace

    def full_at(name: str) -> Callable[[Path, Path], Path]:
        def replace_or_fail(path: Path, target: Path) -> Path:
            if target.name == name:
                disk_is_full()
            return replace(path, target)

        return replace_or_fail

    failures: list[tuple[str, Callable[..., object]]]
    failures = [("write_bytes", disk_is_full), ("rename", disk_is_full)]
    failures += [("replace", full_at(name)) for name in ALL]
    for method, failure in failures:
        with monkeypatch.context() as patch:
            patch.setattr(Path, method, failure)
            with pytest.raises(ReleaseError, match="No space left on device"):
                release(tree, tree / "dist", gradescope=True, github=True)
        assert contents(tree / "dist") == before
        assert not list((tree / "dist").glob(".*"))


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        (NAME, lambda place: place.mkdir(), "is not a starter that was built here"),
        (NAME, lambda place: place.write_text("mine"), "is not a folder"),
        (NAME, lambda place: place.symlink_to(place.parent), "is not a folder"),
        (f"{NAME}.zip", lambda place: place.mkdir(), "is a folder, and the zip file goes there"),
    ],
)
def test_something_else_is_never_replaced(
    tree: Path, name: str, make: Callable[[Path], None], message: str
) -> None:
    (tree / "dist").mkdir()
    make(tree / "dist" / name)
    with pytest.raises(ReleaseError, match=message):
        release(tree, tree / "dist")
    assert [path.name for path in (tree / "dist").iterdir()] == [name]


def test_starter_with_work_in_it_is_never_replaced(tree: Path) -> None:
    release(tree, tree / "dist")
    for name in ("mine.txt", "datasets/cifar-10-batches-py/test_batch", SOFTMAX):
        path = tree / "dist" / NAME / name
        path.parent.mkdir(exist_ok=True)
        before = path.read_bytes() if path.exists() else b""
        path.write_text("work")
        with pytest.raises(ReleaseError, match=r"was changed since .* move it away"):
            release(tree, tree / "dist")
        assert path.read_text() == "work"
        path.write_bytes(before) if before else path.unlink()
