"""Tell handwritten digits apart by random features: KeystoneML's pipeline for MNIST, a workload of HELIX (section 6).

Images pass through random sign flips, a Fourier transform and a rectifier, block by block, and least squares is solved
one block at a time (Gauss-Seidel), so that no more than a block and its Gram matrix is at hand:

    python flows/mnist.py                  # the first run computes everything
    python flows/mnist.py --reg 100        # the weights, and what follows; blocks and Gram matrices stay
    python flows/mnist.py --blocks 3       # one block more; the others stay
    python flows/mnist.py --threshold 0.1  # every block

The default data are the 1,797 digits in scikit-learn. With `--data FOLDER` (or the environment variable `HELIX_DATA`)
they are the 70,000 of MNIST. Arrays are no stand-ins, so tasks are submitted: what nobody asks for is never loaded.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from mnist_features import fourier, indicators, random_signs, read_digits, read_idx, rectify
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from scipy import linalg
from sklearn.metrics import confusion_matrix
from workload import data_root, find, packaged, run

from prefect_helix import File, helix_flow, helix_task

CLASSES = 10
TRAIN_DIGITS = 1_200  # of the 1,797 in scikit-learn; the writers of the last ones are others


@dataclass(frozen=True)
class Part:
    """Where the images and labels of training or of testing lie: files, and which of their rows."""

    images: str
    labels: str
    start: int
    stop: int | None


@helix_task
def load_images(source: File, start: int, stop: int | None) -> np.ndarray:
    """Read images as rows of brightness from 0 to 1."""
    with source.open("rb") as stream:
        compressed = stream.read()
    if source.path.endswith(".csv.gz"):
        return read_digits(compressed)[start:stop, :-1].astype(np.float32) / 16
    pixels = read_idx(compressed)[start:stop]
    return pixels.reshape(len(pixels), -1).astype(np.float32) / 255


@helix_task
def load_labels(source: File, start: int, stop: int | None) -> np.ndarray:
    """Read the digit that each image shows."""
    with source.open("rb") as stream:
        compressed = stream.read()
    labels = read_digits(compressed)[:, -1] if source.path.endswith(".csv.gz") else read_idx(compressed)
    return labels[start:stop].astype(np.int64)


@helix_task
def block(images: np.ndarray, seeds: list[int], threshold: float) -> np.ndarray:
    """Make a block of features: for each seed, signs flipped at random, transformed and rectified, side by side."""
    parts = [rectify(fourier(images * random_signs(images.shape[1], seed)), threshold) for seed in seeds]
    return np.hstack(parts)


@helix_task
def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute a block's mean and its Gram matrix about the mean."""
    mean = features.mean(axis=0, dtype=np.float64)
    products = (features.T @ features).astype(np.float64)
    return mean, products - len(features) * np.outer(mean, mean)


@helix_task
def target(labels: np.ndarray) -> np.ndarray:
    """Make what is to be predicted: a row of indicators per label, about their mean."""
    rows = indicators(labels, CLASSES)
    return rows - rows.mean(axis=0)


@helix_task
def solve(
    features: np.ndarray,
    about: tuple[np.ndarray, np.ndarray],
    residual: np.ndarray,
    weights: np.ndarray | None,
    reg: float,
) -> np.ndarray:
    """Find the weights of a block that predict best what the other blocks leave over."""
    mean, gram = about
    moment = (features.T @ residual).astype(np.float64) - np.outer(mean, residual.sum(axis=0, dtype=np.float64))
    if weights is not None:  # the residual lacks what this block predicted so far
        moment += gram @ weights
    return linalg.solve(gram + reg * np.eye(len(gram)), moment, assume_a="pos")


@helix_task(lazy=True)  # the last one is not needed
def leave(
    features: np.ndarray,
    about: tuple[np.ndarray, np.ndarray],
    residual: np.ndarray,
    before: np.ndarray | None,
    weights: np.ndarray,
) -> np.ndarray:
    """Take from the residual what a block predicts now beyond what it predicted before."""
    mean, _ = about
    change = weights if before is None else weights - before
    return residual - (features @ change.astype(np.float32) - (mean @ change).astype(np.float32))


@helix_task
def score(features: np.ndarray, about: tuple[np.ndarray, np.ndarray], weights: np.ndarray) -> np.ndarray:
    """Compute what a block's weights say for and against each digit."""
    mean, _ = about
    return features @ weights.astype(np.float32) - (mean @ weights).astype(np.float32)


