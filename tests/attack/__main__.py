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
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.settling import settle
from tests.attack.attack import NotJudgedError, Runner, WrongError, attack
from tests.attack.series import SCENES

FAULTS = ("failed", "cut", "removed", "damaged")
COLUMNS = ("flows", "runs", "pairs", "edits", "bodies", *FAULTS, "aged", "cleaned", "verified", "kills")
ENDS = ("not judged", "wrong")


def main() -> int:
    options = _options()
    logging.getLogger("prefect_helix").setLevel(logging.ERROR)  # damage that is told is no news here
    scenes = [options.scene] if options.scene else [*SCENES]
    if options.without_prefect:
        scenes = [scene for scene in scenes if SCENES[scene].backend == "lab"]
    tallies: dict[str, Counter[str]] = {scene: Counter() for scene in scenes}
    since = time.monotonic()
    with _home(), Runners() as runners:
        for scene, seed in _plan(scenes, options):
            try:
                attack(scene, seed, runners.of(scene), tallies[scene])
            except WrongError as error:
                tallies[scene]["wrong"] += 1
                print(f"{error}\n", file=sys.stderr, flush=True)
            except NotJudgedError as error:
                tallies[scene]["not judged"] += 1
                print(f"not judged: --scene '{scene}' --seed {seed}: {error}\n", file=sys.stderr, flush=True)
                runners.renew()
    print("\n".join(table(tallies, (time.monotonic() - since) / 60)))
    return any(tally["wrong"] for tally in tallies.values())


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
def _home() -> Iterator[None]:
    """Give this process and those it starts a home of their own, and a quiet Prefect."""
    with tempfile.TemporaryDirectory(prefix="attack-home") as home:
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            del os.environ[name]
        os.environ.update(
            HOME=home,
            XDG_CACHE_HOME=str(Path(home, ".cache")),
            PREFECT_HOME=str(Path(home, ".prefect")),
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
            PREFECT_LOGGING_LEVEL="CRITICAL",
            PREFECT_LOGGING_TO_API_ENABLED="false",
            PREFECT_SERVER_LOGGING_LEVEL="CRITICAL",
        )
        yield


class Runners:
    """What runs flows, each started when it is first asked for; a Prefect server with those that need one.

    A server has to be idle before each series: it answers late while it works on what earlier ones have told it. It is
    given up where it did not answer, or is not idle in `PATIENCE_S`, and after `SERIES` series.
    """

    SERIES = 40
    PATIENCE_S = 120

    def __init__(self) -> None:
        self._runners: dict[tuple[str, str], Runner] = {}
        self._server = contextlib.ExitStack()
        self._series = 0

    def __enter__(self) -> Runners:
        return self

    def __exit__(self, *error: object) -> None:
        self._close({backend for backend, _ in self._runners})
        self._server.close()

    def of(self, scene: str) -> Runner:
        """Return what runs the flows of a scene."""
        backend, place = SCENES[scene].backend, SCENES[scene].place
        environment = {}
        if backend == "prefect":
            environment["PREFECT_API_URL"] = self._idle_server()
        if (backend, place) not in self._runners:
            self._runners[backend, place] = Runner(backend, place, **environment)
        return self._runners[backend, place]

    def renew(self) -> None:
        """Give up the Prefect server, and what runs flows on it."""
        self._close({"prefect"})
        self._server.close()
        self._series = 0

    def _idle_server(self) -> str:
        from prefect.settings import PREFECT_API_URL  # noqa: PLC0415 - slow to import, and reads the home
        from prefect.testing.utilities import prefect_test_harness  # noqa: PLC0415

        if self._series == self.SERIES or (self._series and not settle(1, self.PATIENCE_S)):
            self.renew()
        if not self._series:
            self._server.enter_context(prefect_test_harness(server_startup_timeout=300))
        self._series += 1
        return PREFECT_API_URL.value()

    def _close(self, backends: set[str]) -> None:
        for key in [key for key in self._runners if key[0] in backends]:
            self._runners.pop(key).close()


def table(tallies: Mapping[str, Mapping[str, int]], minutes: float) -> Iterator[str]:
    """Yield the lines of what was done, scene by scene, and of the sum in words."""
    total = sum((Counter(tally) for tally in tallies.values()), Counter())
    columns = (*COLUMNS, *ENDS)
    yield " ".join(["scene         ", *(f"{name:>{max(len(name), 6)}}" for name in columns)])
    for scene, tally in [*tallies.items(), ("all", total)]:
        yield " ".join([f"{scene:<14}", *(f"{tally[name]:>{max(len(name), 6)},}" for name in columns)])
    faults = sum(total[name] for name in FAULTS)
    done = ", ".join(f"{total[name]:,} {name}" for name in ("flows", "runs", "edits", "bodies"))
    ends = ", ".join(f"{total[name]:,} {name}" for name in ENDS)
    yield f"In {minutes:.0f} minutes: {done}, {faults:,} faults, {total['kills']:,} kills; {ends}."


if __name__ == "__main__":
    sys.exit(main())
