"""Names of modules and types that hold in every process, however a program was started.

Python calls the file that it is started with ``__main__``, and ``__mp_main__`` in the processes of a pool. A loader of
files, such as Prefect's for entrypoints, makes a name up where that of the file is taken. Names of this kind begin with
two underscores; here such a *script* has the name under which its file would be imported.
"""

from __future__ import annotations

import functools
import sys
from pathlib import PurePath
from types import FunctionType


def is_script(module: object) -> bool:
    """Return whether a module of that name is a file that was run or loaded, and not imported."""
    return isinstance(module, str) and module.startswith("__") and module != "__future__"


def module_name(module: object) -> str:
    """Return the name that a module, given by the one it has in this process, has everywhere."""
    if not is_script(module):
        return str(module)
    script = sys.modules.get(str(module))
    spec, file = getattr(script, "__spec__", None), getattr(script, "__file__", None)
    if spec is not None and not is_script(spec.name):  # it was run by its name, with python -m
        return str(spec.name)
    return _stem(file) if isinstance(file, str) else str(module)


def type_name(code: type | FunctionType) -> str:
    """Return ``module:qualname`` of a class or a function, the module by the name it has everywhere."""
    return f"{module_name(code.__module__)}:{code.__qualname__}"


@functools.lru_cache(maxsize=64)
def _stem(file: str) -> str:
    return PurePath(file).stem
