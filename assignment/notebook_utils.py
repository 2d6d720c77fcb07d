"""Describe the code that a notebook runs: its file, and whether that is the code in memory."""

import hashlib
import inspect
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import CodeType, FunctionType, ModuleType


def describe_source(module: ModuleType) -> str:
    """Write the path of a module's file, the time it was saved, and a short hash of its content.

    A second line warns if the code in memory differs from the file, since a reload failed or has
    not happened. Without it, two runs that print the same hash ran the same code.
    """
    path = Path(str(module.__file__))
    source = path.read_bytes()
    saved = datetime.fromtimestamp(path.stat().st_mtime).strftime("%Y-%m-%d %H:%M:%S")
    line = f"{path}, saved {saved}, sha256 {hashlib.sha256(source).hexdigest()[:8]}"
    difference = _difference(module, source)
    return f"{line}\n✗ This is NOT the code that runs: {difference}" if difference else line


def _difference(module: ModuleType, source: bytes) -> str | None:
    """Describe how the functions in memory differ from the source, or return None."""
    try:
        compiled = compile(source, str(module.__file__), "exec", dont_inherit=True)
    except SyntaxError as error:
        return f"line {error.lineno} of the file is not valid Python ({error.msg})."
    in_file = {code.co_qualname: code for code in _codes(compiled)}
    for function in _functions(module):
        if in_file.get(function.__qualname__) != function.__code__:
            return f"{function.__qualname__} differs. Run this cell again, or restart the kernel."
    return None


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code objects of all functions and classes in compiled code."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """Yield the functions that a module defines, and the methods of its classes."""
    classes = [value for value in vars(module).values() if inspect.isclass(value)]
    for namespace in (module, *classes):
        for value in vars(namespace).values():
            function = getattr(
                value, "__func__", value
            )  # the function of a class method or static method
            if inspect.isfunction(function) and function.__module__ == module.__name__:
                yield function
