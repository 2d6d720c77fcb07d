"""The modules of a notebook follow their files; what the notebook holds stays usable."""

import importlib
import os
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from assignment.checks import student as student_module
from assignment.checks.reloading import Reloader

MODEL = """
from .helper import SCALE, scaled

class Base:
    def name(self): return "base"

class Model(Base):
    def __init__(self): self.W = 2
    def predict(self): return scaled(self.W)
    def name(self): return "model, " + super().name()

def loss(x, reg=1): return x + reg
"""
HELPER = "SCALE = 10\ndef scaled(x): return SCALE * x\n"


class Notebook:
    """A package of a student, and the variables of a notebook that imported from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.save("__init__", "")
        self.save("model", MODEL)
        self.save("helper", HELPER)
        self.variables: dict[str, Any] = {}
        self.reloader = Reloader([str(folder.resolve() / "model.py")], self.variables)
        module: Any = importlib.import_module(f"{folder.name}.model")
        self.variables |= {"loss": module.loss, "Model": module.Model, "m": module.Model()}

    def save(self, name: str, text: str) -> None:
        (self.folder / f"{name}.py").write_text(text, encoding="utf-8")

    def run(self, expression: str) -> Any:
        """Reload, and evaluate an expression as a cell would."""
        self.reloader.reload()
        return eval(expression, self.variables)


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    (tmp_path / "elsewhere" / "students_package").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    monkeypatch.syspath_prepend(tmp_path / "link")
    monkeypatch.setattr(student_module, "READING_INTERVAL", 0.001)
    before = set(sys.modules)
    yield Notebook(tmp_path / "link" / "students_package")
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_an_object_made_before_an_edit_has_the_new_methods(notebook: Notebook) -> None:
    subclass = type("Mine", (notebook.variables["Model"],), {})
    notebook.variables |= {"mine": subclass(), "kinds": [notebook.variables["Model"]]}
    for factor in (3, 4):
        text = MODEL.replace("return scaled(self.W)", f"return {factor} * scaled(self.W)")
        notebook.save("model", text.replace('"base"', f'"base {factor}"'))
        for name in ("m", "mine", "Model()", "kinds[0]()"):
            assert notebook.run(f"{name}.predict()") == factor * 20, name
            assert notebook.run(f"{name}.name()") == f"model, base {factor}"
            assert notebook.run(f"isinstance({name}, Model)")


def test_a_function_runs_the_code_of_its_file_wherever_it_is_referred_to(
    notebook: Notebook,
) -> None:
    loss = notebook.variables["loss"]
    notebook.variables |= {"losses": {"a": loss}, "p": partial(loss, reg=0), "pair": (loss, 1)}
    for added in (5, 7):
        head, body = f"reg=2, *, by={added}):", f"'Add {added}.'; return x + reg + by"
        text = MODEL.replace("reg=1): return x + reg", f"{head} {body}\nloss.by = {added}")
        notebook.save("model", f"# line {added}\n" * added + text)
        for name in ("loss", "losses['a']", "pair[0]"):
            assert notebook.run(f"{name}(1)") == 3 + added
        assert notebook.run("p(1)") == 1 + added
        assert notebook.run("(loss.__doc__, loss.by)") == (f"Add {added}.", added)
        compiled = compile(
            (notebook.folder / "model.py").read_bytes(), loss.__code__.co_filename, "exec"
        )
        assert loss.__code__ in compiled.co_consts


@pytest.mark.parametrize("decorator", ["cache", "wrapped"])
def test_a_function_with_a_decorator_is_reloaded(notebook: Notebook, decorator: str) -> None:
    own = "def wrapped(function):\n    return lambda x: function(x)\n"
    for number in (1, 2):
        text = f"from functools import cache\n{own}@{decorator}\ndef loss(x): return {number}\n"
        notebook.save("model", MODEL + text)
        assert notebook.run("loss(0)") == number


def test_a_function_belongs_to_the_module_that_defines_it(notebook: Notebook) -> None:
    notebook.variables["scaled"] = vars(sys.modules["students_package.helper"])["scaled"]
    notebook.save("model", MODEL.replace("SCALE, scaled", "SCALE"))
    assert notebook.run("scaled(1)") == 10
    notebook.save("helper", f"{HELPER}OWN = 7\ndef loss(x): return OWN + x\n")
    notebook.save("model", f"from .helper import loss\n{MODEL.partition('def loss')[0]}")
    assert notebook.run("loss(1)") == 8


def test_data_of_a_module_stay_as_the_notebook_holds_them(notebook: Notebook) -> None:
    notebook.save("model", f"{MODEL}made = Model()\n")
    notebook.run("1")
    trained = notebook.variables["made"] = vars(sys.modules["students_package.model"])["made"]
    notebook.save("model", f"{MODEL}made = Model()  # again\n")
    assert notebook.run("made") is trained


def test_an_object_that_cannot_have_the_new_class_keeps_the_old_one(notebook: Notebook) -> None:
    slots = "class Model(Base):\n    __slots__ = ('a',)"
    notebook.save("model", MODEL.replace("class Model(Base):", slots))
    assert notebook.run("(m.predict(), Model().predict())") == (20, 20)
    assert notebook.run("type(m) is Model") is False


@pytest.mark.parametrize("name", ["model", "helper"])
@pytest.mark.parametrize(
    "broken",
    [
        "def half(",
        "x = 'never closed",
        "\0",
        "1 / 0",
        "import nonsense",
        "raise SystemExit",
        "x = é",
    ],
)
def test_a_file_that_cannot_be_loaded_leaves_the_code_from_before(
    notebook: Notebook, name: str, broken: str
) -> None:
    notebook.save(name, f"def scaled(x): return 0\nclass Model: pass\n{broken}\n")
    for _ in range(2):
        assert notebook.run("(m.predict(), Model().predict(), loss(1))") == (20, 20, 2)
        assert list(notebook.reloader.errors) == [str(notebook.folder / f"{name}.py")]
    notebook.save(name, {"model": MODEL, "helper": HELPER}[name].replace("10", "30"))
    assert notebook.run("m.predict()") == (20 if name == "model" else 60)
    assert not notebook.reloader.errors


def test_a_helper_takes_effect_whether_it_is_changed_new_or_removed(notebook: Notebook) -> None:
    notebook.save("helper", HELPER.replace("10", "30"))
    assert notebook.run("m.predict()") == 60
    status = notebook.folder.stat()
    notebook.save("new", "from .helper import SCALE\n")
    os.utime(notebook.folder, ns=(status.st_atime_ns, status.st_mtime_ns))  # the same moment
    notebook.save("model", MODEL.replace("SCALE,", "").replace("scaled(self.W)", "SCALE"))
    assert "NameError" in str(_raised(notebook, "m.predict()"))
    notebook.save("model", "from .new import SCALE\n" + MODEL.replace("(self.W)", "(SCALE)"))
    assert notebook.run("m.predict()") == 900
    (notebook.folder / "new.py").unlink()
    assert notebook.run("m.predict()") == 900
    [error] = notebook.reloader.errors.values()
    assert "No module named" in str(error)
    notebook.save("model", MODEL)
    assert notebook.run("m.predict()") == 60
    assert not notebook.reloader.errors


def test_a_module_that_imports_a_later_one_from_its_package_has_the_new_one(
    notebook: Notebook,
) -> None:
    notebook.save("late", "SCALE = 1\n")
    importlib.import_module("students_package.late")
    notebook.save("model", f"from . import late\nfactor = late.SCALE\n{MODEL}")
    model: Any = sys.modules["students_package.model"]
    for factor in (10, 30):
        notebook.save("late", f"SCALE = {factor}\n")
        notebook.run("1")
        assert model.factor == factor


def _raised(notebook: Notebook, expression: str) -> str:
    with pytest.raises(Exception) as caught:
        notebook.run(expression)
    return repr(caught.value)


def test_a_removed_file_is_reported_and_its_code_still_runs(notebook: Notebook) -> None:
    (notebook.folder / "model.py").unlink()
    notebook.variables["package"] = sys.modules["students_package"]
    assert notebook.run("(m.predict(), package.model.Model().predict())") == (20, 20)
    assert "There is no file" in str(notebook.reloader.errors)
    notebook.save("model", MODEL.replace("self.W = 2", "self.W = 3"))
    assert notebook.run("Model().predict()") == 30
    assert not notebook.reloader.errors


def test_a_name_that_is_no_longer_defined_is_gone_and_comes_back(notebook: Notebook) -> None:
    notebook.variables["alias"] = notebook.variables["loss"]
    notebook.save("model", MODEL.replace("def loss", "def cost"))
    assert "NameError" in _raised(notebook, "alias")
    assert sorted(notebook.reloader.lost) == ["alias", "loss"]
    notebook.variables["loss"] = "the notebook's own"
    notebook.save("model", MODEL)
    assert notebook.run("alias(1)") == 2
    assert notebook.run("loss") == "the notebook's own"
    assert not notebook.reloader.lost


def test_a_save_of_the_same_size_in_the_same_moment_is_noticed(notebook: Notebook) -> None:
    path = notebook.folder / "helper.py"
    status = path.stat()
    notebook.save("helper", HELPER.replace("10", "20"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert notebook.run("m.predict()") == 40


def test_a_file_that_is_being_written_is_read_when_it_is_complete(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = MODEL.replace("scaled(self.W)", "'new'")
    head, _, _ = complete.partition("def loss")  # valid as it is
    states = iter(["", complete[:40], head, complete[:-9], complete])

    def write_on(seconds: float) -> None:
        notebook.save("model", next(states, complete))

    monkeypatch.setattr(time, "sleep", write_on)
    notebook.save("model", "")
    assert notebook.run("(m.predict(), loss(1))") == ("new", 2)
    assert not notebook.reloader.errors


def test_a_save_beside_a_file_that_python_cannot_read_is_not_waited_for(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook.save("broken", "def half(")
    notebook.run("1")
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    notebook.save("helper", HELPER.replace("10", "30"))
    assert notebook.run("m.predict()") == 60
    assert len(pauses) == 1


def test_nothing_is_executed_again_while_the_files_are_the_same(notebook: Notebook) -> None:
    notebook.save("model", MODEL + "runs = []\n")
    notebook.run("1")
    module: Any = sys.modules["students_package.model"]
    module.runs.append(1)
    notebook.run("1")
    assert module.runs == [1]
