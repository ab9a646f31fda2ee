"""Traces of calls that have code and literal arguments in common, looked up by what they took from other nodes.

A map over results makes thousands of such calls in every run: one after the other, each would be held against all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import chain, count
from operator import itemgetter

from prefect_helix.core.lineage import ParentLink, Trace
from prefect_helix.core.signature import Input

_Part = tuple[str, object]
_Numbered = tuple[int, Trace]


class Alike:
    """Traces that differ only in what they took from other nodes, and in what they waited for.

    Args:
        traces: The traces, oldest first.

    Complexity: O(edges of the traces).
    """

    def __init__(self, traces: Iterable[Trace]) -> None:
        self._numbers = count()
        self._by_all: dict[object, list[_Numbered]] = defaultdict(list)
        self._by_one: dict[object, list[_Numbered]] = defaultdict(list)
        self._newest: dict[object, Trace] = {}
        self._witnesses: set[tuple[bool, ...]] = set()
        for trace in traces:
            self.add(trace)

    def add(self, trace: Trace) -> None:
        """Add a trace, newer than all before it."""
        parts = tuple(map(_part, trace.parents))
        numbered = next(self._numbers), trace
        self._by_all[trace.wait_for, parts].append(numbered)
        for place, link in enumerate(trace.parents):
            self._by_one[place, parts[place]].append(numbered)
            if link.digest is not None:
                self._by_one[place, ("known", _history(link))].append(numbered)
        witnesses = tuple(not link.exact for link in trace.parents)
        self._witnesses.add(witnesses)
        self._newest[trace.wait_for, _histories(trace.parents, witnesses)] = trace

    def like(self, inputs: Sequence[Input], wait_for: Sequence[str]) -> Iterator[Trace]:
        """Yield, newest first, all that `match` these inputs, or one at least of those that may; and some that do not.

        Where every parent is known, those that were made from the same come before those that were made while one of
        the same history was not known yet.

        Complexity: O(inputs + traces yielded). These are made from the same inputs, or have the known one in common
        that is rarest among the traces.

        Args:
            inputs: What the call takes from other nodes.
            wait_for: Signatures of the nodes it only waits for.
        """
        known = [place for place, given in enumerate(inputs) if not given.pending]
        is_whole = len(known) == len(inputs)
        same = self._by_all.get((tuple(wait_for), tuple(map(_part, inputs))), []) if is_whole else []
        having = (self._having(place, inputs[place]) for place in known or range(len(inputs)))
        rarest = min(having, key=lambda lists: sum(map(len, lists)), default=[])
        seen: set[int] = set()
        for number, trace in chain(reversed(same), merge(*map(reversed, rarest), key=itemgetter(0), reverse=True)):
            if number not in seen:
                seen.add(number)
                yield trace
        for witnesses in () if known or is_whole else self._witnesses:
            newest = self._newest.get((tuple(wait_for), _histories(inputs, witnesses)))
            if newest is not None:
                yield newest

    def _having(self, place: int, given: Input) -> list[list[_Numbered]]:
        """Return the traces that may have taken this input in this place: their digest need not have been known."""
        other = ("known", _history(given)) if given.digest is None else _part(given)
        return [self._by_one.get((place, part), []) for part in (_history(given), other)]


def _part(one: ParentLink | Input) -> _Part:
    """Return what two calls that match have in common of a parent that is known."""
    return _history(one) if one.digest is None else ("digest", one.digest)


def _history(one: ParentLink | Input) -> _Part:
    return one.signature, one.leaf


def _histories(parents: Sequence[ParentLink | Input], witnesses: Sequence[bool]) -> tuple[_Part | None, ...]:
    """Return what calls have in common of those parents that have to match by signature while digests are unknown."""
    return tuple(_history(one) if witness else None for one, witness in zip(parents, witnesses, strict=False))
