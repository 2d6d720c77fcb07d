"""A linear classifier trained with stochastic gradient descent.

`LinearClassifier` draws batches, updates weights, predicts, saves and loads; a subclass adds the
loss.
"""

import json
import secrets
import sys
import warnings
import zipfile
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
from tqdm import tqdm

from assignment.array_types import FloatArray, IntArray

# So small that all scores are nearly equal: training starts from the loss of pure chance, and the
# initial weights leave no visible trace in the final ones.
INITIAL_WEIGHT_SCALE = 1e-5

# CIFAR-10's weights take a quarter of a megabyte. A file that unpacks to far more is a zip bomb.
MAX_SAVED_BYTES = 100_000_000


class LinearClassifier:
    """A classifier whose scores are ``X @ W``; a subclass defines the loss.

    Attributes
    ----------
    W : (D, C) float array, or None before training
        Weights, one column per class, in the dtype of the training samples.
    hyperparameters : dict
        The settings that `W` was trained with: learning_rate, reg, num_iters, batch_size, seed.
    """

    def __init__(self) -> None:
        self.W: FloatArray | None = None
        self.hyperparameters: dict[str, Any] = {}

    def loss(self, X_batch: FloatArray, y_batch: IntArray, reg: float) -> tuple[float, FloatArray]:
        """Compute the loss on a minibatch and its gradient with respect to `W`, in a subclass."""
        raise NotImplementedError(f"{type(self).__name__} has no loss; use a subclass that has")

    def train(
        self,
        X: FloatArray,
        y: IntArray,
        learning_rate: float = 1e-3,
        reg: float = 1e-5,
        num_iters: int = 100,
        batch_size: int = 200,
        verbose: bool = True,
        seed: int | None = None,
    ) -> list[float]:
        """Train with stochastic gradient descent; a second call continues with the current `W`.

        Parameters
        ----------
        X : (N, D) float array
            Training samples. Training runs in their dtype.
        y : (N,) integer array
            Correct classes, 0 <= y[i] < C. The first call sets C to the largest label + 1.
        learning_rate, reg : float
            Step size, and regularization strength.
        num_iters, batch_size : int
            Number of steps, and number of samples in each step.
        verbose : bool
            Show a progress bar.
        seed : int, optional
            Makes the initial weights and the batches the same in every run.

        Returns
        -------
        loss_history : list of num_iters floats
            The loss on each step's batch. If the loss becomes nan or inf, training stops with a
            RuntimeWarning that gives advice, and the list is shorter.

        Raises
        ------
        ValueError
            The shapes or dtypes of X, y and W do not match, or X is empty.
        """
        X, y = np.asarray(X), np.asarray(y)
        _require_samples(X, self.W)
        _require_labels(y, len(X), self.W)
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, but a batch has at least one sample.")
        num_train, dim = X.shape
        rng = np.random.default_rng(seed)
        if self.W is None:
            num_classes = int(np.max(y)) + 1
            W = INITIAL_WEIGHT_SCALE * rng.standard_normal((dim, num_classes))
            self.W = W.astype(X.dtype if X.dtype.kind == "f" else np.float64)
        self.hyperparameters = {
            "learning_rate": learning_rate,
            "reg": reg,
            "num_iters": num_iters,
            "batch_size": batch_size,
            "seed": seed,
        }

        loss_history: list[float] = []
        # On stdout, since notebooks show stderr in the red of errors.
        bar = tqdm(
            range(num_iters), "training", disable=not verbose, mininterval=0.5, file=sys.stdout
        )
        for it in bar:
            ############################################################################
            # TODO: Draw batch_size samples from the training set, with their labels:
            # X_batch of shape (batch_size, D), y_batch of shape (batch_size,).
            # Use the generator `rng`. Drawing with replacement is faster, and good
            # enough: a sample that comes twice in a batch does no harm.
            ############################################################################
            ### BEGIN SOLUTION train_batch
            drawn = rng.integers(num_train, size=batch_size)
            X_batch = X[drawn]
            y_batch = y[drawn]
            ### END SOLUTION

            loss, dW = self.loss(X_batch, y_batch, reg)
            loss_history.append(float(loss))
            if not np.isfinite(loss):
                bar.close()
                advice = _divergence_advice(it, loss, learning_rate, reg)
                warnings.warn(advice, RuntimeWarning, stacklevel=2)
                break
            if it % 100 == 0:
                bar.set_postfix(loss=f"{loss:.3f}", refresh=False)

            ############################################################################
            # TODO: Update the weights self.W: one step of size learning_rate in the
            # direction in which the loss falls.
            ############################################################################
            ### BEGIN SOLUTION train_update
            self.W -= learning_rate * dW
            ### END SOLUTION

        return loss_history

    def predict(self, X: FloatArray) -> IntArray:
        """Predict the class of each sample.

        Parameters
        ----------
        X : (N, D) float array

        Returns
        -------
        y_pred : (N,) integer array
            The class with the highest score, for each sample.

        Raises
        ------
        ValueError
            The classifier has no weights yet, or X does not have one column for each row of W.
        """
        if self.W is None:
            raise ValueError("This classifier has no weights yet: call train() or load() first.")
        _require_samples(X, self.W)

        ################################################################################
        # TODO: Compute the scores of all samples, and from them the predicted labels,
        # in y_pred.
        ################################################################################
        ### BEGIN SOLUTION predict
        y_pred = np.argmax(X @ self.W, axis=1)
        ### END SOLUTION

        return y_pred

    def save(self, path: str | PathLike[str]) -> Path:
        """Write weights and hyperparameters to an ``.npz`` file, and return its path.

        The file holds arrays and text but no pickles, so that loading anyone's file is safe.

        Raises
        ------
        ValueError
            The classifier has no weights yet.
        """
        if self.W is None:
            raise ValueError("This classifier has no weights to save: call train() first.")
        path = Path(path)
        about = {"classifier": type(self).__name__, "hyperparameters": self.hyperparameters}
        text = json.dumps(about, default=lambda number: number.item())  # numpy's numbers
        # Write a temporary file first: a full disk must not destroy an existing model.
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            with unfinished.open("wb") as file:  # np.savez would add .npz to a name
                np.savez(file, W=self.W, about=np.array(text))
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
        return path

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read a classifier that `save` wrote.

        Raises
        ------
        FileNotFoundError
            The file does not exist.
        ValueError
            `save` did not write the file, or the classifier is of another class.
        """
        try:
            _require_modest(Path(path))
            with Path(path).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                W, about = file["W"], json.loads(str(file["about"]))
            kind, hyperparameters = about["classifier"], dict(about["hyperparameters"])
            if W.ndim != 2 or W.dtype.kind != "f":
                raise ValueError(f"its weights are {W.dtype} of shape {W.shape}, not (D, C) floats")
        except FileNotFoundError:
            raise
        except Exception as error:  # zipfile and numpy raise anything for a damaged or hostile file
            raise ValueError(
                f"{path} is not a saved classifier ({str(error)!a}). Save one with .save(path)."
            ) from error
        if kind != cls.__name__:
            raise ValueError(
                f"{path} holds a model of another class, {str(kind)[:80]!r}: load it with that."
            )
        model = cls()
        model.W, model.hyperparameters = W, hyperparameters
        return model


def _require_samples(X: FloatArray, W: FloatArray | None) -> None:
    if X.ndim != 2 or len(X) == 0:
        raise ValueError(
            f"X has shape {X.shape}, but it must be (N, D): one row per sample, at least one. "
            "X.reshape(len(X), -1) flattens images."
        )
    if W is not None and W.shape[0] != X.shape[1]:
        raise ValueError(
            f"W has shape {W.shape}, X has shape {X.shape}: X needs one column for each row of W. "
            "Use the same preprocessing as in training (is the bias column there?), or train a new "
            "classifier."
        )


def _require_labels(y: IntArray, num_samples: int, W: FloatArray | None) -> None:
    if y.shape != (num_samples,):
        raise ValueError(
            f"y has shape {y.shape}, but it must be ({num_samples},): one label for each row of X."
        )
    if y.dtype.kind not in "iu":
        raise ValueError(f"y holds {y.dtype}, but labels are integers from 0 on.")
    if y.min() < 0:
        raise ValueError(f"y holds the label {y.min()}, but labels are integers from 0 on.")
    if W is not None and y.max() >= W.shape[1]:
        raise ValueError(
            f"y holds the label {y.max()}, but W has {W.shape[1]} classes, 0 to {W.shape[1] - 1}. "
            "For other classes train a new classifier."
        )


def _require_modest(path: Path) -> None:
    """Raise ValueError unless an archive has the members that `save` writes, of modest size."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if sorted(member.filename for member in members) != ["W.npy", "about.npy"]:
        raise ValueError("it does not hold W and about")
    if sum(member.file_size for member in members) > MAX_SAVED_BYTES:
        raise ValueError(f"it unpacks to more than {MAX_SAVED_BYTES:,} bytes")


def _divergence_advice(it: int, loss: float, learning_rate: float, reg: float) -> str:
    stopped = f"Training stopped at step {it + 1}: the loss became {float(loss)}. "
    if it == 0:  # no step has been made, so its size is not the cause
        return stopped + (
            "That is before the first update, so look at your loss: exp() of large scores, "
            "log(0), a division by 0; or at X and W: is a nan in them?"
        )
    advice = (
        f"The steps are too large. Try a learning rate ten times smaller than {learning_rate:g}"
    )
    if learning_rate * reg >= 1:  # the regularization's step alone overshoots 0
        advice += f", or reg below {reg:g}: learning_rate * reg must stay well below 1"
    return stopped + advice + "."
