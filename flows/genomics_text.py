"""Words of scientific and other English text, and the vectors that their company gives them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy import sparse

# A word has a letter and may hold digits, as genes do; a hyphen parts words.
WORD = re.compile(r"[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*")

# Names in the lexicon that are nearly always something else.
STOP_WORDS = frozenset({
    "a", "all", "an", "and", "are", "as", "at", "be", "big", "but", "by", "can", "cat", "cell", "cells", "chip",
    "damage", "dna", "end", "era", "fact", "fast", "fat", "fish", "for", "from", "gap", "gene", "genes", "had",
    "has", "he", "her", "his", "hot", "i", "if", "impact", "in", "is", "it", "its", "large", "light", "map", "mice",
    "mouse", "not", "of", "on", "or", "pan", "part", "pigs", "rat", "rats", "rest", "set", "she", "sex", "so",
    "son", "step", "task", "ten", "that", "the", "time", "to", "top", "type", "up", "was", "we", "were", "wish",
    "with",
})  # fmt: skip


def words(text: str) -> list[str]:
    """Part text into its words, in lower case."""
    return [word.lower() for word in WORD.findall(text)]


def plain_name(name: str) -> tuple[str, ...]:
    """Turn a name of the lexicon into the words that stand for it in text; what is in parentheses is left out."""
    return tuple(words(re.sub(r"\(.*?\)", "", name)))


def longest_matches(
    tokens: Sequence[str], names: dict[tuple[str, ...], str], longest: int
) -> Iterable[tuple[int, int, str]]:
    """Find names in text from left to right, the longest first: where each starts and stops, and what it names."""
    starts = {name[0] for name in names}
    at = 0
    while at < len(tokens):
        if tokens[at] in starts:
            for stop in range(min(at + longest, len(tokens)), at, -1):
                if (named := names.get(tuple(tokens[at:stop]))) is not None:
                    yield at, stop, named
                    at = stop - 1
                    break
        at += 1


def count_pairs(codes: np.ndarray, documents: np.ndarray, size: int, window: int) -> sparse.csr_array:
    """Count how often each word has each other near it; a neighbour at distance d counts 1/d.

    Args:
        codes: Each word of the text by its number; -1 is a word that does not count but takes a place.
        documents: The document of each.
        size: How many words there are.
        window: How far a neighbour may be.
    """
    counts = sparse.csr_array((size, size), dtype=np.float32)
    for distance in range(1, window + 1):
        left, right = codes[:-distance], codes[distance:]
        near = (documents[:-distance] == documents[distance:]) & (left >= 0) & (right >= 0)
        ones = np.full(near.sum(), 1 / distance, dtype=np.float32)
        counts = counts + sparse.coo_array((ones, (left[near], right[near])), shape=(size, size)).tocsr()
    return (counts + counts.T).tocsr()


def positive_pmi(counts: sparse.csr_array, smoothing: float, shift: float) -> sparse.csr_array:
    """Weigh counts of pairs: by how much more often they meet than by chance (in logarithms), if it is more."""
    total = counts.sum()
    row_share = np.asarray(counts.sum(axis=1)).ravel() / total
    context = np.asarray(counts.sum(axis=0)).ravel() ** smoothing
    column_share = context / context.sum()
    pairs = counts.tocoo()
    rows, columns = pairs.coords
    gain = np.log(pairs.data / total / (row_share[rows] * column_share[columns])) - np.log(shift)
    kept = gain > 0
    return sparse.csr_array((gain[kept].astype(np.float32), (rows[kept], columns[kept])), shape=counts.shape)


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Scale each row to length 1; a row of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def shared_documents(mentions: pd.DataFrame, names: pd.Index) -> np.ndarray:
    """Tell how many documents each two names share, from a frame of mentions with columns `document` and `name`."""
    seen = mentions[["document", "name"]].drop_duplicates()
    rows, columns = pd.factorize(seen["document"])[0], names.get_indexer(seen["name"])
    known = columns >= 0
    table = sparse.csr_array((np.ones(known.sum()), (rows[known], columns[known])), shape=(rows.max() + 1, len(names)))
    return (table.T @ table).toarray()
