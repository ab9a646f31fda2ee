"""Sparse features from plain columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse


def one_hot(codes: np.ndarray, width: int) -> sparse.csr_array:
    """Turn integer codes of shape (rows,) into indicators of shape (rows, width); a negative code gives zeros."""
    rows = np.flatnonzero(codes >= 0).astype(np.int32)  # the index type that liblinear takes
    return sparse.csr_array((np.ones(len(rows)), (rows, codes[rows].astype(np.int32))), shape=(len(codes), width))


def categories(values: pd.Series, reference: pd.Series) -> sparse.csr_array:
    """Turn text into one indicator column per distinct value of `reference`, in sorted order; any other gives zeros."""
    names = sorted(reference.dropna().unique())
    return one_hot(pd.Index(names).get_indexer(values), len(names))


def unit_scaled(values: pd.Series, reference: pd.Series) -> sparse.csr_array:
    """Scale numbers to one column in which `reference` spans 0 to 1; a constant reference gives zeros."""
    low, high = reference.min(), reference.max()
    scaled = (values.to_numpy(dtype=float) - low) / (high - low) if high > low else np.zeros(len(values))
    return sparse.csr_array(scaled[:, np.newaxis])
