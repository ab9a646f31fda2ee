"""The source of live code: found, checked against what runs, and normalised.

A file may have changed since it was imported, and one line may hold two lambdas. So a syntax tree is trusted only if it
compiles to the very code object that runs; everything else is normalised from its bytecode.
"""

from __future__ import annotations

import ast
import linecache
import symtable
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import ModuleSpec
from types import CodeType, FunctionType
from typing import Any

from prefect_helix.core.fingerprint.bytecode import normalise_bytecode
from prefect_helix.core.fingerprint.form import NormalForm
from prefect_helix.core.fingerprint.normalise import normalise
from prefect_helix.core.fingerprint.scope import Scope
from prefect_helix.core.fingerprint.syntax import FunctionNode, statements_in

_KEPT_TREES = 8

_Place = tuple[str, int]
"""Name of a function and its first line, decorators included."""


@dataclass(frozen=True, slots=True, eq=False)
class ParsedSource:
    """One file's source, indexed by where its functions are."""

    lines: Sequence[str]
    tree: ast.Module
    nodes: Mapping[_Place, list[FunctionNode]]
    codes: Mapping[_Place, list[CodeType]]
    tables: Mapping[_Place, list[symtable.SymbolTable]]

    def definition(self, code: CodeType) -> FunctionNode | None:
        """Return the node that `code` was compiled from; None if it is not there or not the only one at its place."""
        place = (code.co_name, code.co_firstlineno)
        nodes = self.nodes.get(place, [])
        return nodes[0] if len(nodes) == 1 and self.codes.get(place) == [code] else None

    def scope(self, node: FunctionNode) -> Scope | None:
        """Return what the names in `node` stand for, None if two functions share its place."""
        name = "lambda" if isinstance(node, ast.Lambda) else node.name
        tables = self.tables.get((name, node.lineno), [])
        if len(tables) != 1:
            return None
        imports = [each for each in statements_in(node) if isinstance(each, ast.Import | ast.ImportFrom)]
        bound = {alias.asname or alias.name.partition(".")[0] for each in imports for alias in each.names}
        return Scope.of(tables[0], bound)


@dataclass(frozen=True, slots=True)
class FunctionSource:
    """A function's normal form, and its source for people (None where there is none)."""

    form: NormalForm
    source: str | None


def read_function(function: FunctionType, *, documented: bool = False) -> FunctionSource:
    """Return the normal form of `function` and its source.

    Args:
        function: The live function.
        documented: Whether docstrings and annotations count.
    """
    code = function.__code__
    return _read(code, code.co_filename, read_text(code.co_filename, function.__globals__), documented)


@lru_cache(maxsize=16384)
def _read(code: CodeType, filename: str, text: str, documented: bool) -> FunctionSource:
    parsed = parse(text) if text else None
    node = parsed.definition(code) if parsed else None
    scope = parsed.scope(node) if parsed and node else None
    if parsed is None or node is None or scope is None:
        return FunctionSource(normalise_bytecode(code), None)
    lines = parsed.lines[code.co_firstlineno - 1 : node.end_lineno]
    return FunctionSource(normalise(node, scope, documented), "".join(lines))


_texts: dict[str, tuple[list[str], str]] = {}


def read_text(filename: str, module_globals: dict[str, Any] | None = None) -> str:
    """Return the source of `filename` as it is now, from disk, a loader or a notebook; empty if there is none."""
    linecache.checkcache(filename)
    lines = linecache.getlines(filename, module_globals)
    known = _texts.get(filename)
    if known is None or known[0] is not lines:
        known = _texts[filename] = (lines, "".join(lines))
    return known[1]


def read_module(namespace: dict[str, Any]) -> str:
    """Return the source of the module with globals `namespace`; empty if there is none."""
    file = namespace.get("__file__")
    return read_text(file, namespace) if isinstance(file, str) and file.endswith(".py") else ""


@lru_cache(maxsize=64)
def parse(text: str) -> ParsedSource | None:
    """Return `text` parsed and indexed, None if it is no Python source."""
    try:
        tree = ast.parse(text)
        code = compile(tree, "<source>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        table = symtable.symtable(text, "<source>", "exec")
    except (SyntaxError, ValueError):
        return None
    nodes: defaultdict[_Place, list[FunctionNode]] = defaultdict(list)
    codes: defaultdict[_Place, list[CodeType]] = defaultdict(list)
    tables: defaultdict[_Place, list[symtable.SymbolTable]] = defaultdict(list)
    for node in statements_in(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            nodes[node.name, first].append(node)
    for expression in ast.walk(tree) if "lambda" in text else ():
        if isinstance(expression, ast.Lambda):
            nodes["<lambda>", expression.lineno].append(expression)
    for nested in _nested_codes(code):
        codes[nested.co_name, nested.co_firstlineno].append(nested)
    for child in _nested_tables(table):
        if child.get_type() == "function":
            tables[child.get_name(), child.get_lineno()].append(child)
    return ParsedSource(text.splitlines(keepends=True), tree, nodes, codes, tables)


def forget_trees() -> None:
    """Drop the syntax trees, if these are many: they slow the garbage collector down, and normal forms are kept."""
    if parse.cache_info().currsize > _KEPT_TREES:
        parse.cache_clear()


def _nested_codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _nested_codes(constant)


def _nested_tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    for child in table.get_children():
        yield child
        yield from _nested_tables(child)


def find_module(name: str) -> ModuleSpec | None:
    """Return the spec of module `name` without importing anything; None where no finder knows it."""
    search: list[str] | None = None
    spec = None
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        spec = _find_spec(".".join(parts[:depth]), search)
        if spec is None:
            return None
        search = list(spec.submodule_search_locations or ())
    return spec


def _find_spec(name: str, search: list[str] | None) -> ModuleSpec | None:
    """Ask the finders as an import does; that of an editable install is one of its own."""
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = find(name, search) if find is not None else None
        if isinstance(spec, ModuleSpec):
            return spec
    return None
