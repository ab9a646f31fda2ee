"""Traces of calls that have code and literal arguments in common, looked up by what they took from other nodes.

A map over results makes thousands of such calls in every run: one after the other, each would be held against all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from prefect_helix.core.lineage import ParentLink, Trace
from prefect_helix.core.signature import Input

_Part = tuple[str, object]


class Alike:
    """Traces that differ only in what they took from other nodes, and in what they waited for.

    Args:
        traces: The traces, oldest first.

    Complexity: O(edges of the traces).
    """

    def __init__(self, traces: Iterable[Trace]) -> None:
        self._by_all: dict[object, list[Trace]] = defaultdict(list)
        self._by_one: dict[object, list[Trace]] = defaultdict(list)
        self._newest: dict[object, Trace] = {}
        self._witnesses: set[tuple[bool, ...]] = set()
        for trace in traces:
            self.add(trace)

    def add(self, trace: Trace) -> None:
        """Add a trace, newer than all before it."""
        parts = tuple(map(_part, trace.parents))
        self._by_all[trace.wait_for, parts].append(trace)
        for place, link in enumerate(trace.parents):
            self._by_one[place, parts[place]].append(trace)
            if link.digest is not None:
                self._by_one[place, _history(link)].append(trace)
        witnesses = tuple(not link.exact for link in trace.parents)
        self._witnesses.add(witnesses)
        self._newest[trace.wait_for, _histories(trace.parents, witnesses)] = trace

    def like(self, inputs: Sequence[Input], wait_for: Sequence[str]) -> Iterator[Trace]:
        """Yield, newest first, all that `match` these inputs, or one at least of those that may; and some that do not.

        Complexity: O(inputs + traces yielded). These are all made from the same inputs where every parent is known;
        else they have the known one in common that is rarest among the traces.

        Args:
            inputs: What the call takes from other nodes.
            wait_for: Signatures of the nodes it only waits for.
        """
        known = [(place, _part(given)) for place, given in enumerate(inputs) if not given.pending]
        if len(known) == len(inputs):
            parts = tuple(part for _, part in known)
            yield from reversed(self._by_all.get((tuple(wait_for), parts), []))
            return
        keys = known or [(place, _history(given)) for place, given in enumerate(inputs)]
        yield from reversed(min((self._by_one.get(key, []) for key in keys), key=len))
        for witnesses in () if known else self._witnesses:
            newest = self._newest.get((tuple(wait_for), _histories(inputs, witnesses)))
            if newest is not None:
                yield newest


def _part(one: ParentLink | Input) -> _Part:
    """Return what two calls that match have in common of a parent that is known."""
    return _history(one) if one.digest is None else ("digest", one.digest)


def _history(one: ParentLink | Input) -> _Part:
    return one.signature, one.leaf


def _histories(parents: Sequence[ParentLink | Input], witnesses: Sequence[bool]) -> tuple[_Part | None, ...]:
    """Return what calls have in common of those parents that have to match by signature while digests are unknown."""
    return tuple(_history(one) if witness else None for one, witness in zip(parents, witnesses, strict=False))
