"""Policies for what is worth its storage, over simulated series of edits.

    python -m benchmarks.simulation [--tuning] [--large 3] [--families chain,map]

Each policy plays each workload under each budget; a budget is a share of the bytes of all results of one version. Four
tables come out. What all runs take, as a ratio to a bound that nobody can beat who has the budget and knows all edits
beforehand. Policy auto beside HELIX's rule in each family of workloads. Where a flow is so small that all decisions can
be tried: the ratio to the best of them. And what deciding itself takes. All is drawn from seeds. Who changes a policy
tries it on the seeds for tuning, and looks at the others once.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

from prefect_helix.core.materialization import POLICIES

from .bound import least_us
from .clairvoyant import clairvoyant_us
from .simulator import simulate
from .workloads import Workload, all_workloads

BUDGETS = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0)
NAMES = ("auto", "helix", "always", "never")
TUNING_SEED, EVALUATION_SEED = 0, 1000


class Scores:
    """What every policy takes for every workload under every budget."""

    def __init__(self) -> None:
        self.took_us: dict[tuple[str, float, str], int] = {}
        self.bound_us: dict[tuple[str, float], float] = {}
        self.best_us: dict[tuple[str, float], int] = {}
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.offers: defaultdict[str, int] = defaultdict(int)

    def play(self, workload: Workload) -> None:
        """Play a workload."""
        for share in BUDGETS:
            budget_bytes = int(share * workload.size_bytes)
            self.bound_us[workload.name, share] = least_us(workload, budget_bytes)
            if workload.family == "small":
                self.best_us[workload.name, share] = clairvoyant_us(workload, budget_bytes)
            for name in NAMES:
                started = time.process_time()
                outcome = simulate(workload, POLICIES[name], budget_bytes)
                self.seconds[name] += time.process_time() - started
                self.offers[name] += outcome.offers
                self.took_us[workload.name, share, name] = outcome.total_us


def mean(values: Iterable[float]) -> float:
    """Return the mean."""
    found = [*values]
    return sum(found) / len(found)


def row(title: str, cells: Iterable[str]) -> str:
    """Return a line of a table."""
    return f"{title:24}" + "".join(f"{cell:>16}" for cell in cells)


def over_bound(scores: Scores, workloads: Sequence[Workload]) -> Iterable[str]:
    """Yield the table of what runs take, beside the bound."""
    yield row(f"over the bound, {len(workloads)}", [*NAMES, "worst of auto", "auto/helix", "worst of these"])
    for share in BUDGETS:
        took = {
            name: [scores.took_us[w.name, share, name] / scores.bound_us[w.name, share] for w in workloads]
            for name in NAMES
        }
        beside = [auto / helix for auto, helix in zip(took["auto"], took["helix"], strict=True)]
        figures = [*(mean(took[name]) for name in NAMES), max(took["auto"]), mean(beside), max(beside)]
        yield row(f"budget {share:4.0%}", [f"{figure:.3f}" for figure in figures])


def by_family(scores: Scores, workloads: Sequence[Workload]) -> Iterable[str]:
    """Yield the table of what runs take under auto, beside helix, in each family."""
    yield row("auto/helix, mean", [f"budget {share:.0%}" for share in BUDGETS])
    for family in dict.fromkeys(workload.family for workload in workloads):
        members = [workload.name for workload in workloads if workload.family == family]
        cells = (
            mean(scores.took_us[name, share, "auto"] / scores.took_us[name, share, "helix"] for name in members)
            for share in BUDGETS
        )
        yield row(f"{family} ({len(members)})", [f"{cell:.3f}" for cell in cells])


def over_best(scores: Scores) -> Iterable[str]:
    """Yield the table of what runs take, beside the best that could have been done."""
    small = [*dict.fromkeys(name for name, _ in scores.best_us)]
    yield row(f"over the best, {len(small)}", [*NAMES, "worst of auto", "bound"])
    for share in BUDGETS:
        took = {
            name: [scores.took_us[one, share, name] / scores.best_us[one, share] for one in small] for name in NAMES
        }
        bound = mean(scores.bound_us[one, share] / scores.best_us[one, share] for one in small)
        figures = [*(mean(took[name]) for name in NAMES), max(took["auto"]), bound]
        yield row(f"budget {share:4.0%}", [f"{figure:.3f}" for figure in figures])


def deciding(scores: Scores) -> Iterable[str]:
    """Yield the table of what deciding takes, planning included."""
    yield row("", ["offers", "ms an offer"])
    for name in NAMES:
        yield row(name, [f"{scores.offers[name]}", f"{1000 * scores.seconds[name] / scores.offers[name]:.3f}"])


def main() -> None:
    """Play all and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tuning", action="store_true", help="the seeds that a policy may be tuned to")
    parser.add_argument("--large", type=int, default=3, help="workloads of each of the two families with many steps")
    parser.add_argument("--families", default="", help="only these, by name, with commas between")
    options = parser.parse_args()
    wanted = dict.fromkeys(filter(None, options.families.split(",")))
    first_seed = TUNING_SEED if options.tuning else EVALUATION_SEED
    workloads = [*all_workloads(first_seed, options.large)]
    families = dict.fromkeys(workload.family for workload in workloads)
    if unknown := [name for name in wanted if name not in families]:
        parser.error(f"Unknown: {', '.join(unknown)}. Choose from {', '.join(families)}.")
    workloads = [workload for workload in workloads if not wanted or workload.family in wanted]
    scores = Scores()
    for workload in workloads:
        scores.play(workload)
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("prefect-helix", "networkx", "scipy")]
    print(
        time.strftime("%Y-%m-%d"),
        f"seeds from {first_seed}",
        f"Python {platform.python_version()}",
        *versions,
        sep=", ",
    )
    print()
    tables = [over_bound(scores, workloads), by_family(scores, workloads)]
    tables += [over_best(scores)] if scores.best_us else []
    for table in (*tables, deciding(scores)):
        print(*table, "", sep="\n")


if __name__ == "__main__":
    main()
