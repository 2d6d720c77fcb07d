"""Images in the place of CIFAR-10, drawn for one run of a notebook that loads CIFAR-10.

They are those of the stand-in, turned and in other colors, so that nothing fitted to the public
stand-in fits them.
"""

import contextlib
import io
from collections.abc import Mapping
from typing import Any

from assignment.checks.draws import derive_seed
from assignment.checks.unseen import UNSEEN_INPUTS, UNSEEN_LABELS
from assignment.cifar10.synthetic import Disguise, draw_images
from assignment.data_utils import CIFAR10Images, get_CIFAR10_data, to_rows

NUM_UNSEEN = 2000
ALL_TRAINING = 10_000  # images for NUM_TRAINING = None, those for validation among them


def cifar10_data(parameters: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Draw images, and split them as `get_CIFAR10_data` does.

    Parameters
    ----------
    parameters : mapping
        NUM_TRAINING (None: all that are left of ALL_TRAINING), NUM_VALIDATION, NUM_TEST, NUM_DEV
        and SEED, which draws the development set.
    seed : int
        Draws all images, and their disguise.
    """
    disguise = Disguise(derive_seed(seed, "disguise"))
    N, N_val, N_test = (parameters[f"NUM_{name}"] for name in ("TRAINING", "VALIDATION", "TEST"))
    num_training = ALL_TRAINING if N is None else N + N_val
    X, y = disguise.apply(*draw_images(num_training + N_test, derive_seed(seed, "images")))
    images, test_images = X[:num_training], X[num_training:]
    labels, test_labels = y[:num_training], y[num_training:]
    source = "synthetic stand-in for grading"
    root = CIFAR10Images(images, labels, test_images, test_labels, disguise.class_names, source)
    with contextlib.redirect_stdout(io.StringIO()):
        data = get_CIFAR10_data(root, N, N_val, N_test, parameters["NUM_DEV"], parameters["SEED"])
    unseen, unseen_labels = disguise.apply(
        *draw_images(NUM_UNSEEN, derive_seed(seed, "unseen images"))
    )
    mean = data.mean_image.reshape(-1)
    return {
        **vars(data),
        **{"root": root, "data": data, "images": images, "labels": labels},
        **{"test_images": test_images, "test_labels": test_labels},
        UNSEEN_INPUTS: to_rows(unseen, mean, data.X_val.dtype.type),
        UNSEEN_LABELS: unseen_labels,
    }
