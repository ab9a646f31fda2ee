"""Everything a function reaches, as live objects: what runs counts, not what a file says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import FunctionType
from typing import Any

from prefect_helix.core.fingerprint.bytecode import normalise_bytecode
from prefect_helix.core.fingerprint.components import Edge, Node, environment_variable, fact, structure_of
from prefect_helix.core.fingerprint.constants import Constants
from prefect_helix.core.fingerprint.distributions import Distribution, Origin, Owner
from prefect_helix.core.fingerprint.form import NormalForm
from prefect_helix.core.fingerprint.live import MISSING, Live
from prefect_helix.core.fingerprint.modules import Modules
from prefect_helix.core.fingerprint.names import (
    Binding,
    FrameClasses,
    Slot,
    annotations_of,
    asked_for,
    chains_in,
    default_values,
    docstring,
    documentation,
    held_value,
    is_found_by_name,
    is_known,
    is_project_code,
    module_label,
    names_among,
    resolve,
    resolve_global,
    written_slot,
)
from prefect_helix.core.fingerprint.origins import Origins
from prefect_helix.core.fingerprint.reads import source_of
from prefect_helix.core.fingerprint.values import (
    MAPPINGS,
    SEQUENCES,
    SETS,
    attributes_set,
    is_environment,
    reads_environment,
)

_MODULE_FACTS = frozenset({"__name__", "__file__", "__spec__", "__package__", "__path__", "__loader__", "__builtins__"})
_HOLDERS = (*MAPPINGS, *SEQUENCES, *SETS, partial)

Expand = Callable[["Reach", Node, object], None]


@dataclass(slots=True)
class _Code:
    """A project function among the nodes."""

    node: Node
    function: FunctionType
    form: NormalForm


class Reach:
    """The graph below a function while it is being walked.

    Args:
        expand: Fills in the node of a live object that is no function; the two call each other.
    """

    def __init__(self, expand: Expand) -> None:
        self.live = Live()
        self.modules = Modules(self.live)
        self.frames = FrameClasses(self.live)
        self.opaque: dict[str, list[str]] = {}
        self.notes: dict[str, None] = {}  # each once
        self.draws = False
        self.constants = Constants(self.live, self.notes)
        self._expand = expand
        self._nodes: dict[int, Node] = {}
        self._values: dict[int, object] = {}  # of each node; kept alive, so that no identity is used twice
        self._pending: list[tuple[Node, object]] = []
        self._codes: dict[int, _Code] = {}
        self._given: set[int] = set()
        self._written_slots: set[Slot] = set()
        self._written_objects: set[int] = set()
        self._written_owners: set[int] = set()
        self._changed: list[tuple[Node, object]] = []
        self._holders: list[Node] = []
        self._states: dict[int, Node] = {}
        self._origins = Origins(self)
        self._hidden: set[int] = set()
        self._bindings: list[tuple[Node, Node, dict[str, Any], str]] = []
        self._references: list[tuple[Node, Binding, dict[str, Any]]] = []
        self._later: dict[int, dict[str, Edge]] = {}
        self.documented = False
        self.lists_members = False

    # -- building the graph -----------------------------------------------------------------------------------------

    def visit(self, value: object, name: str, given: bool = False) -> Node:
        """Return the node of a live object, to be filled in by `walk`.

        Args:
            value: The object.
            name: What to call it, if nothing better is known.
            given: Whether foreign code holds it, which could read its docstring and annotations.
        """
        node = self._nodes.get(id(value))
        if node is None:
            node = self._nodes[id(value)] = Node(None, name)
            self._values[id(node)] = value
            self._pending.append((node, value))
        if given and id(node) not in self._given:
            self._given.add(id(node))
            self._pending.append((node, value))
        return node

    def is_given(self, node: Node) -> bool:
        """Return whether foreign code holds what `node` stands for."""
        return id(node) in self._given

    def edge(self, label: str, value: object, name: str, *, given: bool = False) -> Edge:
        """Return an edge to a live object."""
        return Edge(label, "", partial(self._final, self.visit(value, name, given)), name=name)

    def settled(self, node: Node) -> Edge:
        """Return an edge to a node that is made already."""
        return Edge("", "", partial(self._final, node), name=node.name)

    def held(self, owner: object, label: str, value: object, name: str, *, given: bool = False) -> Edge:
        """Return an edge to an attribute of `owner`, which is state if reached code writes it."""
        binding = Binding(value, (id(owner), label), label, (), None)
        target = self.visit(value, name, given)
        return Edge(label, label, partial(self._current, target, binding), is_attribute=True, name=name)

    def declared(
        self, fn: object, code_version: str | None, depends_on: Sequence[object], given: bool = False
    ) -> list[Edge]:
        """Return edges to the code of a task, or the version that stands for it, and to what it says it depends on."""
        if code_version is None:
            edges = [self.edge("code", fn, getattr(fn, "__name__", type(fn).__name__))]
        else:
            edges = [fact("dependency", "code_version", f"version {code_version}", code_version)]
        for number, dependency in enumerate(depends_on):
            if isinstance(dependency, str):
                edges.append(environment_variable(dependency, self.live.repeat(os.environ.get, dependency)))
            else:
                edges.append(self.edge("depends_on", dependency, f"depends_on[{number}]", given=given))
        return edges

    def owned_by(self, owner: Owner) -> list[Edge]:
        """Return an edge to the distribution that owns something, none for other owners."""
        if isinstance(owner, Distribution):
            return [Edge(owner.name, "", partial(self._final, self.modules.distribution(owner)))]
        return []

    def hide(self, node: Node) -> None:
        """Note that what `node` stands for does not show its content: the code that makes it counts."""
        self._hidden.add(id(node))

    def bind(self, node: Node, value: object, namespace: dict[str, Any], label: str) -> None:
        """Note that code of the module with globals `namespace` gives `value` to a variable or attribute."""
        self._bindings.append((node, self.visit(value, label), namespace, label))

    def held_objects(self, name: str, value: object) -> dict[int, tuple[str, Node]]:
        """Return the nodes of objects that modules hold under names that are used, by identity, with these names.

        Args:
            name: The name of what was asked for.
            value: That.
        """
        references = [(one.value, f"{space.get('__name__')}:{one.label}") for _, one, space in self._references]
        used = [(shown, self._nodes[id(one)]) for one, shown in ((value, name), *references)]
        objects = [(shown, node) for shown, node in used if node.kind is None and node.own.startswith("instance")]
        return {id(node): (shown, node) for shown, node in reversed(objects)}

    def walk(self) -> None:
        """Fill in all nodes, then settle what depends on the whole: names of variables, docstrings."""
        self._drain()
        while self._settle():
            self._drain()
        self._name_variables()

    def _drain(self) -> None:
        while self._pending:
            node, value = self._pending.pop()
            node.edges = []
            if type(value) is FunctionType:  # a proxy of one only looks like one
                self._function(node, value)
            else:
                self._expand(self, node, value)
            node.edges += self._later.get(id(node), {}).values()

    def _settle(self) -> bool:
        """Return whether what has been reached makes more count, which may make still more count."""
        forms = [code.form for code in self._codes.values()]
        documented = self.documented or any(form.reads_docs for form in forms)
        lists_members = self.lists_members or any(form.reads_members for form in forms)
        if (documented, lists_members) != (self.documented, self.lists_members):
            self.documented, self.lists_members = documented, lists_members
            nodes = [node for node in self._nodes.values() if node.kind in ("function", "class", None)]
            self._pending += [(node, self._values[id(node)]) for node in nodes]
            return True
        for holder in self._holders:
            if holder.kind is None:  # else it holds no code
                self.visit(self._values[id(holder)], holder.name, given=True)
        grew = False
        for code in list(self._codes.values()):
            if code.form.reads_strings:
                tokens = self.constants.tokens()[0] | self._tokens()
                for name in self.live.repeat(names_among, code.function.__globals__, tokens):
                    binding = resolve(self.live, code.function, (name,))
                    grew |= self._add(code.node, f"name {name}", self.reference(code.node, binding))
            if self._hidden and id(code.node) not in self._hidden and self._owns_hidden(code.function):
                for (space, name), edge in self._origins.of_hidden(code.function).items():
                    grew |= self._add(code.node, f"initial {space} {name}", edge)
        for user, target, namespace, name in list(self._bindings):
            if self._hidden and any(id(node) in self._hidden for node in structure_of(target)):
                grew |= self._add(user, f"initial {id(namespace)} {name}", self._origins.of_name(namespace, name))
        for user, binding, namespace in list(self._references):
            if self._is_written(binding) or id(binding.value) in self._written_owners:
                key = f"initial {id(namespace)} {binding.label}"
                grew |= self._add(user, key, self._origins.of_name(namespace, binding.label))
        for user, changed in list(self._changed):
            for held in self._held_in(changed):
                for (space, name), edge in self._origins.of_definition(held).items():
                    grew |= self._add(user, f"initial {space} {name}", edge)
        return grew or bool(self._pending)

    def _owns_hidden(self, function: FunctionType) -> bool:
        """Return whether a cell or a default of a function holds what does not show its content."""
        cells = (self.live.cell(cell) for cell in function.__closure__ or ())
        values = (*cells, *(value for _, value in default_values(function)))
        held = (node for value in values if (node := self._nodes.get(id(value))) is not None)
        return any(id(part) in self._hidden for node in held for part in structure_of(node))

    def _held_in(self, value: object) -> list[object]:
        """Return what a value that is changed in place holds, functions and classes among it.

        It is not known by its content, so that what put them there has to count: their decorators, and the arguments of
        their bases.
        """
        node = self._nodes.get(id(value))
        parts = structure_of(node) if node is not None else []
        return [self._values[id(part)] for part in parts if id(part) in self._values]

    def _add(self, node: Node, key: str, edge: Edge) -> bool:
        """Give `node` an edge that is found late, once, and again whenever it is filled in again; tell if it is new."""
        later = self._later.setdefault(id(node), {})
        if key in later:
            return False
        later[key] = edge
        node.edges.append(edge)
        return True

    # -- functions --------------------------------------------------------------------------------------------------

    def _function(self, node: Node, function: FunctionType) -> None:
        owner = self.live.owner_of_namespace(function.__globals__)
        self.live.function(function)
        if owner is Origin.OURS:
            node.own = "ours"
            if "__wrapped__" in vars(function):
                node.edges = [self.edge("", vars(function)["__wrapped__"], node.name)]
        elif owner is Origin.PROJECT:
            self._project_function(node, function)
        elif self.live.repeat(is_found_by_name, function):
            node.own = f"function {function.__globals__['__name__']}:{function.__qualname__}"
            node.edges = self.owned_by(owner)
        else:
            self._foreign_wrapper(node, function, owner)

    def _foreign_wrapper(self, node: Node, function: FunctionType, owner: Owner) -> None:
        form = normalise_bytecode(function.__code__)
        node.own = form.text
        node.edges = self.owned_by(owner)
        given = isinstance(owner, Distribution)
        if hasattr(function, "registry") and hasattr(function, "dispatch"):  # functools.singledispatch
            self.live.contents(function.registry)
            implementations = sorted(function.registry.items(), key=lambda item: item[0].__qualname__)
            for kind, implementation in implementations:
                node.edges.append(self.edge("dispatch on", kind, node.name))
                node.edges.append(self.edge(kind.__qualname__, implementation, node.name))
            return
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            content = held_value(self.live, function, (name,))
            if content is not MISSING:
                node.edges.append(self.held(cell, name, content, f"{node.name}.{name}", given=given))
        for name, value in default_values(function):
            node.edges.append(self.edge(name, value, f"{node.name}.{name}", given=given))
        if "__wrapped__" in vars(function):
            node.edges.append(self.edge("__wrapped__", vars(function)["__wrapped__"], node.name, given=given))
        for name, value in attributes_set(function, {"__wrapped__", *form.attributes}):  # may set these itself
            node.edges.append(self.held(function, name, value, f"{node.name}.{name}", given=given))

    def _project_function(self, node: Node, function: FunctionType) -> None:
        documented = self.documented or self.is_given(node)
        read = source_of(self.live, function, documented=documented)
        form = read.form
        self._codes[id(node)] = _Code(node, function, form)
        code = function.__code__
        node.kind, node.own = "function", form.text
        node.name = f"{module_label(self.live, function.__globals__)}.{function.__qualname__}"
        node.file, node.line, node.source = code.co_filename, code.co_firstlineno, read.source
        if function.__name__ != code.co_name:  # a data frame labels by it
            node.own += f"called {function.__name__!r};"
        if documented:
            shown = documentation if read.source is None else docstring
            node.own += self.live.repeat(shown, function)
        annotations = self.live.repeat(annotations_of, function) if documented else ()
        package = self.package_of(function.__globals__)
        bindings = [resolve(self.live, function, chain) for chain in form.references]
        opaque = form.opaque | {"os.environ" for binding in bindings if reads_environment(binding.value)}
        node.edges = [
            *(self.reference(node, binding) for binding in bindings),
            *(self.reference(node, binding) for binding in self._named(function, form)),
            *(self.edge(name, patch, name) for name in sorted(form.attributes) for patch in self.frames.patched(name)),
            *self.modules.imported([*form.imports, *asked_for(self.live, bindings)], package),
            *(
                self.held(function, f"{name}=", value, f"{node.name}.{name}")
                for name, value in default_values(function)
            ),
            *(self.held(function, name, value, f"{node.name}.{name}") for name, value in attributes_set(function, ())),
            *self.annotated(node, function.__globals__, annotations),
            *(self._unseen(node, what) for what in sorted(opaque)),
            *self._origins.of_written(function, form),
        ]
        self._give(node, function, form)
        self._note_writes(node, function, form)

    def _give(self, node: Node, function: FunctionType, form: NormalForm) -> None:
        """Note what a function gives to code that may read docstrings and annotations, of it or of what it holds."""
        for chain in form.values:
            value = resolve(self.live, function, chain).value
            if is_project_code(self.live, value):
                self.visit(value, node.name, given=True)
        for chain, callee in form.passed:
            value = resolve(self.live, function, chain).value
            holds = issubclass(type(value), _HOLDERS)
            if (holds or is_project_code(self.live, value)) and not is_known(self.live, function, callee):
                target = self.visit(value, node.name, given=not holds)
                self._holders += [target] if holds else []

    def annotated(
        self, node: Node, namespace: dict[str, Any], annotations: Iterable[tuple[str, object]]
    ) -> Iterator[Edge]:
        """Yield edges to what annotations stand for, those that are text by the names in it."""
        for name, annotation in annotations:
            if isinstance(annotation, str):
                bindings = [resolve_global(self.live, namespace, chain) for chain in chains_in(annotation)]
                yield from (self.reference(node, each) for each in bindings if each.value is not MISSING)
            else:
                yield self.edge(f"{name}:", annotation, f"{node.name}.{name}")

    def _named(self, function: FunctionType, form: NormalForm) -> Iterator[Binding]:
        for name in sorted(form.named):
            if name in function.__code__.co_freevars or self.live.item(function.__globals__, name) is not MISSING:
                yield resolve(self.live, function, (name,))

    def reference(self, node: Node, binding: Binding) -> Edge:
        """Return an edge from `node` to what a name in its code stands for."""
        rest = ".".join(binding.rest)
        if binding.value is MISSING or binding.label in _MODULE_FACTS or is_environment(binding.value):
            fact = Node(None, binding.label, f"name {binding.label}")
            return Edge(binding.label, rest, partial(self._final, fact))
        within = node.name if binding.namespace is None else module_label(self.live, binding.namespace)
        name = f"{within}.{binding.label}"
        target = self.visit(binding.value, name)
        if binding.namespace is not None:
            self.bind(node, binding.value, binding.namespace, binding.label)
            self._references.append((node, binding, binding.namespace))
        return Edge(binding.label, rest, partial(self._current, target, binding), name=name)

    def _unseen(self, node: Node, what: str) -> Edge:
        self.opaque.setdefault(f"{node.name}()", []).append(what)
        return Edge(what, "", partial(self._final, Node("opaque", f"{node.name}: {what}", what)))

    def _note_writes(self, node: Node, function: FunctionType, form: NormalForm) -> None:
        self._written_slots.update(written_slot(self.live, function, chain) for chain in form.writes)
        changed = list(self._origins.written_by(function, form))
        self._written_objects.update(map(id, changed))
        self._written_owners.update(map(id, self._origins.owners_of_written(function, form)))
        self._changed += [(node, value) for value in changed]

    def package_of(self, namespace: dict[str, Any]) -> str:
        """Return the package that the module with globals `namespace` is in; empty if it is in none."""
        package = self.live.item(namespace, "__package__")
        return package if isinstance(package, str) else ""

    def _name_variables(self) -> None:
        """Give local variables back the names that may be read: all with a frame reader, else tokens of strings."""
        tokens, all_seen = self.constants.tokens()
        tokens |= self._tokens()
        all_kept = not all_seen or any(code.form.reads_frames for code in self._codes.values())
        for code in self._codes.values():
            for number, name in enumerate(code.form.renamed):
                if all_kept or name in tokens:
                    code.node.own += f"%{number}={name};"

    def _tokens(self) -> set[str]:
        """Return the identifiers in all strings in code."""
        return {token for code in self._codes.values() for token in code.form.tokens}

    # -- what an edge leads to, when the graph is complete ------------------------------------------------------------

    def _current(self, node: Node, binding: Binding) -> Node:
        return self._state(node, binding) if self._is_written(binding) else self._final(node)

    def _is_written(self, binding: Binding) -> bool:
        return binding.slot in self._written_slots or id(binding.value) in self._written_objects

    def _final(self, node: Node) -> Node:
        self.constants.fill(node)
        return node

    def _state(self, node: Node, binding: Binding) -> Node:
        state = self._states.get(id(node))
        if state is None:
            state = self._states[id(node)] = Node("state", node.name, "state")
            if not node.own.startswith("instance"):  # one that is made lazily has no class at first
                code = [each for each in structure_of(node) if each.kind in ("function", "class")]
                state.edges = [Edge("", "", partial(self._final, each)) for each in code]
            self.notes.setdefault(
                f"{node.name} is written by the code that reads it, so its content is not part of the fingerprint. "
                "Pass it as an argument if results depend on it, or name what it depends on with depends_on=."
            )
        return state
