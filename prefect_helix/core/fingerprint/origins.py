"""The code that made what does not show its content, or was written since: it counts in place of that."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from prefect_helix.core.fingerprint.components import Edge, Node
from prefect_helix.core.fingerprint.form import Chain, NormalForm
from prefect_helix.core.fingerprint.initial import Initial, enclosing_code, initial_code
from prefect_helix.core.fingerprint.live import MISSING
from prefect_helix.core.fingerprint.names import (
    default_values,
    held_value,
    initial_places,
    is_project_code,
    is_project_module,
    module_label,
    resolve_global,
)
from prefect_helix.core.fingerprint.values import MAPPINGS, PLAIN_TYPES, SEQUENCES, SETS

if TYPE_CHECKING:
    from prefect_helix.core.fingerprint.reach import Reach


class Origins:
    """The nodes of code that runs when a module is imported, for one fingerprint.

    Args:
        reach: The graph that they are of.
    """

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._live = reach.live
        self._nodes: dict[tuple[int, str], Node] = {}
        self._changed: dict[int, list[Chain]] = {}  # inside of containers, by function

    def of_name(self, namespace: dict[str, Any], name: str) -> Edge:
        """Return an edge to the code that makes the first value of a global or attribute."""
        node = self._nodes.get((id(namespace), name))
        if node is None:
            shown = f"{module_label(self._live, namespace)}.{name} (first value)"
            node = self._nodes[id(namespace), name] = Node(None, shown)
            self._fill(node, namespace, initial_code(self._live.module_text(namespace), name))
        return self._reach.settled(node)

    def of_definition(self, code: object) -> dict[tuple[int, str], Edge]:
        """Return an edge to the code that names a function or class of the project as its module is imported."""
        if not is_project_code(self._live, code):
            return {}
        if isinstance(code, FunctionType):
            namespace = code.__globals__
        elif isinstance(code, type) and isinstance(module := self._live.item(sys.modules, code.__module__), ModuleType):
            namespace = vars(module)
        else:
            return {}
        name = code.__qualname__.partition(".")[0]
        return {(id(namespace), name): self.of_name(namespace, name)}

    def of_written(self, function: FunctionType, form: NormalForm) -> list[Edge]:
        """Return edges to the code that makes the first values of what `function` writes."""
        chains = sorted({*form.writes, *self._changed_inside(function, form)})
        places = [place for chain in chains for place in initial_places(self._live, function, chain)]
        edges = {(id(namespace), name): self.of_name(namespace, name) for namespace, name in places}
        owned = {*function.__code__.co_freevars, *(name for name, _ in default_values(function))}
        if any(chain[0] in owned for chain in chains):
            edges |= self.of_owned(function)
        return list(edges.values())

    def of_owned(self, function: FunctionType) -> dict[tuple[int, str], Edge]:
        """Return edges to the code that makes the cells and the defaults of `function`, which is hidden by that."""
        namespace, file = function.__globals__, function.__code__.co_filename
        edges: dict[tuple[int, str], Edge] = {}
        self._reach.hide(self._reach.visit(function, function.__name__))
        wrapped = vars(function).get("__wrapped__")
        if isinstance(wrapped, FunctionType) and is_project_code(self._live, wrapped):
            name = self._live.repeat(getattr, wrapped, "__name__")
            edges[0, "__wrapped__"] = self.of_name(wrapped.__globals__, name)
        found = enclosing_code(self._live.text(file, namespace), function.__code__)
        if found is not None:
            name, initial = found
            node = self._nodes.setdefault((id(namespace), f"def {name}"), Node(None, name))
            if not node.own:
                self._fill(node, namespace, initial)
            edges[id(namespace), f"def {name}"] = self._reach.settled(node)
            edges[id(namespace), name] = self.of_name(namespace, name)
        return edges

    def of_hidden(self, function: FunctionType) -> dict[tuple[int, str], Edge]:
        """Return edges to the code that makes cells or defaults of `function` that do not show their content."""
        edges = self.of_owned(function)
        if function.__defaults__ or function.__kwdefaults__:
            namespace, name = function.__globals__, function.__name__
            edges[id(namespace), name] = self.of_name(namespace, name)
        return edges

    def written_by(self, function: FunctionType, form: NormalForm) -> Iterator[object]:
        """Yield the objects that `function` sets items of, or changes by a method."""
        for chain in self._changed_inside(function, form):
            value = held_value(self._live, function, chain)
            if value is not MISSING and type(value) not in PLAIN_TYPES:  # None has no items, and is one for many
                yield value

    def owners_of_written(self, function: FunctionType, form: NormalForm) -> Iterator[object]:
        """Yield the classes and instances that hold what `function` writes: whoever names them may have filled them."""
        for chain in (*form.writes, *self._changed_inside(function, form)):
            owner = held_value(self._live, function, chain[:-1]) if len(chain) > 1 else MISSING
            if owner is not MISSING and type(owner) not in PLAIN_TYPES and not isinstance(owner, ModuleType):
                yield owner

    def _changed_inside(self, function: FunctionType, form: NormalForm) -> list[Chain]:
        if id(function) not in self._changed:
            containers = MAPPINGS | SEQUENCES | SETS
            held = [(chain, held_value(self._live, function, chain)) for chain in sorted(form.mutations)]
            changed = [chain for chain, value in held if type(value) in containers]
            self._changed[id(function)] = [*sorted(form.item_writes), *changed]
        return self._changed[id(function)]

    def _fill(self, node: Node, namespace: dict[str, Any], initial: Initial) -> None:
        node.own = f"initial {initial.form.text}"
        if initial.source:
            node.kind, node.source = "state", initial.source
        chains = initial.form.references
        node.edges = [self._reach.reference(node, resolve_global(self._live, namespace, chain)) for chain in chains]
        for statement in initial.imported:
            full_name = statement.absolute(self._reach.package_of(namespace))
            loaded = None if full_name is None else self._live.item(sys.modules, full_name)
            if isinstance(loaded, ModuleType) and is_project_module(self._live, loaded):
                node.edges += [self.of_name(vars(loaded), name) for name in statement.names]
