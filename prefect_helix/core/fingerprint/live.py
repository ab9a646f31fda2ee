"""What a fingerprint has read of the running program, so that it can be told whether all of it still stands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from importlib.machinery import ModuleSpec, SourceFileLoader
from itertools import repeat
from operator import is_
from types import CellType, FunctionType
from typing import Any, NamedTuple, TypeVar

from prefect_helix.core.digest import digest, registrations
from prefect_helix.core.errors import UndigestibleError
from prefect_helix.core.fingerprint.distributions import Distribution, Origin, Owner, owner_of_module
from prefect_helix.core.fingerprint.source import read_text, text_as_loaded
from prefect_helix.core.fingerprint.values import MAPPINGS, SEQUENCES, is_plain

T = TypeVar("T")

MISSING: Any = object()
"""The value of a name that is not bound (yet)."""

HEAP_TYPE = 1 << 9
"""Among the flags of a class: that it is made at run time, not by the compiler of C."""

_FUNCTION_PARTS = ("__code__", "__defaults__", "__kwdefaults__", "__dict__", "__name__", "__qualname__")
_EQUAL_MEANS_SAME: frozenset[type] = frozenset({str, bytes, int, Distribution})


class Content(NamedTuple):
    """What a value holds.

    Attributes:
        hex: Its digest, or its type if it has none.
        exact: Whether equal digests mean equal values.
        refused: Why it has no digest; empty if it has one.
    """

    hex: str
    exact: bool
    refused: str


class Live:
    """The running program as one fingerprint reads it: each read is noted, and gives the same answer again.

    What is noted is kept alive, so that an identity means one object.
    """

    def __init__(self) -> None:
        self._items: dict[int, tuple[Mapping[str, Any], dict[str, object]]] = {}
        self._owners: dict[str, Owner] = {}
        self._classes: dict[type, Owner] = {}
        self._texts: dict[str, str] = {}
        self._loaded_texts: dict[str, str] = {}
        self._cells: dict[int, object] = {}
        self._digests: dict[int, Content] = {}
        self._noted: dict[int, object] = {}
        self._holders: list[object] = []
        self._attributes: list[str] = []
        self._values: list[object] = []
        self._empty: list[dict[str, object]] = []
        self._contents: list[tuple[Collection[object], tuple[object, ...]]] = []
        self._repeated: list[tuple[Callable[..., object], tuple[object, ...], object]] = []
        self.is_large = False
        self.repeat(registrations)

    # -- reads ------------------------------------------------------------------------------------------------------

    def item(self, namespace: Mapping[str, Any], name: str) -> Any:
        """Return what a namespace holds under a name, `MISSING` if it holds nothing there."""
        known = self._items.get(id(namespace))
        if known is None:
            known = self._items[id(namespace)] = (namespace, {})
        values = known[1]
        if name not in values:
            values[name] = namespace.get(name, MISSING)
        return values[name]

    def repeat(self, read: Callable[..., T], *arguments: object) -> T:
        """Return what `read` gives; it is asked again to tell whether that still stands.

        What it gives is compared by identity; tuples, lists and frozen sets part by part, text and whole numbers by
        content.
        """
        value = read(*arguments)
        self._repeated.append((read, arguments, value))
        return value

    def owner(self, module: str) -> Owner:
        """Return the owner of the module of that name."""
        owner = self._owners.get(module)
        if owner is None:
            owner = self._owners[module] = self.repeat(owner_of_module, module)
        return owner

    def owner_of_namespace(self, namespace: Mapping[str, Any]) -> Owner:
        """Return the owner of the module with these globals."""
        name = self.item(namespace, "__name__")
        return self.owner(name if isinstance(name, str) else "")

    def owner_of_class(self, cls: type) -> Owner:
        """Return the owner of the module that a class says it is from."""
        if cls not in self._classes:
            self.attribute(cls, "__module__")
            module = cls.__module__
            self._classes[cls] = self.owner(module) if isinstance(module, str) else Origin.PYTHON
        return self._classes[cls]

    def text(self, filename: str, namespace: dict[str, Any]) -> str:
        """Return the source in a file of the module with globals `namespace`."""
        text = self._texts.get(filename)
        if text is None:
            text = self._texts[filename] = self.repeat(read_text, filename, namespace)
        return text

    def module_text(self, namespace: dict[str, Any]) -> str:
        """Return the source that the module with globals `namespace` was loaded from; empty if there is none."""
        file = self.item(namespace, "__file__")
        if not (isinstance(file, str) and file.endswith(".py")):
            return ""
        spec = self.item(namespace, "__spec__")
        return self.text_as_loaded(file, namespace, self.item(namespace, "__loader__") if spec is None else spec)

    def text_as_loaded(self, filename: str, namespace: dict[str, Any], spec: object) -> str:
        """Return the source of a module as it was when it was loaded by `spec`, or by a loader; see there."""
        text = self._loaded_texts.get(filename)
        if text is None:
            loaded_by = spec if isinstance(spec, ModuleSpec | SourceFileLoader) else None
            text = self._loaded_texts[filename] = self.repeat(text_as_loaded, filename, namespace, loaded_by)
        return text

    def cell(self, cell: CellType) -> object:
        """Return what a closure cell holds, `MISSING` if it is empty."""
        if id(cell) not in self._cells:
            self._cells[id(cell)] = self.repeat(_cell_content, cell)
        return self._cells[id(cell)]

    def content(self, value: object) -> Content:
        """Return the digest of a value."""
        known = self._digests.get(id(value)) or content_of(value)
        self._keep(value, known)
        return known

    def is_exact(self, value: object) -> bool:
        """Return whether equal digests of a value mean equal values.

        Where not, its parts are to be read: it is for them to tell whether it stands.
        """
        known = self._digests.get(id(value)) or content_of(value)
        if known.exact:
            self._keep(value, known)
        return known.exact

    def _keep(self, value: object, content: Content) -> None:
        if id(value) not in self._digests:
            if is_plain(value):
                self.plain(value)
            else:
                self._repeated.append((content_of, (value,), content))
            self._digests[id(value)] = content
            self._noted[id(value)] = value

    # -- notes of what is read elsewhere ----------------------------------------------------------------------------

    def attribute(self, holder: object, name: str) -> None:
        """Note that an attribute is read."""
        if isinstance(holder, type) and not holder.__flags__ & HEAP_TYPE:
            return  # those of types made in C cannot be set
        self._holders.append(holder)
        self._attributes.append(name)
        self._values.append(getattr(holder, name, MISSING))

    def function(self, function: FunctionType) -> None:
        """Note that all parts of a function are read, except what its closure holds."""
        if self._is_new(function):
            for part in _FUNCTION_PARTS:
                self.attribute(function, part)
            for held in (vars(function), function.__kwdefaults__):
                if held:
                    self.contents(held)
            if not vars(function):
                self._empty.append(vars(function))

    def contents(self, container: Any) -> None:
        """Note that what a container holds is read, not what is inside of that."""
        if type(container) in MAPPINGS:
            self._contents.append((container.values(), tuple(container.values())))
        self._contents.append((container, tuple(container)))
        if type(container) is defaultdict:
            self.attribute(container, "default_factory")

    def plain(self, value: object) -> None:
        """Note that plain data is read, to any depth."""
        waiting = [value]
        while waiting:
            each: Any = waiting.pop()
            cls = type(each)
            if cls is bytearray:
                self.repeat(bytes, each)
            elif (cls in MAPPINGS or cls in SEQUENCES or cls is set) and self._is_new(each):
                if cls is not tuple:
                    self.contents(each)
                waiting += each.values() if cls in MAPPINGS else each

    def _is_new(self, value: object) -> bool:
        is_new = id(value) not in self._noted
        self._noted[id(value)] = value
        return is_new

    # -- whether it stands ------------------------------------------------------------------------------------------

    def stands(self) -> bool:
        """Return whether reading all again would give the same.

        Complexity: O(reads), about 60 ns each; a file costs a look at its date.
        """
        try:
            return (
                not any(self._empty)
                and all(map(is_, map(getattr, self._holders, self._attributes, repeat(MISSING)), self._values))
                and all(self._items_stand(*each) for each in self._items.values())
                and all(len(held) == len(known) and all(map(is_, held, known)) for held, known in self._contents)
                and all(_same(read(*arguments), known) for read, arguments, known in self._repeated)
            )
        except Exception:  # what cannot be read again does not stand; the full walk says what is the matter
            return False

    @staticmethod
    def _items_stand(namespace: Mapping[str, Any], known: dict[str, object]) -> bool:
        return all(map(is_, map(namespace.get, known, repeat(MISSING)), known.values()))


def content_of(value: object) -> Content:
    """Return the digest of a value as it is now."""
    try:
        found = digest(value)
    except UndigestibleError as error:
        return Content(f"type {type(value).__module__}:{type(value).__qualname__}", False, str(error))
    return Content(found.hex, found.exact, "")


def _cell_content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return MISSING


def _same(now: object, known: object) -> bool:
    if now is known:
        return True
    if type(now) is not type(known):
        return False
    if isinstance(now, tuple | list | frozenset) and isinstance(known, tuple | list | frozenset):
        return len(now) == len(known) and (all(map(is_, now, known)) or all(map(_same, now, known)))
    return type(now) in _EQUAL_MEANS_SAME and now == known
