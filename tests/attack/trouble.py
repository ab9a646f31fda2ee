"""What befalls a run while it goes on: a store that fails or does half of what it is told, a kill, files that go."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from prefect_helix.storage import local, remote, store
from prefect_helix.storage.backend import Data, Entry
from prefect_helix.storage.blob import Chunk

COUNTED = {"fails": "failed", "tears": "cut", "removes": "removed", "damages": "damaged", "kills": "kills"}
"""What is counted where trouble befalls a run or harm is done between runs: operations, files, processes."""

TELLS = ("read", "write", "list", "delete")
FOLDERS = ("", "blobs", "blobs", "lineage", "journal", "index", "leases", "code")


@dataclass(frozen=True)
class Trouble:
    """One kind of trouble for a run.

    Attributes:
        what: ``fails`` (the store raises), ``tears`` (what is written or read is cut), ``kills`` (the process ends,
            also in the middle of a write), ``removes`` or ``damages`` (somebody does so to another file of the store).
        at: Which operation of the store it befalls: ``read``, ``write``, ``list``, ``delete``; or ``body``, of a task.
        under: Only operations on paths that begin with this.
        nth: Which of them is the first.
        times: How many it befalls.
        seed: Chooses files, and where to cut.
    """

    what: str
    at: str
    under: str
    nth: int
    times: int
    seed: int

    def __str__(self) -> str:
        where = f" in {self.under}/" if self.under else ""
        return f"{self.what} {self.at} {self.nth}{where}, {self.times} times"


def random_trouble(rng: Random, *, kills: bool) -> Trouble:
    """Return some trouble."""
    what = rng.choice(["fails", "fails", "tears", "removes", "damages"])
    if kills:
        what = "kills"
    at = rng.choice(["body", "write", "write"] if kills else ["read", "write"] if what == "tears" else TELLS)
    under = "" if at == "body" else rng.choice(FOLDERS)
    nth = rng.randint(0, 7) if kills else rng.randint(0, 7) // 3  # soon: of many kinds a run has few
    return Trouble(what, at, under, nth, rng.choice([1, 1, 2, 1000]), rng.randrange(1 << 30))


class Hexed:
    """A place for a store, with trouble. What is done to the files that it keeps is told by path."""

    trouble: Trouble
    tell: Callable[[str, Any], None]
    files: Path
    server: int
    _count = 0
    _lock = threading.Lock()

    def write(self, path: str, chunks: Iterable[Chunk]) -> int:
        if not self._befalls("write", path):
            return super().write(path, chunks)
        self._act(path)
        if self.trouble.what == "kills":
            return super().write(path, self._killing(chunks))
        whole = b"".join(bytes(chunk) for chunk in chunks)
        self.tell("harmed", path)
        super().write(path, [whole[: self._rng(path).randrange(len(whole))]])
        raise OSError(errno.EIO, "torn")

    def read(self, path: str) -> Data:
        data, stamp = super().read(path)
        if self._befalls("read", path):
            self._act(path)
            return Data(data[: self._rng(path).randrange(len(data))] if len(data) else data, stamp)
        return Data(data, stamp)

    def read_range(self, path: str, start: int, stop: int) -> bytes:
        data = super().read_range(path, start, stop)
        if self._befalls("read", path):
            self._act(path)
            return data[: self._rng(path).randrange(len(data))] if data else data
        return data

    def list(self, prefix: str) -> Iterator[Entry]:
        if self._befalls("list", prefix):
            self._act(prefix)
        return super().list(prefix)

    def delete(self, path: str) -> None:
        if self._befalls("delete", path):
            self._act(path)
        super().delete(path)

    def _befalls(self, at: str, path: str) -> bool:
        """Count an operation; return whether the trouble is its own, and not that of another file."""
        one = self.trouble
        if at != one.at or not path.startswith(one.under):
            return False
        with Hexed._lock:
            count, Hexed._count = Hexed._count, Hexed._count + 1
        if not one.nth <= count < one.nth + one.times:
            return False
        if one.what in ("removes", "damages"):
            self._harm_another(count)
            return False
        if one.what != "kills":
            self.tell("befell", one.what)
        return True

    def _act(self, path: str) -> None:
        """Raise, or end the process; what is left is for the caller to cut."""
        if self.trouble.what == "fails":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.trouble.what == "kills" and self._rng(path).randrange(2):
            kill()

    def _killing(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        for chunk in chunks:
            yield chunk
            kill()

    def _harm_another(self, count: int) -> None:
        rng = Random(self.trouble.seed + count)
        files = [file for file in harmable(self.files) if file.is_file()]
        if not files:
            return
        file = rng.choice(files)
        self.tell("befell", self.trouble.what)
        self.tell("harmed", str(file.relative_to(self.files)))
        if self.trouble.what == "removes":
            file.unlink(missing_ok=True)
        else:
            damage(file, rng)
        show(self.server)

    def _rng(self, path: str) -> Random:
        return Random(f"{self.trouble.seed} {path}")


class HexedLocal(Hexed, local.Local):
    """A folder with trouble."""


class HexedRemote(Hexed, remote.Remote):
    """A place of a file system that is not local, with trouble: in what it does, however often it tries."""


def bring(trouble: Trouble, tell: Callable[[str, Any], None], files: Path, server: int) -> None:
    """Let trouble befall the stores that this process opens from now on, which keep their files there."""
    Hexed.trouble, Hexed.tell, Hexed.files, Hexed.server = trouble, staticmethod(tell), files, server
    store.Local, store.Remote = HexedLocal, HexedRemote


def befalls_body(trouble: Trouble, number: int) -> None:
    """End the process before the task body of that number, if that is the trouble."""
    if trouble.at == "body" and trouble.nth == number:
        kill()


def kill() -> None:
    """End this process as nobody expects."""
    os.kill(os.getpid(), signal.SIGKILL)


def show(server: int) -> None:
    """Have a server look anew at its files, which were changed behind its back; 0 is none."""
    if server:
        os.kill(server, signal.SIGHUP)


def harmable(root: Path) -> list[Path]:
    """Return the files of a store, sorted; of rulings nobody promises anything."""
    return sorted(file for file in root.rglob("*") if file.is_file() and "rulings" not in file.parts)


def damage(file: Path, rng: Random) -> None:
    """Put another content in the place of a file, as a whole: what is mapped stays as it was."""
    try:
        data = bytearray(file.read_bytes())
    except FileNotFoundError:
        return
    if not data or rng.randrange(3) == 0:
        data = data[: rng.randrange(len(data))] if data else bytearray(b"?")
    else:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    other = file.with_name(f".{file.name}")
    other.write_bytes(data)
    other.replace(file)


def to_json(trouble: Trouble | None) -> Any:
    """Return trouble as JSON-ready data."""
    return None if trouble is None else asdict(trouble)
