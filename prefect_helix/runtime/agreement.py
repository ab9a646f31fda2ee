"""Whether a process that a task is sent to has what the task takes from modules as the flow's process has it."""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from types import ModuleType

from prefect_helix.core.digest import hash_parts
from prefect_helix.core.fingerprint import Component, Fingerprint
from prefect_helix.core.fingerprint.reads import written
from prefect_helix.core.naming import is_script
from prefect_helix.runtime.code import fingerprint_of
from prefect_helix.runtime.imports import Imported, UntilImportedAgain, file_of, files_of, specs_of
from prefect_helix.runtime.specs import Versioned
from prefect_helix.storage.sending import look_up, taken_by_name

_ROOT = r"(?:[A-Za-z]:)?[\\/]+"
_FIRST_FOLDER = re.compile(rf"{_ROOT}[^\\/]+")
_PLACE = re.compile(rf"""(?:\w*Path\()?["']({_ROOT}[^\\/'"]+)""")
"""How the short form of an absolute path begins, up to the name of its first folder."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Something that a task's function takes from a module, as it is in one process.

    Attributes:
        name: ``module:qualname``, or ``module:``; without a colon it is that of an environment variable.
        hash: Hash of it, and of all that it reaches.
        hash_without_places: The same but for constants that are paths in the first folder of such a file, as ``/home``.
        places: Hash of the names of the files that it and what it reaches are defined in.
        parts: Where it reaches objects that modules hold: these, and the rest of it.
    """

    name: str
    hash: str
    hash_without_places: str
    places: str
    parts: tuple[TakenPart, ...] = ()


@dataclass(frozen=True, slots=True)
class TakenPart:
    """An object that a module holds, with what it reaches, or what reaches such objects; see `Taken`.

    Attributes:
        name: ``module:name``; empty for what reaches them.
    """

    name: str
    hash: str
    hash_without_places: str


def taken(value: object, depends_on: Iterable[object] = ()) -> tuple[Taken, ...]:
    """Return all that a copy of a function, or of an object, takes from modules by name where it is sent to.

    Args:
        value: The function or object.
        depends_on: What else it says it depends on: as `fingerprint` has it.
    """
    try:
        names = taken_by_name(value).union(*map(_names_of, depends_on))
        return tuple(_taken(name, _code(name)) for name in sorted(names))
    except Exception:  # of what cannot be looked at; then it has no fingerprint either, and its task is always computed
        return ()


def _names_of(dependency: object) -> set[str]:
    if isinstance(dependency, str):
        return {dependency} if ":" not in dependency else set()
    if isinstance(dependency, ModuleType):
        return set() if is_script(dependency.__name__) else {f"{dependency.__name__}:"}
    return taken_by_name(dependency.fn if isinstance(dependency, Versioned) else dependency)


def disagreement(there: Iterable[Taken]) -> str:
    """Return the name of something that is another in this process, or not there; empty if all is the same.

    What was found once holds until a module that it is made of is imported again: what it became while tasks ran is no
    difference, also of an object that is looked at for another task then. Neither is where things are, if the code
    itself is in another place here.

    Args:
        there: What `taken` returned in the flow's process.
    """
    return next((one.name for one in there if not _agrees(one)), "")


def _agrees(there: Taken) -> bool:
    agrees = _found.get(there)
    if agrees is None:
        with _looking:  # so that what a task begins with is not what another one, which was quicker, has made of it
            agrees = _found.get(there)
            if agrees is None:
                agrees = _look_at(there)
    return agrees


def _look_at(there: Taken) -> bool:
    try:
        code = _code(there.name)
        imported = Imported(code)
        agrees = _is_the_same(_taken(there.name, code), there) and imported.is_as_written()
    except (Exception, SystemExit):  # of a module that cannot be imported here, or has no such thing
        return False
    module, is_in_module, _ = there.name.partition(":")
    specs = specs_of((*imported.names, module))
    if is_in_module:  # else another run may find another value of the variable
        _found.put(there, agrees, specs)
    for part in there.parts if agrees else ():
        held = _held(part.name)
        if held is not None:
            _agreed.put((id(held), part.hash), held, specs)
    return agrees


def _is_the_same(here: Taken, there: Taken) -> bool:
    """Return whether something is what it is in the flow's process, or was before tasks of this one have run."""
    has_moved = here.places != there.places

    def is_same(now: Taken | TakenPart | None, then: Taken | TakenPart) -> bool:
        return now is not None and (
            now.hash == then.hash or (has_moved and now.hash_without_places == then.hash_without_places)
        )

    if is_same(here, there):
        return True
    now = {part.name: part for part in here.parts}
    return bool(there.parts) and all(is_same(now.get(one.name), one) or _was_the_same(one) for one in there.parts)


def _was_the_same(there: TakenPart) -> bool:
    held = _held(there.name)
    return held is not None and _agreed.get((id(held), there.hash)) is not None


def _held(name: str) -> object:
    """Return the object that a module holds under a name; None if there is none, or no name."""
    try:
        return look_up(name) if name else None
    except Exception:
        return None


def _code(name: str) -> Fingerprint:
    if ":" not in name:
        return fingerprint_of(name)
    if name.endswith(":"):
        return written(name[:-1])
    value = look_up(name)
    return fingerprint_of((value,) if isinstance(value, str) else value, apart=name)


def _taken(name: str, code: Fingerprint) -> Taken:
    files = files_of(code)
    module, _, qualname = name.partition(":")
    if qualname and (file := file_of(module)):
        files.add(file)  # what the module holds may be a path in itself
    folders = {found[0] for found in map(_FIRST_FOLDER.match, files) if found is not None}
    parts = tuple(TakenPart(one.name, one.hash, _hash_without(folders, one.components)) for one in code.parts)
    places = hash_parts("places", *sorted(files))
    return Taken(name, code.hash, _hash_without(folders, code.components), places, parts)


def _hash_without(folders: Collection[str], components: Iterable[Component]) -> str:
    counted = [component for component in components if not _is_place(component, folders)]
    return hash_parts("without places", *(part for one in counted for part in (one.kind, one.name, one.hash)))


def _is_place(component: Component, folders: Collection[str]) -> bool:
    found = _PLACE.match(component.source or "") if component.kind == "constant" else None
    return found is not None and found[1].replace("\\\\", "\\") in folders


_looking = threading.Lock()
_found: UntilImportedAgain[Taken, bool] = UntilImportedAgain(4096)
_agreed: UntilImportedAgain[tuple[int, str], object] = UntilImportedAgain(4096)
"""Objects that were the same, which are kept alive, by their identities and hashes of what they were."""
