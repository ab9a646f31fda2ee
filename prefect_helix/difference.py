"""Two runs of a store side by side: what changed from one to the other, and what that did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from prefect_helix.archive import Archive
from prefect_helix.core.change import Change
from prefect_helix.core.comparison import (
    CodeChanges,
    Pair,
    code_changes,
    parameter_changes,
    step_pairs,
    version_changes,
)
from prefect_helix.core.lineage import Lineage
from prefect_helix.views.differences import SHOWN_ALIKE, Figure, few, metric_figures, run_figures
from prefect_helix.views.units import format_count, with_calls

_OF_STEPS = ("new", "removed", "renamed", "order")


@dataclass(frozen=True)
class Difference:
    """Two runs side by side.

    Attributes:
        archive: Where they are from.
        before: The run to start from.
        after: The other run.
    """

    archive: Archive
    before: Lineage
    after: Lineage

    @cached_property
    def parameters(self) -> tuple[Change, ...]:
        """The flow parameters that are not what they were."""
        return parameter_changes(self.before, self.after)

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Their steps in pairs."""
        return step_pairs(self.before, self.after)

    @cached_property
    def code(self) -> CodeChanges:
        """What changed in the code of their steps, each piece once."""
        edits = [(pair.trace.task, change) for pair in self.pairs for change in pair.changes if change.kind == "code"]
        return code_changes(edits, self.archive.components_of)

    @cached_property
    def versions(self) -> tuple[Change, ...]:
        """The versions that are not what they were, but for those of libraries that are told as code."""
        libraries = [each.change.place for each in self.code.found if each.change.component.kind == "distribution"]
        found = version_changes(self.before.run, self.after.run)
        return tuple(change for change in found if change.name not in libraries)

    def arguments(self, kind: str) -> dict[Change, list[str]]:
        """Return the changed arguments (or files) but for parameters and defaults, each with the tasks that take it."""
        names = {change.name for change in self.parameters}
        found: dict[Change, list[str]] = {}
        for pair in self.pairs:
            for change in pair.own:
                told = kind == "argument" and (change.origin in names or self.code.tells(pair.trace.task, change))
                if change.kind == kind and not told:
                    found.setdefault(change, []).append(pair.trace.task)
        return found

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What changed besides code, each with a remark on whom that concerns."""
        return [
            *((f"parameter {one.name}{one.shown or ' changed'}".replace(": ", " ", 1), "") for one in self.parameters),
            *self._alike("file", "read by"),
            *self._alike("argument", "of"),
            *((with_calls(told, count), "") for told, count in self._steps.items()),
            *((str(one), "") for one in self.versions),
        ]

    def _alike(self, kind: str, word: str) -> Iterator[tuple[str, str]]:
        """Yield the changed arguments (or files) with who takes them; of more than a few of one name only the first."""
        found: dict[tuple[str, ...], dict[Change, list[str]]] = {}
        for change, tasks in self.arguments(kind).items():
            found.setdefault((change.name, *dict.fromkeys(tasks)), {})[change] = tasks
        for (_, *takers), changes in found.items():
            if len(changes) > SHOWN_ALIKE:
                more = format_count(sum(map(len, changes.values())) - 1, "more call")
                yield f"{next(iter(changes))}, and likewise in {more}", f", {word} {few(takers)}"
            else:
                yield from ((str(one), f", {word} {_counted(tasks)}") for one, tasks in changes.items())

    @property
    def _steps(self) -> Mapping[str, int]:
        """What became of steps as such, in words, and in how many calls."""
        own = (change for pair in self.pairs for change in pair.own if change.kind in _OF_STEPS)
        return Counter(f"new step {change.name}" if change.kind == "new" else str(change) for change in own)

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """Their times and sizes; see `run_figures`."""
        return run_figures(self.before, self.after)

    @cached_property
    def metrics(self) -> dict[str, Figure]:
        """Their metrics, those of the later one first."""
        return metric_figures(self.before.run, self.after.run)


def _counted(tasks: Sequence[str]) -> str:
    return few([with_calls(task, count) for task, count in Counter(tasks).items()])
