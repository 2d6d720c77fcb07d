"""Peak memory of processes."""

import resource
import sys


def peak_rss_mib(of_children: bool = False) -> float:
    """Return the peak resident memory in MiB of this process, or of its largest ended child."""
    who = resource.RUSAGE_CHILDREN if of_children else resource.RUSAGE_SELF
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB on Linux
    return resource.getrusage(who).ru_maxrss * unit / 2**20
