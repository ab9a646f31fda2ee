"""The normal form of code that has no trustworthy source: its bytecode, without files, line numbers and docstring.

Layout can leave traces in bytecode (jumps and no-ops keep lines apart for tracing), so an edit of formatting may change
this form. That costs a recompute, never a stale result.
"""

from __future__ import annotations

import dis
import re
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType

from prefect_helix.core.fingerprint.form import Chain, Imported, NormalForm
from prefect_helix.core.fingerprint.opaque import (
    DOC_READERS,
    FRAME_READERS,
    MEMBER_READERS,
    OPAQUE_NAMES,
    STRING_READERS,
)

_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_OUTSIDE = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_FREE = frozenset({"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"})
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_SKIPPED = frozenset({"NOP", "CACHE", "EXTENDED_ARG", "RESUME", "PRECALL"})


@lru_cache(maxsize=8192)
def normalise_bytecode(code: CodeType) -> NormalForm:
    """Return the normal form of `code` and the code nested in it; local variables keep their names."""
    reader = _Reader(frozenset(code.co_freevars))
    reader.read(code)
    roots = {chain[0] for chain in reader.references}
    return NormalForm(
        text="".join(reader.text),
        references=tuple(reader.references),
        writes=frozenset(reader.writes),
        named=frozenset(reader.tokens if roots & OPAQUE_NAMES else ()),
        imports=tuple(reader.imports),
        tokens=frozenset(reader.tokens),
        opaque=frozenset(roots & (OPAQUE_NAMES | {"open", "__import__"}))
        | frozenset({"os.environ"} if reader.names & {"environ", "getenv"} else ()),
        attributes=frozenset(reader.names),
        reads_frames=not (FRAME_READERS | STRING_READERS).isdisjoint(reader.names),
        reads_strings=not STRING_READERS.isdisjoint(reader.names),
        reads_members=not MEMBER_READERS.isdisjoint(reader.names),
        reads_docs=not DOC_READERS.isdisjoint(reader.names),
    )


@dataclass(slots=True)
class _Reader:
    """Reads a code object and those nested in it."""

    free: frozenset[str]
    text: list[str] = field(default_factory=list)
    references: dict[Chain, None] = field(default_factory=dict)
    writes: set[Chain] = field(default_factory=set)
    imports: list[Imported] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)

    def read(self, code: CodeType) -> None:
        parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        shape = (code.co_name, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags, parameters)
        self.text.append(f"code({shape!r}")
        if covered := getattr(code, "co_exceptiontable", b""):  # by try blocks, in Python 3.11 and newer
            self.text.append(f"{covered!r};")
        self.names.update(code.co_names)
        chain: Chain = ()
        constants: list[object] = []
        for instruction in dis.get_instructions(code):
            name, value = instruction.opname, instruction.argval
            if name in _SKIPPED:
                continue
            if name in _ATTRIBUTES and chain:
                chain = (*chain, value)
            else:
                self.refer(chain)
                outside = name in _OUTSIDE or (name in _FREE and value in self.free)
                chain = (value,) if outside else ()
            if name in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                self.writes.add((value,))
            elif name == "IMPORT_NAME":  # the level and the names were pushed just before
                level, names = constants[-2:]
                self.imports.append(Imported(value, level, names or ()))  # type: ignore[arg-type]
            self.text.append(f"{name} ")
            if isinstance(value, CodeType):
                self.read(value)
            elif instruction.opcode in dis.hasconst:
                constants.append(value)
                self.text.append(self.constant(value))
            elif instruction.arg is not None:
                self.text.append(f"{value!r};")
        self.refer(chain)
        self.text.append(")")

    def refer(self, chain: Chain) -> None:
        if chain:
            self.references.setdefault(chain)

    def constant(self, value: object) -> str:
        if isinstance(value, str):
            self.tokens.update(_IDENTIFIER.findall(value))
        if isinstance(value, tuple):
            return f"({''.join(map(self.constant, value))})"
        if isinstance(value, frozenset):
            return f"{{{''.join(sorted(map(self.constant, value)))}}}"
        return f"{value!r};"
