from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Lineage, ParentLink, Result, Run, Trace

SECOND_US = 1_000_000

MakeTrace = Callable[..., Trace]
MakeLineage = Callable[..., Lineage]


@pytest.fixture
def make_trace() -> MakeTrace:
    """A step that was computed in one second, unless told otherwise."""

    def make(
        task: str,
        signature: str | None = None,
        *,
        parents: Sequence[str] = (),
        size_bytes: int | None = 1_000,
        decision: Decision = Decision.COMPUTE,
        **fields: Any,
    ) -> Trace:
        values: dict[str, Any] = {
            "key": f"flows:{task}",
            "call": 0,
            "fingerprint": "code",
            "arguments": (),
            "literals": "",
            "wait_for": (),
            "reason": "its code changed",
            "status": "completed",
            "compute_us": SECOND_US,
            "load_us": SECOND_US // 10,
            "demanded": False,
            "started_us": 0,
        }
        return Trace(
            task=task,
            signature=task if signature is None else signature,
            parents=tuple(ParentLink(parent, None, None, False, "x") for parent in parents),
            decision=decision,
            result=None if size_bytes is None else Result("digest", True, size_bytes, "builtins:bytes"),
            **{**values, **fields},
        )

    return make


@pytest.fixture
def make_lineage() -> MakeLineage:
    """A completed run of the flow "census"; its parameters are given as {name: (digest, shown)}."""

    def make(
        traces: Sequence[Trace], *, parameters: Mapping[str, tuple[str, str]] | None = None, **fields: Any
    ) -> Lineage:
        given = parameters or {}
        values: dict[str, Any] = {
            "run_id": "id",
            "flow": "census",
            "name": "cobalt-otter",
            "status": "completed",
            "started_us": 0,
            "finished_us": SECOND_US,
            "parameters": {name: digest for name, (digest, _) in given.items()},
            "shown_parameters": {name: shown for name, (_, shown) in given.items()},
            "prior_run_id": None,
            "mode": "auto",
            "policy": "auto",
            "budget_bytes": 10**10,
        }
        return Lineage(Run(**{**values, **fields}), tuple(traces))

    return make
