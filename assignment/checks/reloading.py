"""Reload the student's modules in a notebook, once their files have changed.

Each module is executed anew in its own namespace, from the text of its file, in the order in which
they import each other. So all code is compiled from the current files, and tracebacks quote the
lines that ran. What the notebook holds stays usable: a function keeps its identity and gets the new
code; names, instances and subclasses of a class are moved to the new class.
"""

import contextlib
import gc
import importlib
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from assignment import PROJECT
from assignment.checks.student import read_modules, set_in_package

CONTENT = ("__code__", "__defaults__", "__kwdefaults__", "__doc__", "__dict__")


class Reloader(MetaPathFinder, Loader):
    """The modules in the folders of an exercise, as their files were when they were last loaded.

    `variables` are the notebook's. `errors` maps a module's file to the exception that its code
    raised: then the code from before still runs. `lost` maps a name that the notebook has lost,
    since its module no longer defines it, to the module's and its own name there.
    """

    def __init__(self, files: Sequence[str], variables: MutableMapping[str, Any]) -> None:
        self.errors: dict[str, BaseException] = {}
        self.lost: dict[str, tuple[str, str]] = {}
        self._variables = variables
        self._files = {PROJECT / path for path in files}
        self._folders = {path.parent for path in self._files}
        self._sources = read_modules(self._folders, {})
        self._before: dict[str, tuple[ModuleType, dict[str, Any]]] = {}
        self._replaced: list[tuple[Any, Any]] = []

    def reload(self) -> bool:
        """Reload all modules if a file has changed, and return whether one has."""
        before, self._sources = self._sources, read_modules(self._folders, self._sources)
        if self._sources == before:
            return False
        self.errors = {}
        self._before = {name: (module, dict(vars(module))) for name, module in self._modules()}
        for name in self._before:
            del sys.modules[name]
            set_in_package(name, None)
        importlib.invalidate_caches()
        sys.meta_path.insert(0, self)
        try:
            for name, (module, _) in self._before.items():
                path = _path(module)
                if path in self._sources:
                    importlib.import_module(name)
                elif path in self._files:
                    sys.modules[name] = module
                    set_in_package(name, module)
                    self.errors[str(path)] = FileNotFoundError(f"There is no file {path}.")
        finally:
            sys.meta_path.remove(self)
            _replace(tuple(self._replaced))
            self._before, self._replaced = {}, []
        return True

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname not in self._before or _path(self._before[fullname][0]) not in self._sources:
            return None
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._before[spec.name][0]

    def exec_module(self, module: ModuleType) -> None:
        """Execute a module anew; if it raises, restore its namespace and note the exception."""
        before, namespace = self._before[module.__name__][1], vars(module)
        for name in before:
            if not name.startswith("__"):
                del namespace[name]
        file = str(module.__file__)
        try:
            exec(compile(self._sources[_path(module)], file, "exec", dont_inherit=True), namespace)
        except BaseException as error:  # also of sys.exit(), and Ctrl-C in an endless loop
            namespace.clear()
            namespace.update(before)
            self.errors[file] = error
            return
        for name, old in before.items():
            if getattr(old, "__module__", None) == module.__name__ and callable(old):
                self._update(module, name, old)
        self._restore_lost(module)

    def _update(self, module: ModuleType, name: str, old: Any) -> None:
        """Keep what refers to an old function or class up to date."""
        namespace = vars(module)
        if name not in namespace:
            for key in [key for key, value in self._variables.items() if value is old]:
                del self._variables[key]
                self.lost[key] = module.__name__, name
            return
        new = namespace[name]
        if _is_plain(old) and _is_plain(new) and new.__module__ == module.__name__:
            for attribute in CONTENT:
                setattr(old, attribute, getattr(new, attribute))
            namespace[name] = old
        elif new is not old:
            self._replaced.append((old, new))

    def _restore_lost(self, module: ModuleType) -> None:
        for key, (module_name, name) in list(self.lost.items()):
            if module_name == module.__name__ and name in vars(module):
                del self.lost[key]
                self._variables.setdefault(key, vars(module)[name])

    def _modules(self) -> Iterator[tuple[str, ModuleType]]:
        """Yield the loaded modules whose files are, or were, in the folders."""
        folder_names = {folder.name for folder in self._folders}
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            # To resolve the paths of all modules would take a tenth of a second.
            if isinstance(file, str) and Path(file).parent.name in folder_names:
                is_package = hasattr(module, "__path__")
                if not is_package and _path(module).parent in self._folders:
                    yield name, module


def _path(module: ModuleType) -> Path:
    path = Path(str(module.__file__))
    return path.parent.resolve() / path.name


def _is_plain(value: Any) -> bool:
    """Return whether a value is a function that refers to no variables of another one."""
    return isinstance(value, FunctionType) and value.__closure__ is None


def _replace(pairs: tuple[tuple[Any, Any], ...]) -> None:
    """Replace old objects by new ones: in variables and lists, and as the class of instances."""
    new_for = {id(old): new for old, new in pairs}
    for holder in gc.get_referrers(*(old for old, _ in pairs)) if pairs else ():
        with contextlib.suppress(TypeError):  # the new class has other slots
            if id(type(holder)) in new_for:
                holder.__class__ = new_for[id(type(holder))]
            if isinstance(holder, type):
                bases = tuple(new_for.get(id(base), base) for base in holder.__bases__)
                if bases != holder.__bases__:
                    holder.__bases__ = bases
            elif isinstance(holder, dict | list):
                items = holder.items() if isinstance(holder, dict) else enumerate(holder)
                for key, value in list(items):
                    if id(value) in new_for:
                        holder[key] = new_for[id(value)]
