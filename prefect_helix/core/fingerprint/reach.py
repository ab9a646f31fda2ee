"""Everything a function reaches, as live objects: what runs counts, not what a file says."""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import BuiltinFunctionType, FunctionType, ModuleType

from prefect_helix.core.digest import digest
from prefect_helix.core.errors import UndigestibleError
from prefect_helix.core.fingerprint.bytecode import normalise_bytecode
from prefect_helix.core.fingerprint.components import Edge, Node
from prefect_helix.core.fingerprint.distributions import Distribution, Origin, Owner, owner_of_class, owner_of_module
from prefect_helix.core.fingerprint.form import Chain, NormalForm
from prefect_helix.core.fingerprint.modules import Modules
from prefect_helix.core.fingerprint.names import (
    MISSING,
    Binding,
    Slot,
    default_values,
    held_value,
    is_project_code,
    module_label,
    resolve,
    written_slot,
)
from prefect_helix.core.fingerprint.source import initialisers, read_function
from prefect_helix.core.fingerprint.values import MAPPINGS, SEQUENCES, SETS, size_bytes, strings_in

LARGE_BYTES = 64 * 2**20
_MODULE_FACTS = frozenset({"__name__", "__file__", "__spec__", "__package__", "__path__", "__loader__", "__builtins__"})

Expand = Callable[["Reach", Node, object], None]


@dataclass(slots=True)
class _Code:
    """A project function among the nodes."""

    node: Node
    function: FunctionType
    form: NormalForm
    documented: bool


