"""The tasks that are loaded in this process, and what one run knows of each."""

from __future__ import annotations

import weakref
from collections import defaultdict
from typing import Any

from prefect_helix.runtime.nodes import TaskSpec


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
