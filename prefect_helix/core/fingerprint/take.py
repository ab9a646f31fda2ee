"""Taking a fingerprint: everything is walked through anew."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from prefect_helix.core.fingerprint.components import Edge, Fingerprint, Node, divided, summarise
from prefect_helix.core.fingerprint.live import Live
from prefect_helix.core.fingerprint.objects import expand
from prefect_helix.core.fingerprint.reach import Reach
from prefect_helix.core.garbage import garbage_kept


def take(
    fn: Callable[..., object],
    depends_on: Sequence[object],
    code_version: str | None,
    given: bool = False,
    apart: str = "",
) -> tuple[Fingerprint, Live]:
    """Return the fingerprint of `fn`, and all that has been read for it. See `fingerprint`."""
    reach = Reach(expand)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = Node("distribution", f"python {version}", version)
    root = Node(None, "", "task")
    root.edges = [Edge("python", "", lambda: python), *reach.declared(fn, code_version, depends_on, given)]
    with garbage_kept():
        reach.walk()
        hash_, components = summarise(root)
        parts = divided(root, reach.held_objects(apart, depends_on[0])) if apart else ()
    notes = (*reach.notes, *_opaque_note(reach))
    return Fingerprint(hash_, components, notes, reach.draws, parts), reach.live


def _opaque_note(reach: Reach) -> list[str]:
    opaque = {**reach.opaque, **reach.modules.opaque}
    if not opaque:
        return []
    found = "; ".join(f"{name} uses {', '.join(dict.fromkeys(what))}" for name, what in sorted(opaque.items()))
    return [
        f"Not all that the code depends on can be seen: {found}. Name what it depends on with depends_on=, "
        "pass files as File(path), or make it an argument."
    ]
