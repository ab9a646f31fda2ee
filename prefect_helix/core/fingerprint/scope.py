"""What the names in a function stand for, by Python's own symbol tables."""

from __future__ import annotations

import symtable
from collections.abc import Iterable, Iterator
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
    def of(cls, table: symtable.SymbolTable, imported: Iterable[str]) -> Scope:
        """Return the scope of the function that `table` describes; `imported` are names that it imports."""
        outside = set(table.get_frees()) if isinstance(table, symtable.Function) else set()
        local: set[str] = set()
        parameters: set[str] = set()
        fixed = set(imported)
        for nested in _subtree(table):
            fixed.update(child.get_name() for child in nested.get_children())
            if isinstance(nested, symtable.Function):
                outside.update(nested.get_globals())
                local.update(nested.get_locals())
                parameters.update(nested.get_parameters())
            else:
                fixed.update(nested.get_identifiers())
                outside.update(symbol.get_name() for symbol in nested.get_symbols() if symbol.is_global())
                local.update(symbol.get_name() for symbol in nested.get_symbols() if symbol.is_local())
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
