"""The code that gives variables their first values.

What a program writes while it runs (a memo, a counter, a lazy singleton) cannot be digested: it would move the
fingerprint. So the code that makes its first value counts instead: all that runs when a module is imported and names
the variable, whatever it does to it.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType

from prefect_helix.core.fingerprint.form import Imported, NormalForm
from prefect_helix.core.fingerprint.normalise import normalise_pieces
from prefect_helix.core.fingerprint.source import ParsedSource, parse
from prefect_helix.core.fingerprint.syntax import statements_in


@dataclass(frozen=True, slots=True)
class Initial:
    """The code that makes the first value of a variable.

    Attributes:
        form: Its normal form.
        source: Its source for people; empty if there is none.
        imported: The statements it is imported by, with its own name there.
    """

    form: NormalForm
    source: str
    imported: tuple[Imported, ...] = ()


@lru_cache(maxsize=4096)
def initial_code(text: str, name: str) -> Initial:
    """Return the code of a module that runs when it is imported and names a variable or attribute `name`."""
    parsed = parse(text) if text else None
    if parsed is None:
        return Initial(NormalForm(text), "")
    index = _index(parsed)
    writers = [writer for writer in index.functions.get(name, ()) if writer != name]
    found = [*index.pieces.get(name, ()), *index.pieces.get("*", ())]
    found += [piece for writer in writers for piece in index.pieces.get(writer, ()) if _runs_in_it(piece, writer)]
    pieces: list[ast.AST] = []
    imported: list[Imported] = []
    for piece in dict.fromkeys(found):
        if isinstance(piece, ast.ImportFrom):
            imported.append(_imported(piece, _originals(piece, name) or (name,)))
        elif not isinstance(piece, ast.Import):
            pieces.append(piece)
            nested = [each for each in statements_in(piece) if isinstance(each, ast.ImportFrom)]  # as in a try
            imported += [_imported(each, _originals(each, name)) for each in nested]
    return Initial(normalise_pieces(pieces), "\n".join(map(ast.unparse, pieces)), tuple(imported))


def _imported(statement: ast.ImportFrom, names: tuple[str, ...]) -> Imported:
    return Imported(statement.module or "", statement.level, names)


def _originals(statement: ast.ImportFrom, name: str) -> tuple[str, ...]:
    """Return what `name` is called in the module that a statement imports it from; it may be among all of a star."""
    found = tuple(alias.name for alias in statement.names if name in (alias.asname, alias.name))
    return found or tuple(name for alias in statement.names if alias.name == "*")


@lru_cache(maxsize=4096)
def enclosing_code(text: str, code: CodeType) -> tuple[str, Initial] | None:
    """Return the name and the code of the outermost function that `code` is nested in, None if it is in none."""
    parsed = parse(text) if text else None
    if parsed is None:
        return None
    around = [
        node
        for nodes in parsed.nodes.values()
        for node in nodes
        if not isinstance(node, ast.Lambda) and node.lineno < code.co_firstlineno <= (node.end_lineno or 0)
    ]
    if not around:
        return None
    outermost = min(around, key=lambda node: node.lineno)
    return outermost.name, Initial(normalise_pieces([outermost]), ast.unparse(outermost))


@dataclass(frozen=True, slots=True)
class _Index:
    """What mentions a name: code that runs at import, and functions, by their names."""

    pieces: Mapping[str, list[ast.AST]]
    functions: Mapping[str, list[str]]


@lru_cache(maxsize=4)
def _index(parsed: ParsedSource) -> _Index:
    pieces: defaultdict[str, list[ast.AST]] = defaultdict(list)
    functions: defaultdict[str, list[str]] = defaultdict(list)
    for names, piece in _pieces(parsed.tree.body):
        for name in dict.fromkeys(names):
            pieces[name].append(piece)
    for statement in parsed.tree.body:
        if isinstance(statement, ast.FunctionDef):
            for name in dict.fromkeys(_mentioned(statement)):
                functions[name].append(statement.name)
    return _Index(pieces, functions)


def _runs_in_it(piece: ast.AST, function: str) -> bool:
    """Return whether a function may be called by a piece: not as a script's main part, nor where it is defined."""
    if isinstance(piece, ast.FunctionDef | ast.AsyncFunctionDef) and piece.name == function:
        return False
    return function in _mentioned(piece) and not (isinstance(piece, ast.If) and "__name__" in _mentioned(piece.test))


def _pieces(body: list[ast.stmt]) -> Iterator[tuple[list[str], ast.AST]]:
    """Yield what runs when a module is imported, with the names it mentions; functions by their headers.

    What a decorator makes of a function is known by its name, and may not show the function that is in it.
    """
    for statement in body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                arguments = statement.args
                defaults = [*arguments.defaults, *filter(None, arguments.kw_defaults)]
                header: list[ast.AST] = [*statement.decorator_list, *defaults]
                if header:
                    piece = ast.Tuple([*statement.decorator_list, *defaults], ast.Load())
                    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
                    yield [statement.name, *(each.arg for each in parameters), *_mentioned(piece)], piece
                if statement.decorator_list:
                    yield [statement.name], statement
            case ast.ClassDef():
                bases = [*statement.decorator_list, *statement.bases, *(each.value for each in statement.keywords)]
                if bases:
                    piece = ast.Tuple(bases, ast.Load())
                    yield [statement.name, *_mentioned(piece)], piece
                yield from _pieces(statement.body)
            case _:
                yield list(_mentioned(statement)), statement


def _mentioned(piece: ast.AST) -> Iterator[str]:
    for node in ast.walk(piece):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.alias(name=name, asname=alias):
                yield alias or name.partition(".")[0]
            case ast.Constant(value=str(text)):
                yield text
