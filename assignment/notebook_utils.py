"""What the notebooks print about the code they run: which file it is, whether a check passed."""

import hashlib
from datetime import datetime
from pathlib import Path
from types import ModuleType


def describe_source(module: ModuleType) -> str:
    """Which file a module was loaded from, when that was last saved, and a short hash of it.

    Two runs that print the same hash ran the same code.
    """
    path = Path(str(module.__file__))
    saved = datetime.fromtimestamp(path.stat().st_mtime).strftime("%Y-%m-%d %H:%M:%S")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    return f"{path}, saved {saved}, sha256 {digest}"


def verdict(passed: bool, right: str, otherwise: str) -> None:
    """Print one line: what is right, or else what is not and where to look."""
    print(f"✓ {right}" if passed else f"✗ {otherwise}")
