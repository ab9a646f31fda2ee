"""Code as it is written in files, and as it runs: the source of a function, and what it reads from modules by name."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from types import FunctionType, ModuleType

from prefect_helix.core.fingerprint.components import Fingerprint, summarise
from prefect_helix.core.fingerprint.distributions import module_file
from prefect_helix.core.fingerprint.live import Live
from prefect_helix.core.fingerprint.modules import Modules
from prefect_helix.core.fingerprint.names import asked_for, is_project_code, resolve
from prefect_helix.core.fingerprint.source import FunctionSource, read_function
from prefect_helix.core.naming import is_script


def source_of(live: Live, function: FunctionType, *, documented: bool = False) -> FunctionSource:
    """Return the normal form of a function as it runs, and its source.

    Args:
        live: The running program.
        function: The function.
        documented: Whether docstrings and annotations count.
    """
    text = live.text(function.__code__.co_filename, function.__globals__)
    stored = type(live.item(function.__globals__, "__loader__")) is SourceFileLoader
    return read_function(function.__code__, text, documented=documented, stored=stored)


def reads_of(function: FunctionType) -> set[str]:
    """Return the names of what a function of the project reads from modules other than its own.

    ``module:qualname`` is a thing in a module, ``module:`` a module that is imported as the function runs, or used as
    a whole.
    """
    live = Live()
    return set(_reads(live, function)) if is_project_code(live, function) else set()


def _reads(live: Live, function: FunctionType) -> Iterator[str]:
    form = source_of(live, function).form
    bindings = [resolve(live, function, chain) for chain in form.references]
    for binding in bindings:
        if isinstance(binding.value, ModuleType):
            yield f"{binding.value.__name__}:"
        elif binding.namespace is not None and binding.namespace is not function.__globals__:
            module = binding.namespace["__name__"]
            if module != builtins.__name__ and not is_script(module):
                yield f"{module}:{binding.label}"
    package = str(function.__globals__.get("__package__") or "")
    for edge in Modules(live).imported([*form.imports, *asked_for(live, bindings)], package):
        yield f"{edge.label}:"


def written(module: str) -> Fingerprint:
    """Return the fingerprint of a module by its file, which is not imported, and of the modules that it imports."""
    code, components = summarise(Modules(Live()).module(module))
    return Fingerprint(code, components, ())


def runs_as_written(module: ModuleType) -> bool:
    """Return whether the functions and methods of a loaded module are those that its file has now."""
    live, file, held = Live(), module_file(module), [*vars(module).values()]
    for cls in [each for each in held if isinstance(each, type) and each.__module__ == module.__name__]:
        held += vars(cls).values()
    functions = [each for each in held if type(each) is FunctionType and each.__globals__ is vars(module)]
    named = [each for each in functions if each.__code__.co_filename == file and each.__code__.co_name != "<lambda>"]
    return all(source_of(live, function).source is not None for function in named)
