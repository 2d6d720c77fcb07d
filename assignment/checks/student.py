"""The student's code, loaded afresh from the text of its files.

A check must never see stale code, and an instructor's build runs many versions of the files in one
process. So they are not imported in the usual way: while a check runs, `Student` puts modules of
its own in the place of `assignment.classifiers.softmax` and the like, and afterwards restores the
previous ones.
"""

import contextlib
import importlib
import linecache
import os
import re
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from assignment import PROJECT
from assignment.workspace.regions import Body, RegionError, decode, extract, graft, normalise

# An editor may be writing a file while it is read.
READING_INTERVAL = 0.05  # seconds between two readings
MAX_READINGS = 10


class InvalidResult(Exception):
    """The student's code gave no result that can be checked; the message names it and its place."""


class Student:
    """The student's files, and the notebook's variables if the check runs in a notebook.

    `sources` maps a file's path in the project (``assignment/classifiers/softmax.py``) to its text.
    Modules are attributes: ``student.softmax`` is loaded at its first use, and raises what its code
    raises. They work only inside ``with student.in_place():``.
    """

    def __init__(
        self, sources: Mapping[str, str], notebook: Mapping[str, Any] | None = None
    ) -> None:
        self.sources = dict(sources)
        self.notebook = notebook
        self._files = {path.removesuffix(".py").replace("/", "."): path for path in sources}
        self._folders = {os.path.normcase(PROJECT / Path(path).parent) for path in sources}
        self._modules: dict[str, ModuleType] = {}
        # One search through all module names at once: a run of a check needs two, of hundreds.
        packages = "|".join({re.escape(f"{name.rpartition('.')[0]}.") for name in self._files})
        packages = packages or "(?!)"  # without files, no module belongs to the student
        self._find_modules = re.compile(f"\n((?:{packages}).*)").findall
        self._lines = {
            path: (len(source), None, source.splitlines(keepends=True), path)
            for path, source in sources.items()
        }

    @classmethod
    def from_folder(
        cls, project: Path, files: tuple[str, ...], notebook: Mapping[str, Any] | None = None
    ) -> "Student":
        """Read a project's files; raise InvalidResult if one is missing or cannot be decoded."""
        return cls({path: _read_source(project, path) for path in files}, notebook)

    def __getattr__(self, name: str) -> ModuleType:
        for module in self._files:
            if module.rpartition(".")[2] == name:
                return importlib.import_module(module)
        raise AttributeError(f"{name}.py is not among the student's files: {list(self.sources)}.")

    def with_region(self, region: str, body: str) -> "Student":
        """Return the student's code with one other line in a region, and all lines in their places.

        Return it unchanged if its regions cannot be read.
        """
        for path, source in self.sources.items():
            with contextlib.suppress(RegionError):
                if old := extract(source, path).get(region):
                    lines = body + old.newline * max(1, len(old.text.splitlines()))
                    grafted = graft(source, {region: Body(lines, "", old.newline)}, path)
                    return Student({**self.sources, path: grafted}, self.notebook)
        return self

    @property
    def names(self) -> list[str]:
        """The names of the modules."""
        return [module.rpartition(".")[2] for module in self._files]

    def function(self, module: str, name: str) -> Any:
        """Return a function or class of a student's file; raise InvalidResult if it is missing."""
        value = getattr(getattr(self, module), name, None)
        if not callable(value):
            [path] = [path for path in self.sources if Path(path).stem == module]
            raise InvalidResult(
                f"{path} no longer defines {name}. The checks call it by that name: rename it back."
            )
        return value

    def variable(self, name: str) -> Any:
        """Return a variable of the notebook; raise NotImplementedError if it is missing or None."""
        if self.notebook is None:
            raise NotImplementedError("This check runs in the notebook: run its cells there.")
        value = self.notebook.get(name)
        if value is None:
            raise NotImplementedError(f"The notebook has no `{name}` yet: run the cells above.")
        return value

    def owns(self, filename: str) -> bool:
        """Return whether a file in a traceback is the student's, or a helper module beside it."""
        folder = os.path.normcase(Path(filename).parent)  # C: may be c: in editors on Windows
        return filename in self.sources or folder in self._folders

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Let `import` find the student's files here, in whatever order they import each other.

        Helper modules beside them are loaded afresh, too.
        """
        # Tracebacks quote the lines that run, not those of a file that may have changed since.
        linecache.cache.update(self._lines)
        before = self._remove_modules()
        sys.modules.update(self._modules)
        finder = _SourceFinder(self.sources, self._files)
        sys.meta_path.insert(0, finder)
        try:
            for name, module in self._modules.items():
                set_in_package(name, module)
            yield
        finally:
            sys.meta_path.remove(finder)
            self._modules = self._remove_modules()
            for name in self._modules.keys() | before.keys():
                set_in_package(name, before.get(name))
            sys.modules.update(before)

    def _remove_modules(self) -> dict[str, ModuleType]:
        """Remove the modules of the student's packages from `sys.modules`, and return them."""
        names = self._find_modules("\n".join(["", *sys.modules]))
        return {name: sys.modules.pop(name) for name in names}