class Reach:
    """The graph below a function while it is being walked.

    Args:
        expand: Fills in the node of a live object that is no function; the two call each other.
    """

    def __init__(self, expand: Expand) -> None:
        self.modules = Modules()
        self.opaque: dict[str, list[str]] = {}
        self.notes: list[str] = []
        self._expand = expand
        self._nodes: dict[int, Node] = {}
        self._alive: list[object] = []  # so that no identity is used twice
        self._pending: list[tuple[Node, object]] = []
        self._codes: dict[int, _Code] = {}
        self._given: set[int] = set()
        self._constants: dict[int, object] = {}
        self._written_slots: set[Slot] = set()
        self._written_objects: set[int] = set()
        self._states: dict[int, Node] = {}
        self._documented = False

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
            self._alive.append(value)
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
        return Edge(label, "", partial(self._final, self.visit(value, name, given)))

    def held(self, owner: object, label: str, value: object, name: str, *, given: bool = False) -> Edge:
        """Return an edge to an attribute of `owner`, which is state if reached code writes it."""
        binding = Binding(value, (id(owner), label), label, (), None)
        return Edge(label, label, partial(self._current, self.visit(value, name, given), binding), is_attribute=True)

    def owned_by(self, owner: Owner) -> list[Edge]:
        """Return an edge to the distribution that owns something, none for other owners."""
        if isinstance(owner, Distribution):
            return [Edge(owner.name, "", partial(self._final, self.modules.distribution(owner)))]
        return []

    def constant(self, node: Node, value: object) -> None:
        """Make `node` a constant, to be digested if it is still one when the walk is done."""
        node.kind = "constant"
        self._constants[id(node)] = value

    def walk(self) -> None:
        """Fill in all nodes, then settle what depends on the whole: names of variables, docstrings."""
        while True:
            while self._pending:
                node, value = self._pending.pop()
                node.edges = []
                if type(value) is FunctionType:  # a proxy of one only looks like one
                    self._function(node, value)
                else:
                    self._expand(self, node, value)
            if self._documented or not any(code.form.reads_docs for code in self._codes.values()):
                break
            self._documented = True
            self._pending.extend((code.node, code.function) for code in self._codes.values())
        self._name_variables()

    # -- functions --------------------------------------------------------------------------------------------------

    def _function(self, node: Node, function: FunctionType) -> None:
        owner = owner_of_module(str(function.__globals__.get("__name__", "")))
        if owner is Origin.OURS:
            node.own = "ours"
            if "__wrapped__" in vars(function):
                node.edges = [self.edge("", vars(function)["__wrapped__"], node.name)]
        elif owner is Origin.PROJECT:
            self._project_function(node, function)
        elif _is_found_by_name(function):
            node.own = f"function {function.__globals__['__name__']}:{function.__qualname__}"
            node.edges = self.owned_by(owner)
        else:
            self._foreign_wrapper(node, function, owner)

    def _foreign_wrapper(self, node: Node, function: FunctionType, owner: Owner) -> None:
        node.own = normalise_bytecode(function.__code__).text
        node.edges = self.owned_by(owner)
        given = isinstance(owner, Distribution)
        if hasattr(function, "registry") and hasattr(function, "dispatch"):  # functools.singledispatch
            implementations = sorted(function.registry.items(), key=lambda item: item[0].__qualname__)
            for kind, implementation in implementations:
                node.edges.append(self.edge("dispatch on", kind, node.name))
                node.edges.append(self.edge(kind.__qualname__, implementation, node.name))
            return
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            content = held_value(function, (name,))
            if content is not MISSING:
                node.edges.append(self.held(cell, name, content, f"{node.name}.{name}", given=given))
        for name, value in default_values(function):
            node.edges.append(self.edge(name, value, f"{node.name}.{name}", given=given))
        if "__wrapped__" in vars(function):
            node.edges.append(self.edge("__wrapped__", vars(function)["__wrapped__"], node.name, given=given))

    def _project_function(self, node: Node, function: FunctionType) -> None:
        documented = self._documented or self.is_given(node)
        read = read_function(function, documented=documented)
        form = read.form
        self._codes[id(node)] = _Code(node, function, form, documented)
        code = function.__code__
        node.kind, node.own = "function", form.text
        node.name = f"{module_label(function.__globals__)}.{function.__qualname__}"
        node.file, node.line, node.source = code.co_filename, code.co_firstlineno, read.source
        if documented and read.source is None:
            node.own += f"{function.__doc__!r}{sorted(map(str, getattr(function, '__annotations__', {}).items()))!r}"
        package = str(function.__globals__.get("__package__") or "")
        node.edges = [
            *(self._reference(node, resolve(function, chain)) for chain in form.references),
            *(self._reference(node, binding) for binding in self._named(function, form)),
            *self.modules.imported(form.imports, package),
            *(
                self.held(function, f"{name}=", value, f"{node.name}.{name}")
                for name, value in default_values(function)
            ),
            *(
                self.held(function, name, value, f"{node.name}.{name}")
                for name, value in sorted(vars(function).items())
            ),
            *(self._unseen(node, what) for what in sorted(form.opaque)),
        ]
        for chain, callee in form.passed:
            value = resolve(function, chain).value
            if is_project_code(value) and not self._is_known(function, callee):
                self.visit(value, node.name, given=True)
        self._note_writes(function, form)

    def _named(self, function: FunctionType, form: NormalForm) -> Iterator[Binding]:
        for name in sorted(form.named):
            if name in function.__globals__ or name in function.__code__.co_freevars:
                yield resolve(function, (name,))

    def _reference(self, node: Node, binding: Binding) -> Edge:
        rest = ".".join(binding.rest)
        if binding.value is MISSING or binding.label in _MODULE_FACTS:
            fact = Node(None, binding.label, f"name {binding.label}")
            return Edge(binding.label, rest, partial(self._final, fact))
        within = node.name if binding.namespace is None else module_label(binding.namespace)
        target = self.visit(binding.value, f"{within}.{binding.label}")
        return Edge(binding.label, rest, partial(self._current, target, binding))

    def _unseen(self, node: Node, what: str) -> Edge:
        self.opaque.setdefault(node.name, []).append(what)
        return Edge(what, "", partial(self._final, Node("opaque", f"{node.name}: {what}", what)))

    def _is_known(self, function: FunctionType, callee: Chain | None) -> bool:
        """Return whether `callee` is code that is followed or documented: the project, Python, or ourselves."""
        if callee is None:
            return False
        value = resolve(function, callee).value
        if isinstance(value, ModuleType):
            return isinstance(owner_of_module(value.__name__), Origin)
        if type(value) in (FunctionType, BuiltinFunctionType):
            return isinstance(owner_of_module(getattr(value, "__module__", None) or "builtins"), Origin)
        return isinstance(owner_of_class(value if isinstance(value, type) else type(value)), Origin)

    def _note_writes(self, function: FunctionType, form: NormalForm) -> None:
        self._written_slots.update(written_slot(function, chain) for chain in form.writes)
        changed = [held_value(function, chain) for chain in form.item_writes]
        containers = MAPPINGS | SEQUENCES | SETS
        changed += [value for chain in form.mutations if type(value := held_value(function, chain)) in containers]
        self._written_objects.update(id(value) for value in changed if value is not MISSING)

    def _name_variables(self) -> None:
        """Give local variables back the names that may be read: all with a frame reader, else tokens of strings."""
        all_kept = any(code.form.reads_frames for code in self._codes.values())
        tokens = {token for code in self._codes.values() for token in code.form.tokens}
        for value in self._constants.values():
            found = strings_in(value)
            all_kept = all_kept or found is None
            tokens |= found or set()
        for code in self._codes.values():
            kept = code.form.renamed if all_kept else code.form.renamed & tokens
            if kept:
                text = read_function(code.function, kept=kept, documented=code.documented).form.text
                code.node.own = text

    # -- what an edge leads to, when the graph is complete ------------------------------------------------------------

    def _current(self, node: Node, binding: Binding) -> Node:
        if binding.slot in self._written_slots or id(binding.value) in self._written_objects:
            return self._state(node, binding)
        return self._final(node)

    def _final(self, node: Node) -> Node:
        if id(node) in self._constants and not node.own:
            self._digest(node, self._constants[id(node)])
        return node

    def _digest(self, node: Node, value: object) -> None:
        try:
            node.own = digest(value).hex
        except UndigestibleError:
            node.own = f"type {type(value).__module__}:{type(value).__qualname__}"
        node.source = reprlib.repr(value)
        size = size_bytes(value)
        if size > LARGE_BYTES:
            self.notes.append(
                f"The constant {node.name} ({size / 2**20:,.0f} MiB) is digested for every fingerprint. "
                "Make it an argument of the task."
            )

    def _state(self, node: Node, binding: Binding) -> Node:
        state = self._states.get(id(node))
        if state is None:
            state = self._states[id(node)] = Node("state", node.name, "state")
            namespace = binding.namespace
            if namespace is not None:
                state.own += initialisers(str(namespace.get("__file__", "")), namespace, binding.label)
            if node.kind in ("function", "class"):
                state.edges = [Edge("", "", partial(self._final, node))]
            else:
                state.edges = [edge for edge in node.edges if edge.target().kind in ("function", "class")]
            self.notes.append(
                f"{node.name} is written by the code that reads it, so its content is not part of the fingerprint. "
                "Pass it as an argument if results depend on it, or name what it depends on with depends_on=."
            )
        return state


def _is_found_by_name(function: FunctionType) -> bool:
    found: object = sys.modules.get(str(function.__globals__.get("__name__", "")))
    for name in function.__qualname__.split("."):
        found = getattr(found, "__dict__", {}).get(name)
    return found is function
