"""The assignment: the code that students write, and the data, checks and plots that it needs."""

import sys

# Every way in, a command's or a notebook's, imports this file first, so an older Python must be
# able to read it. While `python -m assignment` looks for its package, sys.argv[0] is "-m".
if sys.version_info < (3, 11):  # noqa: UP036
    raise (SystemExit if sys.argv[0] == "-m" else ImportError)(
        "This is Python {}.{}, but the assignment needs Python 3.11 or newer. Install one, make an "
        "environment with it, and run `pip install -r requirements.txt` there.".format(
            *sys.version_info
        )
    )

import os
from pathlib import Path

__version__ = "1.0"

PROJECT = Path(__file__).resolve().parent.parent

# Where other programs use the cores as well, threads of BLAS wait for each other: a matrix product
# takes ten times as long. numpy reads these when it is imported.
_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
if not any(name in os.environ for name in (*_THREADS, "OMP_NUM_THREADS")):
    os.environ.update(dict.fromkeys(_THREADS, "1"))
