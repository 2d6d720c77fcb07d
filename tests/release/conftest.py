"""A small tree to release, and lines that slip out of their region."""

import shutil
from pathlib import Path

import pytest


def end_too_early(source: str, region: str) -> str:
    """Return a text in which the last line of a region stands below its end."""
    lines = source.splitlines()
    begin = next(n for n, line in enumerate(lines) if line.strip().endswith(f"SOLUTION {region}"))
    end = next(n for n in range(begin, len(lines)) if lines[n].strip() == "### END SOLUTION")
    lines[end - 1], lines[end] = lines[end], lines[end - 1]
    return "\n".join(lines) + "\n"


@pytest.fixture
def tree(small_tree: Path, tmp_path: Path) -> Path:
    """A copy of the small tree, to be changed."""
    return Path(shutil.copytree(small_tree, tmp_path / "tree"))
