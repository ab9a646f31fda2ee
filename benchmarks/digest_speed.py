"""Digest speed of large arrays and frames, as a ratio to BLAKE3's own speed on the same bytes in the same run.

python benchmarks/digest_speed.py [--mb 256]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from blake3 import blake3

from prefect_helix.core.digest import digest

ROUNDS = 5


def best_s(run: Callable[[], object]) -> float:
    """Return the shortest of some runs, in seconds."""
    times_s = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run()
        times_s.append(time.perf_counter() - start)
    return min(times_s)


def values(size_bytes: int) -> dict[str, tuple[object, int]]:
    """Return named values of about `size_bytes`, each with the bytes it holds."""
    random = np.random.default_rng(0)
    flat = random.standard_normal(size_bytes // 8)
    square = flat[: (len(flat) // 64) * 64].reshape(-1, 64)
    words = np.array([f"word {i}" for i in range(1000)], dtype=object)
    text = pd.Series(words[random.integers(0, 1000, size_bytes // 16)], dtype="str")
    text_bytes = text.array._pa_array.nbytes if hasattr(text.array, "_pa_array") else int(text.memory_usage(deep=True))
    return {
        "array, 1-d": (flat, flat.nbytes),
        "array, Fortran order": (np.asfortranarray(square), square.nbytes),
        "array, every other column": (square[:, ::2], square.nbytes // 2),
        "frame, 64 float columns": (pd.DataFrame(square), square.nbytes),
        "series of text": (text, text_bytes),
    }


def main() -> None:
    """Print one line per value."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=256, help="size of each value in megabytes")
    size_bytes = parser.parse_args().mb << 20
    print(f"{'value':28}{'MB':>6}{'digest GB/s':>14}{'BLAKE3 GB/s':>14}{'ratio':>8}")
    for name, (value, held_bytes) in values(size_bytes).items():
        raw = np.ones(held_bytes, dtype="u1")  # not zeros, whose pages are one
        hash_s = best_s(lambda raw=raw: blake3(raw).digest())
        digest_s = best_s(lambda value=value: digest(value))
        speeds = f"{held_bytes / digest_s / 1e9:14.2f}{held_bytes / hash_s / 1e9:14.2f}{hash_s / digest_s:8.2f}"
        print(f"{name:28}{held_bytes >> 20:6}{speeds}")


if __name__ == "__main__":
    main()
