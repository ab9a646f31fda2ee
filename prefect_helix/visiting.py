"""Looks into arguments as Prefect does: into collections and annotations, and not into what is quoted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prefect.client.schemas.objects import RunInput
from prefect.utilities.annotations import quote
from prefect.utilities.collections import StopVisiting, visit_collection

from prefect_helix.compat import get_state_for_result
from prefect_helix.runtime.nodes import Cell

_LEAVES = frozenset({type(None), bool, int, float, str, bytes, Cell})


def cells_in(tree: Any) -> list[Cell]:
    """Return the cells in an argument, in the order they occur."""
    cells: list[Cell] = []

    def note(part: Any, _: dict[str, Any]) -> Any:
        if isinstance(part, Cell):
            cells.append(part)
        return part

    visit(tree, note)
    return cells


def visit(value: Any, replace: Callable[[Any, dict[str, Any]], Any]) -> Any:
    """Return `value` with `replace` applied to all parts of nested collections that Prefect would look into."""
    if type(value) in _LEAVES:  # most arguments of a map
        return replace(value, {})

    def visit_unquoted(part: Any, context: dict[str, Any]) -> Any:
        if isinstance(context.get("annotation"), quote):
            raise StopVisiting
        return replace(part, context)

    return visit_collection(value, visit_unquoted, return_data=True, context={})


def source_of(value: Any) -> Iterator[RunInput]:
    """Yield the run that Prefect knows to have given a value, which is by its identity."""
    found = get_state_for_result(value)
    source = found[0].state_details.to_run_result(found[1]) if found is not None else None
    if source is not None:
        yield source
