"""Small questions about syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_IGNORED_FIELDS = frozenset({"ctx", "type_comment", "kind", "type_ignores"})
_KINDS = [kind for kind in vars(ast).values() if isinstance(kind, type) and issubclass(kind, ast.AST)]
_BLOCKS: dict[type, tuple[str, ...]] = {
    kind: tuple(part for part in ("body", "orelse", "finalbody", "handlers", "cases") if part in kind._fields)
    for kind in _KINDS
    if not issubclass(kind, ast.expr)  # a lambda's body is no block
}

SHAPES: dict[type, tuple[str, tuple[str, ...]]] = {
    kind: (f"{kind.__name__}(", tuple(name for name in kind._fields if name not in _IGNORED_FIELDS)) for kind in _KINDS
}
"""What a node of each kind begins with in a normal form, and which of its fields count."""


def statements_in(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements below `node`, and what holds some; far fewer nodes than `ast.walk` gives."""
    for part in _BLOCKS.get(type(node), ()):
        for statement in getattr(node, part):
            yield statement
            if _BLOCKS[type(statement)]:
                yield from statements_in(statement)


def without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return a body without its docstring."""
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest or [ast.Pass()]
    return body


def nested_values(function: ast.AST) -> frozenset[str]:
    """Return the names used other than by calling them: nested functions of these are given away."""
    if not any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in statements_in(function)):
        return frozenset()
    harmless = {id(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}
    return frozenset(
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and id(node) not in harmless
    )
