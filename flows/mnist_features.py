"""Random features of images, and the files that images come in."""

from __future__ import annotations

import gzip

import numpy as np
from scipy import fft


def random_signs(size: int, seed: int) -> np.ndarray:
    """Draw a sign, 1 or -1, for each pixel."""
    return np.random.default_rng(seed).choice(np.array([-1, 1], dtype=np.float32), size)


def fourier(images: np.ndarray) -> np.ndarray:
    """Take the real part of each row's Fourier transform, padded with zeros to a power of two; half of it suffices."""
    width = 1 << (images.shape[1] - 1).bit_length()
    return np.ascontiguousarray(fft.rfft(images, n=width)[:, : width // 2].real)


def rectify(values: np.ndarray, threshold: float) -> np.ndarray:
    """Replace what is below the threshold by the threshold."""
    return np.maximum(values, np.float32(threshold))


def indicators(labels: np.ndarray, classes: int) -> np.ndarray:
    """Turn labels into rows of shape (classes,) that hold 1 at the label and -1 elsewhere."""
    rows = np.full((len(labels), classes), -1.0, dtype=np.float32)
    rows[np.arange(len(labels)), labels] = 1
    return rows


def read_idx(compressed: bytes) -> np.ndarray:
    """Read the format of MNIST: a magic number that ends in the number of axes, their lengths, and bytes."""
    content = gzip.decompress(compressed)
    axes = content[3]
    shape = np.frombuffer(content, dtype=">i4", count=axes, offset=4)
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape)


def read_digits(compressed: bytes) -> np.ndarray:
    """Read scikit-learn's digits: a line per image, its 64 pixels from 0 to 16 and its label."""
    return np.loadtxt(gzip.decompress(compressed).decode().splitlines(), delimiter=",", dtype=np.uint8)
