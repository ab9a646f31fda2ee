"""Least squares over blocks of features, from Gram matrices alone, and a logistic regression that starts warm.

A set of blocks is known by names in an order, as arrays of the same order follow them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse
from scipy.special import expit


@dataclass(frozen=True)
class Growing:
    """Least squares for a set of blocks that grows.

    Attributes:
        factor: Lower Cholesky factor of the set's Gram matrix: the transposed R of a QR decomposition.
        rotated: The moments of the target, solved by the factor.
        explained: How much of the target's sum of squares the set explains.
    """

    factor: np.ndarray
    rotated: np.ndarray
    explained: float


@dataclass(frozen=True)
class Shrinking:
    """Least squares for a set of blocks that shrinks.

    Attributes:
        inverse: The inverse of the set's Gram matrix.
        weights: The weights of least squares.
        explained: How much of the target's sum of squares the set explains.
    """

    inverse: np.ndarray
    weights: np.ndarray
    explained: float


NOTHING = Growing(np.zeros((0, 0)), np.zeros(0), 0.0)


def grown(by: Growing, beside: np.ndarray, gram: np.ndarray, moment: np.ndarray, ridge: float) -> Growing:
    """Add a block to a set: only the new rows of the factor are computed.

    Args:
        by: The set.
        beside: Products of the set's features with the block's.
        gram: Products of the block's features with one another.
        moment: Products of the block's features with the target.
        ridge: Strength of the regularisation.
    """
    side = linalg.solve_triangular(by.factor, beside, lower=True) if len(by.factor) else beside
    corner = linalg.cholesky(gram + ridge * np.eye(len(gram)) - side.T @ side, lower=True)
    new = linalg.solve_triangular(corner, moment - side.T @ by.rotated, lower=True)
    factor = np.block([[by.factor, np.zeros(side.shape)], [side.T, corner]])
    return Growing(factor, np.concatenate([by.rotated, new]), by.explained + float(new @ new))


def solved(gram: np.ndarray, moment: np.ndarray, ridge: float) -> Shrinking:
    """Solve least squares for a whole set, so that blocks can be dropped from it."""
    inverse = linalg.inv(gram + ridge * np.eye(len(gram)))
    weights = inverse @ moment
    return Shrinking(inverse, weights, float(weights @ moment))


def shrunk(of: Shrinking, columns: slice) -> Shrinking:
    """Drop the block in these columns from a set."""
    kept = np.ones(len(of.weights), dtype=bool)
    kept[columns] = False
    corner, side = of.inverse[columns, columns], of.inverse[kept, columns]
    lost = linalg.solve(corner, of.weights[columns], assume_a="sym")
    weights = of.weights[kept] - side @ lost
    inverse = of.inverse[np.ix_(kept, kept)] - side @ linalg.solve(corner, side.T, assume_a="sym")
    return Shrinking(inverse, weights, of.explained - float(of.weights[columns] @ lost))


def criterion(unexplained: float, rows: int, features: int) -> float:
    """Weigh what is not explained against how many features it takes (the Bayesian information criterion)."""
    return rows * float(np.log(max(unexplained, 1e-9) / rows)) + features * float(np.log(rows))


def logistic(
    features: sparse.csr_array, labels: np.ndarray, start: np.ndarray, ridge: float, tolerance: float
) -> np.ndarray:
    """Fit the weights of a logistic regression by Newton's method, from a start that may be near.

    A step is halved until the loss falls: from afar a whole one may lead further away.
    """

    def loss(weights: np.ndarray) -> float:
        margins = features @ weights
        return float(np.logaddexp(0, margins).sum() - labels @ margins + ridge / 2 * weights @ weights)

    weights = start
    for _ in range(50):
        odds = expit(features @ weights)
        slope = features.T @ (odds - labels) + ridge * weights
        if np.abs(slope).max() < tolerance * len(labels):
            break
        curvature = (features.T @ features.multiply((odds * (1 - odds))[:, np.newaxis]).tocsr()).toarray()
        step = linalg.solve(curvature + ridge * np.eye(len(weights)), slope, assume_a="pos")
        before = loss(weights)
        while loss(weights - step) > before and np.abs(step).max() > tolerance:
            step = step / 2
        weights = weights - step
    return weights
