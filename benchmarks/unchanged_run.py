"""What an unchanged run costs beyond Prefect's own fixed time: the census flow against an empty Prefect flow.

    python benchmarks/unchanged_run.py [REPEATS]

Both flows run in turns in one process against one Prefect server, so that the machine's noise hits both alike.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from prefect import flow
from prefect.testing.utilities import prefect_test_harness

from prefect_helix import helix_flow

sys.path.insert(0, str(Path(__file__).parents[1] / "flows"))
from census import census


@flow
def empty() -> None:
    """Do nothing, through Prefect."""


def main() -> None:
    """Run both flows in turns and print their times."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with prefect_test_harness(server_startup_timeout=120), tempfile.TemporaryDirectory() as store:
        flows = {"empty": empty, "unchanged census": helix_flow(store=store)(census.fn)}
        times: dict[str, list[float]] = {name: [] for name in flows}
        flows["unchanged census"]()
        for _ in range(repeats):
            for name, run in flows.items():
                started = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    for name, seconds in medians.items():
        print(f"{name:20} {seconds:6.3f} s")
    print(f"{'difference':20} {medians['unchanged census'] - medians['empty']:6.3f} s (medians of {repeats} runs)")


if __name__ == "__main__":
    main()
