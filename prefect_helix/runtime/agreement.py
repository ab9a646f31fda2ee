"""Whether the process that a task is sent to has what its function takes from modules as the flow's process has it.

Workers that outlast a flow run have imported modules as they were before an edit, and go on with that.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterable
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

_PLACE = re.compile(r"""(?:\w*Path\()?["'](?:/|[A-Za-z]:[\\/])""")
"""How the short form of an absolute path begins."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Something that a task's function takes from a module, as it is in one process.

    Attributes:
        name: ``module:qualname``, or ``module:``; without a colon it is that of an environment variable.
        hash: Hash of it, and of all that it reaches.
        hash_without_places: The same but for constants that are absolute paths.
        places: Hash of the names of the files that it and what it reaches are defined in.
    """

    name: str
    hash: str
    hash_without_places: str
    places: str


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
    difference. Neither is where things are, if the code itself is in another place here.

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
    agrees, loaded = found
    return agrees if all(_spec(name) is spec for name, spec in loaded.items()) else None


def _look_at(there: Taken) -> bool:
    try:
        code = _code(there.name)
        here = _taken(there.name, code)
        moved = here.places != there.places and here.hash_without_places == there.hash_without_places
        whole, read = _files_of(code, "module"), _files_read(code)
        loaded = _loaded(_files_of(code) | read)
        specs = {file: _spec(name) for name, module in loaded.items() if (file := module_file(module))}
        edited = {file for file in specs.keys() | read if _is_edited(file, specs.get(file))}
        is_same = (here.hash == there.hash or moved) and read.isdisjoint(edited)
        agrees = is_same and all(runs_as_written(module) for module in loaded.values() if module_file(module) in whole)
    except (Exception, SystemExit):  # of a module that cannot be imported here, or has no such thing
        return False
    if ":" in there.name:  # else another run may find another value of the variable
        _found.put(there, (agrees, {name: _spec(name) for name in (*loaded, there.name.partition(":")[0])}))
    return agrees


def _loaded(files: set[str]) -> dict[str, ModuleType]:
    """Return the loaded modules that are in one of some files, by name."""
    modules = {name: module for name, module in list(sys.modules.items()) if isinstance(module, ModuleType)}
    return {name: module for name, module in modules.items() if module_file(module) in files}


def _taken(name: str, code: Fingerprint) -> Taken:
    counted = [component for component in code.components if not _is_place(component)]
    without = hash_parts("without places", *(part for one in counted for part in (one.kind, one.name, one.hash)))
    return Taken(name, code.hash, without, hash_parts("places", *sorted(_files_of(code))))


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


def _is_place(component: Component) -> bool:
    return component.kind == "constant" and _PLACE.match(component.source or "") is not None


def _code(name: str) -> Fingerprint:
    if ":" not in name:
        return fingerprint_of(name)
    if name.endswith(":"):
        return written(name[:-1])
    value = look_up(name)
    return fingerprint_of((value,) if isinstance(value, str) else value)


def _spec(module: str) -> object:
    """Return what a module was loaded by; loading it again gives it another one."""
    return getattr(sys.modules.get(module), "__spec__", None)


_looking = threading.Lock()
_found: Recent[Taken, tuple[bool, dict[str, object]]] = Recent(4096)
_seen: Recent[str, tuple[object, str]] = Recent(4096)  # of files, with what loaded their modules
