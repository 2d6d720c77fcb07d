"""Measure the peak memory of the kernel that runs a whole notebook.

    python -m benchmarks.notebook_memory [FOLDER]

Without FOLDER, it runs on the downloaded CIFAR-10, or on the synthetic images. Goal on the full
set: below 1.5 GiB. With --quick the notebook ends after its splits are made.
"""

from collections.abc import Sequence
from pathlib import Path

import nbformat

from assignment import PROJECT
from assignment.checks.softmax import EXERCISE
from benchmarks.timing import parser
from gradkit.authoring.notebook_outputs import printed, run, set_parameters

PROBE = """
from benchmarks.memory import peak_rss_mib
print(peak_rss_mib())
"""


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("folder", nargs="?", type=Path, help="folder of CIFAR-10's batches")
    chosen = options.parse_args(arguments)
    nb = nbformat.read(PROJECT / EXERCISE.notebook, as_version=4)
    [at] = [number for number, cell in enumerate(nb.cells) if cell.id == "split"]
    if chosen.folder:
        set_parameters(nb, DATA=str(chosen.folder.resolve()))
    if chosen.quick:
        del nb.cells[at + 1 :]
    nb.cells.append(nbformat.v4.new_code_cell(PROBE))
    run(nb, EXERCISE.notebook)
    [mib] = printed(nb.cells[-1])
    print(f"peak resident memory of the kernel: {float(mib) / 1024:.2f} GiB")
    print("\n".join(printed(nb.cells[at])))


if __name__ == "__main__":
    main()
