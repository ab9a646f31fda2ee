"""Waiting for what another run computes at this moment, instead of computing it twice (the placeholders of LIMA).

A call claims its signature right before it computes, with all that it takes at hand, and gives the claim up once its
result can be found in the store. So whoever holds a claim is computing and waits for nobody, and no two runs can wait
for each other. What a call may be given is decided anew afterwards, as if its run had begun later: whether a claim is
late, lost or left behind costs time and nothing else.

Claims are part of the lease of their run. They end with it, and if the run is killed they grow old with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from prefect_helix.core.errors import StoreError
from prefect_helix.core.history import results
from prefect_helix.core.lineage import Trace
from prefect_helix.runtime.keeper import Keeper
from prefect_helix.runtime.nodes import Node

POLL_SECONDS = 0.5


class Waiting:
    """Waits for other runs on behalf of one.

    Args:
        keeper: The store.
        seconds: How long a call waits at most.
        inform: Called with a sentence when one begins to wait.
    """

    def __init__(self, keeper: Keeper, seconds: float, inform: Callable[[str], None]) -> None:
        self._keeper = keeper
        self._seconds = seconds
        self._inform = inform
        self._claimed: dict[str, str] = {}

    def claim(self, node: Node) -> list[Trace]:
        """Claim what a call is about to compute; where another run is at it, wait, and return what that run knows."""
        signature = self._claimed[node.key] = node.history_key
        deadline = time.monotonic() + self._seconds
        waited_for = ""
        try:
            while (run_id := self._keeper.holder(signature)) and time.monotonic() < deadline:
                if run_id != waited_for:
                    self._inform(f"helix: {node.spec.name} waits for run {run_id}, which computes it at this moment")
                waited_for = run_id
                pause()
            known = self._keeper.look_at_run(waited_for) if waited_for else ()
        except StoreError:  # told when something is to be written there
            return []
        found = [trace for trace in results(known) if trace.signature == signature]
        if not found:
            self._keeper.claim(signature)
        return found

    def release(self, node: Node) -> None:
        """Give up the claim on a call, if there is one: its key may have changed since."""
        signature = self._claimed.pop(node.key, None)
        if signature is not None:
            self._keeper.release(signature)


def pause() -> None:
    """Let some time pass until the store is asked again."""
    time.sleep(POLL_SECONDS)
