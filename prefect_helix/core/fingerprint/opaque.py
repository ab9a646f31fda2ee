"""What a function does that its code does not show: code made at run time, files and environment it reads."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

OPAQUE_NAMES = frozenset({"eval", "exec", "compile", "globals"})
"""Builtins that reach anything by a computed name."""

FRAME_READERS = frozenset({"locals", "vars", "dir", "eval", "exec", "inspect", "_getframe", "currentframe", "f_locals"})
"""Names whose use may read a local variable by its name."""

STRING_READERS = frozenset({"query", "eval", "evaluate", "sql", "execute"})
"""Callees that look up names of the caller inside a string (pandas, numexpr, DuckDB)."""

MEMBER_READERS = frozenset({"vars", "dir", "__dict__", "__subclasses__", "getmembers"})
"""Names whose use may list the members of a class in their order, or its subclasses."""

DOC_READERS = frozenset({"__doc__", "__annotations__", "get_type_hints", "get_annotations", "signature", "getdoc"})
"""Names whose use may read docstrings or annotations."""

# fmt: off
_FILE_READERS = frozenset({
    "open", "load", "loadtxt", "genfromtxt", "fromfile", "memmap", "imread",
    "scan_csv", "scan_parquet", "scan_ndjson", "scan_ipc", "scan_delta", "scan_iceberg",  # polars
    "open_dataset", "open_mfdataset", "open_dataarray", "open_datatree", "open_zarr",  # xarray
    "load_model", "load_weights", "load_from_checkpoint", "from_pretrained", "load_file",  # of trained models
    "loadmat", "load_npz", "get_template",
})
# fmt: on
_WRITE_MODES = frozenset(mode + kind + plus for mode in "wax" for kind in ("", "b", "t") for plus in ("", "+"))
_PATH_METHODS = frozenset({"open", "read_text", "read_bytes"})


def unseen_inputs(roots: Iterable[ast.AST], calls: Sequence[ast.Call]) -> frozenset[str]:
    """Return, in words, the inputs that `calls` take from elsewhere than arguments and visible names.

    Args:
        roots: The code the calls are in; its parameters, and what is computed from them, are arguments.
        calls: Calls in that code.
    """
    found: set[str] = set()
    suspects: list[tuple[str, ast.AST]] = []
    for call in calls:
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        match name, call.args:
            case "getattr", [_, second, *_] if not _is_text(second):
                found.add("getattr with a computed name")
            case (("import_module" | "__import__"), [first, *_]) if not _is_text(first):
                found.add(f"{name} with a computed name")
            case "instantiate", [_, *_]:  # by Hydra
                found.add("instantiate of what a configuration names")
            case _:
                source = _file_read(name, call)
                if source is not None:
                    suspects.append((name, source))
    if suspects:
        derived = _derived_names(roots)
        found.update(
            f"{name} of a file that is no argument"
            for name, source in suspects
            if derived.isdisjoint(node.id for node in ast.walk(source) if isinstance(node, ast.Name))
        )
    return frozenset(found)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _file_read(name: str, call: ast.Call) -> ast.AST | None:
    """Return the expression that names the file a call reads, None if it reads none."""
    if not (name in _FILE_READERS or name in _PATH_METHODS or name.startswith("read_")):
        return None
    if name == "open" and any(_is_write_mode(argument) for argument in _mode_arguments(call)):
        return None
    named = [keyword.value for keyword in call.keywords if keyword.arg is not None]
    if isinstance(call.func, ast.Attribute) and name in _PATH_METHODS:
        return call  # pathlib: the receiver; io.open and the like: the argument
    return call.args[0] if call.args else named[0] if named else None


def _mode_arguments(call: ast.Call) -> list[ast.expr]:
    first = 0 if isinstance(call.func, ast.Attribute) else 1
    return [*call.args[first:2], *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]


def _is_write_mode(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in _WRITE_MODES


def _derived_names(roots: Iterable[ast.AST]) -> set[str]:
    """Return the parameters in the code, and the variables computed from them."""
    nodes = [node for root in roots for node in ast.walk(root)]
    derived = {node.arg for node in nodes if isinstance(node, ast.arg)}
    bindings = [(_names(targets), _names([source])) for node in nodes for targets, source in _bindings(node)]
    grown = True
    while grown:
        grown = False
        for targets_, sources in bindings:
            if not derived.isdisjoint(sources) and not targets_ <= derived:
                derived |= targets_
                grown = True
    return derived


def _bindings(node: ast.AST) -> list[tuple[list[ast.expr], ast.AST]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            return [(targets, value)]
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            return [([target], value)]
        case ast.AugAssign(target=target, value=value) | ast.NamedExpr(target=target, value=value):
            return [([target], value)]
        case ast.For(target=target, iter=value) | ast.AsyncFor(target=target, iter=value):
            return [([target], value)]
        case ast.comprehension(target=target, iter=value):
            return [([target], value)]
        case ast.withitem(context_expr=value, optional_vars=ast.expr() as target):
            return [([target], value)]
    return []


def _names(nodes: Iterable[ast.AST]) -> set[str]:
    return {part.id for node in nodes for part in ast.walk(node) if isinstance(part, ast.Name)}
