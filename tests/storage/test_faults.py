"""Whatever happens to a run or a store: every result is right, nothing unreadable is left, the budget is kept."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import pytest

from prefect_helix.core.errors import StoreError
from prefect_helix.storage import remote
from prefect_helix.storage.store import open_store

from .faulty_runs import BUDGET_BYTES, ROWS, expected, flow_of, lab_of
from .test_remote import TroubledFileSystem, troubled

__all__ = ["troubled"]

PROGRAM = Path(__file__).with_name("faulty_runs.py")


Played = Callable[..., dict[str, Any]]


@pytest.fixture
def played(told_by: Played) -> Played:
    return partial(told_by, PROGRAM, timeout_s=280)


def test_runs_that_are_killed_at_any_moment_leave_a_store_that_serves_the_next(played: Played) -> None:
    """Two hundred of them: ``python tests/storage/faulty_runs.py kill 200``."""
    assert played("kill", "12")["killed"] == 12


def test_eight_processes_with_too_little_room_are_all_right(played: Played) -> None:
    # What a run has just planned to load may go before it has said so: then it is computed.
    assert {*played("crowd", "8")["warnings"]} <= {"lost", "load"}


# -- a disk that is full, a permission that is lost --------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for one result, where root may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROWS * 8 * 2}", "none", str(place)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_costs_what_is_not_kept(small_disk: Path, tmp_path: Path) -> None:
    lab = lab_of(str(small_disk / "store"))
    flow, want = flow_of(lab, 1, tmp_path), expected(1, tmp_path)
    run = lab.run(flow, budget=1 << 40)
    assert run.value == want
    assert list(run.warnings) == ["store"]
    assert "Free some space there" in run.warnings["store"]
    store = open_store(lab.url)
    for name in store.blobs():
        store.check_blob(name)
    assert store.unfinished() == ()
    again = lab.run(flow, budget=ROWS * 8 + 10_000)
    assert again.value == want


def test_a_store_that_cannot_be_written_any_more_is_still_read(small_disk: Path, tmp_path: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    lab = lab_of(str(small_disk / "store"))
    first, other = flow_of(lab, 1, tmp_path), flow_of(lab, 2, tmp_path)
    want = lab.run(first, budget=BUDGET_BYTES).value
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    run = lab.run(first, budget=BUDGET_BYTES)
    assert (run.value, run.bodies) == (want, [])
    run = lab.run(other, budget=BUDGET_BYTES)
    assert run.value == expected(2, tmp_path)
    assert list(run.warnings) == ["store"]


# -- a network that fails ----------------------------------------------------------------------------------------------


@pytest.fixture
def far(troubled: type[TroubledFileSystem], tmp_path: Path) -> tuple[Any, Callable[[], Any]]:
    """A flow whose store is across a network that a test can break, after it ran once."""
    lab = lab_of(f"troubled://helix-{tmp_path.name}/store")
    flow = flow_of(lab, 1, tmp_path)
    lab.run(flow)
    for entry in lab.store.list("lineage"):  # nothing small to go by: loads are needed
        assert entry.size_bytes
    return lab, flow


def test_a_network_that_fails_now_and_then_is_not_noticed(
    troubled: type[TroubledFileSystem], far: Any, tmp_path: Path
) -> None:
    lab, flow = far
    asked = iter(range(10**9))
    troubled.fails = staticmethod(lambda method: ConnectionError("reset") if next(asked) % 5 == 4 else None)
    lab.tasks["total"].edit(lambda df: float(df["x"].sum()) + 1)
    run = lab.run(flow)
    assert run.value[0] == expected(1, tmp_path)[0] + 1
    assert (run.bodies, run.warnings) == (["total", "report"], {})


def test_a_network_that_fails_for_good_is_asked_once_and_the_flow_goes_on(
    troubled: type[TroubledFileSystem], far: Any, tmp_path: Path
) -> None:
    lab, flow = far
    lab.tasks["total"].edit(lambda df: float(df["x"].sum()) + 1)
    with lab.open(flow.__name__, {}) as run:
        troubled.asked.clear()
        troubled.fails = staticmethod(lambda method: TimeoutError("stalled"))
        assert flow()[0] == expected(1, tmp_path)[0] + 1
    assert set(run.bodies) == {"load", "shift", "join", "total", "report"}
    loads = [key for key in run.warnings if key.startswith("load:")]
    assert (len(loads), [key for key in run.warnings if key not in loads]) == (1, ["store"])
    assert troubled.asked.count("cat_file") == remote._TRIES


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that takes every connection and never says a word."""
    listening = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connections.append(listening.accept()[0])
            except OSError:
                return

    thread = threading.Thread(target=accept)
    thread.start()
    yield "http://{}:{}".format(*listening.getsockname())
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()
    for connection in connections:
        connection.close()


def test_a_server_that_stalls_is_given_up(silent_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_PATIENCE_S", 2.0)
    monkeypatch.setattr(remote, "_SLOWEST_BYTES_PER_S", 1 << 40)
    options = {
        "key": "x",
        "secret": "y",
        "endpoint_url": silent_server,
        "config_kwargs": {"read_timeout": 0.2, "retries": {"max_attempts": 0}},
    }
    store = open_store("s3://bucket/store", storage_options=options)
    with pytest.raises(StoreError, match="network"):
        store.list("blobs")
    fsspec.asyn.sync(fsspec.asyn.get_loop(), _nothing)


async def _nothing() -> None:
    """Let the loop of fsspec see to what was cancelled."""
