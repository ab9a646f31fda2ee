"""The attack in its long form: random series of every scene for so many minutes, and a table of what was done.

python -m tests.attack [--minutes 30] [--first SEED] [--without-prefect]
python -m tests.attack --scene crowd --seed 115        one series again
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.attack.attack import Runner, WrongError, attack
from tests.attack.series import SCENES

ROWS = ("flows", "runs", "edits", "bodies", "concurrent pairs", "killed")


def main() -> int:
    options = _options()
    logging.getLogger("prefect_helix").setLevel(logging.ERROR)  # damage that is told is no news here
    scenes = [options.scene] if options.scene else [*SCENES]
    if options.without_prefect:
        scenes = [scene for scene in scenes if SCENES[scene].backend == "lab"]
    tally: Counter[str] = Counter()
    wrong = 0
    with _runners({SCENES[scene].backend for scene in scenes}) as runners:
        for scene, seed in _plan(scenes, options):
            try:
                attack(scene, seed, runners[SCENES[scene].backend], tally)
            except WrongError as error:
                wrong += 1
                print(f"{error}\n", file=sys.stderr, flush=True)
    print(table(tally, wrong))
    return bool(wrong)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=(__doc__ or "").partition("\n")[0])
    minutes = float(os.environ.get("HELIX_ATTACK_MINUTES", "30"))
    parser.add_argument("--minutes", type=float, default=minutes, help="for how long (HELIX_ATTACK_MINUTES; 30)")
    parser.add_argument("--first", type=int, default=1_000, help="the first seed")
    parser.add_argument("--scene", choices=SCENES, help="only this scene")
    parser.add_argument("--seed", type=int, help="only this seed, of the scene")
    parser.add_argument("--without-prefect", action="store_true", help="only flows that need no Prefect server")
    return parser.parse_args()


def _plan(scenes: list[str], options: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """Yield what to play: the seed asked for, else one seed after the other of every scene, until the time is up."""
    if options.seed is not None:
        yield from ((scene, options.seed) for scene in scenes)
        return
    until = time.monotonic() + 60 * options.minutes
    for seed in itertools.count(options.first):
        for scene in scenes:
            if time.monotonic() > until:
                return
            yield scene, seed


@contextlib.contextmanager
def _runners(backends: set[str]) -> Iterator[dict[str, Runner]]:
    """Start what runs flows, with a home of its own and a Prefect server if one is needed."""
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="attack-home"))
        os.environ.update(
            HOME=home,
            XDG_CACHE_HOME=str(Path(home, ".cache")),
            PREFECT_HOME=str(Path(home, ".prefect")),
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
            PREFECT_LOGGING_LEVEL="CRITICAL",
            PREFECT_SERVER_LOGGING_LEVEL="CRITICAL",
        )
        environments: dict[str, dict[str, str]] = {"lab": {}}
        if "prefect" in backends:
            from prefect.settings import PREFECT_API_URL  # noqa: PLC0415 - slow to import, and reads the home
            from prefect.testing.utilities import prefect_test_harness  # noqa: PLC0415

            stack.enter_context(prefect_test_harness(server_startup_timeout=300))
            environments["prefect"] = {"PREFECT_API_URL": PREFECT_API_URL.value()}
        runners = {backend: Runner(backend, **environments[backend]) for backend in backends}
        yield runners
        for runner in runners.values():
            runner.close()


def table(tally: Counter[str], wrong: int) -> str:
    """Return what was done as a table."""
    faults = sorted(name for name in tally if name not in ROWS)
    rows = [*((name, tally[name]) for name in (*ROWS, *faults)), ("wrong", wrong)]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {count:>9,}" for name, count in rows)


if __name__ == "__main__":
    sys.exit(main())
