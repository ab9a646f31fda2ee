"""The source of live code: found, checked against what runs, and normalised.

A file may have changed since it was imported, and one line may hold two lambdas. So a syntax tree is trusted only if it
compiles to the very code object that runs; everything else is normalised from its bytecode.
"""

from __future__ import annotations

import ast
import linecache
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import ExtensionFileLoader, ModuleSpec, SourceFileLoader, SourcelessFileLoader
from types import CodeType
from typing import Any, NamedTuple
from uuid import uuid4

from prefect_helix.core.fingerprint.bytecode import normalise_bytecode
from prefect_helix.core.fingerprint.form import NormalForm
from prefect_helix.core.fingerprint.normalise import normalise
from prefect_helix.core.fingerprint.scope import Scope, nested_codes
from prefect_helix.core.fingerprint.stored import stored_code
from prefect_helix.core.fingerprint.syntax import FunctionNode, statements_in
from prefect_helix.core.recent import Recent

_KEPT_FILES = 32
_FILE_LOADERS = (SourceFileLoader, SourcelessFileLoader, ExtensionFileLoader)

_Place = tuple[str, int]
"""Name of a function and its first line, decorators included."""


@dataclass(frozen=True, slots=True, eq=False)
class ParsedSource:
    """One file's source, indexed by where its functions are."""

    lines: Sequence[str]
    tree: ast.Module
    nodes: Mapping[_Place, list[FunctionNode]]

    def definition(self, code: CodeType, codes: Mapping[_Place, list[CodeType]]) -> FunctionNode | None:
        """Return the node that `code` was compiled from; None if it is not there or not the only one at its place.

        Args:
            code: The code.
            codes: All that this source compiles to.
        """
        place = (code.co_name, code.co_firstlineno)
        if codes.get(place) != [code]:
            return None
        nodes: Sequence[FunctionNode] = self.nodes.get(place, ())
        if code.co_name == "<lambda>":
            nodes = _lambdas_of(self).get(place[1], ())
        return nodes[0] if len(nodes) == 1 else None


@lru_cache(maxsize=_KEPT_FILES)
def _lambdas_of(parsed: ParsedSource) -> Mapping[int, list[ast.Lambda]]:
    """Return the lambdas in a file by their lines; of most files nobody asks for them."""
    found: defaultdict[int, list[ast.Lambda]] = defaultdict(list)
    for node in ast.walk(parsed.tree):
        if isinstance(node, ast.Lambda):
            found[node.lineno].append(node)
    return found


@dataclass(frozen=True, slots=True)
class FunctionSource:
    """A function's normal form, and its source for people (None where there is none)."""

    form: NormalForm
    source: str | None


def read_function(code: CodeType, text: str, *, documented: bool = False, stored: bool = False) -> FunctionSource:
    """Return the normal form of the function with code `code`, and its source.

    Args:
        code: The code that runs.
        text: The source of the file it is from, as it is now.
        documented: Whether docstrings and annotations count.
        stored: Whether Python has loaded the file as it loads any.
    """
    return _read(code, code.co_filename, text, documented, stored)


@lru_cache(maxsize=16384)
def _read(code: CodeType, filename: str, text: str, documented: bool, stored: bool) -> FunctionSource:
    parsed = parse(text) if text else None
    node = parsed.definition(code, _codes_in(text, filename if stored else "")) if parsed else None
    if parsed is None or node is None:
        return FunctionSource(normalise_bytecode(code), None)
    imports = [each for each in statements_in(node) if isinstance(each, ast.Import | ast.ImportFrom)]
    bound = {alias.asname or alias.name.partition(".")[0] for each in imports for alias in each.names}
    lines = parsed.lines[code.co_firstlineno - 1 : node.end_lineno]
    return FunctionSource(normalise(node, Scope.of(code, bound), documented), "".join(lines))


_texts: dict[str, tuple[list[str], str]] = {}


def read_text(filename: str, module_globals: dict[str, Any] | None = None) -> str:
    """Return the source of `filename` as it is now, from disk, a loader or a notebook; empty if there is none."""
    linecache.checkcache(filename)
    lines = linecache.getlines(filename, module_globals)
    known = _texts.get(filename)
    if known is None or known[0] is not lines:
        known = _texts[filename] = (lines, "".join(lines))
    return known[1]


def text_as_loaded(filename: str, module_globals: dict[str, Any], loaded_by: object) -> str:
    """Return the source of a module as it was when it was loaded; a module that is not loaded will be as its file is.

    It is known from when this process was first seen to have the module. Where the file was edited between the last
    look before that and the first one after it, nobody knows which text runs: it is then one that no other process has.

    Args:
        filename: Its file.
        module_globals: Its globals, or what leads to its source where it is not loaded.
        loaded_by: Its spec, which it has another of once it is loaded again; the loader of a script, which has no spec;
            None if it is not loaded.
    """
    text = read_text(filename, module_globals)
    unloaded, key = (filename, 0), (filename, id(loaded_by))
    if loaded_by is None:
        _seen.put(unloaded, (None, text))
        return text
    seen, before = _seen.get(key), _seen.get(unloaded)
    if seen is not None:
        text = seen[1]
    elif before is not None and before[1] != text:
        text = f"? {uuid4().hex}"
    _seen.put(key, (loaded_by, text))
    _seen.drop(unloaded)
    return text


_seen: Recent[tuple[str, int], tuple[object, str]] = Recent(1024)  # with the specs: an identity is not to be used again


@lru_cache(maxsize=_KEPT_FILES)
def parse(text: str) -> ParsedSource | None:
    """Return `text` parsed and indexed, None if it is no Python source."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    nodes: defaultdict[_Place, list[FunctionNode]] = defaultdict(list)
    for node in statements_in(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            nodes[node.name, first].append(node)
    return ParsedSource(text.splitlines(keepends=True), tree, nodes)


@lru_cache(maxsize=_KEPT_FILES)
def _codes_in(text: str, filename: str) -> Mapping[_Place, list[CodeType]]:
    """Return what `text` compiles to, by place; `filename` is the file that Python may have stored it for, if any."""
    code = stored_code(filename) if filename else None
    if code is None:
        try:
            code = compile(text, "<source>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        except (SyntaxError, ValueError):
            return {}
    codes: defaultdict[_Place, list[CodeType]] = defaultdict(list)
    for nested in nested_codes(code):
        codes[nested.co_name, nested.co_firstlineno].append(nested)
    return codes


class ModulePlace(NamedTuple):
    """Where a module is found.

    Attributes:
        file: Its file, None for one that has none.
        is_package: Whether it has submodules.
        loader: What loads it, None where the file is an ordinary one.
    """

    file: str | None
    is_package: bool
    loader: object


def find_place(name: str) -> ModulePlace | None:
    """Return where module `name` is, without importing anything; None where no finder knows it."""
    search: list[str] | None = None
    spec = None
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        spec = _find_spec(".".join(parts[:depth]), search)
        if spec is None:
            return None
        search = list(spec.submodule_search_locations or ())
    if spec is None:
        return None
    file = spec.origin if spec.has_location else None
    loader = None if isinstance(spec.loader, _FILE_LOADERS) else spec.loader
    return ModulePlace(file, spec.submodule_search_locations is not None, loader)


def _find_spec(name: str, search: list[str] | None) -> ModuleSpec | None:
    """Ask the finders as an import does; that of an editable install is one of its own."""
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = find(name, search) if find is not None else None
        if isinstance(spec, ModuleSpec):
            return spec
    return None