class _SourceFinder(MetaPathFinder, Loader):
    """An importer of modules whose sources are texts in memory."""

    def __init__(self, sources: Mapping[str, str], files: Mapping[str, str]) -> None:
        self.sources, self.files = sources, files

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname not in self.files:
            return None
        return ModuleSpec(fullname, self, origin=self.files[fullname])

    def exec_module(self, module: ModuleType) -> None:
        path = self.files[module.__name__]
        module.__file__ = path
        exec(_compile(self.sources[path], path), vars(module))


@lru_cache(maxsize=64)  # each check of a notebook, and each mistake in another file, loads it again
def _compile(source: str, path: str) -> CodeType:
    return compile(source, path, "exec", dont_inherit=True)


def _read_source(project: Path, path: str) -> str:
    try:
        return normalise(decode((project / path).read_bytes(), path))
    except FileNotFoundError:
        raise InvalidResult(
            f"{project} has no file {path}. Take it from the starter again."
        ) from None
    except RegionError as error:
        raise InvalidResult(str(error)) from None


def read_modules(folders: Iterable[Path], seen: Mapping[Path, bytes]) -> dict[Path, bytes]:
    """Read all modules in some folders; where they are not as `seen`, once they are written.

    That is when two readings agree and each changed file is valid Python. Return the last of
    MAX_READINGS readings otherwise: such a file is not half written, but wrong.
    """
    modules = _read_all(folders)
    for _ in range(MAX_READINGS if modules != seen else 0):
        time.sleep(READING_INTERVAL)
        before, modules = modules, _read_all(folders)
        changed = [source for path, source in modules.items() if source != seen.get(path)]
        if modules == before and all(map(_is_complete, changed)):
            break
    return modules


def _read_all(folders: Iterable[Path]) -> dict[Path, bytes]:
    modules = {}
    for path in (path for folder in folders for path in folder.glob("*.py")):
        with contextlib.suppress(OSError):  # an editor is just replacing it
            modules[path] = path.read_bytes()
    return modules


def _is_complete(source: bytes) -> bool:
    """Return whether a file is valid Python and not empty, as one is while it is being written."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, "", "exec", dont_inherit=True)
    except Exception:  # SyntaxError, or ValueError, MemoryError and others for odd files
        return False
    return bool(source.strip())


def set_in_package(name: str, module: ModuleType | None) -> None:
    """Set, or delete, a module in its package: `from package import module` looks there first."""
    package, _, attribute = name.rpartition(".")
    parent = importlib.import_module(package)
    if module is not None:
        setattr(parent, attribute, module)
    elif hasattr(parent, attribute):
        delattr(parent, attribute)
