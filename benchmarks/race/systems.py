"""The systems that are raced, and the settings of each.

None is tuned to a workload. Plain Prefect and its own caching run as their documentation has them; prefect_helix, at
its defaults but for policy and budget; joblib.Memory, redun and Apache Hamilton, at their defaults, with larger values
of redun beside its database, as its documentation advises. joblib and redun call the steps one after the other, as the
lower bound does, where Prefect runs submitted steps side by side. So does Hamilton, which is given the calls as nodes
of a graph and executes it when the flow reads a value (`graphs.py`): what is lazy and not needed it need not compute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["bound", "prefect", "helix", "direct"]

PLAIN, ALWAYS, BOUND = "plain", "always", "bound"
BUDGETS = (0.05, 0.1, 0.25, 0.5, 1.0)
UNLIMITED_BYTES = 10**15


@dataclass(frozen=True)
class System:
    """A way to run a flow.

    Attributes:
        name: What it is called in results.
        family: What runs it: Prefect, prefect_helix, or calls of the step functions without either; `bound` traces it.
        what: What it is, in words.
        choice: Cache policy, policy of prefect_helix, or library.
        budget_share: What may be stored, as a share of all bytes of one version; None for no limit.
    """

    name: str
    family: Family
    what: str
    choice: str = ""
    budget_share: float | None = None

    def environment(self, store: str, version_bytes: int | None) -> dict[str, str]:
        """Return what the environment of a run says of it; `version_bytes` is what its budget is a share of."""
        if self.family == "prefect":
            return {"PREFECT_LOCAL_STORAGE_PATH": store}
        if self.family != "helix":
            return {}
        budget = UNLIMITED_BYTES
        if self.budget_share is not None:
            if version_bytes is None:
                raise ValueError(f"{self.name} needs the bytes of one version, which were not measured.")
            budget = round(self.budget_share * version_bytes)
        settings = {"STORE": store, "POLICY": self.choice, "BUDGET": str(budget), "MODE": "auto"}
        return {f"PREFECT_INTEGRATIONS_HELIX_{name}": value for name, value in settings.items()}


def _ours(policy: str) -> list[System]:
    shares = [
        System(f"{policy} {share:.0%}", "helix", f"policy {policy}, {share:.0%} of one version's bytes", policy, share)
        for share in BUDGETS
    ]
    return [*shares, System(policy, "helix", f"policy {policy}, no limit", policy)]


SYSTEMS = {
    system.name: system
    for system in (
        System(BOUND, "bound", "what no choice of computing and loading takes less than, without Prefect"),
        System(PLAIN, "prefect", "plain Prefect, cache_policy=NO_CACHE", "none"),
        System("bare", "prefect", "plain Prefect, a bare @task, whose default policy hashes all inputs", "bare"),
        System(
            "prefect-cache",
            "prefect",
            "Prefect's own caching: INPUTS + TASK_SOURCE, persisted, local storage, pickle",
            "inputs",
        ),
        System("never", "helix", "policy never", "never"),
        *_ours(ALWAYS),
        *_ours("helix"),
        *_ours("auto"),
        System("joblib", "direct", "joblib.Memory, without Prefect", "joblib"),
        System("redun", "direct", "redun with SQLite and a local value store, without Prefect", "redun"),
        System("hamilton", "direct", "Apache Hamilton with its cache, without Prefect", "hamilton"),
    )
}
