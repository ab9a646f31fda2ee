"""The calls of a flow as nodes of a graph of Apache Hamilton, executed with its cache when the flow reads a value.

A call gives a handle. Its node's originating function is the step's own, whose source is therefore the node's code
version. Handles among the arguments are the nodes it depends on; all else is input of the graph, which Hamilton
versions by its contents. A node's name is part of Hamilton's cache keys. People would give a call a name that says what
it is for; here it is the function's, with a digest of which nodes go into which parameters, and of the call's turn
among those for which that is the same. So names stay when a parameter has a new value, or when a call is added.

When a flow reads a value, its node is executed together with the calls before it that nothing takes and that are not
lazy, as one asks a driver for all that one wants at once; and what a flow returns, together. A tuple of a fixed length
is unpacked into a node for each part, as by Hamilton's `unpack_fields`.

All else is Hamilton's at its defaults: each result is pickled, and each execution loads the results of all nodes
upstream of what it is asked for. Its documentation advises to register a fingerprint for types that it warns of. For
the types in these flows it does not; what it does not know, it fingerprints by `__dict__`. It says, too, that the code
version of a node is that of its function alone, without what the function calls; results stale by that are wrong here.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import types
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import wrapt
from hamilton.driver import Builder
from hamilton.node import Node

from benchmarks.workloads.plain import PlainFile


class Handle(wrapt.LazyObjectProxy):
    """Stands for what a call will give; using it as a value, or asking for its result, reads it."""

    def __init__(self, graph: Graph, name: str, length: int | None = None) -> None:
        super().__init__(lambda: graph.read([self])[0])
        self._self_graph, self._self_name, self._self_length = graph, name, length

    def result(self) -> Any:
        """Return what the call gave."""
        return self.__wrapped__

    def __iter__(self) -> Iterator[Any]:
        """Iterate over handles of the parts where their number is known, otherwise over the value."""
        if self._self_length is None:
            return iter(self.__wrapped__)
        return iter([self._self_graph.part(self, number) for number in range(self._self_length)])


class Graph:
    """The calls of a flow so far, and what was read of them."""

    def __init__(self, store: Path) -> None:
        self._builder = Builder().with_cache(path=store)
        self._nodes: dict[str, Node] = {}
        self._inputs: dict[str, dict[str, Any]] = {}  # by the node that takes them
        self._turns: Counter[str] = Counter()
        self._due: dict[str, None] = {}  # calls not executed that nothing takes and that are not lazy, in order
        self._known: dict[str, Any] = {}

    def call(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], lazy: bool) -> Handle:
        """Add a call."""
        bound = inspect.signature(fn).bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        wired = {parameter: argument for parameter, argument in given.items() if [*_handles(argument)]}
        name = self._name(fn, _wiring(wired))
        literals = {
            parameter: [*_literals(argument)] if parameter in wired else argument
            for parameter, argument in given.items()
        }
        self._inputs[name] = {f"{name}__{parameter}": value for parameter, value in literals.items()}

        def compute(**values: Any) -> Any:
            return fn(**_filled(given, values))

        return self._add(name, fn, compute, [*_handles(wired)], _length(fn), due=not lazy)

    def part(self, whole: Handle, number: int) -> Handle:
        """Return a handle of a part of a tuple."""
        of = whole._self_name
        name = f"{of}_{number}"
        if name in self._nodes:
            return Handle(self, name)
        (fn,) = self._nodes[of].originating_functions
        return self._add(name, fn, lambda **values: values[of][number], [whole], None, due=False)

    def read(self, handles: Sequence[Handle]) -> list[Any]:
        """Return the values of these; if one is not known, execute what is due."""
        names = [handle._self_name for handle in handles]
        if not self._known.keys() >= set(names):
            wanted = [name for name in dict.fromkeys([*names, *self._due]) if name not in self._known]
            upstream = self._upstream(wanted)
            driver = self._builder.build()
            driver.graph = driver.graph.with_nodes(upstream)
            inputs = {name: value for node in upstream for name, value in self._inputs.get(node, {}).items()}
            self._known |= driver.execute(wanted, inputs=inputs)
            self._due.clear()
        return [self._known[name] for name in names]

    def settled(self, value: Any) -> Any:
        """Return what a flow returns, with values in place of handles."""
        handles = [*_handles(value)]
        values = self.read(handles)
        return _filled(value, {handle._self_name: read for handle, read in zip(handles, values, strict=True)})

    def _name(self, fn: Callable[..., Any], wiring: str) -> str:
        place = f"{fn.__module__} {fn.__name__} {wiring}"
        self._turns[place] += 1
        return f"{fn.__name__}_{hashlib.sha256(f'{place} {self._turns[place]}'.encode()).hexdigest()[:16]}"

    def _add(
        self,
        name: str,
        fn: Callable[..., Any],
        compute: Callable[..., Any],
        taken: Sequence[Handle],
        length: int | None,
        due: bool,
    ) -> Handle:
        parents = [handle._self_name for handle in taken]
        input_types = dict.fromkeys([*parents, *self._inputs.get(name, {})], Any)
        self._nodes[name] = Node(name, Any, callabl=compute, input_types=input_types, originating_functions=(fn,))
        for parent in parents:
            self._due.pop(parent, None)
        if due:
            self._due[name] = None
        return Handle(self, name, length)

    def _upstream(self, names: Sequence[str]) -> dict[str, Node]:
        found: dict[str, Node] = {}
        coming = [*names]
        while coming:
            name = coming.pop()
            if name in self._nodes and name not in found:
                found[name] = self._nodes[name]
                coming += found[name].input_types
        return found


def stand_in(store: Path) -> types.ModuleType:
    """Make a module that stands in for `prefect_helix`: calls of its tasks are nodes, cached in the folder `store`."""
    graph = Graph(store)

    def helix_task(fn: Callable[..., Any] | None = None, *, lazy: bool = False, **options: Any) -> Any:
        if fn is None:
            return functools.partial(helix_task, lazy=lazy, **options)

        @functools.wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Handle:
            return graph.call(fn, args, kwargs, lazy)

        call.fn, call.submit = fn, call  # type: ignore[attr-defined]
        return call

    def helix_flow(fn: Callable[..., Any] | None = None, **options: Any) -> Any:
        if fn is None:
            return functools.partial(helix_flow, **options)

        @functools.wraps(fn)
        def run(*args: Any, **kwargs: Any) -> Any:
            return graph.settled(fn(*args, **kwargs))

        run.fn = fn  # type: ignore[attr-defined]
        return run

    module = types.ModuleType("prefect_helix")
    module.__dict__.update(helix_task=helix_task, helix_flow=helix_flow, File=PlainFile)
    return module


@functools.cache
def _length(fn: Callable[..., Any]) -> int | None:
    """Return how many parts a function's result has, if it is a tuple of a fixed length, by its annotation."""
    returned = get_type_hints(fn).get("return")
    parts = get_args(returned)
    return len(parts) if get_origin(returned) is tuple and Ellipsis not in parts else None


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Handle):  # asked first, because to ask for another class reads it
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _leaves(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def _handles(value: Any) -> Iterator[Handle]:
    return (leaf for leaf in _leaves(value) if isinstance(leaf, Handle))


def _literals(value: Any) -> Iterator[Any]:
    return (leaf for leaf in _leaves(value) if not isinstance(leaf, Handle))


def _filled(value: Any, values: dict[str, Any]) -> Any:
    if isinstance(value, Handle):
        return values[value._self_name]
    if isinstance(value, dict):
        return {key: _filled(part, values) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_filled(part, values) for part in value)
    return value


def _wiring(value: Any) -> str:
    if isinstance(value, Handle):
        return str(value._self_name)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key!r}: {_wiring(part)}' for key, part in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_wiring, value))}]"
    return "_"
