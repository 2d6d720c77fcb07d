"""gradkit.processes: to be described."""

from pathlib import Path


def started(pid: int) -> str:
    """When a process began, which tells it from a later one of the same number."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "ended"
