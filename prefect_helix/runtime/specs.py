"""The tasks that are loaded in this process, and what one run knows of each."""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prefect_helix.core.fingerprint import Fingerprint
from prefect_helix.core.materialization import Choice


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What the run needs to know of a task.

    Attributes:
        name: Its name.
        key: ``module:qualname`` of its function.
        fn: The function.
        code: Fingerprint of its code.
        deterministic: Whether equal inputs give equal results.
        lazy: Whether an original node waits until somebody demands it.
        materialize: What the task asks for.
        ignore: Parameters left out of its signature.
        max_age_us: Age after which its results count as original; None for never.
        returns: Class of its results where it is declared and a stand-in can take its place.
        code_version: What it says that stands for its code, which is not looked at then; None if it says nothing.
    """

    name: str
    key: str
    fn: Callable[..., Any]
    code: Fingerprint
    deterministic: bool = True
    lazy: bool = False
    materialize: Choice = "auto"
    ignore: frozenset[str] = frozenset()
    max_age_us: int | None = None
    returns: type | None = None
    code_version: str | None = None

    @property
    def fingerprint(self) -> str:
        """Hash of its code."""
        return self.code.hash

    @property
    def by_digest(self) -> bool:
        """Whether its signature does not determine its result."""
        return not self.deterministic or self.max_age_us is not None


class Versioned:
    """A task that knows what a run needs to know of it.

    Attributes:
        fn: Its function.
        name: Its name.
        helix: What it says of itself.
    """

    fn: Any
    name: str
    helix: Any

    def spec(self) -> TaskSpec:
        """Return what a run needs to know, the task's code as it is now included."""
        raise NotImplementedError


_Tasks = weakref.WeakValueDictionary[int, Versioned]

_by_key: defaultdict[str, _Tasks] = defaultdict(weakref.WeakValueDictionary)
_by_name: defaultdict[str, _Tasks] = defaultdict(weakref.WeakValueDictionary)


def register(task: Versioned, key: str) -> None:
    """Make a task known under its key and its name, so that it can be expected before it is called."""
    _by_key[key][id(task)] = _by_name[task.name][id(task)] = task


class Specs:
    """Tasks as one run knows them: the code of each is read once, or for each call if what it counts may change."""

    def __init__(self) -> None:
        # The task is kept, so that what it is known by is not used again.
        self._known: dict[tuple[int, int, str], tuple[Versioned, TaskSpec]] = {}

    def of(self, task: Versioned, *, fresh: bool = True) -> TaskSpec:
        """Return what the run needs to know of `task`.

        Args:
            task: The task.
            fresh: Whether constants that it reaches have to be looked at again.
        """
        key = (id(task.fn), id(task.helix), task.name)
        known = self._known.get(key)
        if known is None or (fresh and known[1].code.may_change):
            known = self._known[key] = (task, task.spec())
        return known[1]

    def named(self, key: str, name: str) -> TaskSpec | None:
        """Return the loaded task of that key, or else of that name: a script's module may be ``__main__`` now.

        A factory makes several of one key; of those the name tells, and of several of one name the latest is taken.
        """
        of_key = [*_by_key.get(key, {}).values()]
        found = [task for task in of_key if task.name == name] or of_key or [*_by_name.get(name, {}).values()]
        return self.of(found[-1], fresh=False) if found else None
