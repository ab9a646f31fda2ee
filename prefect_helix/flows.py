"""`helix_flow`: a Prefect flow that plans its run before it starts; and the hook that does it for any flow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, overload

from prefect import flow as prefect_flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow

from prefect_helix.blocks import is_block_name
from prefect_helix.core.materialization import Policy, policy_named
from prefect_helix.core.sizes import budget_bytes
from prefect_helix.runs import install, unwrapped
from prefect_helix.settings import FlowOptions, checked_mode, checked_share
from prefect_helix.storage.store import open_store

P = ParamSpec("P")
R = TypeVar("R")


class HelixPlan:
    """The pre-run hook: ``@flow(on_running=[helix_plan])``.

    It installs the plan around the flow's body and does nothing else, because in `on_running` the flow's validated
    parameters and its task runner do not exist yet.
    """

    __name__ = "helix_plan"

    def __init__(self, options: FlowOptions) -> None:
        self.options = options

    def __call__(self, flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
        """Install the plan, which is made in this very run as its body starts."""
        install(flow, self.options)


helix_plan = HelixPlan(FlowOptions())


@overload
def helix_flow(fn: Callable[P, R], /) -> Flow[P, R]: ...
@overload
def helix_flow(
    fn: None = None,
    /,
    *,
    store: str | Path | None = None,
    budget: str | int | None = None,
    policy: str | Policy | None = None,
    mode: str | None = None,
    verify: float | None = None,
    storage_options: Mapping[str, Any] | None = None,
    **flow_options: Any,
) -> Callable[[Callable[P, R]], Flow[P, R]]: ...
def helix_flow(
    fn: Callable[P, R] | None = None,
    /,
    *,
    store: str | Path | None = None,
    budget: str | int | None = None,
    policy: str | Policy | None = None,
    mode: str | None = None,
    verify: float | None = None,
    storage_options: Mapping[str, Any] | None = None,
    **flow_options: Any,
) -> Any:
    """Make a Prefect flow whose helix tasks are planned before each run.

    What is not given here comes from ``PREFECT_INTEGRATIONS_HELIX_STORE``, ``_BUDGET``, ``_POLICY``, ``_MODE`` and
    ``_VERIFY``.

    Args:
        fn: The function.
        store: Where results and lineage are kept: an fsspec URL, a local path, or a saved block as
            ``"helix-storage/NAME"``. Default: ``helix/`` in Prefect's home.
        budget: What the store may hold in results, in bytes or as ``"20GB"``. Default: 10 GB, or less where a
            local store's disk has little room: a tenth of what is free there when the run begins.
        policy: ``"auto"``, ``"helix"``, ``"always"``, ``"never"``, or an object with a `name` and a method `worth`.
        mode: ``"auto"``; ``"off"`` for plain Prefect; ``"recompute"`` to compute all and refresh the store;
            ``"verify"`` to compute all and fail if a result differs from the recorded one.
        verify: Share of the reused results that is computed again beside the flow and compared, such as 0.01 for one
            in a hundred. One that differs is told with its difference, and not used again unless another system
            computed it. Default: 0.
        storage_options: Options of the store's fsspec file system, such as credentials and endpoint.
        **flow_options: Every option of `prefect.flow`.

    Raises:
        ConfigurationError: If a setting makes no sense.
    """
    options = FlowOptions(store, budget, policy, mode, storage_options, verify)
    _check(options)
    hooks = [HelixPlan(options), *(flow_options.pop("on_running", None) or ())]

    def decorate(function: Callable[P, R]) -> Flow[P, R]:
        made: Flow[P, R] = prefect_flow(unwrapped(function), on_running=[*hooks], **flow_options)  # type: ignore[call-overload]
        install(made, options)  # before Prefect knows subflows by the function, which then is the same in each run
        return made

    return decorate if fn is None else decorate(fn)


def _check(options: FlowOptions) -> None:
    """Refuse what makes no sense while the flow is defined, before a run depends on it."""
    if options.store is not None and not is_block_name(options.store):
        open_store(options.store, storage_options=options.storage_options)
    if options.budget is not None:
        budget_bytes(options.budget)
    if options.policy is not None:
        policy_named(options.policy)
    if options.mode is not None:
        checked_mode(options.mode)
    if options.verify is not None:
        checked_share(options.verify)
