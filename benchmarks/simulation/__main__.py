"""Policies for what is worth its storage, over simulated series of edits.

    python benchmarks/simulation [--large 3] [--families chain,map]

Each policy plays each workload under each budget; a budget is a share of the bytes of all results of one version. Four
tables come out. What the runs take, as a ratio to runs that have everything stored and write for nothing, which no
policy can beat. Policy auto beside HELIX's rule in each family of workloads. Where a flow is so small that all
decisions can be tried: the ratio to the best that could have been done if all edits had been known beforehand. And what
deciding itself takes. Nothing is random but by seed, and the series were fixed before the policies were.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

from .clairvoyant import clairvoyant_us
from .simulator import simulate, unlimited_us
from .workloads import Workload, all_workloads

from prefect_helix.core.materialization import POLICIES

BUDGETS = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0)
NAMES = ("auto", "helix", "always", "never")


class Scores:
    """What every policy takes for every workload under every budget."""

    def __init__(self) -> None:
        self.took_us: dict[tuple[str, float, str], int] = {}
        self.bound_us: dict[str, int] = {}
        self.best_us: dict[tuple[str, float], int] = {}
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.offers: defaultdict[str, int] = defaultdict(int)
        self.fullest = 0.0

    def play(self, workload: Workload) -> None:
        """Play a workload."""
        self.bound_us[workload.name] = unlimited_us(workload)
        for share in BUDGETS:
            budget_bytes = int(share * workload.size_bytes)
            if workload.family == "small":
                self.best_us[workload.name, share] = clairvoyant_us(workload, budget_bytes)
            for name in NAMES:
                started = time.process_time()
                outcome = simulate(workload, POLICIES[name], budget_bytes)
                self.seconds[name] += time.process_time() - started
                self.offers[name] += outcome.offers
                self.took_us[workload.name, share, name] = outcome.total_us
                if budget_bytes:
                    self.fullest = max(self.fullest, outcome.most_bytes / budget_bytes)
                elif outcome.most_bytes:
                    self.fullest = float("inf")


def mean(values: Iterable[float]) -> float:
    """Return the mean."""
    found = [*values]
    return sum(found) / len(found)


def row(title: str, cells: Iterable[str]) -> str:
    """Return a line of a table."""
    return f"{title:24}" + "".join(f"{cell:>16}" for cell in cells)


def over_bound(scores: Scores, workloads: Sequence[Workload]) -> Iterable[str]:
    """Yield the table of what runs take, beside runs with everything stored."""
    yield row(f"mean of {len(workloads)} workloads", [*NAMES, "auto/helix", "worst of these"])
    for share in BUDGETS:
        took = {
            name: [scores.took_us[w.name, share, name] / scores.bound_us[w.name] for w in workloads] for name in NAMES
        }
        beside = [auto / helix for auto, helix in zip(took["auto"], took["helix"], strict=True)]
        cells = [f"{mean(took[name]):.3f}" for name in NAMES]
        yield row(f"budget {share:4.0%}", [*cells, f"{mean(beside):.3f}", f"{max(beside):.3f}"])


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
    yield row(f"over the best of {len(small)}", [*NAMES, "worst of auto"])
    for share in BUDGETS:
        took = {
            name: [scores.took_us[one, share, name] / scores.best_us[one, share] for one in small] for name in NAMES
        }
        yield row(f"budget {share:4.0%}", [*(f"{mean(took[name]):.3f}" for name in NAMES), f"{max(took['auto']):.3f}"])


def main() -> None:
    """Play all and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", type=int, default=3, help="workloads of each of the two families with many steps")
    parser.add_argument("--families", default="", help="only these, by name, with commas between")
    options = parser.parse_args()
    wanted = set(filter(None, options.families.split(",")))
    workloads = [one for one in all_workloads(options.large) if not wanted or one.family in wanted]
    scores = Scores()
    for workload in workloads:
        scores.play(workload)
    tables = [over_bound(scores, workloads), by_family(scores, workloads)]
    if scores.best_us:
        tables.append(over_best(scores))
    for table in tables:
        print(*table, "", sep="\n")
    print(row("", ["offers", "ms an offer"]))
    for name in NAMES:
        print(row(name, [f"{scores.offers[name]}", f"{1000 * scores.seconds[name] / scores.offers[name]:.3f}"]))
    print(f"\nThe most that was ever stored is {scores.fullest:.1%} of the budget.")


if __name__ == "__main__":
    main()
