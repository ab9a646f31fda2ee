"""Changed code as the pages show it."""

from __future__ import annotations

from dataclasses import dataclass

from prefect_helix.core.comparison import CodeChanges
from prefect_helix.core.explain import ComponentChange
from prefect_helix.views.code import Row, code_words, side_by_side
from prefect_helix.views.units import and_more

SHOWN_PIECES = 40
SHOWN_ROWS = 600
SHOWN_SENTENCES = 100

_COMPARED_CHARACTERS = 200_000


@dataclass(frozen=True)
class Piece:
    """A piece of code, a constant or a library that changed."""

    text: str
    users: str
    rows: list[Row]


@dataclass(frozen=True)
class ShownChanges:
    """What changed in the code of steps.

    Attributes:
        changed: Each piece once.
        told: What there is to say of it besides.
    """

    changed: list[Piece]
    told: list[str]


def shown_changes(code: CodeChanges) -> ShownChanges:
    """Return what changed, with the lines of as much of it as anybody reads."""
    words = code_words(code)
    pieces = [Piece(str(each.change), users, _rows(each.change)) for each, users in words.changed[:SHOWN_PIECES]]
    told = [*words.told[:SHOWN_SENTENCES]]
    if untold := and_more(len(words.told) - len(told)):
        told.append(f"{untold} of this kind")
    if hidden := and_more(len(words.changed) - len(pieces), "piece"):
        told.append(f"{hidden} changed")
    return ShownChanges(pieces, told)


def _rows(change: ComponentChange) -> list[Row]:
    sources = [(one and one.source) or "" for one in (change.before, change.after)]
    if sum(map(len, sources)) > _COMPARED_CHARACTERS:
        return [Row("hunk", None, "too long to be compared here; see `prefect-helix diff`", None, None)]
    rows = list(side_by_side(change.diff))
    if len(rows) <= SHOWN_ROWS:
        return rows
    return [*rows[:SHOWN_ROWS], Row("hunk", None, and_more(len(rows) - SHOWN_ROWS, "line"), None, None)]
