"""What the names in a function stand for, by Python's own symbol tables."""

from __future__ import annotations

import symtable
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """What the names in a function and all it nests stand for.

    Attributes:
        outer: Names that always come from outside: globals, builtins, free variables.
        mixed: Names that do in one place and are local in another.
        parameters: Names of parameters, its own and nested ones.
        renamable: Local variables whose names mean nothing.
    """

    outer: frozenset[str] = frozenset()
    mixed: frozenset[str] = frozenset()
    parameters: frozenset[str] = frozenset()
    renamable: frozenset[str] = frozenset()

    @classmethod
    def of(cls, table: symtable.SymbolTable) -> Scope:
        """Return the scope of the function that `table` describes."""
        outside = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_free()}
        local, fixed, parameters = set(), set(), set()
        for nested in _subtree(table):
            for symbol in nested.get_symbols():
                name = symbol.get_name()
                if symbol.is_global():
                    outside.add(name)
                elif symbol.is_local():
                    local.add(name)
                if symbol.is_parameter():
                    parameters.add(name)
                if symbol.is_imported() or symbol.is_namespace() or nested.get_type() == "class":
                    fixed.add(name)
        private = {name for name in local if name.startswith("_") and "__" in name}
        return cls(
            outer=frozenset(outside - local),
            mixed=frozenset(outside & local),
            parameters=frozenset(parameters),
            renamable=frozenset(local - outside - fixed - parameters - private),
        )


def _subtree(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _subtree(child)
