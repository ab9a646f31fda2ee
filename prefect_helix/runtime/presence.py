"""What other runs that use the same store are told of a run, and what they tell."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection

from prefect_helix.storage import leases
from prefect_helix.storage.store import Store


class Presence:
    """A run among the others.

    It is not there for them until it first needs something, computes something or asks for them, or has lasted for a
    while: who comes when nobody else does and is soon gone writes nothing.

    Args:
        store: The store.
        run_id: The run.
        needs: Gives the names of the blobs that it may still load.
        failed: Called with what prevents it from telling; any exception.
    """

    def __init__(
        self, store: Store, run_id: str, needs: Callable[[], Collection[str]], failed: Callable[[Exception], None]
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._needs = needs
        self._failed = failed
        self._claims: set[str] = set()
        self._began_at = time.monotonic()
        self._told_at: float | None = None
        self._silent = False
        self._lock = threading.Lock()

    @property
    def is_known(self) -> bool:
        """Whether others were told of the run."""
        return self._told_at is not None

    def tell(self) -> None:
        """Tell others what the run needs and computes."""
        if self._silent:
            return
        self._told_at = time.monotonic()
        try:
            with self._lock:  # what is told last is the latest
                lease = leases.Lease(self._run_id, frozenset(self._needs()), frozenset(self._claims))
                leases.beat(self._store, lease)
        except Exception as error:  # whatever it is, the thread that tells goes on
            self._failed(error)

    def tell_if_due(self) -> None:
        """Tell it again, if it was told too long ago to hold much longer, or never and the run lasts.

        Who finds no lease and a journal that nobody writes to takes the run for killed.
        """
        since = self._began_at if self._told_at is None else self._told_at
        if time.monotonic() - since >= leases.BEAT_SECONDS:
            self.tell()

    def fall_silent(self) -> None:
        """Tell nothing more: the store cannot be written."""
        self._silent = True

    def leave(self) -> None:
        """Take back all that was told.

        Raises:
            StoreError: If the store refuses.
        """
        if self.is_known:
            leases.end(self._store, self._run_id)

    # -- calls that are computed ---------------------------------------------------------------------------------

    def claim(self, signature: str) -> None:
        """Tell others that the run computes a call."""
        self._claims.add(signature)
        self.tell()

    def claims(self, signature: str) -> bool:
        """Return whether the run told others that it computes a call."""
        return signature in self._claims

    def release(self, signature: str) -> None:
        """Tell others that it does not compute a call any more."""
        self._claims.discard(signature)
        self.tell()

    def holder(self, signature: str) -> str:
        """Return the id of another run that computes a call at this moment; empty if there is none.

        Raises:
            StoreError: If the store refuses.
        """
        return next((lease.run_id for lease in self._others() if signature in lease.claims), "")

    # -- what others need ----------------------------------------------------------------------------------------

    def needed_by_others(self) -> set[str]:
        """Return the names of the blobs that other running flows may load.

        Raises:
            StoreError: If the store refuses.
        """
        return leases.needed_blobs(self._others())

    def _others(self) -> list[leases.Lease]:
        """Return the leases of the others that still run; which those are, a lease of our own tells the time of."""
        if not self.is_known:
            self.tell()
        return [lease for lease in leases.in_force(self._store) if lease.run_id != self._run_id]
