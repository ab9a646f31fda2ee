"""The fingerprint of a task: a semantic hash of its code and of all code and constants it reaches.

HELIX (PVLDB 2018, section 4.2) compares the source of operators; here the live objects count, so that a change of a
helper, a constant or an installed library is seen, and a change of layout or of a local variable's name is not.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from prefect_helix.core.fingerprint.components import Component, Edge, Fingerprint, Kind, Node, summarise
from prefect_helix.core.fingerprint.objects import expand
from prefect_helix.core.fingerprint.reach import Reach
from prefect_helix.core.fingerprint.source import forget_trees

__all__ = ["Component", "Fingerprint", "Kind", "fingerprint"]


def fingerprint(
    fn: Callable[..., object], *, depends_on: Sequence[object] = (), code_version: str | None = None
) -> Fingerprint:
    """Return the fingerprint of `fn` as it is now.

    Two functions with the same fingerprint compute the same from the same arguments, as far as their code shows. What
    cannot be seen into is named in `Fingerprint.notes`. Some edits without effect change it nevertheless: of a module
    that is imported inside a function, anywhere in it; of code without source, its layout; of a class, the names of
    its members. So does a run that changes an object through ``self`` or through a local name for it: that is not told
    from an edit, and costs a recompute within the process. What is written by name (``C[k] = 1``, ``C.n += 1``) is
    state, for which the code that makes its first value counts.

    Args:
        fn: The function, or anything callable: a task, a method, a partial, an instance.
        depends_on: What else it depends on: functions, classes, modules (the whole source, or the distribution they
            are installed from), values, and names of environment variables as strings.
        code_version: Stands for the code, which is then not looked at.

    Complexity: linear in the code and the constants reached; each file is parsed once per content.
    """
    reach = Reach(expand)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = Node("distribution", f"python {version}", version)
    root = Node(None, "", "task")
    root.edges = [Edge("python", "", lambda: python), *reach.declared(fn, code_version, depends_on)]
    with _garbage_kept():
        reach.walk()
        hash_, components = summarise(root)
        forget_trees()
    return Fingerprint(hash_, components, tuple(reach.notes + _opaque_note(reach)))


@contextmanager
def _garbage_kept() -> Iterator[None]:
    """Let no garbage be collected: syntax trees are none, and going over them all the time doubles the cost."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _opaque_note(reach: Reach) -> list[str]:
    opaque = {**{f"{name}()": what for name, what in reach.opaque.items()}, **reach.modules.opaque}
    if not opaque:
        return []
    found = "; ".join(f"{name} uses {', '.join(dict.fromkeys(what))}" for name, what in sorted(opaque.items()))
    return [
        f"Not all that the code depends on can be seen: {found}. Name what it depends on with depends_on=, "
        "pass files as File(path), or make it an argument."
    ]
