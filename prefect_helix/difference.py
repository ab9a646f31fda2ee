"""Two runs of a store side by side: what changed from one to the other, and what that did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
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
from prefect_helix.views.differences import Figure, each_kind, few, metric_figures, run_figures
from prefect_helix.views.units import with_calls

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
            *self._taken("file", "read by"),
            *self._taken("argument", "of"),
            *((with_calls(told, count), "") for told, count in self._steps.items()),
            *((str(one), "") for one in self.versions),
        ]

    def _taken(self, kind: str, word: str) -> Iterator[tuple[str, str]]:
        """Yield the changed arguments (or files) with who takes them; see `each_kind`."""
        takers = self.arguments(kind)
        facts = (((one.name, *dict.fromkeys(tasks)), one) for one, tasks in takers.items() for _ in tasks)
        for change, _, likewise in each_kind(facts):
            calls = Counter(takers[change])
            tasks = list(calls) if likewise else [with_calls(*counted) for counted in calls.items()]
            yield f"{change}{likewise}", f", {word} {few(tasks)}"

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
