"""Looks into arguments as Prefect does: into collections and annotations, and not into what is quoted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from prefect.client.schemas.objects import RunInput, State
from prefect.futures import PrefectFuture
from prefect.utilities.annotations import BaseAnnotation, allow_failure, quote
from prefect.utilities.collections import StopVisiting, visit_collection
from pydantic import BaseModel

from prefect_helix.compat import get_state_for_result
from prefect_helix.runtime.nodes import Cell
from prefect_helix.runtime.standin import is_stand_in
from prefect_helix.workers import PlainResult

_LEAVES = frozenset({type(None), bool, int, float, str, bytes, Cell})
_OPENED = _LEAVES | {list, tuple, set, dict, OrderedDict}
_WHOLE = "helix_whole"


def cells_in(tree: Any, *, allowed: bool = False) -> list[Cell]:
    """Return the cells in an argument, in the order they occur.

    Args:
        tree: The argument.
        allowed: Whether only those count that may have failed.
    """
    cells: list[Cell] = []

    def note(part: Any, context: dict[str, Any]) -> Any:
        if isinstance(part, Cell) and (not allowed or isinstance(context.get("annotation"), allow_failure)):
            cells.append(part)
        return part

    visit(tree, note)
    return cells


def visit(value: Any, replace: Callable[[Any, dict[str, Any]], Any]) -> Any:
    """Return `value` with `replace` applied to all parts of nested collections that Prefect would look into.

    A collection that stays whole is a part itself, and its parts are left alone.
    """
    if type(value) in _LEAVES:  # most arguments of a map
        return replace(value, {})

    def visit_unquoted(part: Any, context: dict[str, Any]) -> Any:
        if _WHOLE in context or isinstance(context.get("annotation"), quote):
            raise StopVisiting
        replaced = replace(part, context)
        if stays_whole(replaced):
            context[_WHOLE] = True  # those of its parts are copies of it
        return replaced

    return visit_collection(value, visit_unquoted, return_data=True, context={})


def stays_whole(part: Any) -> bool:
    """Return whether a part is a collection that is handed on as it is, with the results of nodes that are in it.

    With something else in their places it would have to be made anew. Prefect does so where a future becomes a value,
    and not where a result is one already. With a class that has a constructor of its own, that may fail, or lose data.
    """
    return type(part) not in _OPENED and not is_stand_in(part) and _makes_more(part) and not _has_to_be_opened(part)


def parts_within(whole: Any) -> list[Any]:
    """Return the parts of a collection, and theirs, as far as Prefect would look into it."""
    parts: list[Any] = []

    def note(part: Any, context: dict[str, Any]) -> None:
        if isinstance(context.get("annotation"), quote):
            raise StopVisiting
        if part is not whole:
            parts.append(part)

    visit_collection(whole, note, context={})
    return parts


def _makes_more(part: Any) -> bool:
    """Return whether a part is a collection whose class does more, as it is made anew, than take its parts."""
    if isinstance(part, BaseAnnotation):
        return False
    cls = type(part)
    if isinstance(part, (list, tuple, set, dict)):
        return not hasattr(cls, "_make")
    if is_dataclass(part):
        return not isinstance(part, type) and _does_more_than_its_fields(part)
    return isinstance(part, BaseModel) and not str(cls.model_post_init.__module__).startswith("pydantic.")


def _does_more_than_its_fields(part: Any) -> bool:
    """Return whether an object of a dataclass is more than what `dataclasses` makes of its fields."""
    made, known = getattr(type(part).__init__, "__code__", None), fields(part)
    return (
        made is None
        or made.co_filename != "<string>"  # which is where the constructor is from that `dataclasses` writes
        or hasattr(part, "__post_init__")
        or not all(field.init for field in known)
        or not getattr(part, "__dict__", {}).keys() <= {field.name for field in known}
    )


def _has_to_be_opened(part: Any) -> bool:
    """Return whether a collection has something in it that Prefect resolves, or that stands for such a thing."""
    return any(isinstance(inner, (PrefectFuture, State, Cell, PlainResult)) for inner in parts_within(part))


def source_of(value: Any) -> Iterator[RunInput]:
    """Yield the run that Prefect knows to have given a value, which is by its identity."""
    found = get_state_for_result(value)
    source = found[0].state_details.to_run_result(found[1]) if found is not None else None
    if source is not None:
        yield source
