"""One difference between two calls or two runs, and a run in a few figures with what had changed before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prefect_helix.core.graph import Decision
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


@dataclass(frozen=True, slots=True)
class Changed:
    """One thing that changed since an earlier run.

    Attributes:
        task: The task that it is told of; empty for a flow parameter and a version.
        change: What changed; values and hashes in it are cut short.
        calls: In how many calls of the task.
    """

    task: str
    change: Change
    calls: int = 1


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in a few figures, so that many runs can be listed without a look at their traces.

    Attributes:
        computed: Steps that were computed, those that failed included.
        loaded: Steps whose results were loaded.
        pruned: Steps that were not needed.
        failed: Steps that failed.
        spent_us: What the steps cost; None where the cost of one is not known.
        saved_us: What not computing steps saved; None where that is not known of one.
        scratch_us: What computing each step that was needed takes; None where that is not known of one.
        added_bytes: What the run added to the store; None if it is not known.
        compared_with: Id of the run that it is compared with; None if there is none.
        changes: What changed since that run, mere consequences left out.
        more_changes: How many more there are.
        code: What changed in the code of tasks, as "clean()" or "RATE", as far as it was looked up.
    """

    computed: int
    loaded: int
    pruned: int
    failed: int
    spent_us: int | None
    saved_us: int | None
    scratch_us: int | None
    added_bytes: int | None = None
    compared_with: str | None = None
    changes: tuple[Changed, ...] = ()
    more_changes: int = 0
    code: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[Decision, int]:
        """How many steps were computed, loaded and pruned."""
        return {Decision.COMPUTE: self.computed, Decision.LOAD: self.loaded, Decision.PRUNE: self.pruned}
