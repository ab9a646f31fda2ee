"""The normal form of a function's syntax tree: what it means, without how it is written.

Two functions have the same normal form if they differ in comments, formatting, docstrings, annotations or the names of
local variables only. Names from outside the function are replaced by numbered references, so that the form does not
depend on which module a helper lives in; what they refer to is found among the live objects (see `reach`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from prefect_helix.core.fingerprint.form import Chain, Imported, NormalForm
from prefect_helix.core.fingerprint.opaque import (
    DOC_READERS,
    FRAME_READERS,
    MEMBER_READERS,
    OPAQUE_NAMES,
    STRING_READERS,
    unseen_inputs,
)
from prefect_helix.core.fingerprint.scope import Scope
from prefect_helix.core.fingerprint.syntax import SHAPES, FunctionNode, nested_values, without_docstring

_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_AT_NAME = re.compile(r"@\s*([^\W\d]\w*)")
# fmt: off
_MUTATORS = frozenset({
    "append", "extend", "insert", "add", "update", "setdefault", "pop", "popitem", "remove", "discard", "clear", "sort",
    "reverse", "appendleft", "popleft", "extendleft", "difference_update", "intersection_update",
    "symmetric_difference_update", "subtract", "move_to_end", "rotate",
})
# fmt: on


def normalise(function: FunctionNode, scope: Scope, documented: bool) -> NormalForm:
    """Return the normal form of `function`, without its decorators and defaults (they are live objects).

    Args:
        function: Its node.
        scope: What its names stand for.
        documented: Whether docstrings and annotations count.
    """
    writer = _Writer(scope, documented)
    writer.nested_values = nested_values(function)
    writer.function(function, top=True)
    return writer.form([function])


def normalise_statements(statements: Sequence[ast.stmt]) -> NormalForm:
    """Return the normal form of a module; all names keep their names.

    Docstrings and annotations in it count: whoever imports what is in it may give it to somebody who reads them.
    """
    return _normalise_module_code(without_docstring(list(statements)), Scope(), documented=True)


def normalise_pieces(pieces: Sequence[ast.AST]) -> NormalForm:
    """Return the normal form of pieces of module-level code, with references to what they read."""
    loaded = {
        node.id
        for piece in pieces
        for node in ast.walk(piece)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    return _normalise_module_code(pieces, Scope(outer=frozenset(loaded)), documented=False)


def _normalise_module_code(code: Sequence[ast.AST], scope: Scope, *, documented: bool) -> NormalForm:
    writer = _Writer(scope, documented)
    writer.in_class = True
    writer.value(code)
    for chain in writer.dotted:
        writer.note_unseen(chain)
    return writer.form(code)


@dataclass(slots=True)
class _Writer:
    """Writes one normal form."""

    scope: Scope
    documented: bool
    in_class: bool = False
    out: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    references: dict[Chain, int] = field(default_factory=dict)
    passed: list[tuple[Chain, Chain | None]] = field(default_factory=list)
    values: list[Chain] = field(default_factory=list)
    writes: set[Chain] = field(default_factory=set)
    item_writes: set[Chain] = field(default_factory=set)
    mutations: set[Chain] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    dotted: set[Chain] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    aliases: list[tuple[str, str]] = field(default_factory=list)
    imports: list[Imported] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    opaque: set[str] = field(default_factory=set)
    calls: list[ast.Call] = field(default_factory=list)
    nested_values: frozenset[str] = frozenset()
    string_reads: set[int] = field(default_factory=set)
    reads_frames: bool = False
    reads_strings: bool = False
    reads_docs: bool = False
    reads_members: bool = False

    def form(self, roots: Sequence[ast.AST]) -> NormalForm:
        return NormalForm(
            text="".join(self.out),
            references=tuple(self.references),
            passed=tuple(self.passed),
            values=tuple(self.values),
            writes=frozenset(self.writes),
            item_writes=frozenset(self.item_writes),
            mutations=frozenset(self.mutations),
            attributes=frozenset(self.attributes),
            named=frozenset(self.named),
            imports=(*self.imports, *self.through_aliases()),
            tokens=frozenset(self.tokens),
            renamed=tuple(self.numbers),
            opaque=frozenset(self.opaque) | unseen_inputs(roots, self.calls),
            reads_frames=self.reads_frames,
            reads_strings=self.reads_strings,
            reads_docs=self.reads_docs,
            reads_members=self.reads_members,
        )

    # -- the tree ---------------------------------------------------------------------------------------------------

    def value(self, value: object) -> None:
        handler = _HANDLERS.get(type(value))
        if handler is not None:
            handler(self, value)
        elif isinstance(value, ast.AST):
            self.generic(value)
        elif isinstance(value, list | tuple):
            self.out.append("[")
            for item in value:
                self.value(item)
            self.out.append("]")
        else:
            self.out.append(f"{value!r};")

    def generic(self, node: ast.AST) -> None:
        opening, fields = SHAPES[type(node)]
        self.out.append(opening)
        for name in fields:
            self.value(getattr(node, name, None))
        self.out.append(")")

    def identifier(self, name: str | None) -> None:
        if name in self.scope.renamable:
            self.out.append(f"%{self.numbers.setdefault(name, len(self.numbers))};")
        else:
            self.out.append(f"{name!r};")

    # -- names from outside -----------------------------------------------------------------------------------------

    def chain(self, node: ast.AST, roots: Collection[str]) -> Chain | None:
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            node = node.value
        self.attributes.update(attributes)
        if not isinstance(node, ast.Name):
            return None
        chain = (node.id, *reversed(attributes))
        if node.id in roots:
            return chain
        self.dotted.add(chain)
        return None

    def refer(self, chain: Chain) -> None:
        self.out.append(f"#{self.references.setdefault(chain, len(self.references))};")
        self.note_unseen(chain)
        if not FRAME_READERS.isdisjoint(chain):
            self.reads_frames = True
        if not DOC_READERS.isdisjoint(chain):
            self.reads_docs = True
        if not MEMBER_READERS.isdisjoint(chain):
            self.reads_members = True

    def refer_besides(self, chain: Chain) -> None:
        """Refer to what stands behind what was written last, which is no code of its own."""
        self.out.append("&")
        self.refer(chain)

    def note_unseen(self, chain: Chain) -> None:
        if len(chain) == 1 and chain[0] in OPAQUE_NAMES:
            self.opaque.add(chain[0])
        if not {"environ", "environb", "getenv"}.isdisjoint(chain):
            self.opaque.add("os.environ")

    def write(self, target: ast.AST, written: set[Chain]) -> None:
        chain = self.chain(target, self.scope.outer | self.scope.mixed | self.scope.parameters)
        if chain is not None:
            written.add(chain)

    def name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            if node.id in self.scope.outer or (node.id in self.scope.mixed and not self.in_class):
                self.writes.add((node.id,))
            self.identifier(node.id)
        elif node.id in self.scope.outer:
            self.refer((node.id,))
            self.values.append((node.id,))
        else:
            self.identifier(node.id)
            self.dotted.add((node.id,))
            if node.id in self.scope.mixed:
                self.refer_besides((node.id,))

    def attribute(self, node: ast.Attribute) -> None:
        if node.attr in DOC_READERS:
            self.reads_docs = True
        if node.attr in FRAME_READERS:
            self.reads_frames = True
        if node.attr in MEMBER_READERS:
            self.reads_members = True
        if node.attr in STRING_READERS and id(node) not in self.string_reads:
            self.read_strings()
        chain = self.chain(node, self.scope.outer)
        if not isinstance(node.ctx, ast.Load):
            self.write(node, self.writes)
            self.generic(node)
        elif chain is None:
            self.generic(node)
        else:
            self.refer(chain)
            self.values.append(chain)

    def subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            container = node.value
            while isinstance(container, ast.Subscript):
                container = container.value
            self.write(container, self.item_writes)
        self.generic(node)

    def call(self, node: ast.Call) -> None:
        self.calls.append(node)
        self.string_reads.add(id(node.func))
        callee = self.chain(node.func, self.scope.outer)
        self.out.append("Call(")
        if callee is None:
            self.value(node.func)
        else:
            self.refer(callee)
        if isinstance(node.func, ast.Attribute) and node.func.attr in _MUTATORS:
            self.write(node.func.value, self.mutations)
        for argument in node.args:
            self.argument(argument, callee)
        for keyword in node.keywords:
            self.out.append(f"{keyword.arg!r}=")
            self.argument(keyword.value, callee)
        self.out.append(")")
        self.by_name(node)

    def argument(self, node: ast.expr, callee: Chain | None) -> None:
        chain = self.chain(node, self.scope.outer)
        if chain is None:
            self.value(node)
        else:
            self.refer(chain)
            self.passed.append((chain, callee))

    def by_name(self, node: ast.Call) -> None:
        """Look at a call that may reach something by a name in a string."""
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        match called, node.args:
            case "getattr", [target, ast.Constant(value=str(attribute)), *_]:
                chain = self.chain(target, self.scope.outer)
                if chain is not None:
                    self.refer_besides((*chain, attribute))
            case (("import_module" | "__import__"), [ast.Constant(value=str(module)), *_]):
                level = len(module) - len(module.lstrip("."))
                imported = Imported(module.lstrip("."), level)
                match [*node.args[1:2], *(each.value for each in node.keywords if each.arg == "package")]:
                    case [ast.Constant(value=str(package)), *_] if level:
                        full_name = imported.absolute(package)
                        self.imports += [Imported(full_name)] if full_name else []
                    case _:
                        self.imports.append(imported)
            case name, arguments if name in STRING_READERS:
                for text in arguments[:1] or [keyword.value for keyword in node.keywords]:
                    literals = [part.value for part in ast.walk(text) if isinstance(part, ast.Constant)]
                    self.named.update(_IDENTIFIER.findall(" ".join(map(str, literals))))
                    if not isinstance(text, ast.Constant):
                        self.read_strings()

    def read_strings(self) -> None:
        """Note that names are read in strings which are not here to be looked at."""
        self.reads_frames = self.reads_strings = True

    def constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.tokens.update(_IDENTIFIER.findall(node.value))
            names = _IDENTIFIER if "~" in node.value else _AT_NAME  # a formula (patsy) calls functions by name
            self.named.update(names.findall(node.value))
        self.out.append(f"={node.value!r};")  # marked: a name, or a field that is not there, is written alike

    def joined(self, node: ast.JoinedStr) -> None:
        """Write an f-string without empty pieces: some Pythons (3.12) put them after a nested format."""
        pieces = [piece for piece in node.values if not (isinstance(piece, ast.Constant) and piece.value == "")]
        self.generic(ast.JoinedStr(values=pieces))

    # -- definitions ------------------------------------------------------------------------------------------------

    def function(self, node: FunctionNode, top: bool = False) -> None:
        before = self.documented, self.in_class
        name = getattr(node, "name", "<lambda>")
        decorators = [] if top else getattr(node, "decorator_list", [])
        self.documented = self.documented or bool(decorators) or (not top and name in self.nested_values)
        self.in_class = False
        self.out.append(f"{type(node).__name__}({name!r}")
        self.value(decorators)
        if not top:
            self.type_parameters(node)
        self.parameters(node.args, with_defaults=not top)
        body = node.body if self.documented or isinstance(node, ast.Lambda) else without_docstring(node.body)
        if self.documented:
            self.annotation(getattr(node, "returns", None))
        self.value(body)
        self.out.append(")")
        self.documented, self.in_class = before

    def parameters(self, node: ast.arguments, with_defaults: bool) -> None:
        groups = (node.posonlyargs, node.args, [node.vararg], node.kwonlyargs, [node.kwarg])
        for group in groups:
            self.out.append("|")
            for parameter in group:
                if parameter is not None:
                    self.out.append(f"{parameter.arg!r};")
                    if self.documented:
                        self.annotation(parameter.annotation)
        if with_defaults:
            self.value(node.defaults)
            self.value(node.kw_defaults)

    def annotation(self, node: ast.expr | None) -> None:
        if node is not None:
            self.named.update(_names_in(node))
        self.value(node)

    def type_parameters(self, node: ast.AST) -> None:
        """Write the type parameters of a definition; Python has them from 3.12 on."""
        if parameters := getattr(node, "type_params", None):
            self.value(parameters)

    def klass(self, node: ast.ClassDef) -> None:
        before = self.documented, self.in_class
        if node.decorator_list or node.bases or node.keywords:  # these may read all of it
            self.documented = True
        self.out.append(f"ClassDef({node.name!r}")
        self.type_parameters(node)
        for part in (node.decorator_list, node.bases, node.keywords):
            self.value(part)
        self.in_class = True
        self.value(node.body if self.documented else without_docstring(node.body))
        self.documented, self.in_class = before
        self.out.append(")")

    def annotated(self, node: ast.AnnAssign) -> None:
        if self.in_class:
            self.named.update(_names_in(node.annotation))
            self.generic(node)
        elif node.value is None:
            self.out.append("Declared(")
            self.value(node.target)
            self.out.append(")")
        else:
            self.generic(ast.Assign(targets=[node.target], value=node.value))

    def importing(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            self.imports.extend(Imported(alias.name) for alias in node.names)
            for alias in node.names:
                root = alias.name.partition(".")[0]
                self.aliases.append((alias.asname, alias.name) if alias.asname else (root, root))
        else:
            self.imports.append(Imported(node.module or "", node.level, tuple(alias.name for alias in node.names)))
        self.generic(node)

    def through_aliases(self) -> Iterator[Imported]:
        """Yield what is used of imported packages; it may be a submodule that somebody else imports."""
        for alias, module in self.aliases:
            used = [chain[1:] for chain in sorted(self.dotted) if chain[0] == alias]
            names = dict.fromkeys(".".join(rest[:depth]) for rest in used for depth in range(1, len(rest) + 1))
            if names:
                yield Imported(module, 0, tuple(names))

    def binding(self, node: ast.AST) -> None:
        """Write a node that binds a name it holds as a string (``except E as name``, a capture pattern)."""
        self.out.append(f"{type(node).__name__}(")
        for part in node._fields:
            if part in ("name", "rest"):
                self.identifier(getattr(node, part))
            else:
                self.value(getattr(node, part))
        self.out.append(")")

    def nonlocal_(self, node: ast.Nonlocal) -> None:
        self.out.append("Nonlocal(")
        for name in node.names:
            self.identifier(name)
        self.out.append(")")


def _names_in(annotation: ast.expr) -> Iterator[str]:
    """Yield the names in an annotation, which are looked up when it is read if it is kept as text."""
    for part in ast.walk(annotation):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield from _IDENTIFIER.findall(part.value)


_HANDLERS: dict[type, Callable[[_Writer, Any], None]] = {
    ast.Name: _Writer.name,
    ast.Attribute: _Writer.attribute,
    ast.Subscript: _Writer.subscript,
    ast.Call: _Writer.call,
    ast.Constant: _Writer.constant,
    ast.JoinedStr: _Writer.joined,
    ast.FunctionDef: _Writer.function,
    ast.AsyncFunctionDef: _Writer.function,
    ast.Lambda: _Writer.function,
    ast.ClassDef: _Writer.klass,
    ast.AnnAssign: _Writer.annotated,
    ast.Import: _Writer.importing,
    ast.ImportFrom: _Writer.importing,
    ast.ExceptHandler: _Writer.binding,
    ast.MatchAs: _Writer.binding,
    ast.MatchStar: _Writer.binding,
    ast.MatchMapping: _Writer.binding,
    ast.Nonlocal: _Writer.nonlocal_,
}
