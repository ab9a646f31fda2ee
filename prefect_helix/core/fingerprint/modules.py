"""Whole modules, read from their files without importing them.

A module counts as a whole where code uses it other than by naming what is in it: an import inside a function, a dynamic
import with a literal name, a module passed as a value or given as a dependency. Whether it happens to be loaded must
not matter, or the fingerprint would change while the function runs. Once it is loaded, an edit of its file has no
effect until it is loaded again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType

from prefect_helix.core.digest import hash_parts
from prefect_helix.core.fingerprint.components import Edge, Node
from prefect_helix.core.fingerprint.distributions import (
    OUR_MODULES,
    Distribution,
    Origin,
    find_distribution,
    owner_of_file,
)
from prefect_helix.core.fingerprint.form import Imported
from prefect_helix.core.fingerprint.live import MISSING, Live
from prefect_helix.core.fingerprint.normalise import normalise_statements
from prefect_helix.core.fingerprint.source import find_place, parse


class Modules:
    """The modules and distributions that one fingerprint reaches.

    Attributes:
        opaque: What cannot be seen into, by module.
    """

    def __init__(self, live: Live) -> None:
        self._live = live
        self.opaque: dict[str, list[str]] = {}
        self._modules: dict[str, Node] = {}
        self._distributions: dict[str, Node] = {}

    def distribution(self, distribution: Distribution) -> Node:
        """Return the node of an installed distribution, with what it requires."""
        node = self._distributions.get(distribution.name)
        if node is None:
            shown = f"{distribution.name} {distribution.version}"
            node = self._distributions[distribution.name] = Node("distribution", shown, distribution.hash)
            for name in distribution.requires:
                required = self._live.repeat(find_distribution, name)
                if required is not None:
                    node.edges.append(_edge(name, self.distribution(required)))
        return node

    def module(self, name: str) -> Node:
        """Return the node of module `name`, with the modules it imports."""
        node = self._modules.get(name)
        if node is None:
            node = self._modules[name] = Node(None, name, f"module {name}")
            if self._may_be_project(name):
                self._read(node, name)
        return node

    def imported(self, imports: Sequence[Imported], package: str) -> list[Edge]:
        """Return edges to the modules that import statements load, for code in `package`."""
        names = dict.fromkeys(name for statement in imports for name in self._loaded_by(statement, package))
        return [_edge(name, self.module(name)) for name in names]

    def _read(self, node: Node, name: str) -> None:
        found = self._live.item(sys.modules, name)
        loaded = found if isinstance(found, ModuleType) else None
        place = self._live.repeat(find_place, name) if name != "__main__" else None
        loaded_file = MISSING if loaded is None else self._live.item(vars(loaded), "__file__")
        spec = None if loaded is None else self._live.item(vars(loaded), "__spec__")
        if place is not None and place.file is not None:
            file, context = place.file, {"__name__": name, "__loader__": place.loader}
            package = name if place.is_package else name.rpartition(".")[0]
            spec = spec if loaded_file == file else None  # else it is another module of that name
        elif loaded is not None and isinstance(loaded_file, str):
            file, context = loaded_file, vars(loaded)
            package = str(self._live.item(context, "__package__") or "")
        elif place is not None and place.is_package:
            return  # a namespace package
        else:
            self._unseen(node, name, "a module without a file" if loaded is not None else "a module that is not found")
            return
        owner = owner_of_file(file)
        if isinstance(owner, Distribution):
            node.edges = [_edge(owner.name, self.distribution(owner))]
        elif owner is Origin.PROJECT:
            node.kind, node.file = "module", file
            self._read_project_file(node, file, partial(self._live.text_as_loaded, file, context, spec), package)

    def _read_project_file(self, node: Node, file: str, read: Callable[[], str], package: str) -> None:
        if not file.endswith(".py"):
            node.own = hash_parts("extension", self._live.repeat(_bytes, file))
            return
        text = read()
        parsed = parse(text)
        if parsed is None:
            node.own = f"unparsed {text}"
            return
        form = normalise_statements(parsed.tree.body)
        node.own = f"source {form.text}"
        node.edges = self.imported(form.imports, package)
        for what in sorted(form.opaque):
            self._unseen(node, node.name, what)

    def _loaded_by(self, statement: Imported, package: str) -> Iterator[str]:
        base = statement.absolute(package)
        if base is None:
            return
        parts = base.split(".")
        yield from (".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        if self._may_be_project(base):
            names = [f"{base}.{leaf}" for leaf in statement.names]
            yield from (name for name in names if self._live.repeat(find_place, name) is not None)

    def _may_be_project(self, name: str) -> bool:
        """Return whether a module may be the project's: some projects have a module of a name that Python's has."""
        top = name.partition(".")[0]
        if top in OUR_MODULES or top in sys.builtin_module_names:
            return False
        if top not in sys.stdlib_module_names:
            return True
        place = self._live.repeat(find_place, top)
        return place is not None and place.file is not None and owner_of_file(place.file) is Origin.PROJECT

    def _unseen(self, node: Node, name: str, what: str) -> None:
        self.opaque.setdefault(name, []).append(what)
        node.edges.append(_edge(what, Node("opaque", f"{name}: {what}", what)))


def _bytes(file: str) -> bytes:
    return Path(file).read_bytes()


def _edge(label: str, node: Node) -> Edge:
    return Edge(label, "", partial(_same, node))


def _same(node: Node) -> Node:
    return node
