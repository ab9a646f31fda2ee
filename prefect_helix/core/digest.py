"""The digest of a value: a canonical content hash.

Equal values have equal digests in every process, on every machine and under every ``PYTHONHASHSEED``. Types count
(``1``, ``True``, ``1.0``, ``"1"`` and ``b"1"`` differ), floats count by their bits (``0.0`` and ``-0.0`` differ, a NaN
equals itself), and so does whatever can change a later computation: the order of a dict, the memory order of an array,
the block layout of a frame. Only sets have no order. Whether two parts are one object or equal copies does not count.

The hash is BLAKE3, cut to 128 bits. Digests name content in stores that several people share and that live for years,
so two values must not meet by accident (2^64 values for an even chance) nor on purpose, which rules out xxHash: XXH3 is
the faster one (about 20 GB/s against 6.5 GB/s on one core of the machine this was chosen on), but its collisions can be
written down. BLAKE3 runs at over four times the speed of SHA-256 (1.4 GB/s) and faster than a store can be read.
It is used on one thread: a second one gave 10 GB/s on large buffers, lost on small ones, and would take
the core that the next step computes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prefect_helix.core.digest_arrays import ARRAY_TYPES
from prefect_helix.core.digest_frames import FRAME_TYPES
from prefect_helix.core.digest_objects import EXACT_TYPES, Encoder, family_encoder
from prefect_helix.core.digest_tensors import TENSOR_TYPES
from prefect_helix.core.digest_writer import Known, Place, Refused, Writer, hash_bytes, hash_parts
from prefect_helix.core.errors import UndigestibleError
from prefect_helix.core.naming import type_name

__all__ = ["Digest", "digest", "hash_parts", "is_registered", "register_digest", "registrations"]

FORMAT = "prefect_helix.digest.2"
"""Digests of another format tell nothing beside these."""
# Small composites are hashed again where they are shared: remembering each would cost more.
_REMEMBERED_PARTS = 32
_CYCLIC_PARTS = 1_000_000

_LIBRARY_TYPES = {**ARRAY_TYPES, **FRAME_TYPES, **TENSOR_TYPES}
_registered: dict[type, Encoder] = {}
_encoders: dict[type, Encoder] = {}


@dataclass(frozen=True, slots=True)
class Digest:
    """The digest of a value.

    Attributes:
        hex: 32 hexadecimal digits (128 bits).
        exact: True where equal digests mean equal values. Else the digest is a witness: different digests mean
            different values, equal ones prove nothing.
    """

    hex: str
    exact: bool


def digest(value: object, known: Known = lambda buffer: None) -> Digest:
    """Return the digest of `value`.

    Arrays and frames are hashed where they lie; of what is not contiguous, bounded pieces are copied.
    An object of no known type is digested by its reduced state (what pickle would store), as a witness.
    Bits under nulls count for pandas' masked arrays and nested Arrow arrays, and do not for flat Arrow arrays (which
    hold pandas' strings); where they count, they can cost a recompute and never make different values equal.

    Args:
        value: The value.
        known: Gives the hash of a long buffer that need not be read.

    Complexity: O(size) for values without cycles, however much their parts are shared. O(parts x rounds) for a
    value with a cycle, with as many rounds as it takes to tell its parts apart.

    Raises:
        UndigestibleError: If a part of the value has no content to digest (a lock, a generator, an open file),
            or if it is nested too deeply. It names the part.
    """
    try:
        tree = _Tree(known)
        try:
            token, exact = tree.root(value), tree.exact
        except _CycleError:
            graph = _Graph(known)
            token, exact = graph.root(value), graph.exact
    except RecursionError as error:
        raise UndigestibleError(_dotted(type(value)), "", "it is nested too deeply") from error
    except Refused as refused:
        raise UndigestibleError(_dotted(refused.cls), refused.path, refused.cause) from refused
    return Digest(hash_parts(FORMAT, token), exact)


def outline(value: object, known: Known = lambda buffer: None) -> str | None:
    """Return a hash of all that can be told of a value without a digest: parts that have none count by their type.

    That it is another one tells that the value was changed in place. That it is the same proves nothing.

    Args:
        value: The value.
        known: See `digest`.

    Returns:
        The hash; None if the value contains itself, or is nested too deeply.
    """
    try:
        return _Tree(known, lenient=True).root(value).hex()
    except (RecursionError, _CycleError):
        return None


def register_digest(cls: type, reduce: Callable[[Any], object], *, exact: bool = True) -> None:
    """Tell how values of a class are digested.

    The registration holds for the class and its subclasses; of several, the nearest in the method resolution order
    is used, and it goes before everything that is built in for that class or one above it. The name of the value's
    class is part of the digest.

    Args:
        cls: The class.
        reduce: Maps a value to a digestible one that stands for its whole content, also for subclasses.
        exact: Whether values with equal reductions are equal. The digest is exact only if the reduction's is, too.
    """

    def encode(value: Any, out: Writer) -> None:
        if not exact:
            out.witness()
        try:
            reduced = reduce(value)
        except Exception as error:
            cause = f"its registered digest failed with {type(error).__name__}: {error}"
            raise Refused(type(value), cause) from error
        if reduced is value:
            raise Refused(type(value), "its registered digest gives back the value itself")
        out.add("registered", type_name(type(value)))
        out.child(reduced)

    _registered[cls] = encode
    _encoders.clear()


def registrations() -> tuple[object, ...]:
    """Return the classes registered with `register_digest`, and how each is digested."""
    return (*_registered, *_registered.values())


def is_registered(cls: type) -> bool:
    """Return whether `register_digest` has told how values of a class are digested."""
    return any(base in _registered for base in cls.__mro__)


def _encoder(cls: type) -> Encoder:
    """Return what writes values of a class, nearest rule first."""
    encoder = _encoders.get(cls)
    if encoder is None:
        encoder = _encoders[cls] = _find_encoder(cls)
    return encoder


def _find_encoder(cls: type) -> Encoder:
    for base in cls.__mro__:
        if base in _registered:
            return _registered[base]
        if base is cls and cls in EXACT_TYPES:
            return EXACT_TYPES[cls]
        encoder = _LIBRARY_TYPES.get((str(base.__module__).partition(".")[0], base.__name__))  # Cython has no str here
        if encoder is not None:
            return encoder
    return family_encoder(cls)


def _dotted(cls: type) -> str:
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


class _CycleError(Exception):
    """The value contains itself."""


class _Tree:
    """Digests a value without cycles, depth first.

    Args:
        known: Gives the hash of a long buffer that need not be read.
        lenient: Whether parts without content count by their type.
    """

    def __init__(self, known: Known, *, lenient: bool = False) -> None:
        self.exact = True
        self.known = known
        self._lenient = lenient
        self._parts = 0
        self._open: set[int] = set()
        self._known: dict[int, tuple[object, bytes]] = {}

    def root(self, value: object) -> bytes:
        """Return the token of the whole value."""
        writer = _Branch(self)
        writer.child(value)
        return writer.digest()

    def composite(self, value: object) -> bytes:
        key = id(value)
        if key in self._known:
            return self._known[key][1]
        if key in self._open:
            raise _CycleError
        self._open.add(key)
        before = self._parts
        branch = _Branch(self)
        try:
            _encoder(type(value))(value, branch)
        except Refused as refused:
            if not self._lenient:
                raise
            branch = _Branch(self)
            branch.add("refused", type_name(refused.cls))
        token = b"@" + branch.digest()
        self._open.remove(key)
        self._parts += 1
        if self._parts - before > _REMEMBERED_PARTS or branch.is_long:
            self._known[key] = (value, token)  # with the value, so that its id stays its own
        return token


class _Branch(Writer):
    """Writes a composite of a tree: parts by their own hashes."""

    __slots__ = ("_tree",)

    def __init__(self, tree: _Tree) -> None:
        super().__init__()
        self._tree = tree

    def composite(self, value: object, place: Place, index: int) -> bytes:
        return self._tree.composite(value)

    def witness(self) -> None:
        self._tree.exact = False

    def known(self, buffer: Any) -> bytes | None:
        return self._tree.known(buffer)


class _Graph:
    """Digests a value with cycles, by colour refinement.

    Every composite is a node, coloured by what it holds itself. Each round colours it anew by its own content and its
    parts' colours, until no two of one colour are told apart any more; then equal colours mean equal (bisimilar)
    values. The root's colour and the set of all colours describe the coarsest graph that unfolds to the value, so
    that it does not matter which equal parts are one object.
    """

    def __init__(self, known: Known) -> None:
        self.exact = True
        self.known = known
        self._nodes: list[_Node] = []
        self._index: dict[int, int] = {}

    def root(self, value: object) -> bytes:
        """Return the token of the whole value, which is a composite."""
        self.node(value, None, str, 0)
        for node in self._nodes:  # grows meanwhile
            try:
                _encoder(type(node.value))(node.value, node)
            except Refused as refused:
                refused.steps.extend(node.steps())
                raise
        colours = [node.digest() for node in self._nodes]
        count = 0
        while count < (count := len(set(colours))):
            colours = [node.colour(colours) for node in self._nodes]
        return hash_bytes(b"cycle", colours[0], *sorted(set(colours)))

    def node(self, value: object, parent: _Node | None, place: Place, index: int) -> int:
        """Return the number of the node of `value`, a new one if need be."""
        number = self._index.setdefault(id(value), len(self._nodes))
        if number == len(self._nodes):
            if number == _CYCLIC_PARTS:
                raise Refused(type(value), f"it is part of a cycle with over {_CYCLIC_PARTS:,} objects")
            self._nodes.append(_Node(self, value, parent, place, index))
        return number


class _Node(Writer):
    """Writes a composite of a graph: what it holds itself, and which nodes its parts are."""

    __slots__ = ("_children", "_graph", "_index", "_parent", "_place", "_unordered", "value")

    def __init__(self, graph: _Graph, value: object, parent: _Node | None, place: Place, index: int) -> None:
        super().__init__()
        self.value = value
        self._graph = graph
        self._parent = parent
        self._place = place
        self._index = index
        self._children: list[int] = []
        self._unordered: list[slice] = []

    def composite(self, value: object, place: Place, index: int) -> bytes:
        self._children.append(self._graph.node(value, self, place, index))
        return b"@"

    def witness(self) -> None:
        self._graph.exact = False

    def known(self, buffer: Any) -> bytes | None:
        return self._graph.known(buffer)

    def unordered(self, values: Any) -> None:
        start = len(self._children)
        super().unordered(values)
        self._unordered.append(slice(start, len(self._children)))

    def colour(self, colours: list[bytes]) -> bytes:
        """Return the node's next colour."""
        parts = [colours[child] for child in self._children]
        for group in self._unordered:
            parts[group] = sorted(parts[group])
        return hash_bytes(self.digest(), *parts)

    def steps(self) -> list[str]:
        """Return the path to the node, innermost step first."""
        return [] if self._parent is None else [self._place(self._index), *self._parent.steps()]
