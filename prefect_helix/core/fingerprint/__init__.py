"""The fingerprint of a task: a semantic hash of its code and of all code and constants it reaches.

HELIX (PVLDB 2018, section 4.2) compares the source of operators; here the live objects count, so that a change of a
helper, a constant or an installed library is seen, and a change of layout or of a local variable's name is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prefect_helix.core.fingerprint.components import Component, Fingerprint, Kind
from prefect_helix.core.fingerprint.live import Live
from prefect_helix.core.fingerprint.take import take
from prefect_helix.core.recent import Recent

__all__ = ["Component", "Fingerprint", "Kind", "fingerprint"]


def fingerprint(
    fn: Callable[..., object],
    *,
    depends_on: Sequence[object] = (),
    code_version: str | None = None,
    given: bool = False,
    apart: str = "",
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
        given: Whether code that is not known is given what it depends on, and may read its docstring and annotations.
        apart: Name of the first of `depends_on`, if objects that modules hold are to be told apart; see `Fingerprint`.

    Complexity: linear in the code and the constants reached; each file is parsed once per content. Asked again, it
    only looks whether everything it has read is still the same.
    """
    key = (id(fn), code_version, given, apart, *map(id, depends_on))
    known = _remembered.get(key)
    if known is None or not known.live.stands():
        found, live = take(fn, depends_on, code_version, given, apart)
        known = _Remembered(found, live, (fn, *depends_on))
    if known.live.is_large:
        _remembered.drop(key)
    else:
        _remembered.put(key, known)
    return known.fingerprint


@dataclass(frozen=True, slots=True, eq=False)
class _Remembered:
    """A fingerprint, what it rests on, and what its key names, which must live as long."""

    fingerprint: Fingerprint
    live: Live
    named: tuple[object, ...]


_remembered: Recent[tuple[object, ...], _Remembered] = Recent(512)
