"""Peak memory of the whole notebook's kernel.

    python -m benchmarks.notebook_memory [FOLDER]

Without a folder: the downloaded CIFAR-10, or the stand-in. Goal on the full set: under 1.5 GiB.
"""

import argparse
from pathlib import Path

import nbformat

from assignment import PROJECT
from assignment.checks.softmax import EXERCISE
from gradkit.authoring.notebook_outputs import printed, run, set_parameters

PROBE = """
from benchmarks.memory import peak_rss_mib
print(peak_rss_mib())
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="CIFAR-10's batches")
    folder = parser.parse_args().folder
    nb = nbformat.read(PROJECT / EXERCISE.notebook, as_version=4)
    if folder:
        set_parameters(nb, DATA=str(folder.resolve()))
    nb.cells.append(nbformat.v4.new_code_cell(PROBE))
    run(nb, EXERCISE.notebook)
    [mib] = printed(nb.cells[-1])
    [split] = [cell for cell in nb.cells if cell.id == "split"]
    print(f"peak resident memory of the kernel: {float(mib) / 1024:.2f} GiB")
    print("\n".join(printed(split)))


if __name__ == "__main__":
    main()
