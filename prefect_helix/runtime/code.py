"""The code that values bring with them: a task may call a method of an argument without ever naming its class."""

from __future__ import annotations

from collections.abc import Iterable
from types import FunctionType

from prefect_helix.core.digest import hash_parts
from prefect_helix.core.fingerprint import Fingerprint, fingerprint
from prefect_helix.storage.blob import Code
from prefect_helix.storage.lookup import find, findable_name


class ValueCode:
    """Hashes of the classes and functions found in values; each is taken once a run, or for each call, as of tasks."""

    def __init__(self) -> None:
        self._known: dict[tuple[Code, bool], Fingerprint] = {}

    def hash(self, found: Iterable[Code], *, fresh: bool = False) -> str:
        """Return one hash over the code `found` in a value; empty if all of it is Python's own.

        Args:
            found: The code.
            fresh: Whether constants that it reaches have to be looked at again.
        """
        # Whoever a task gives a function to may read its annotations.
        hashes = sorted({self._hash(code, fresh, isinstance(code, FunctionType)) for code in found} - {_PYTHON})
        return hash_parts("code of a value", *hashes) if hashes else ""

    def named(self, found: Iterable[Code]) -> tuple[str, ...]:
        """Return name and hash of the code `found` in a value, where it can be looked up by its name."""
        by_name = {findable_name(code): code for code in found if self._hash(code) != _PYTHON}
        return tuple(sorted(f"{name} {self._hash(code)}" for name, code in by_name.items() if name is not None))

    def changed(self, named: Iterable[str]) -> str | None:
        """Return the name of a class or function that is not what it was, or is gone; None if all are the same.

        Args:
            named: What `named` returned when the value was made.
        """
        for line in named:
            name, _, recorded = line.partition(" ")
            try:
                code = find(name)
            except (Exception, SystemExit):  # of its module, which cannot be imported as it is now
                code = None
            if not isinstance(code, Code) or self._hash(code) != recorded:
                return name.partition(":")[2]
        return None

    def _hash(self, code: Code, fresh: bool = False, given: bool = False) -> str:
        known = self._known.get((code, given))
        if known is None or (fresh and known.may_change):
            known = fingerprint_of(code, given=given)
            self._known[code, given] = known
        return known.hash


def fingerprint_of(value: object, *, given: bool = False, apart: str = "") -> Fingerprint:
    """Return the fingerprint of a value, or of code that no task is.

    Args:
        value: The value; a text is the name of an environment variable.
        given: Whether code that is not known is given it.
        apart: The name that a module holds it by, where objects that modules hold are told apart.
    """
    return fingerprint(_nothing, code_version="", depends_on=(value,), given=given, apart=apart)


def _nothing() -> None:
    """Stand for the task where only what a value relies on is asked for."""


_PYTHON = fingerprint_of(object).hash
