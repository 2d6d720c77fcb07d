"""A k-nearest-neighbor classifier, with distances by two loops, by one, and by none.

It learns nothing: it keeps all training samples, and gives a new sample the label that most of the
k nearest training samples have. The distance of two samples a and b is the Euclidean one,

    sqrt(sum over features of (a_d - b_d)^2)
"""

import numpy as np

from assignment.array_types import FloatArray, IntArray


class KNearestNeighbor:
    """A classifier by the labels of the nearest training samples.

    Attributes
    ----------
    X_train : (M, D) float array
    y_train : (M,) integer array
        Labels, 0 <= y_train[j] < C.
    """

    X_train: FloatArray
    y_train: IntArray

    def train(self, X: FloatArray, y: IntArray) -> None:
        """Keep the training samples (M, D) and their labels (M,)."""
        self.X_train, self.y_train = X, y

    def predict(self, X: FloatArray, k: int = 1) -> IntArray:
        """Predict the label of each sample, (N, D), by its k nearest neighbors."""
        return self.predict_labels(self.compute_distances_no_loops(X), k)

    def compute_distances_two_loops(self, X: FloatArray) -> FloatArray:
        """Compute all distances, with a loop over the samples and one over the training samples.

        Parameters
        ----------
        X : (N, D) float array

        Returns
        -------
        dists : (N, M) array of X's dtype
            dists[i, j] is the distance of X[i] and X_train[j].
        """
        dists = np.zeros((len(X), len(self.X_train)), dtype=X.dtype)

        ################################################################################
        # TODO: Compute dists[i, j] for all i and j, each with operations on the whole
        # rows X[i] and self.X_train[j]: no third loop, over the features.
        ################################################################################
        ### BEGIN SOLUTION two_loops
        for i in range(len(X)):
            for j in range(len(self.X_train)):
                dists[i, j] = np.sqrt(np.sum((X[i] - self.X_train[j]) ** 2))
        ### END SOLUTION

        return dists

    def compute_distances_one_loop(self, X: FloatArray) -> FloatArray:
        """Compute the same distances, with a loop over the samples X only."""
        dists = np.zeros((len(X), len(self.X_train)), dtype=X.dtype)

        ################################################################################
        # TODO: Compute a whole row dists[i] in each pass of the only loop.
        ################################################################################
        ### BEGIN SOLUTION one_loop
        for i in range(len(X)):
            dists[i] = np.sqrt(np.sum((self.X_train - X[i]) ** 2, axis=1))
        ### END SOLUTION

        return dists

    def compute_distances_no_loops(self, X: FloatArray) -> FloatArray:
        """Compute the same distances without a Python loop."""
        dists = np.zeros((len(X), len(self.X_train)), dtype=X.dtype)

        ################################################################################
        # TODO: Compute all of dists at once. (a - b)^2 is a^2 - 2 a b + b^2: what are
        # the sums of these three over the features, for all pairs?
        #
        # Careful: rounding can leave a number slightly below 0, which has no root.
        ################################################################################
        ### BEGIN SOLUTION no_loops
        squares = np.sum(X**2, axis=1, keepdims=True) + np.sum(self.X_train**2, axis=1)
        products = X @ self.X_train.T
        dists = np.sqrt(np.maximum(squares - 2 * products, 0))
        ### END SOLUTION

        return dists

    def predict_labels(self, dists: FloatArray, k: int = 1) -> IntArray:
        """Predict a label for each row of distances.

        Parameters
        ----------
        dists : (N, M) float array
            Distances to the training samples.
        k : int
            Number of neighbors that vote, 1 <= k <= M.

        Returns
        -------
        y_pred : (N,) integer array
            The label that most of the k nearest have; of several such labels, the smallest.
        """
        y_pred = np.zeros(len(dists), dtype=self.y_train.dtype)

        for i in range(len(dists)):
            ############################################################################
            # TODO: Find the labels of the k nearest training samples, and put the one
            # that most of them have into y_pred[i]. If several labels have the same
            # number of votes, take the smallest of these labels.
            ############################################################################
            ### BEGIN SOLUTION labels
            nearest = np.argsort(dists[i])[:k]
            votes = np.bincount(self.y_train[nearest])
            y_pred[i] = np.argmax(votes)  # the smaller label comes first
            ### END SOLUTION

        return y_pred