@helix_task
def classify(scores: list[np.ndarray], train_labels: np.ndarray) -> np.ndarray:
    """Choose for each image the digit with the highest score in all; a digit is as likely as in training."""
    prior = indicators(train_labels, CLASSES).mean(axis=0)
    return np.argmax(np.sum(scores, axis=0) + prior, axis=1)


@helix_task
def evaluate(predicted: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Score the predictions: the share of errors, and of the digit that is worst."""
    counts = confusion_matrix(labels, predicted, labels=range(CLASSES))
    errors = 1 - counts.diagonal() / counts.sum(axis=1).clip(1)
    return {"error": float((predicted != labels).mean()), "worst_digit": float(errors.argmax()), "images": len(labels)}


def locate(data: str | None, train_size: int | None) -> tuple[Part, Part]:
    """Find training and test images: MNIST's files in the folder named (or its folder `mnist`), else scikit-learn's.

    Raises:
        FileNotFoundError: If the folder named has no MNIST.
    """
    if root := data_root(data):
        names = [f"{part}-{what}-ubyte.gz" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")]
        train_images, train_labels, test_images, test_labels = find(root, "mnist", tuple(names), "scikit-learn")
        return Part(train_images, train_labels, 0, train_size), Part(test_images, test_labels, 0, None)
    digits = packaged("sklearn", "datasets/data/digits.csv.gz", "MNIST")
    stop = min(train_size or TRAIN_DIGITS, TRAIN_DIGITS)
    return Part(digits, digits, 0, stop), Part(digits, digits, TRAIN_DIGITS, None)


@helix_flow
def mnist(
    data: str | None = None,
    blocks: PositiveInt = 2,
    transforms: PositiveInt = 2,
    threshold: NonNegativeFloat = 0.0,
    reg: PositiveFloat = 10.0,
    sweeps: PositiveInt = 2,
    seed: int = 0,
    train_size: PositiveInt | None = None,
) -> dict[str, float]:
    """Classify handwritten digits, and score the predictions.

    Args:
        data: Folder or URL with MNIST; else `HELIX_DATA`, else the digits in scikit-learn.
        blocks: Number of blocks of features.
        transforms: Number of Fourier transforms in each block.
        threshold: Where the rectifier cuts.
        reg: Strength of the regularisation.
        sweeps: How often each block's weights are solved for.
        seed: From where the random signs are drawn.
        train_size: Number of training images; all if it is not given.
    """
    train, test = locate(data, train_size)
    train_images, test_images = (load_images.submit(File(part.images), part.start, part.stop) for part in (train, test))
    train_labels, test_labels = (load_labels.submit(File(part.labels), part.start, part.stop) for part in (train, test))

    seeds = [[seed + transforms * i + j for j in range(transforms)] for i in range(blocks)]
    train_blocks = [block.submit(train_images, of_block, threshold) for of_block in seeds]
    about = [moments.submit(features) for features in train_blocks]

    residual = target.submit(train_labels)
    weights: list = [None] * blocks
    for _ in range(sweeps):
        for i, features in enumerate(train_blocks):
            before, weights[i] = weights[i], solve.submit(features, about[i], residual, weights[i], reg)
            residual = leave.submit(features, about[i], residual, before, weights[i])

    test_blocks = [block.submit(test_images, of_block, threshold) for of_block in seeds]
    scores = [score.submit(*of_block) for of_block in zip(test_blocks, about, weights, strict=True)]
    result: dict[str, float] = evaluate.submit(classify.submit(scores, train_labels), test_labels).result()
    return result


def main() -> None:
    """Run the flow with the options of the command line, and print its metrics."""
    parser = argparse.ArgumentParser(description="Tell handwritten digits apart, by random features.")
    add = parser.add_argument_group("workload").add_argument
    add("--data", metavar="FOLDER", help="where MNIST is (else HELIX_DATA, else the digits in scikit-learn)")
    add("--blocks", type=int, default=2, help="blocks of features (%(default)s)")
    add("--transforms", type=int, default=2, help="Fourier transforms in each block (%(default)s)")
    add("--threshold", type=float, default=0.0, help="where the rectifier cuts (%(default)s)")
    add("--reg", type=float, default=10.0, help="strength of the regularisation (%(default)s)")
    add("--sweeps", type=int, default=2, help="how often each block is solved for (%(default)s)")
    add("--seed", type=int, default=0, help="from where the random signs are drawn (%(default)s)")
    add("--train-size", type=int, metavar="N", help="number of training images (all)")
    for name, value in run(mnist.fn, parser).items():
        print(f"{name:>15}  {value:.6g}")


if __name__ == "__main__":
    main()
