"""Who owns a file: an installed distribution, Python, or the project.

Ownership goes by file path, never by a module's name: an installed distribution owns what its RECORD lists
(PyPA specification "Recording installed projects"). An editable install lists no modules there, so it is project code.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from dataclasses import dataclass
from enum import Enum
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType

from prefect_helix.core.digest import hash_parts

_REQUIREMENT = re.compile(r"^Requires-Dist:\s*([A-Za-z0-9][A-Za-z0-9._-]*)([^\n]*)$", re.MULTILINE)
_VERSION = re.compile(r"^Version:\s*(\S+)", re.MULTILINE)
_NAME = re.compile(r"^Name:\s*(\S+)", re.MULTILINE)
_EXTRA = re.compile(r"\bextra\s*==")


_CALLED = {
    "cv2": "opencv-python",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Distributions that are asked first for a package that is not called as they are; else all are gone through."""

OUR_MODULES = frozenset({"prefect", "prefect_helix"})
"""Packages that run tasks: what they do is no part of any task."""


class Origin(Enum):
    """Owners that are no distribution."""

    PROJECT = "project"
    PYTHON = "python"
    OURS = "ours"


@dataclass(frozen=True, slots=True)
class Distribution:
    """An installed distribution.

    Attributes:
        name: Its name, as in its metadata.
        version: Its version.
        hash: Hash of name, version and the lines of RECORD for the files of its packages.
        requires: Normalised names of the distributions it requires, extras aside.
    """

    name: str
    version: str
    hash: str
    requires: tuple[str, ...]


Owner = Distribution | Origin


def owner_of_module(name: str) -> Owner:
    """Return the owner of the loaded module `name`; one that is not loaded is the project's."""
    root = name.partition(".")[0]
    if root in OUR_MODULES:
        return Origin.OURS
    if name == "__main__":  # also where a runner has put another program there meanwhile
        return Origin.PROJECT
    if name == "builtins" or name.startswith("_cython_"):  # Cython keeps its own types in a module without a file
        return Origin.PYTHON
    module = sys.modules.get(name)
    if module is None:
        return Origin.PYTHON if root in sys.stdlib_module_names else Origin.PROJECT
    file = module_file(module)
    if file is not None:
        return owner_of_file(file)
    origin = getattr(getattr(module, "__spec__", None), "origin", None)
    return Origin.PYTHON if origin in ("built-in", "frozen") else Origin.PROJECT


def owner_of_class(cls: type) -> Owner:
    """Return the owner of the module that a class says it is from."""
    module = cls.__module__
    return owner_of_module(module) if isinstance(module, str) else Origin.PYTHON


def module_file(module: ModuleType) -> str | None:
    """Return the path of the module's file, None for built-in and namespace modules, and for what passes for a module.

    One that is to be loaded when it is first used is not loaded for that.
    """
    try:
        file = object.__getattribute__(module, "__dict__").get("__file__")
    except AttributeError:  # a library that cffi has loaded
        return None
    return file if isinstance(file, str) else None


@lru_cache(maxsize=8192)
def owner_of_file(file: str) -> Owner:
    """Return the owner of a source file or extension module."""
    path = Path(file).resolve()
    for site in _sites(tuple(sys.path)):
        if path.is_relative_to(site):
            distribution = _claimant(site, path.relative_to(site))
            if distribution is not None:
                return distribution
    for library in _standard_library():
        if path.is_relative_to(library):
            inside = path.relative_to(library).parts
            return Origin.PROJECT if {"site-packages", "dist-packages"} & set(inside[:1]) else Origin.PYTHON
    return Origin.PROJECT


def find_distribution(name: str) -> Distribution | None:
    """Return the installed distribution called `name` (normalised), None if there is none."""
    for site in _sites(tuple(sys.path)):
        info = _infos(site).get(name)
        if info is not None:
            return _distribution(info)
    return None


@cache
def _standard_library() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    return tuple({Path(paths[key]).resolve() for key in ("stdlib", "platstdlib")})


@lru_cache(maxsize=8)
def _sites(search_path: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the folders of the search path that hold installed distributions, innermost first."""
    folders = {Path(entry).resolve() for entry in search_path if entry}
    return tuple(sorted((folder for folder in folders if _infos(folder)), key=lambda f: (-len(f.parts), str(f))))


@cache
def _infos(site: Path) -> dict[str, Path]:
    """Return the ``.dist-info`` folders in `site` that have a RECORD, by normalised distribution name."""
    infos = site.glob("*.dist-info") if site.is_dir() else ()
    return {_normal_name(info.name.partition("-")[0]): info for info in sorted(infos) if (info / "RECORD").is_file()}


def _normal_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _claimant(site: Path, relative: Path) -> Distribution | None:
    root = relative.parts[0]
    likely = _infos(site).get(_CALLED.get(root, _normal_name(root)))
    line = f"\n{relative.as_posix()},".encode()
    if likely is not None and line in _record(likely):
        return _distribution(likely)
    return next((_distribution(info) for info in _claimants(site, root) if line in _record(info)), None)


@cache
def _claimants(site: Path, root: str) -> tuple[Path, ...]:
    """Return the distributions with files in a top-level package that is not called as its distribution is."""
    package, module = f"\n{root}/".encode(), f"\n{root},".encode()
    return tuple(info for info in _infos(site).values() if package in _record(info) or module in _record(info))


@cache
def _record(info: Path) -> bytes:
    return b"\n" + (info / "RECORD").read_bytes().replace(b"\r\n", b"\n")


@cache
def _distribution(info: Path) -> Distribution:
    metadata = (info / "METADATA").read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    name, version = _NAME.search(metadata), _VERSION.search(metadata)
    stem, _, tail = info.name.removesuffix(".dist-info").partition("-")
    shown_name, shown_version = name[1] if name else stem, version[1] if version else tail
    files = sorted(
        line
        for line in _record(info).decode().split("\n")
        if line and not line.startswith((f"{info.name}/", "../")) and "__pycache__/" not in line
    )
    requires = {_normal_name(found[1]) for found in _REQUIREMENT.finditer(metadata) if not _EXTRA.search(found[2])}
    return Distribution(
        shown_name,
        shown_version,
        hash_parts("distribution", _normal_name(shown_name), shown_version, *files),
        tuple(sorted(requires)),
    )
