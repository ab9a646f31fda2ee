"""Which results are worth their storage (OPT-MAT-PLAN; HELIX, PVLDB 2018, section 5.3)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from prefect_helix.core.errors import ConfigurationError

Choice = Literal["auto", "always", "never"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A result that may be stored, or is.

    Attributes:
        load_us: Time to load it.
        write_us: Time to write it; zero once it is stored.
        size_bytes: Bytes that it takes in the store and that no other result has there.
        recreate: Gives `recreate_us`.
        exceeds: Gives what `recreate_exceeds` does.
        loss: Gives `loss_us`.
        most_loss: Gives `most_loss_us`.
        runs: Gives `valid_runs`.
    """

    load_us: int
    write_us: int
    size_bytes: int
    recreate: Callable[[], int]
    exceeds: Callable[[int], bool]
    loss: Callable[[], float]
    most_loss: Callable[[], float]
    runs: Callable[[], float]

    @property
    def recreate_us(self) -> int:
        """Time to compute it again with nothing stored: its own and all its ancestors' times."""
        return self.recreate()

    def recreate_exceeds(self, us: int) -> bool:
        """Return whether `recreate_us` is more than that, which is known before all of it is added up."""
        return self.exceeds(us)

    @property
    def loss_us(self) -> float:
        """Time that the next run takes longer, on average over what may change before it, if it is not stored."""
        return self.loss()

    @property
    def most_loss_us(self) -> float:
        """No less than `loss_us`, and known at once."""
        return self.most_loss()

    @property
    def valid_runs(self) -> float:
        """Number of runs for which it is expected to stay valid."""
        return self.runs()


class Policy(Protocol):
    """Decides which results are stored."""

    name: str

    def worth(self, candidate: Candidate) -> float:
        """Return what it is worth to have a result stored; zero and less is not stored.

        Where the budget is short, what is worth least per byte goes first, and only for what is clearly worth more;
        what is worth infinity does not go.
        """


class Auto:
    """Store what is expected to save more than it costs.

    The worth of a result is what the next run is expected to take longer without it, less its share of the time to
    write it.
    """

    name = "auto"

    def worth(self, candidate: Candidate) -> float:  # noqa: D102
        write_us = candidate.write_us / candidate.valid_runs
        if candidate.most_loss_us <= write_us:
            return 0.0
        return candidate.loss_us - write_us


class Helix:
    """HELIX's streaming rule: store what costs more than twice its load to recreate, first come first served."""

    name = "helix"

    def worth(self, candidate: Candidate) -> float:  # noqa: D102
        return math.inf if candidate.recreate_exceeds(2 * candidate.load_us) else 0


class Always:
    """Store everything there is room for, first come first served."""

    name = "always"

    def worth(self, candidate: Candidate) -> float:  # noqa: D102
        return math.inf


class Never:
    """Store nothing; results small enough to sit in the lineage are still reused."""

    name = "never"

    def worth(self, candidate: Candidate) -> float:  # noqa: D102
        return 0


POLICIES: dict[str, Policy] = {policy.name: policy for policy in (Auto(), Helix(), Always(), Never())}


def policy_named(policy: str | Policy) -> Policy:
    """Return the policy of that name, or the policy itself.

    Raises:
        ConfigurationError: If there is none of that name, or the object is none.
    """
    if not isinstance(policy, str):
        if not isinstance(getattr(policy, "name", None), str) or not callable(getattr(policy, "worth", None)):
            raise ConfigurationError("policy", policy, "A policy has a name and a method worth(candidate).")
        return policy
    try:
        return POLICIES[policy]
    except KeyError:
        raise ConfigurationError("policy", policy, f"Use one of {', '.join(map(repr, POLICIES))}.") from None


def worth(policy: Policy, choice: Choice, candidate: Candidate) -> float:
    """Return what a result is worth to a policy, where its task does not overrule it with ``materialize=``."""
    match choice:
        case "always":
            return math.inf
        case "never":
            return 0
    return policy.worth(candidate)


def may_stay_for_now(policy: Policy, choice: Choice) -> bool:
    """Return whether a result that is not worth storing may be stored until its run ends.

    Then a run that is killed costs the next one little. Policy ``never`` and ``materialize="never"`` mean what they
    say.

    Args:
        policy: The policy.
        choice: What the task asks for.
    """
    return choice != "never" and policy.name != Never.name
