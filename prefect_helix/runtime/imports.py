"""Whether modules run as their files are now: Python goes on with what it has imported when a file is edited."""

from __future__ import annotations

import sys
from collections.abc import Collection, Hashable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar

from prefect_helix.core.digest import hash_parts
from prefect_helix.core.fingerprint import Fingerprint, Kind
from prefect_helix.core.fingerprint.distributions import module_file
from prefect_helix.core.fingerprint.reads import runs_as_written
from prefect_helix.core.fingerprint.source import read_text
from prefect_helix.core.recent import Recent

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Imported:
    """The modules that this process has imported from the files of some code.

    What the files hold is taken note of, so that an edit is seen from then on. One from before that, of a module that
    had been imported already, is seen in functions only.

    Args:
        code: The code.

    Attributes:
        names: Names of the modules.
    """

    def __init__(self, code: Fingerprint) -> None:
        whole = files_of(code, "module")
        by_text = whole | _files_of_first_values(code)
        modules = _imported_from(files_of(code) | by_text)
        specs = {file: _spec(name) for name, module in modules.items() if (file := module_file(module))}
        # All are looked at: where the text of one does not count here, it may in other code.
        edited = {file for file in specs.keys() | by_text if _is_edited(file, specs.get(file))}
        self.names = tuple(modules)
        self._edited = edited & by_text
        self._whole = [module for module in modules.values() if module_file(module) in whole]

    def is_as_written(self) -> bool:
        """Return whether what of the code counts by the text of a file was imported from that text."""
        return not self._edited and all(map(runs_as_written, self._whole))


class UntilImportedAgain(Generic[K, V]):
    """What was found out about modules, by key: each holds until one of these is imported again. Any thread may use it.

    Args:
        most: How many are kept.
    """

    def __init__(self, most: int) -> None:
        self._found: Recent[K, tuple[V, Mapping[str, object]]] = Recent(most)

    def get(self, key: K) -> V | None:
        """Return what holds; None if nothing does."""
        found = self._found.get(key)
        if found is None:
            return None
        value, specs = found
        return value if all(_spec(name) is spec for name, spec in specs.items()) else None

    def put(self, key: K, value: V, specs: Mapping[str, object]) -> None:
        """Keep what was found out about modules, given by what `specs_of` returned of them."""
        self._found.put(key, (value, specs))


def specs_of(names: Iterable[str]) -> dict[str, object]:
    """Return what modules were imported by, by their names; None stands for that of one that is not imported."""
    return {name: _spec(name) for name in names}


def files_of(code: Fingerprint, *kinds: Kind) -> set[str]:
    """Return the files that code is defined in, or what of it is of some kinds."""
    found = (component for component in code.components if not kinds or component.kind in kinds)
    return {component.file for component in found if component.file is not None}


def file_of(name: str) -> str | None:
    """Return the file of a module; None if it has none, or is not imported."""
    module = sys.modules.get(name)
    return None if module is None else module_file(module)


def _files_of_first_values(code: Fingerprint) -> set[str]:
    """Return the files of the variables that code writes: what they began as counts, by the text."""
    modules = {one.name.partition(" ")[0].rpartition(".")[0] for one in code.components if one.kind == "state"}
    return set(filter(None, map(file_of, modules)))


def _imported_from(files: Collection[str]) -> dict[str, ModuleType]:
    """Return the modules that were imported from some files, by name."""
    modules = {name: module for name, module in list(sys.modules.items()) if isinstance(module, ModuleType)}
    return {name: module for name, module in modules.items() if module_file(module) in files}


def _spec(name: str) -> object:
    """Return what a module was imported by: another object each time that it is imported."""
    return getattr(sys.modules.get(name), "__spec__", None)


def _is_edited(file: str, spec: object) -> bool:
    """Return whether a file was edited since this process was first seen to have its module, imported by `spec`."""
    text = _content_of(file)
    seen_spec, first_text = _seen.get(file) or (spec, text)
    if spec is None or (seen_spec is not None and seen_spec is not spec):  # not imported, or again since
        first_text = text
    _seen.put(file, (spec, first_text))
    return first_text != text


def _content_of(file: str) -> str:
    if file.endswith(".py"):
        return read_text(file)
    try:
        return hash_parts("file", Path(file).read_bytes())
    except OSError:
        return ""


_seen: Recent[str, tuple[object, str]] = Recent(4096)
"""By file: what its module was imported by when it was last looked at, and what the file held when it was first."""
