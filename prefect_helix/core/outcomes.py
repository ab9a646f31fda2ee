"""What equal calls gave when they were computed: which signatures are ambiguous, and which code repeats itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prefect_helix.core.lineage import Trace
from prefect_helix.core.rulings import Rulings


class Outcomes:
    """Counts the digests that signatures gave.

    Code is named by what it stands for under the rulings of today.

    Args:
        rulings: What people have ruled.
        indexed: Yields the traces with a signature in the index.
        ambiguous: What of that is known from the index; see the attributes.
        unsteady: Likewise.
        proven: Likewise.

    Attributes:
        ambiguous: Signatures that were seen to give two digests.
        unsteady: Codes that gave one of these; there are only ever more.
        proven: Fingerprints seen to give one exact digest for one signature on two computes.
    """

    def __init__(
        self,
        rulings: Rulings,
        indexed: Callable[[str], Iterator[Trace]],
        ambiguous: Iterable[str],
        unsteady: Iterable[str],
        proven: Iterable[str],
    ) -> None:
        self.ambiguous = {*ambiguous}
        self.unsteady = {*unsteady}
        self.proven = {*proven}
        self._rulings = rulings
        self._indexed = indexed
        self._counts: dict[tuple[str, str], dict[str, int]] = {}

    def add(self, trace: Trace) -> None:
        """Count what a computation gave, newer than all before it."""
        if trace.result is None or trace.result.digest is None:
            return
        code, digest = self._rulings.stands_for(trace.computed_by), trace.result.digest
        seen = self._counts.get((code, trace.signature))
        if seen is None:
            seen = self._counts[code, trace.signature] = self._digests_before(trace, code)
        seen[digest] = seen.get(digest, 0) + 1
        if len(seen) > 1:
            self.ambiguous.add(trace.signature)
            self.unsteady.add(code)
        elif trace.result.exact and seen[digest] > 1:
            self.proven.add(trace.computed_by)

    def repeats(self, fingerprint: str) -> bool:
        """Return whether this very code gave an exact digest that its signature had given before, and never another."""
        return fingerprint in self.proven and self._rulings.stands_for(fingerprint) not in self.unsteady

    def _digests_before(self, trace: Trace, code: str) -> dict[str, int]:
        """Return what the index knows of the digests that a signature gave. What was given once or more counts once.

        Of a computation that still went on when the index was written, it may know the runs that used its result.
        """
        known = (
            one.result.digest
            for one in self._indexed(trace.signature)
            if one.result is not None
            and (one.computed_in, one.computed_at_us) != (trace.computed_in, trace.computed_at_us)
            and self._rulings.stands_for(one.computed_by) == code
            and self._rulings.revocation(one) is None
        )
        return {digest: 1 for digest in known if digest is not None}
