"""When two calls of a task are the same: signatures, and the rule of equivalence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from prefect_helix.core.digest import FORMAT, hash_parts
from prefect_helix.core.lineage import Argument, ParentLink, Trace


@dataclass(frozen=True, slots=True)
class Input:
    """What is known, in this run, of a value that a node takes from a parent.

    Attributes:
        signature: The parent's signature.
        leaf: Index of the leaf taken; None for the whole result.
        parameter: The parameter it is given to.
        digest: Digest of the value in this run; None while unknown, or if it has none.
        exact: Whether that digest is exact.
        pending: The parent is original and not computed yet, so its digest may still become known.
        by_digest: The parent may give several values under one signature, so its signature proves nothing.
    """

    signature: str
    leaf: int | None
    parameter: str
    digest: str | None = None
    exact: bool = False
    pending: bool = False
    by_digest: bool = False

    @property
    def identity(self) -> str:
        """What stands for the value in signatures: its exact digest where the parent's signature proves nothing."""
        return self.digest if self.by_digest and self.exact and self.digest else self.signature

    @property
    def undetermined(self) -> bool:
        """Whether nothing that is known of the value tells it from another one."""
        return self.by_digest and not self.pending and not (self.exact and self.digest)

    def link(self) -> ParentLink:
        """Return the edge as the lineage records it."""
        return ParentLink(self.signature, self.leaf, self.digest, self.exact, self.parameter)


class Match(Enum):
    """Whether a trace makes a node equivalent; MAYBE until its parents' digests are known."""

    NO = 0
    MAYBE = 1
    YES = 2


def literals_hash(arguments: Iterable[Argument]) -> str:
    """Return one hash over the literal arguments of a call, in order.

    By it and the code calls are found again, so what holds digests of another format is not.
    """
    return hash_parts("literals", FORMAT, *(part for a in arguments for part in (a.parameter, a.digest)))


def signature(fingerprint: str, literals: str, inputs: Iterable[Input], wait_for: Iterable[str]) -> str:
    """Return the history key of a node: a Merkle hash that is known before anything is computed.

    Args:
        fingerprint: Hash of the task's code.
        literals: Result of `literals_hash`.
        inputs: What it takes from other nodes, in the order it takes them.
        wait_for: Signatures of the nodes it only waits for.
    """
    edges = (f"{i.parameter}\0{i.identity}\0{'' if i.leaf is None else i.leaf}" for i in inputs)
    return hash_parts("signature", fingerprint, literals, *edges, "wait_for", *wait_for)


def match(trace: Trace, inputs: Sequence[Input], wait_for: Sequence[str]) -> Match:
    """Say whether `trace` describes a call with these inputs.

    The caller has looked the trace up by fingerprint and literals. Each parent must match by exact digest, or by
    signature where a digest is missing or only a witness (Build Systems à la Carte, section 5.4: constructive
    traces; exact digests give early cutoff). A different digest always means a different value.
    """
    if trace.status != "completed" or trace.result is None or len(trace.parents) != len(inputs):
        return Match.NO
    if trace.wait_for != tuple(wait_for):
        return Match.NO
    found = Match.YES
    for link, given in zip(trace.parents, inputs, strict=True):
        one = _match_input(link, given)
        if one is Match.NO:
            return Match.NO
        if one is Match.MAYBE:
            found = Match.MAYBE
    return found


def _match_input(link: ParentLink, given: Input) -> Match:
    if link.parameter != given.parameter:
        return Match.NO
    same_history = link.signature == given.signature and link.leaf == given.leaf and not given.by_digest
    if link.digest is not None and given.digest is not None:
        if link.digest != given.digest:
            return Match.NO
        return Match.YES if same_history or (link.exact and given.exact) else Match.NO
    if same_history:
        return Match.YES
    return Match.MAYBE if given.pending and link.exact else Match.NO
