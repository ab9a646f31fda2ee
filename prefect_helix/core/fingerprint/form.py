"""What is known of a function once it is normalised."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import resolve_name

Chain = tuple[str, ...]
"""A dotted name, split: ``features.clean`` is ``("features", "clean")``."""


@dataclass(frozen=True, slots=True)
class Imported:
    """An import statement inside a function: ``from ..pkg import a, b`` is ``Imported("pkg", 2, ("a", "b"))``."""

    module: str
    level: int = 0
    names: tuple[str, ...] = ()

    def absolute(self, package: str) -> str | None:
        """Return the full name of the module, for code in `package`; None where there is none, so that it fails."""
        try:
            return resolve_name("." * self.level + self.module, package) if self.level else self.module
        except ImportError:
            return None


@dataclass(frozen=True, slots=True)
class NormalForm:
    """What a function is, and which names tie it to the rest of the program.

    Attributes:
        text: Canonical text; names from outside are ``#0``, ``#1``, ... into `references`.
        references: Dotted names it reads from outside, by first occurrence.
        passed: References that are arguments of calls, each with the callee that gets them (None if not known).
        values: References used otherwise than by calling them.
        writes: Dotted names from outside, or of parameters, that it binds.
        item_writes: Those whose items it sets.
        mutations: Those it calls a method of that changes a container in place.
        attributes: Names of the attributes it uses.
        named: Names its strings may be read for (``df.query("a > @limit")``).
        imports: Import statements, and calls with a literal name that amount to one.
        tokens: Identifiers inside its string constants.
        renamed: Local variables whose names are not in `text`; the first is ``%0`` there, the second ``%1``, ...
        opaque: What it does that cannot be seen into, in words.
        reads_frames: Whether it may read local variables by name.
        reads_strings: Whether it may read names in strings that it gets from elsewhere.
        reads_docs: Whether it may read docstrings or annotations.
        reads_members: Whether it may list the members of a class, or its subclasses.
    """

    text: str
    references: tuple[Chain, ...] = ()
    passed: tuple[tuple[Chain, Chain | None], ...] = ()
    values: tuple[Chain, ...] = ()
    writes: frozenset[Chain] = frozenset()
    item_writes: frozenset[Chain] = frozenset()
    mutations: frozenset[Chain] = frozenset()
    attributes: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()
    imports: tuple[Imported, ...] = ()
    tokens: frozenset[str] = frozenset()
    renamed: tuple[str, ...] = ()
    opaque: frozenset[str] = frozenset()
    reads_frames: bool = False
    reads_strings: bool = False
    reads_docs: bool = False
    reads_members: bool = False
