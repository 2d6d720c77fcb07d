"""The assignment: what students fill in, and the data, checks and pictures it needs."""

from pathlib import Path

__version__ = "1.0"

PROJECT = Path(__file__).resolve().parent.parent
