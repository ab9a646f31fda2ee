"""Which results are worth their storage (OPT-MAT-PLAN; HELIX, PVLDB 2018, section 5.3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from prefect_helix.core.errors import ConfigurationError

Choice = Literal["auto", "always", "never"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A computed result that may be materialized.

    Attributes:
        recreate_us: Time to compute it again with nothing stored: its own and all its ancestors' times.
        load_us: Time to load it.
        write_us: Time to write it.
        size_bytes: Bytes it would add to the store; 0 if they are all there.
        choice: What the task asks for with ``materialize=``.
    """

    recreate_us: int
    load_us: int
    write_us: int
    size_bytes: int
    choice: Choice = "auto"


class Policy(Protocol):
    """Decides which results are materialized. Budgets are kept by the caller."""

    name: str

    def admits(self, candidate: Candidate) -> bool:
        """Return whether the result is worth its storage."""


class Helix:
    """HELIX's streaming rule: materialize what costs more than twice its load to recreate, first come first served."""

    name = "helix"

    def admits(self, candidate: Candidate) -> bool:  # noqa: D102
        return candidate.recreate_us > 2 * candidate.load_us


class Always:
    """Materialize everything there is room for."""

    name = "always"

    def admits(self, candidate: Candidate) -> bool:  # noqa: D102
        return True


class Never:
    """Materialize nothing; results small enough to sit in the lineage are still reused."""

    name = "never"

    def admits(self, candidate: Candidate) -> bool:  # noqa: D102
        return False


POLICIES: dict[str, Policy] = {policy.name: policy for policy in (Helix(), Always(), Never())}


def policy_named(policy: str | Policy) -> Policy:
    """Return the policy of that name, or the policy itself.

    Raises:
        ConfigurationError: If there is none of that name.
    """
    if not isinstance(policy, str):
        return policy
    try:
        return POLICIES[policy]
    except KeyError:
        raise ConfigurationError("policy", policy, f"Use one of {', '.join(map(repr, POLICIES))}.") from None


def worth_keeping(policy: Policy, candidate: Candidate) -> bool:
    """Return whether a result stays in the store after the run."""
    if candidate.choice == "auto":
        return policy.admits(candidate)
    return candidate.choice == "always"


def worth_keeping_for_now(policy: Policy, candidate: Candidate) -> bool:
    """Return whether a result is written while the run lasts, so that a killed run costs the next one little.

    A result that is dearer to recreate than to write is, even one the policy gives up when the run ends. Policy
    ``never`` and ``materialize="never"`` mean what they say.
    """
    if worth_keeping(policy, candidate):
        return True
    if candidate.choice == "never" or policy.name == Never.name:
        return False
    return candidate.recreate_us > candidate.write_us


@dataclass(frozen=True, slots=True)
class Stored:
    """A blob in the store.

    Attributes:
        name: Its content name.
        size_bytes: Its size.
        last_used_us: When a run last computed, loaded or pruned the node it belongs to; 0 if no lineage names it.
    """

    name: str
    size_bytes: int
    last_used_us: int


def victims(stored: Iterable[Stored], needed_bytes: int) -> tuple[str, ...]:
    """Return the blobs to remove so that `needed_bytes` come free, least recently used first and no more than it takes.

    Returns nothing if all of them together would not free enough. Complexity: O(n log n).
    """
    chosen: list[str] = []
    freed = 0
    for blob in sorted(stored, key=lambda b: (b.last_used_us, b.name)):
        if freed >= needed_bytes:
            break
        chosen.append(blob.name)
        freed += blob.size_bytes
    return tuple(chosen) if freed >= needed_bytes else ()
