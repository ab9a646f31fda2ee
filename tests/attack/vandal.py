"""What somebody does to a store while nobody runs: files go and are damaged, days pass, and it is put right again."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from random import Random

from typer.testing import CliRunner

from prefect_helix.cli import app
from tests.attack import trouble
from tests.attack.places import Place
from tests.attack.predicate import Stat, snapshot
from tests.attack.series import Harm

DAYS_S = 2 * 24 * 3600


class Vandal:
    """Harms one store.

    Args:
        store: Where its files are.
        url: What runs call it.
        place: Where it is.
        files: Where tasks write files.
        tally: Counts what is done.

    Attributes:
        harmed: Files of the store that were damaged or removed by hand, as that left them.
        aged: Those that are days old.
    """

    def __init__(self, store: Path, url: str, place: Place, files: Path, tally: Counter[str]) -> None:
        self._store, self._url, self._place, self._files = store, url, place, files
        self._tally = tally
        self.harmed: dict[str, Stat | None] = {}
        self.aged: set[str] = set()

    def do(self, harm: Harm) -> list[str]:
        """Do harm, or good; return what is wrong after that which should have put things right."""
        rng = Random(harm.seed)
        files = trouble.harmable(self._store)
        match harm.what:
            case "removes" | "damages":
                files = [file for file in files if rng.random() < 0.2]
            case "removes one" | "damages one":
                files = [rng.choice(files)] if files else []
            case "ages":
                self._tally["aged"] += 1
                self._age(files)
                return []
            case "cleans":
                self._tally["cleaned"] += 1
                return self._clean()
            case "verifies":
                self._tally["verified"] += 1
                return self._verify()
            case _:
                for file in sorted(self._files.iterdir()):
                    if rng.random() < 0.5:
                        self._tally["removed"] += 1
                        file.unlink()
                return []
        self._tally[trouble.COUNTED[harm.what.split()[0]]] += len(files)
        for file in files:
            if harm.what.startswith("removes"):
                file.unlink()
            else:
                trouble.damage(file, rng)
            path = str(file.relative_to(self._store))
            self.harmed[path] = _stat(file)
            self.aged.discard(path)  # what is damaged is written
        trouble.show(self._place.server)
        return []

    def _age(self, files: list[Path]) -> None:
        """Let two days pass."""
        for file in files:
            then = file.stat().st_mtime - DAYS_S
            os.utime(file, (then, then))
            path = str(file.relative_to(self._store))
            self.aged.add(path)
            if self.harmed.get(path):
                self.harmed[path] = _stat(file)
        trouble.show(self._place.server)

    def _clean(self) -> list[str]:
        self._command("gc", "--yes")
        after = snapshot(self._store)
        left = [path for path in self.aged & after.files.keys() if path.startswith((".aside/", "leases/"))]
        left += [path for path in after.files if path.startswith("journal/") and self._is_over(path)]
        return [f"left: {path}, also by `store gc`" for path in left]

    def _is_over(self, path: str) -> bool:
        """Return whether all that a run journaled is days old."""
        folder = path.rpartition("/")[0]
        return (
            all(
                str(file.relative_to(self._store)) in self.aged and time.time() - file.stat().st_mtime > DAYS_S - 60
                for file in (self._store / folder).iterdir()
            )
            and path not in self.harmed
        )

    def _verify(self) -> list[str]:
        self._command("verify", "--remove", "--yes")
        after = snapshot(self._store)
        damaged = after.sizes.keys() - after.whole
        return [f"store: {name} is damaged, also after `store verify --remove`" for name in damaged]

    def _command(self, *arguments: str) -> None:
        done = CliRunner(env=self._place.environment).invoke(app, ["store", *arguments, "--store", self._url])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception


def _stat(file: Path) -> Stat | None:
    if not file.exists():
        return None
    status = file.stat()
    return (status.st_size, status.st_mtime_ns, status.st_ino)
