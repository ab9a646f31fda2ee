"""What an index is made of: tables of rows, blocks of lines, facts as JSON; see `index`."""

from __future__ import annotations

import sys
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, NamedTuple

from prefect_helix.core.costs import Computed, Loaded, Samples
from prefect_helix.core.digest import hash_parts
from prefect_helix.core.history import Facts
from prefect_helix.storage.blob import checksum

_ALWAYS_BYTES = 8 << 20
_MOST_RATIO = 200
"""Lines of JSON are deflated to a tenth or so, and zeros to a thousandth."""


class Table:
    """Rows by the hash of what they are looked up by. Complexity: O(log n) for a look-up."""

    def __init__(self, hashes: array[int], rows: array[int]) -> None:
        self.hashes = hashes
        self.rows = rows

    @classmethod
    def of(cls, entries: Iterable[tuple[int, int]]) -> Table:
        """Return the table of pairs of a hash and a row."""
        ordered = sorted(entries)
        return cls(array("Q", (key for key, _ in ordered)), array("I", (row for _, row in ordered)))

    @classmethod
    def parse(cls, data: bytes) -> Table:
        """Return the table that `encode` wrote; raises ValueError if it is none."""
        if len(data) % 12:
            raise ValueError("a table is cut short")
        hashes, rows = array("Q"), array("I")
        split = len(data) // 12 * 8
        hashes.frombytes(data[:split])
        rows.frombytes(data[split:])
        for numbers in (hashes, rows) if sys.byteorder == "big" else ():
            numbers.byteswap()
        return cls(hashes, rows)

    def encode(self) -> bytes:
        """Return the table as bytes."""
        copies = self.hashes[:], self.rows[:]
        for numbers in copies if sys.byteorder == "big" else ():
            numbers.byteswap()
        return b"".join(numbers.tobytes() for numbers in copies)

    def find(self, key: int) -> list[int]:
        """Return the rows of a hash, ascending."""
        return self.rows[bisect_left(self.hashes, key) : bisect_right(self.hashes, key)].tolist()

    def entries(self) -> Iterator[tuple[int, int]]:
        """Yield the pairs of a hash and a row."""
        return zip(self.hashes, self.rows, strict=True)


class Block(NamedTuple):
    """What is known of a block.

    Attributes:
        rows: Number of its lines.
        size_bytes: Its length.
        checksum: Checksum of it as it is stored.
    """

    rows: int
    size_bytes: int
    checksum: str

    @classmethod
    def of(cls, rows: int, data: bytes) -> Block:
        """Return what is known of stored bytes."""
        return cls(rows, len(data), checksum(data).hex())


def inflated(data: bytes) -> bytes:
    """Return what was deflated.

    Raises:
        ValueError: If it is not whole, or more than lines of JSON ever are.
    """
    inflating = zlib.decompressobj()
    try:
        whole = inflating.decompress(data, _ALWAYS_BYTES + _MOST_RATIO * len(data))
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not inflating.eof:
        raise ValueError("it is cut short, or far too long")
    return whole


def call_hash(code: str, literals: str) -> int:
    """Return what a call is looked up by."""
    return int(hash_parts("call", code, literals)[:16], 16)


def signature_hash(signature: str) -> int:
    """Return what a signature is looked up by."""
    return int(hash_parts("signed", signature)[:16], 16)


def facts_to_json(facts: Facts) -> dict[str, Any]:
    """Return `facts` as JSON-ready data; `facts_from_json` is its inverse."""
    return {
        "rulings": facts.rulings,
        **{name: sorted(getattr(facts, name)) for name in ("ambiguous", "unsteady", "proven")},
        "moot": {signature: sorted(reasons) for signature, reasons in facts.moot.items()},
        "samples": asdict(facts.samples),
        "last_used_us": dict(facts.last_used_us),
    }


def facts_from_json(data: dict[str, Any]) -> Facts:
    """Return the facts that `facts_to_json` wrote.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: If the data is none.
    """
    samples = data["samples"]
    computed = {key: tuple(Computed(**one) for one in some) for key, some in samples["computed"].items()}
    loaded = {key: tuple(Loaded(**one) for one in some) for key, some in samples["loaded"].items()}
    return Facts(
        **{
            **data,
            **{name: frozenset(data[name]) for name in ("ambiguous", "unsteady", "proven")},
            "moot": {signature: frozenset(reasons) for signature, reasons in data["moot"].items()},
            "samples": Samples(computed, loaded),
        }
    )
