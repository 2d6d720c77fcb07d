"""The rooms of `gradkit`: who may import whom, and that no modules import in a circle."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from assignment import PROJECT

EVERYTHING = {""}
ALLOWED = {
    "__main__": {"cli"},
    "cli": EVERYTHING,
    "batch": {"autograder", "submissions", "gradebook", "course"},
    "feedback": {"gradebook", "lms", "course"},
    "gradebook": {"autograder.version", "lms", "course"},
    "autograder": {"course"},
    "submissions": {"lms", "course"},
    "release": {"course"},
    "authoring": {"autograder", "release", "course"},
    "authoring.demo": EVERYTHING,
    "course": set(),
    "lms": set(),
}
COMMON = {"errors", "files", "processes"}  # may be imported by everyone, and import nobody


def modules(package: str) -> dict[str, Path]:
    """The modules of a package, by their dotted names below it; "" is the package itself."""
    folder = PROJECT / package
    return {
        ".".join(path.relative_to(folder).with_suffix("").parts)
        .removesuffix("__init__")
        .rstrip("."): path
        for path in sorted(folder.rglob("*.py"))
    }


def imports(package: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules of the package that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [
                name if name.removeprefix(f"{package}.") in known else str(node.module)
                for name in names
            ]
        else:
            continue
        for name in names:
            if name == package or name.startswith(f"{package}."):
                yield name.removeprefix(package).removeprefix(".")


def is_within(module: str, room: str) -> bool:
    return room == "" or module == room or module.startswith(f"{room}.")


def test_a_room_imports_only_rooms_that_it_may() -> None:
    known = modules("gradkit")
    wrong = []
    for module, path in known.items():
        room = module.partition(".")[0]
        allowed = ALLOWED.get(module, ALLOWED.get(room, set())) | COMMON | {room}
        wrong += [
            f"{module} imports {other}"
            for other in imports("gradkit", path, known)
            if other and not any(is_within(other, name) for name in allowed)
        ]
    assert not wrong


@pytest.mark.parametrize("package", ["gradkit", "assignment"])
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    known = modules(package)
    graph = {
        module: {other for other in imports(package, path, known) if other != module}
        for module, path in known.items()
    }
    for module in graph:
        graph[module].discard("")  # a package's own module is there before those below it
    TopologicalSorter(graph).prepare()  # raises CycleError, with the circle


def test_the_assignment_never_imports_gradkit() -> None:
    for path in (PROJECT / "assignment").rglob("*.py"):
        assert not [*imports("gradkit", path, modules("gradkit"))], path
