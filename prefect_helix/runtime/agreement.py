"""Whether the process that a task is sent to has what its function takes from modules as the flow's process has it.

Workers that outlast a flow run have imported modules as they were before an edit, and go on with that.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from prefect_helix.core.digest import hash_parts
from prefect_helix.core.fingerprint import Component, Fingerprint, Kind
from prefect_helix.core.fingerprint.distributions import module_file
from prefect_helix.core.fingerprint.reads import runs_as_written, written
from prefect_helix.core.fingerprint.source import read_text
from prefect_helix.core.naming import is_script
from prefect_helix.core.recent import Recent
from prefect_helix.runtime.code import fingerprint_of
from prefect_helix.runtime.specs import Versioned
from prefect_helix.storage.sending import look_up, taken_by_name

_PLACE = re.compile(r"""(?:\w*Path\()?["']((?:[A-Za-z]:)?[\\/]+[^\\/'"]+)""")
"""How the short form of an absolute path begins, up to the name of its first folder."""

_FIRST_FOLDER = re.compile(r"(?:[A-Za-z]:)?[\\/]+[^\\/]+")


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

    What was found once holds until a module that it is made of is loaded again: what it became while tasks ran is no
    difference, also of an object that is looked at for another task then. Neither is where things are, if the code
    itself is in another place here.

    Args:
        there: What `taken` returned in the flow's process.
    """
    return next((one.name for one in there if not _agrees(one)), "")


def _agrees(there: Taken) -> bool:
    agrees = _known(there)
    if agrees is None:
        with _looking:  # so that what a task begins with is not what another one, which was quicker, has made of it
            agrees = _known(there)
            if agrees is None:
                agrees = _look_at(there)
    return agrees


def _known(one: Taken) -> bool | None:
    found = _found.get(one)
    if found is None:
        return None
    agrees, specs = found
    return agrees if _stand(specs) else None


def _stand(specs: Mapping[str, object]) -> bool:
    """Return whether no module was loaded again since."""
    return all(_spec(name) is spec for name, spec in specs.items())


def _look_at(there: Taken) -> bool:
    try:
        code = _code(there.name)
        here = _taken(there.name, code)
        whole, read = _files_of(code, "module"), _files_read(code)
        loaded = _loaded(_files_of(code) | read)
        specs = {file: _spec(name) for name, module in loaded.items() if (file := module_file(module))}
        edited = {file for file in specs.keys() | read if _is_edited(file, specs.get(file))}
        is_same = _is_the_same(here, there) and read.isdisjoint(edited)
        agrees = is_same and all(runs_as_written(module) for module in loaded.values() if module_file(module) in whole)
    except (Exception, SystemExit):  # of a module that cannot be imported here, or has no such thing
        return False
    specs_by_name = {name: _spec(name) for name in (*loaded, there.name.partition(":")[0])}
    if ":" in there.name:  # else another run may find another value of the variable
        _found.put(there, (agrees, specs_by_name))
    for part in there.parts if agrees else ():
        held = _held(part.name)
        if held is not None:
            _agreed.put((id(held), part.hash), (held, specs_by_name))
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
    found = None if held is None else _agreed.get((id(held), there.hash))
    return found is not None and _stand(found[1])


def _held(name: str) -> object:
    """Return the object that a module holds under a name; None if there is none, or no name."""
    try:
        return look_up(name) if name else None
    except Exception:
        return None


def _loaded(files: set[str]) -> dict[str, ModuleType]:
    """Return the loaded modules that are in one of some files, by name."""
    modules = {name: module for name, module in list(sys.modules.items()) if isinstance(module, ModuleType)}
    return {name: module for name, module in modules.items() if module_file(module) in files}


def _taken(name: str, code: Fingerprint) -> Taken:
    files = _files_of(code)
    module, _, qualname = name.partition(":")
    if qualname:  # what it holds may be a path in itself
        files.update(filter(None, map(module_file, filter(None, [sys.modules.get(module)]))))
    folders = {found[0] for found in map(_FIRST_FOLDER.match, files) if found is not None}
    parts = tuple(TakenPart(one.name, one.hash, _hash_without(folders, one.components)) for one in code.parts)
    places = hash_parts("places", *sorted(files))
    return Taken(name, code.hash, _hash_without(folders, code.components), places, parts)


def _hash_without(folders: Collection[str], components: Iterable[Component]) -> str:
    counted = [component for component in components if not _is_place(component, folders)]
    return hash_parts("without places", *(part for one in counted for part in (one.kind, one.name, one.hash)))


def _files_of(code: Fingerprint, *kinds: Kind) -> set[str]:
    """Return the files that code is defined in, or what of it is of some kinds."""
    found = (component for component in code.components if not kinds or component.kind in kinds)
    return {component.file for component in found if component.file is not None}


def _files_read(code: Fingerprint) -> set[str]:
    """Return the files whose text counts: of modules as a whole, and of what variables that are written began as."""
    names = {one.name.partition(" ")[0].rpartition(".")[0] for one in code.components if one.kind == "state"}
    modules = [module for name in names if isinstance(module := sys.modules.get(name), ModuleType)]
    return _files_of(code, "module").union(filter(None, map(module_file, modules)))


def _is_edited(file: str, spec: object) -> bool:
    """Return whether a file was edited since this process was first seen to have its module, loaded by `spec`.

    One that was edited before, and loaded before that, is not known.
    """
    text, seen = _content_of(file), _seen.get(file)
    if spec is None or seen is None or (seen[0] is not None and seen[0] is not spec):
        seen = spec, text
    _seen.put(file, (spec, seen[1]))
    return seen[1] != text


def _content_of(file: str) -> str:
    if file.endswith(".py"):
        return read_text(file)
    try:
        return hash_parts("file", Path(file).read_bytes())
    except OSError:
        return ""


def _is_place(component: Component, folders: Collection[str]) -> bool:
    found = _PLACE.match(component.source or "") if component.kind == "constant" else None
    return found is not None and found[1].replace("\\\\", "\\") in folders


def _code(name: str) -> Fingerprint:
    if ":" not in name:
        return fingerprint_of(name)
    if name.endswith(":"):
        return written(name[:-1])
    value = look_up(name)
    return fingerprint_of((value,) if isinstance(value, str) else value, apart=name)


def _spec(module: str) -> object:
    """Return what a module was loaded by; loading it again gives it another one."""
    return getattr(sys.modules.get(module), "__spec__", None)


_looking = threading.Lock()
_found: Recent[Taken, tuple[bool, dict[str, object]]] = Recent(4096)
_agreed: Recent[tuple[int, str], tuple[object, dict[str, object]]] = Recent(4096)  # objects, which are kept alive
_seen: Recent[str, tuple[object, str]] = Recent(4096)  # of files, with what loaded their modules
