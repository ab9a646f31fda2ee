"""What a run of a flow is expected to be: the same for a run and for a preview of it, and in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from prefect_helix.core.graph import Decision
from prefect_helix.runtime.opening import Order, Outlook, look_ahead
from prefect_helix.runtime.specs import Specs
from prefect_helix.settings import Resolved
from prefect_helix.views.steps import plan_line


def plan_ahead(
    resolved: Resolved,
    flow: str,
    parameters: Mapping[str, Any],
    warn: Callable[[str, str], None],
    specs: Specs,
    *,
    run_id: str = "",
    name: str = "",
    parent_run_id: str | None = None,
) -> Outlook:
    """Return what a run of the flow of that name is expected to be; a run and a preview of it see the same.

    Raises:
        StoreError: If the store cannot be read.
    """
    order = Order(
        run_id=run_id,
        flow=flow,
        name=name,
        parameters=parameters,
        mode=resolved.mode,
        policy=resolved.policy,
        budget_bytes=resolved.budget_bytes,
        spec_of=specs.named,
        parent_run_id=parent_run_id,
        wait_seconds=resolved.wait_seconds,
        verify=resolved.verify,
    )
    return look_ahead(resolved.open(), order, warn)


def outlook_line(outlook: Outlook) -> str:
    """Return the plan of a run in one line."""
    if outlook.plan is None:
        return "helix: first run of this flow; what is needed is computed"
    counts = Counter(node.decision for node in outlook.world.nodes)
    unfollowed = outlook.unfollowed
    decided = {decision: counts[decision] for decision in Decision}
    line = plan_line(decided, outlook.predicted_us, outlook.scratch_us)
    return f"{line}; what {', '.join(unfollowed)} changes is seen as the flow runs" if unfollowed else line
