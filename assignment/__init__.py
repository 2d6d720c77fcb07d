"""The assignment: the code that students write, and the data, checks and plots that it needs."""

from pathlib import Path

__version__ = "1.0"

PROJECT = Path(__file__).resolve().parent.parent
