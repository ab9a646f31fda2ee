"""What a store needs of the place where its objects are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, NamedTuple, Protocol

from prefect_helix.storage.blob import Chunk
from prefect_helix.storage.verified import Stamp


@dataclass(frozen=True, slots=True)
class Entry:
    """One object in a listing.

    Attributes:
        path: Path relative to the store's root, with slashes.
        size_bytes: Length of the object.
        modified_us: When it was written by the store's own clock, since the epoch; 0 where that cannot be told.
    """

    path: str
    size_bytes: int
    modified_us: int = field(default=0, compare=False)


class Data(NamedTuple):
    """The bytes of an object.

    Attributes:
        view: The bytes.
        stamp: What tells whether they have changed, where they are a map of a file.
    """

    view: memoryview
    stamp: Stamp | None = None


class Backend(Protocol):
    """Where objects are kept; raises what its library raises. Paths are relative to the root.

    Attributes:
        is_remote: Whether every call is a request over a network.
    """

    is_remote: bool

    @property
    def is_far(self) -> bool:
        """Whether another machine keeps the objects, as far as can be told."""

    def is_there(self) -> bool:
        """Return whether there is such a place, as far as that is known without asking over a network."""

    def write(self, path: str, chunks: Iterable[Chunk]) -> int:
        """Write an object; nobody sees it before the last chunk."""

    def read(self, path: str) -> Data:
        """Return an object."""

    def maps(self, size_bytes: int) -> bool:
        """Return whether an object of that size is mapped into memory where it is read."""

    def read_range(self, path: str, start: int, stop: int) -> bytes:
        """Return a part of an object; what is beyond its end is left out."""

    def list(self, prefix: str) -> Iterator[Entry]:
        """Yield the objects in a folder and below, fresh; none where there is no folder."""

    def delete(self, path: str) -> None:
        """Remove an object."""

    def unfinished(self) -> Iterator[Entry]:
        """Yield what writers have begun and not finished; they may be at it."""

    def discard(self, entry: Entry) -> None:
        """Remove what a writer has begun."""

    def is_verified(self, path: str, stamp: Stamp) -> bool:
        """Return whether this machine wrote the object or found it whole, and it was not touched since."""

    def found_whole(self, path: str, stamp: Stamp, blob: memoryview) -> None:
        """Remember that the object that `Data` gave with this stamp is whole, and what it holds."""


def write_all(chunks: Iterable[Chunk], file: IO[bytes]) -> int:
    """Write chunks to an unbuffered file; return the number of bytes."""
    size_bytes = 0
    for chunk in chunks:
        rest = memoryview(chunk).cast("B")
        size_bytes += len(rest)
        while rest:
            rest = rest[file.write(rest) :]
    return size_bytes
