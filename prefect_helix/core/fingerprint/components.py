"""The graph of what a function reaches, and its one hash."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

from prefect_helix.core.digest import hash_parts

Kind = Literal["function", "class", "constant", "module", "distribution", "opaque", "state", "dependency"]


@dataclass(frozen=True, slots=True)
class Component:
    """One thing a fingerprint is made of.

    Attributes:
        name: ``features.clean``, ``features.SCALE``, ``numpy 2.4.6``, ``python 3.11``; for people, in no hash.
        kind: What it is.
        hash: Hash of it alone, without what it reaches; 32 hexadecimal digits.
        file: Where it is defined; for people, in no hash.
        line: Its first line there.
        source: Source text of a function, or a short form of a constant.
        via: Name of the component by which it is first reached; empty for the task itself.
    """

    name: str
    kind: Kind
    hash: str
    file: str | None
    line: int | None
    source: str | None
    via: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """An object that a module holds, with what it reaches, but for other such objects; or what reaches them.

    Attributes:
        name: ``module:name``; empty for what reaches them.
        hash: 32 hexadecimal digits.
        components: What it is made of, by name.
    """

    name: str
    hash: str
    components: tuple[Component, ...]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Semantic hash of a function and of all code and constants it reaches.

    Attributes:
        hash: 32 hexadecimal digits.
        components: What it is made of, by name.
        notes: What it could not see into or does not count, in whole sentences with the way out.
        draws: Whether it reaches a random generator that outlives a call, so that two calls give different values.
        parts: Where they were to be told apart, the objects that it reaches and modules hold, and the rest of it.
    """

    hash: str
    components: tuple[Component, ...]
    notes: tuple[str, ...]
    draws: bool = False
    parts: tuple[Part, ...] = ()

    @property
    def may_change(self) -> bool:
        """Whether it counts what a running program may change, so that each call has to take it again.

        These are values, and classes, which may be given some.
        """
        return any(component.kind in ("constant", "state", "class") for component in self.components)


@dataclass(slots=True, eq=False)
class Node:
    """A component while the graph is being built.

    Attributes:
        kind: What it is; None for structure that is no component of its own (a container, a partial).
        name: Its name, for people.
        own: Canonical text of what it is, without what it reaches and without where it lives.
        edges: What it reaches, in an order that follows from `own`.
    """

    kind: Kind | None
    name: str
    own: str = ""
    edges: list[Edge] = field(default_factory=list)
    file: str | None = None
    line: int | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """A use of a component.

    Attributes:
        label: The last name it goes by where it is used; tells people (and the user's own hash) which one it is.
        rest: Attributes read from it that are not followed; part of the hash.
        target: What is used, found when the graph is complete.
        is_attribute: Whether it is an attribute that the owner may or may not have; as state without code in it, it
            does not count.
        name: What people call a constant where it is used; in no hash. Equal constants may be one and the same object.
    """

    label: str
    rest: str
    target: Callable[[], Node]
    is_attribute: bool = False
    name: str = ""


def fact(kind: Kind, name: str, own: str, source: str | None = None) -> Edge:
    """Return an edge to a component that is all told by `own`; `source` is what people see of it."""
    node = Node(kind, name, own, source=source)
    return Edge("", "", lambda: node)


def environment_variable(name: str, value: str | None) -> Edge:
    """Return an edge to the present value of an environment variable, None if it is not set."""
    own = f"variable {name} is not set" if value is None else f"variable {name}={value}"
    return fact("dependency", f"environment variable {name}", own)


def structure_of(node: Node) -> list[Node]:
    """Return `node` and what it holds, in structure of any depth, up to the first components."""
    found: list[Node] = []
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if id(each) not in seen:
            seen.add(id(each))
            found.append(each)
            if each.kind is None:
                waiting += [edge.target() for edge in reversed(each.edges)]
    return found


def divided(root: Node, objects: Mapping[int, tuple[str, Node]]) -> tuple[Part, ...]:
    """Return the parts of the graph below `root`; none if it reaches none of some objects.

    Args:
        root: The root.
        objects: Nodes of objects, by identity, each with a name.
    """
    reached, waiting = {id(root)}, [root] if objects else []
    while waiting:
        targets = {id(target): target for target in (edge.target() for edge in waiting.pop().edges)}
        waiting += [target for key, target in targets.items() if key not in reached]
        reached.update(targets)
    found = [(name, node) for name, node in objects.values() if id(node) in reached]
    apart = {id(node): name for name, node in found}
    return tuple(Part(name, *summarise(node, apart)) for name, node in (("", root), *found)) if found else ()


def summarise(root: Node, apart: Mapping[int, str] = MappingProxyType({})) -> tuple[str, tuple[Component, ...]]:
    """Return the hash of the graph below `root`, and its components by name.

    Nodes are numbered breadth first along the ordered edges, which is canonical for a rooted graph with ordered edges.
    So recursion needs no special case: equal hashes mean equal components, tied together in the same way. Leaves are
    told apart by what they are, never by identity. Complexity: O(nodes + edges).

    Args:
        root: The root.
        apart: Names of nodes, by identity, that count by these and are not looked into, unless one is the root.
    """
    numbers: dict[int | str, int] = {id(root): 0}
    order, waiting = [root], deque([root])
    above: dict[int, Node | None] = {id(root): None}
    constants: dict[tuple[str, str], Node] = {}
    parts: list[str] = []
    while waiting:
        node = waiting.popleft()
        line = [node.kind or "", node.own]
        is_apart = id(node) in apart and node is not root
        line += [apart[id(node)]] if is_apart else []
        for edge in () if is_apart else node.edges:
            target = edge.target()
            if edge.is_attribute and target.kind == "state" and not target.edges:
                continue
            key = id(target) if target.edges else f"{target.kind}:{target.own}"
            if key not in numbers:
                numbers[key] = len(numbers)
                order.append(target)
                waiting.append(target)
                above[id(target)] = above[id(node)] if node.kind is None else node
            line += (edge.rest, str(numbers[key]))
            if target.kind == "constant":
                named = Node("constant", edge.name or target.name, target.own, source=target.source)
                if constants.setdefault((named.name, named.own), named) is named:
                    above[id(named)] = above[id(node)] if node.kind is None else node
        parts += (str(len(line)), *line)
    components: list[Component] = []
    names: dict[int, str] = {}
    seen: Counter[str] = Counter()
    for node in (*(node for node in order if node.kind != "constant"), *constants.values()):
        if node.kind is not None:
            seen[node.name] += 1
            name = names[id(node)] = node.name if seen[node.name] == 1 else f"{node.name} #{seen[node.name]}"
            alone = _alone(node.kind, node.own, *[part for edge in node.edges for part in (edge.label, edge.rest)])
            via = names.get(id(above[id(node)]), "")
            components.append(Component(name, node.kind, alone, node.file, node.line, node.source, via))
    # Each text after its length: no two lists of texts are joined alike.
    whole = "".join([f"{len(part)}:{part}" for part in parts])
    return hash_parts("fingerprint", whole), tuple(sorted(components, key=lambda component: component.name))


# Tasks share helpers, and each helper is hashed for each task.
_alone = lru_cache(maxsize=16384)(hash_parts)
