"""Speed and memory, as ratios taken in one run: `python -m benchmarks.NAME [--quick]`.

    loss, sgd_step      the solution against the matrix products it cannot do without
    load_data           loading CIFAR-10 against a plain load
    notebook_memory     peak memory of a notebook's kernel
    student_hour        the parts of a notebook, with several BLAS threads against one
    check               seconds from saving a file to the verdict
    grading             a submission's cost against plain nbval's
    grading_parts       the parts of that cost
    scaling             the cost of a large class besides grading

`--quick` runs each part once, to see that the benchmark works; its figures mean nothing.
"""

import os

# More BLAS threads than idle cores make each other wait, which would be measured.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
