"""The nodes of one run: calls that were made, and calls the prior run makes us expect."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from prefect_helix.core.amounts import total
from prefect_helix.core.costs import taken_bytes
from prefect_helix.core.digest import hash_parts, register_digest
from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Argument, Leaf, Result, Trace
from prefect_helix.core.signature import Input
from prefect_helix.runtime.specs import TaskSpec

_MANY = 64
"""Inputs up to which a node is looked at again whenever one of them becomes known."""


class Standing(Enum):
    """What the lineage says of a node."""

    ORIGINAL = auto()
    PROVISIONAL = auto()
    EQUIVALENT = auto()


class Way:
    """Held by whatever can still ask for the object of a cell: a stand-in, a future, a state.

    Attributes:
        cell: The cell.
    """

    __slots__ = ("__weakref__", "cell")

    def __init__(self, cell: Cell) -> None:
        self.cell = cell


ABSENT = object()
"""What a cell gives whose object is not in memory."""


class Cell:
    """One object of the run: a node's value, or one leaf of it, as the flow body and tasks share it.

    Attributes:
        node: The node that made it.
        leaf: Index of the leaf; None for the whole value.
        exposed: Whether the flow body may have changed it since it was last digested.
        diverged: Whether somebody did; from then on it is a literal, not the node's result.
        seen: How many changes in place there had been in the run when the object was last known to be as it was made.
        ways: The `Way` to it, while somebody holds that; None before anybody did.
        labels: Of a frame that left memory to be loaded again, its own labels, by attribute.
        outline: What can be told of an object without a digest, as it was made; None if nothing can, or it has one.
    """

    __slots__ = (
        "__weakref__",
        "_held",
        "_left",
        "diverged",
        "exposed",
        "labels",
        "leaf",
        "node",
        "outline",
        "seen",
        "ways",
    )

    def __init__(self, node: Node, leaf: int | None) -> None:
        self.node = node
        self.leaf = leaf
        self.exposed = False
        self.diverged = False
        self.seen = 0
        self.labels: Mapping[str, Any] = {}
        self.outline: str | None = None
        self.ways: weakref.ref[Way] | None = None
        self._held: Any = ABSENT
        self._left: weakref.ref[Any] | None = None

    def get(self) -> Any:
        """Return the object; `ABSENT` if it is not in memory. Whoever asks first and takes then may find it gone."""
        held, left = self._held, self._left
        if held is not ABSENT or left is None:
            return held
        value = left()
        return ABSENT if value is None else value

    @property
    def value(self) -> Any:
        """The object, which is known to be in memory."""
        value = self.get()
        return None if value is ABSENT else value

    @property
    def present(self) -> bool:
        """Whether the object is in memory."""
        return self.get() is not ABSENT

    @property
    def is_kept(self) -> bool:
        """Whether the object is in memory because of this cell."""
        return self._held is not ABSENT

    @property
    def within_reach(self) -> bool:
        """Whether somebody can still ask for the object, or has it."""
        return (self.ways is not None and self.ways() is not None) or (self._left is not None and self.present)

    def put(self, value: Any) -> None:
        """Keep the object."""
        self._held, self._left = value, None

    def drop(self) -> None:
        """Keep the object no longer."""
        self._held, self._left = ABSENT, None

    def leave(self, gone: Callable[[], None]) -> bool:
        """Leave the object to who else has it; return whether that can be done.

        Args:
            gone: Called, in any thread, when nobody has it any more.
        """
        try:
            self._left = weakref.ref(self._held, lambda _: gone())
        except TypeError:  # such as of a list
            return False
        self._held = ABSENT
        return True

    def hold(self) -> None:
        """Keep the object that was left to others, if one of them still has it."""
        if self._left is not None and (value := self._left()) is not None:
            self.put(value)

    def __deepcopy__(self, memo: dict[int, Any]) -> Cell:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # Whoever goes by pickle through an argument, for the code in it, finds the rest of it, too.
        return str, ("a result",)

    def __repr__(self) -> str:
        part = "" if self.leaf is None else f"[{self.leaf}]"
        return f"<result of {self.node.spec.name}{part}>"


# In a literal argument, a result is a placeholder; which result it is, the edges say.
register_digest(Cell, lambda cell: "a result")


@dataclass(frozen=True, slots=True)
class Edge:
    """A value that a node takes from another."""

    cell: Cell
    parameter: str

    @property
    def node(self) -> Node:
        """The parent."""
        return self.cell.node

    def input(self) -> Input:
        """Return what is known of the value now."""
        parent, leaf = self.cell.node, self.cell.leaf
        if parent.failed:
            return Input(parent.signature, leaf, self.parameter, parent.failure, exact=True, by_digest=parent.by_digest)
        known = parent.result
        part: Result | Leaf | None = known
        if known is not None and leaf is not None:
            part = known.leaves[leaf] if leaf < len(known.leaves) else None
        digest = part.digest if part else None
        return Input(
            signature=parent.signature,
            leaf=leaf,
            parameter=self.parameter,
            digest=hash_parts("with code", digest, part.code) if digest and part and part.code else digest,
            exact=part.exact if part else False,
            pending=known is None,
            by_digest=parent.by_digest,
        )


@dataclass(eq=False, slots=True)
class Node:
    """One call of a helix task in this run, made or expected.

    Attributes:
        spec: The task.
        key: What the plan calls it, unique in its run.
        call: Position of the call in its run; for an expected call, in the prior run.
        called: Whether the call was made; an expected call has no parameters yet.
        parameters: The call's parameters, with `Cell`s where results of nodes go.
        edges: The values it takes from other nodes.
        wait_for: Nodes it only waits for.
        arguments: Its literal arguments.
        literals: One hash over them.
        history_key: Merkle hash over its code, arguments and parents.
        fingerprint: Hash of the code that its signature is made from.
        signature: What its children go by: its history key, or the signature of the trace it is equivalent to.
        standing: What the lineage says of it.
        trace: The trace it is equivalent to.
        prior: The call of the prior run that it takes the place of.
        result: What is known of its result: computed in this run, or the trace's.
        decision: What the plan says; None before there is one.
        reason: Why it is original, in words.
        demanded: Whether its value is needed outside of helix tasks, or expected to be.
        asked: Whether somebody outside of helix tasks has asked for its value.
        wanted: Whether this run turned out to need its value, whoever for.
        submitted: Whether the call was made through a task runner.
        started: Whether somebody computes it, or did.
        handed_over: Whether the task runner was given it.
        missed: Whether somebody came for it while it was claimed and not handed over yet.
        given_up: Whether it is not to begin any more, since the flow has failed.
        done: Whether it was computed in this run.
        elsewhere: Whether its value is on a worker of the task runner.
        failed: Whether its compute failed.
        error: What it failed with, where that was not told by the task's state.
        failure: Hash of what is told of its failure: who takes that is made from it.
        tainted: Whether its result stands for nothing: its files changed meanwhile, or it is not what its code gives.
        lost: Whether its stored result could not be read.
        used: Whether its value was handed out or given to a task, or is loaded for that.
        opened: Whether its value was handed out but for its leaves.
        begun_us: When computing or loading it began in this process, since the epoch.
        metrics: What its function logged when it was computed in this run.
        by_digest: Whether its signature does not determine its result.
        known_inputs: How many of its first inputs are known to wait for nothing.
        put_off: Whether an input goes by another signature than its own was made from, but others are still to come.
        credit_us: How much has been paid in this run to avoid having its value.
        given: The objects that it takes, those that its signature ignores included.
        takers: How many calls may still take its value.
        taking: Whether it counts among the takers of its parents.
        entry: Keeps its value within reach until it is handed out.
        loading: Held by whoever loads its value, or a part of it.
        settled: Set once nobody has to wait for it: it is computed, has failed, or need not be computed.
        watchers: Called once when it is.
    """

    spec: TaskSpec
    key: str
    call: int
    called: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    edges: tuple[Edge, ...] = ()
    wait_for: tuple[Node, ...] = ()
    arguments: tuple[Argument, ...] = ()
    literals: str = ""
    history_key: str = ""
    fingerprint: str = ""
    signature: str = ""
    standing: Standing = Standing.ORIGINAL
    trace: Trace | None = None
    prior: Trace | None = None
    result: Result | None = None
    decision: Decision | None = None
    reason: str = ""
    demanded: bool = False
    asked: bool = False
    wanted: bool = False
    submitted: bool = False
    started: bool = False
    handed_over: bool = False
    missed: bool = False
    given_up: bool = False
    done: bool = False
    elsewhere: bool = False
    failed: bool = False
    error: BaseException | None = None
    failure: str = ""
    tainted: bool = False
    lost: bool = False
    used: bool = False
    opened: bool = False
    by_digest: bool = False
    started_us: int = 0
    begun_us: int | None = None
    compute_us: int | None = None
    load_us: int | None = None
    loaded_bytes: int = 0
    loaded_blobs: int = 0
    computed_at_us: int | None = None
    changed_inputs: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    task_run_id: str = ""
    known_inputs: int = 0
    put_off: bool = False
    credit_us: int = 0
    given: tuple[Cell, ...] = ()
    takers: int = 0
    taking: bool = False
    entry: Way | None = None
    cells: dict[int | None, Cell] = field(default_factory=dict)
    loading: AbstractContextManager[bool] = field(default_factory=threading.RLock)
    settled: threading.Event = field(default_factory=threading.Event)
    watchers: list[Callable[[], None]] = field(default_factory=list)

    def cell(self, leaf: int | None = None) -> Cell:
        """Return the one cell for the value, or for a leaf of it."""
        return self.cells.setdefault(leaf, Cell(self, leaf))

    def note_load(self, result: Result, leaf: int | None, us: int) -> None:
        """Take note of what it took to load a result that it is equivalent to, or a leaf of it."""
        self.load_us = (self.load_us or 0) + us
        self.loaded_bytes += taken_bytes(result, leaf) or 0
        self.loaded_blobs += len(result.blobs or ()) if leaf is None else 1

    @property
    def safe(self) -> bool:
        """Whether its value is in memory, and as it was made."""
        cells = [*self.cells.values()]
        return any(cell.leaf is None and cell.present for cell in cells) and not any(cell.exposed for cell in cells)

    @property
    def waits_for_many(self) -> bool:
        """Whether it has so many inputs that looking at all of them after each that becomes known would take too long.

        Complexity: O(inputs) for all times it is asked together.
        """
        edges = self.edges
        if len(edges) <= _MANY:
            return False
        while self.known_inputs < len(edges):
            parent = edges[self.known_inputs].node
            if parent.result is None and not parent.failed:
                return True
            self.known_inputs += 1
        return False

    @property
    def original(self) -> bool:
        """Whether it must be computed when it is demanded."""
        return self.standing is not Standing.EQUIVALENT and not self.done

    @property
    def provisional(self) -> bool:
        """Whether it depends on results that are still to come if it must be computed."""
        return self.standing is Standing.PROVISIONAL and not self.done

    @property
    def parked(self) -> bool:
        """Whether it is a submitted lazy call that nobody has asked for: it would have to compute, and nobody waits."""
        return self.submitted and self.original and not self.started and self.settled.is_set()

    @property
    def code(self) -> str:
        """Fingerprint of the code that computed its result, or would."""
        return self.spec.fingerprint if self.trace is None or self.done else self.trace.computed_by

    @property
    def parents(self) -> tuple[Node, ...]:
        """The nodes whose values it takes."""
        return tuple(edge.node for edge in self.edges)

    @property
    def awaited(self) -> tuple[Node, ...]:
        """The nodes that must have ended before it is computed, if they are computed at all."""
        return (*self.wait_for, *(cell.node for cell in self.given))

    def input_bytes(self) -> int | None:
        """Return the size of the results and files that it takes; None if one is not known.

        Complexity: O(1) while one of many inputs is still to come, which is asked whenever another one has.
        """
        if any(edge.node.result is None for edge in self.edges[self.known_inputs : self.known_inputs + 1]):
            return None
        taken = [taken_bytes(edge.node.result, edge.cell.leaf) for edge in self.edges]
        return total([*taken, *(argument.size_bytes for argument in self.arguments if argument.size_bytes)])
