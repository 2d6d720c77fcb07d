"""What the notebooks print about the code they run: which file it is."""

import hashlib
import inspect
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import CodeType, FunctionType, ModuleType


def describe_source(module: ModuleType) -> str:
    """Which file a module was loaded from, when that was last saved, and a short hash of it.

    Where the code in memory is not that of the file, since a reload failed or has not happened,
    the line says so; otherwise two runs that print the same hash ran the same code.
    """
    path = Path(str(module.__file__))
    source = path.read_bytes()
    saved = datetime.fromtimestamp(path.stat().st_mtime).strftime("%Y-%m-%d %H:%M:%S")
    line = f"{path}, saved {saved}, sha256 {hashlib.sha256(source).hexdigest()[:8]}"
    difference = _difference(module, source)
    return f"{line}\n✗ This is NOT the code that runs: {difference}" if difference else line


def _difference(module: ModuleType, source: bytes) -> str | None:
    """How the functions in memory differ from those of the source; None if they do not."""
    try:
        compiled = compile(source, str(module.__file__), "exec", dont_inherit=True)
    except SyntaxError as error:
        return f"line {error.lineno} of the file is no valid Python ({error.msg})."
    in_file = {code.co_qualname: code for code in _codes(compiled)}
    for function in _functions(module):
        if in_file.get(function.__qualname__) != function.__code__:
            return f"{function.__qualname__} differs. Run this cell again, or restart the kernel."
    return None


def _codes(code: CodeType) -> Iterator[CodeType]:
    """The code objects of all functions and classes in a piece of compiled code."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """The functions that a module defines, and the methods of its classes."""
    classes = [value for value in vars(module).values() if inspect.isclass(value)]
    for namespace in (module, *classes):
        for value in vars(namespace).values():
            function = getattr(value, "__func__", value)  # of a class or static method
            if inspect.isfunction(function) and function.__module__ == module.__name__:
                yield function
