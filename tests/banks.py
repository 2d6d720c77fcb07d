"""The softmax exercise's mistakes and variants, read once for all tests that hand them in."""

import re
from collections.abc import Collection
from pathlib import Path

from assignment import PROJECT
from assignment.checks.softmax import EXERCISE
from gradkit.course.mistakes import read_bank

BANK = read_bank(EXERCISE, PROJECT)


def keep_tables(path: Path, ids: Collection[str], target: Path | None = None) -> None:
    """Write the tables of these ids in a mistakes.toml or variants.toml alone."""
    tables = re.split(r"^(?=\[\[?(\w+))", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    kept = [text for id, text in zip(tables[::2], tables[1::2], strict=True) if id in ids]
    (target or path).write_text("".join(kept), encoding="utf-8")
