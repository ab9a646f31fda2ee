"""One difference between two calls or two runs, as it is told and as it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prefect_helix.core.short import excerpts

ChangeKind = Literal[
    "new", "removed", "parameter", "code", "argument", "file", "input", "order", "declared", "version", "renamed"
]

FOLLOWING: frozenset[ChangeKind] = frozenset({"input", "order"})
"""Changes that come from other steps."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between a call and the earlier call it is compared with.

    Attributes:
        kind: What changed.
        name: The parameter, the task, or what has a version.
        before: The old value or hash in short form; of a file its size, or its hash where that tells more.
        after: The new one.
        origin: Path of the file, or name of the flow parameter, that the argument is.
    """

    kind: ChangeKind
    name: str
    before: str = ""
    after: str = ""
    origin: str = ""

    def __str__(self) -> str:
        match self.kind:
            case "new":
                return f"no earlier call of {self.name} to compare with"
            case "removed":
                return f"{self.name} is no longer called"
            case "parameter":
                return f"parameter {self.name} changed{self.shown}"
            case "code":
                return f"the code of {self.name} changed"
            case "argument":
                return f"argument {self.name} changed{self.shown}"
            case "file":
                return f"the content of {self.origin} changed{self.shown}"
            case "input":
                return f"input {self.name} changed"
            case "order":
                return f"what {self.name} waits for changed"
            case "declared":
                return f"{self.name} is declared not to be deterministic"
            case "renamed":
                return f"{self.before} is called {self.after} now"
            case "version":
                return f"{self.name} {self.before} → {self.after}"

    @property
    def shown(self) -> str:
        """What it was and what it is, as ": 0.1 → 0.5", cut to where they differ; empty if they look the same."""
        return "" if self.before == self.after else ": {} → {}".format(*excerpts(self.before, self.after))
