"""The student's code, loaded afresh from the text of its files.

A check must never see stale code, and an instructor's build runs the code of many trees in one
process. So the files are not imported in the usual way: `Student` puts modules of its own in the
place of `assignment.classifiers.softmax` and its like while a check runs, and then puts back what
was there.
"""

import contextlib
import importlib
import linecache
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from assignment import PROJECT


class InvalidResult(Exception):
    """The student's code gave nothing that can be judged; the text says what and where."""


class Student:
    """The student's files, and what the notebook's variables are where one runs.

    Parameters
    ----------
    sources : mapping
        From a file's path in the project (``assignment/classifiers/softmax.py``) to its text.
    notebook : mapping, optional
        The variables of the notebook that the check stands in.

    The modules are attributes: ``student.softmax`` is loaded when it is first asked for, and what
    its code raises comes through. They work inside ``with student.in_place():`` only.
    """

    def __init__(
        self, sources: Mapping[str, str], notebook: Mapping[str, Any] | None = None
    ) -> None:
        self.sources = dict(sources)
        self.notebook = notebook
        self._files = {path.removesuffix(".py").replace("/", "."): path for path in sources}
        self._modules: dict[str, ModuleType] = {}
        # One search through all names: there are hundreds, and each run of a check has two.
        below = "|".join({re.escape(f"{name.rpartition('.')[0]}.") for name in self._files})
        below = below or "(?!)"  # without files, no module is the student's
        self._find_modules = re.compile(f"\n((?:{below}).*)").findall
        self._lines = {
            path: (len(source), None, source.splitlines(keepends=True), path)
            for path, source in sources.items()
        }

    @classmethod
    def from_folder(
        cls, project: Path, files: tuple[str, ...], notebook: Mapping[str, Any] | None = None
    ) -> "Student":
        """Read the student's files of a project.

        Raises
        ------
        Unusable
            A file is missing or is not UTF-8.
        """
        return cls({path: _read(project, path) for path in files}, notebook)

    def __getattr__(self, name: str) -> ModuleType:
        for module in self._files:
            if module.rpartition(".")[2] == name:
                return importlib.import_module(module)
        raise AttributeError(f"There is no student's file {name}.py among {list(self.sources)}.")

    @property
    def names(self) -> list[str]:
        """The names of the modules."""
        return [module.rpartition(".")[2] for module in self._files]

    def function(self, module: str, name: str) -> Any:
        """A function or class of a student's file, or Unusable where it is no longer there."""
        found = getattr(getattr(self, module), name, None)
        if not callable(found):
            [path] = [path for path in self.sources if Path(path).stem == module]
            raise InvalidResult(
                f"{path} has no {name} any more. The checks call it by that name, so give it back "
                "its name."
            )
        return found

    def variable(self, name: str) -> Any:
        """A variable of the notebook, or NotImplementedError where it is missing or None."""
        if self.notebook is None:
            raise NotImplementedError("This one is checked in the notebook: run its cells there.")
        value = self.notebook.get(name)
        if value is None:
            raise NotImplementedError(f"The notebook has no `{name}` yet: run the cells above.")
        return value

    def owns(self, filename: str) -> bool:
        """Whether a file's lines in a traceback are the student's; their helpers' are, too."""
        folders = {PROJECT / Path(path).parent for path in self.sources}
        return filename in self.sources or Path(filename).parent in folders

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Let `import` find the student's files here, in whatever order they import each other.

        Modules of their own beside them are loaded afresh as well.
        """
        # For tracebacks: the lines that run, not those of a file that may have changed since.
        linecache.cache.update(self._lines)
        before = self._take_out()
        sys.modules.update(self._modules)
        finder = _Finder(self.sources, self._files)
        sys.meta_path.insert(0, finder)
        try:
            for name, module in self._modules.items():
                _set_in_package(name, module)
            yield
        finally:
            sys.meta_path.remove(finder)
            self._modules = self._take_out()
            for name in self._modules.keys() | before.keys():
                _set_in_package(name, before.get(name))
            sys.modules.update(before)

    def _take_out(self) -> dict[str, ModuleType]:
        """Remove the modules of the student's packages from those that are loaded."""
        names = self._find_modules("\n".join(["", *sys.modules]))
        return {name: sys.modules.pop(name) for name in names}


class _Finder(MetaPathFinder, Loader):
    """Makes modules of texts."""

    def __init__(self, sources: Mapping[str, str], files: Mapping[str, str]) -> None:
        self.sources, self.files = sources, files

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname not in self.files:
            return None
        return ModuleSpec(fullname, self, origin=self.files[fullname])

    def exec_module(self, module: ModuleType) -> None:
        path = self.files[module.__name__]
        source = self.sources[path]
        module.__file__ = path
        exec(compile(source, path, "exec", dont_inherit=True), vars(module))


def _read(project: Path, path: str) -> str:
    try:
        return (project / path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InvalidResult(
            f"There is no {path} in {project}. Take it from the starter again."
        ) from None
    except UnicodeDecodeError as error:
        raise InvalidResult(
            f"{path} is not UTF-8 text ({error.reason}). Save it as UTF-8."
        ) from None


def _set_in_package(name: str, module: ModuleType | None) -> None:
    """`from assignment.classifiers import softmax` looks at the package, not at sys.modules."""
    package, _, attribute = name.rpartition(".")
    parent = importlib.import_module(package)
    if module is not None:
        setattr(parent, attribute, module)
    elif hasattr(parent, attribute):
        delattr(parent, attribute)
