"""What the names in a function stand for, as its compiled code has it."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import CodeType

_VARIADIC = (inspect.CO_VARARGS, inspect.CO_VARKEYWORDS)
_BY_NAME = frozenset({"LOAD_NAME", "STORE_NAME", "DELETE_NAME", "LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL"}) | {
    "LOAD_FROM_DICT_OR_GLOBALS"
}
_BINDS_IN_CLASS = frozenset({"STORE_NAME", "DELETE_NAME"})


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
    def of(cls, code: CodeType, imported: Iterable[str]) -> Scope:
        """Return the scope of the function compiled to `code`; `imported` are names that it imports."""
        local: set[str] = set()
        parameters: set[str] = set()
        fixed = set(imported)
        used: set[str] = set()  # by name: globals and what class bodies bind, and attributes
        codes = list(nested_codes(code))
        for each in codes:
            used.update(each.co_names)
            fixed.update(constant.co_name for constant in each.co_consts if isinstance(constant, CodeType))
            if each.co_flags & inspect.CO_OPTIMIZED:
                count = each.co_argcount + each.co_kwonlyargcount
                count += sum(bool(each.co_flags & flag) for flag in _VARIADIC)
                parameters.update(each.co_varnames[:count])
                local.update(each.co_varnames, each.co_cellvars)
            else:
                fixed.update(each.co_names)
                local.update(name for name, how in _names(each) if how in _BINDS_IN_CLASS)
        outside = (used - local).union(code.co_freevars)
        doubtful = used & local
        if doubtful:  # mostly a variable and an attribute of one name
            outside.update(name for each in codes for name in _globals_among(doubtful, each))
        private = {name for name in local if name.startswith("_") and "__" in name}
        return cls(
            outer=frozenset(outside - local),
            mixed=frozenset(outside & local),
            parameters=frozenset(parameters),
            renamable=frozenset(local - outside - fixed - parameters - private),
        )


def nested_codes(code: CodeType) -> Iterator[CodeType]:
    """Yield `code` and the code nested in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from nested_codes(constant)


def _globals_among(names: set[str], code: CodeType) -> Iterator[str]:
    """Yield those of `names` that `code` may take from outside; a class body may before it binds the name itself."""
    if not names.isdisjoint(code.co_names):
        yield from (name for name, how in _names(code) if name in names and how not in _BINDS_IN_CLASS)


def _names(code: CodeType) -> Iterator[tuple[str, str]]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in _BY_NAME:
            yield instruction.argval, instruction.opname
