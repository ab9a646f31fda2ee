"""Edits as people make them between two runs of a flow, of its text and of its parameters: written ones, or drawn."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["DPR", "L/I", "PPR", "none"]
SHARE_TAKEN_BACK = 0.1


class EditError(Exception):
    """An edit does not fit the text that it is meant for."""


@dataclass(frozen=True)
class Edit:
    """One change; it stays for the runs that follow.

    Attributes:
        change: What changes, in words.
        kind: What HELIX calls the change: data preprocessing, learning or inference, postprocessing; "none" is one
            without effect.
        text: Files, what is in them once, and what is put in its place.
        parameters: New values of the flow's parameters.
        differs: Whether the flow returns something else after it (on the sample that comes with a package); None if
            that is up to the data.
    """

    change: str
    kind: Kind
    text: tuple[tuple[str, str, str], ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    differs: bool | None = True

    def back(self) -> Edit:
        """Return the edit of text that takes this one back."""
        text = tuple((file, new, old) for file, old, new in reversed(self.text))
        return Edit(f"back: {self.change}", self.kind, text, differs=self.differs)


@dataclass(frozen=True)
class Workload:
    """A flow, how large it is run, and what is done to it.

    Attributes:
        flow: Name of the flow and of its file.
        files: The files that make it up; `workload.py`, which all flows have, is not edited.
        benchmark: Parameters for a body of 20 to 40 s on two cores, with the full data.
        small: Parameters for a run of a second, on the sample.
        series: The written series of edits.
        further: Edits that series are drawn from, beside those of the written one.
        mix: How likely each kind is in a series that is drawn.
    """

    flow: str
    files: tuple[str, ...]
    benchmark: Mapping[str, Any]
    small: Mapping[str, Any]
    series: tuple[Edit, ...]
    further: tuple[Edit, ...]
    mix: Mapping[Kind, float]


def apply(edit: Edit, sources: Mapping[str, str]) -> dict[str, str]:
    """Return the sources as the edit changes them.

    Raises:
        EditError: If a text to be replaced is not in its file exactly once.
    """
    changed = dict(sources)
    for file, old, new in edit.text:
        if (found := changed[file].count(old)) != 1:
            raise EditError(f"{edit.change!r} does not fit {file}, which has {found} times: {old.strip()}")
        changed[file] = changed[file].replace(old, new)
    return changed


def versions(
    sources: Mapping[str, str], parameters: Mapping[str, Any], edits: Sequence[Edit]
) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """Yield the sources and the parameters of each run: before all edits, then after each."""
    now, given = dict(sources), dict(parameters)
    yield now, dict(given)
    for edit in edits:
        now = apply(edit, now)
        given |= edit.parameters
        yield now, dict(given)


def draw(workload: Workload, sources: Mapping[str, str], length: int, seed: int) -> list[Edit]:
    """Draw a series: for each edit its kind by the workload's mix, then one of that kind that can be made.

    Now and then the latest edit of text is taken back, as people do. The same seed gives the same series.
    """
    chance = random.Random(f"{workload.flow} {seed}")
    pool = [*workload.series, *workload.further]
    now, given = dict(sources), dict(workload.benchmark)
    series: list[Edit] = []
    made: list[Edit] = []  # edits of text that stand, the latest last
    tried: list[Edit] = []  # those and the ones taken back
    while len(series) < length:
        if made and _fits(made[-1].back(), now) and chance.random() < SHARE_TAKEN_BACK:
            edit = made.pop().back()
        else:
            open_to = [edit for edit in pool if edit not in tried and _fits(edit, now) and _changes(edit, given)]
            kinds = [kind for kind in workload.mix if any(edit.kind == kind for edit in open_to)]
            (kind,) = chance.choices(kinds, [workload.mix[kind] for kind in kinds])
            edit = chance.choice([edit for edit in open_to if edit.kind == kind])
            if edit.text:
                made.append(edit)
                tried.append(edit)
        now = apply(edit, now)
        given |= edit.parameters
        series.append(edit)
    return series


def _fits(edit: Edit, sources: Mapping[str, str]) -> bool:
    try:
        apply(edit, sources)
    except EditError:
        return False
    return True


def _changes(edit: Edit, parameters: Mapping[str, Any]) -> bool:
    return bool(edit.text) or any(parameters.get(name) != value for name, value in edit.parameters.items())
