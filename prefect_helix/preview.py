"""A flow as its file has it now, and the plan of its next run, without running it."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from prefect.exceptions import MissingFlowError, ParameterBindError, ParameterTypeError, ScriptError
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.logging import disable_run_logger
from prefect.utilities.callables import get_call_parameters

from prefect_helix.core.errors import ConfigurationError
from prefect_helix.flows import HelixPlan
from prefect_helix.outlooks import plan_ahead
from prefect_helix.runtime.opening import Outlook
from prefect_helix.runtime.specs import Specs, TaskSpec
from prefect_helix.settings import FlowOptions, Resolved, resolve

_FORM = "Name a flow as path/to/file.py:flow or package.module:flow."


@dataclass(frozen=True)
class Preview:
    """What the next run of a flow is expected to be.

    Attributes:
        flow: The flow's name.
        mode: Its mode.
        outlook: The plan; None in mode ``off``, where the flow runs as plain Prefect.
    """

    flow: str
    mode: str
    outlook: Outlook | None


@dataclass(frozen=True)
class Loaded:
    """A flow as its file has it now.

    Attributes:
        flow: Its name.
        settings: What its runs go by.
        spec_of: Gives a task of its module by key, else by name; None where there is none.
    """

    flow: str
    settings: Resolved
    spec_of: Callable[[str, str], TaskSpec | None]


def preview(
    entrypoint: str,
    parameters: Mapping[str, Any],
    *,
    store: str | None,
    warn: Callable[[str, str], None],
) -> Preview:
    """Load a flow and plan its next run. The flow's module is run, the flow is not; nothing is written.

    A module that calls a flow where it is loaded is refused.

    Args:
        entrypoint: The flow as Prefect names it: ``path/to/file.py:flow`` or ``package.module:flow``.
        parameters: What to call it with.
        store: Instead of the flow's own store; None for that one.
        warn: Called with a key and a sentence for whatever is found wrong in the store.

    Raises:
        ConfigurationError: If there is no such flow, or it cannot be called so.
        StoreError: If the store cannot be read.
    """
    flow, resolved = _load(entrypoint, store)
    arguments = _validated(flow, parameters)
    if resolved.mode == "off":
        return Preview(flow.name, resolved.mode, None)
    return Preview(flow.name, resolved.mode, plan_ahead(resolved, flow.name, arguments, warn, Specs()))


def loaded(entrypoint: str, *, store: str | None) -> Loaded:
    """Load a flow. Its module is run, the flow is not.

    Args:
        entrypoint: The flow; see `preview`.
        store: Instead of the flow's own store; None for that one.

    Raises:
        ConfigurationError: If there is no such flow.
    """
    flow, resolved = _load(entrypoint, store)
    return Loaded(flow.name, resolved, Specs().named)


def _load(entrypoint: str, store: str | None) -> tuple[Flow[..., Any], Resolved]:
    flow = _load_flow(entrypoint)
    options = next((h.options for h in flow.on_running_hooks or () if isinstance(h, HelixPlan)), FlowOptions())
    if store is not None:
        options = replace(options, store=store, storage_options=None)
    return flow, resolve(options)


def _load_flow(entrypoint: str) -> Flow[..., Any]:
    if not all(entrypoint.rpartition(":" if ":" in entrypoint else ".")):
        raise ConfigurationError("entrypoint", entrypoint, _FORM)
    try:
        with _no_flow_runs():
            return load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    except _FlowCalled as called:
        cause = f'It calls the flow {called} as it is loaded; put that call below `if __name__ == "__main__":`.'
    except ScriptError as error:
        cause = f"Loading it failed: {type(error.user_exc).__name__}: {error.user_exc}."
    except MissingFlowError as error:
        cause = str(error).strip()
    except ModuleNotFoundError as error:
        cause = f"{error}. {_FORM}"
    except (Exception, SystemExit) as error:  # an imported module may raise anything
        cause = f"Loading it failed: {type(error).__name__}: {error}."
    raise ConfigurationError("entrypoint", entrypoint, " ".join(cause.split()))


class _FlowCalled(BaseException):
    """A flow was called; an ``except Exception`` of the module that did so does not go on without its result."""


@contextmanager
def _no_flow_runs() -> Iterator[None]:
    """Have no flow run in this thread: the call is refused, also that of an async flow that nobody awaits yet."""
    call: Any = Flow.__call__
    loading = threading.get_ident()

    def refuse(flow: Flow[..., Any], *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() == loading:
            raise _FlowCalled(flow.name)
        return call(flow, *args, **kwargs)

    Flow.__call__ = refuse  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        Flow.__call__ = call  # type: ignore[method-assign]


@contextmanager
def outside_of_runs() -> Iterator[None]:
    """Let functions of tasks be called where nothing runs: what they tell the logger of their run goes nowhere."""
    with disable_run_logger():
        yield


def _validated(flow: Flow[..., Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters as the flow's body would get them."""
    known = inspect.signature(flow.fn).parameters
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    for name, value in parameters.items():
        if name not in known and not open_ended:
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise ConfigurationError(name, value, f"Flow {flow.name!r} has no such parameter; {takes}.")
    try:
        arguments = get_call_parameters(flow.fn, (), dict(parameters))
        if not flow.should_validate_parameters:
            return arguments
        with _quiet(logging.getLogger("prefect.flows")):  # it logs what the error says, with all values
            return flow.validate_parameters(arguments)
    except ParameterBindError as error:  # "Error binding ...: missing a required argument: 'path'.", then more lines
        cause = f"Flow {flow.name!r} is {str(error).splitlines()[0].partition(': ')[2]}"
    except ParameterTypeError as error:  # "Flow run received invalid parameters:", then " - reg: Input should ..."
        cause = "; ".join(line.strip(" -") for line in str(error).splitlines()[1:]) + "."
    raise ConfigurationError("parameters", sorted(parameters), cause)


@contextmanager
def _quiet(log: logging.Logger) -> Iterator[None]:
    log.disabled, before = True, log.disabled
    try:
        yield
    finally:
        log.disabled = before
