"""What can happen on a cluster, one story after the other: ``troubles.py RUNNER RESULT STORE OPTIONS STORY...``."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import json
import os
import pickle
import resource
import select
import signal
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import steps
from go import listening, runners
from prefect import task
from prefect.context import FlowRunContext
from prefect.futures import wait
from prefect.utilities.annotations import allow_failure
from steps import ran, scaled, split, table, tagged, text, total, zeroed

from prefect_helix import find_run, helix_flow, helix_task, log_metric
from prefect_helix.runners import DaskCluster
from prefect_helix.runs import current_run

MEGABYTES = 100

KIND, RESULT, STORE, OPTIONS, *STORIES = sys.argv[1:]
KILLING = ("a_value_is_lost", "a_sent_value_is_lost", "a_value_comes_out_otherwise")
make_runner: Callable[[], Any]
counted_bytes = 0
clusters: list[str] = []
helping: Any
weight: Callable[[int], int]


def counted(method: Callable[..., Any], size_of: Callable[[Any], int]) -> Callable[..., Any]:
    """Count the bytes that a method is about, by what it gives."""

    def count(*args: Any, **kwargs: Any) -> Any:
        global counted_bytes
        given = method(*args, **kwargs)
        counted_bytes += size_of(given)
        return given

    return count


def count_bytes() -> None:
    """Count what goes through this process: its sockets to Dask, the scheduler's included; what it gets from Ray."""
    if KIND == "dask":
        import dask  # noqa: PLC0415
        from tornado.iostream import IOStream  # noqa: PLC0415

        dask.config.set({"distributed.scheduler.allowed-failures": 0})
        # A worker that was killed takes longer to come back on a busy machine than Dask waits for it.
        dask.config.set({"distributed.deploy.lost-worker-timeout": "10 minutes"})
        for name in ("read_from_fd", "write_to_fd"):
            setattr(IOStream, name, counted(getattr(IOStream, name), lambda size_bytes: size_bytes or 0))
    else:
        from ray._private.worker import Worker  # noqa: PLC0415

        get = Worker.deserialize_objects  # what is asked for, and what Ray brings to tell that it is there
        Worker.deserialize_objects = counted(get, lambda values: len(cloudpickle.dumps(values)))


def patience(story: str) -> contextlib.AbstractContextManager[Any]:
    """Let Dask try again what it gave to the second of two dead workers, before it noticed that one, too."""
    if KIND != "dask" or story not in KILLING:
        return contextlib.nullcontext()
    import dask  # noqa: PLC0415

    return dask.config.set({"distributed.scheduler.allowed-failures": 3})


def run(body: Callable[..., Any], look: bool | None = None, **options: Any) -> dict[str, Any]:
    """Run a flow; give its result, the bodies that ran and what was told."""
    (steps.HERE / "ran.log").write_text("")
    store = {"store": STORE, "policy": "always", "storage_options": json.loads(OPTIONS) or None}
    settings = {**store, "task_runner": make_runner(), **options}
    with listening() as told:
        try:
            made = helix_flow(name=body.__name__, **settings)(body)
            arguments = () if look is None else (look,)
            result = asyncio.run(made()) if asyncio.iscoroutinefunction(body) else made(*arguments)
        except (Exception, KeyboardInterrupt) as error:
            result = f"{type(error).__name__}: {error}"
    return {"result": repr(result), "ran": sorted((steps.HERE / "ran.log").read_text().split()), "told": told.lines}


@helix_task
def large(megabytes: int) -> Any:
    ran("large")
    return np.ones(megabytes * 131_072)


@helix_task
def raised(array: Any, by: int) -> Any:
    ran("raised")
    return array + by


@helix_task
def dies(x: Any) -> Any:
    ran("dies")
    os.kill(os.getpid(), signal.SIGKILL)


@helix_task
def processes_of(x: Any) -> list[int]:
    ran("processes_of")
    return [os.getpid()] * 10_000  # too large for the lineage


@helix_task
def held(gate: str, frame: Any) -> str:
    ran("held")
    log_metric(Path(gate).name, len(frame))
    with Path(gate).open("rb", buffering=0) as waiting:
        return waiting.read(1).decode()


@helix_task
def patient(gate: str) -> str:
    ran("patient")
    waiting = os.open(gate, os.O_RDONLY)
    comes, _, _ = select.select([waiting], [], [], 20)  # who has to open the gate may be waiting for this
    return os.read(waiting, 1).decode() if comes else "nobody came"


def passed(gate: str) -> None:
    with Path(gate).open("rb", buffering=0) as waiting:
        waiting.read(1)


@helix_task
def varying(gate: str) -> Any:
    ran("varying")
    passed(gate)
    return np.full(steps.ROWS, float((steps.HERE / "ran.log").read_text().split().count("varying")))


@helix_task
def awaited(gate: str) -> float:
    ran("awaited")
    passed(gate)
    return 0.0


class Interrupting:
    """Where somebody interrupts the flow: on its way to a worker."""

    def __reduce__(self) -> tuple[Any, ...]:
        raise KeyboardInterrupt


@helix_task(ignore=["by"])
def interrupted(x: int, by: Any) -> int:
    ran("interrupted")
    return x


def cluster_of_its_own() -> Any:
    """Start a cluster for a task runner; workers get this function with the flow, so that it holds none."""
    from distributed import LocalCluster  # noqa: PLC0415

    options = {"dashboard_address": None, "memory_limit": 0, "host": "127.0.0.1"}
    cluster = LocalCluster(n_workers=1, threads_per_worker=1, **options)
    clusters.append(cluster.scheduler_address)
    return cluster


@task
def plain_through(x: Any) -> Any:
    return x


def moved_bytes() -> list[Any]:
    """A chain over a large result; nothing of it goes through this process."""

    def long_chain() -> Any:
        first = large.submit(MEGABYTES)
        second = raised.submit(first, 1)
        return total.submit(raised.submit(second, 1)).result(), total.submit(plain_through.submit(second)).result()

    return measured(long_chain)


def moved_bytes_of_a_load() -> list[Any]:
    """What was stored is loaded on a worker, for a child that is computed there."""

    def long_chain() -> Any:
        return total.submit(raised.submit(raised.submit(large.submit(MEGABYTES), 1), 2)).result()

    return measured(long_chain)


def measured(body: Callable[[], Any]) -> list[Any]:
    global counted_bytes
    counted_bytes, before = 0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = run(body)
    return [found, counted_bytes, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024]


def a_worker_dies() -> list[Any]:
    def deadly() -> Any:
        lost = dies.submit(1)
        lost.wait()
        after = text.submit(2).result()
        try:
            lost.result()
        except Exception as error:
            return type(error).__name__, lost.state.name, after
        return "nothing was raised"

    return [run(deadly), run(deadly)]


def kill_workers() -> None:
    for pid in FlowRunContext.get().task_runner.client.run(os.getpid).values():
        os.kill(pid, signal.SIGKILL)


def a_value_is_lost() -> list[Any]:
    def losing() -> Any:
        frame = table.submit(201)
        first = total.submit(frame).result()
        kill_workers()
        return first, total.submit(scaled.submit(frame)).result()

    return [run(losing), run(losing)]


def a_sent_value_is_lost() -> list[Any]:
    """What this process has computed outlives the worker that it was sent to."""

    def losing() -> Any:
        frame = table(421)
        first = total.submit(frame).result()
        kill_workers()
        return first, total.submit(scaled.submit(frame)).result()

    return [run(losing)]


def gate_at(name: str) -> tuple[str, int]:
    """Make a gate at which tasks wait for what is written to it."""
    gate = str(steps.HERE / name)
    os.mkfifo(gate)
    return gate, os.open(gate, os.O_RDWR)


def a_value_comes_out_otherwise() -> list[Any]:
    """What Dask computes again is not what it was, and what takes it had not begun before."""
    first, second = gate_at("first"), gate_at("second")

    def calls() -> tuple[Any, Any]:
        made = varying.submit(first[0])
        return made, total.submit(made, awaited.submit(second[0]))

    def losing() -> Any:
        made, whole = calls()
        os.write(first[1], b"xxxx")
        made.wait()
        current_run().session.keeper.flush()
        kill_workers()
        os.write(second[1], b"xxxx")
        return whole.result()

    def keeping() -> Any:
        made, whole = calls()
        return float(made.result().sum()), whole.result()

    return [run(losing), run(keeping)]


def an_input_is_changed() -> list[Any]:
    def changing() -> Any:
        frame = table.submit(211)
        return zeroed.submit(frame).result(), total.submit(frame).result()

    def unchanged() -> Any:
        return total.submit(table.submit(211)).result()

    return [run(changing), run(unchanged)]


def damage() -> None:
    for path in Path(STORE).glob("blobs/*/*"):
        path.write_bytes(path.read_bytes()[:-1])


def a_blob_is_damaged() -> list[Any]:
    def first() -> Any:
        return total.submit(table.submit(221)).result()

    def second() -> Any:
        return total.submit(scaled.submit(table.submit(221), 3)).result()

    before = run(first)
    damage()
    return [before, run(second)]


def a_blob_of_a_direct_call_is_damaged() -> list[Any]:
    def first() -> Any:
        return total.submit(table(451)).result()

    def second() -> Any:
        return total.submit(scaled.submit(table(451), 3)).result()

    before = run(first)
    damage()
    return [before, run(second)]


def a_folder_of_another_machine() -> list[Any]:
    """Workers find another folder where the store is: its path begins with that of the folder each process is in."""
    there = steps.HERE / "there"
    there.mkdir()
    (there / "shared").touch()  # no folder at all
    options = {"store": "/proc/self/cwd/shared", "storage_options": None}

    def scaled_by(by: int) -> Any:
        FlowRunContext.get().task_runner.client.run(os.chdir, str(there))
        return total.submit(scaled.submit(table(441), by)).result()

    def first() -> Any:
        return scaled_by(2)

    def second() -> Any:
        return scaled_by(3)

    before = run(first, **options)
    (there / "shared").unlink()
    return [before, run(second, **options)]


def brought_and_dropped() -> list[Any]:
    """What the flow has had brought here, and has no name for any more, is on its worker only."""

    def looking() -> Any:
        seen = []
        for start in (461, 462, 463):
            frame = table.submit(start).result()
            seen.append(weakref.ref(frame))
            del frame
        tagged.submit(464).result()
        gc.collect()
        return [one() is None for one in seen]

    return [run(looking)]


def a_part_for_many() -> list[Any]:
    """A part of a result is taken out of it once, whoever takes it."""

    def taking() -> Any:
        whole = split.submit(table.submit(471)).result()
        found = [one.result()["a"].sum() for one in [scaled.submit(whole["head"], by) for by in (5, 6, 7)]]
        taken = FlowRunContext.get().task_runner.client.run_on_scheduler(
            lambda dask_scheduler: dask_scheduler.task_prefixes["pick_there"].state_counts["memory"]
        )
        return [float(one) for one in found], taken

    return [run(taking)]


def a_store_of_this_process_only() -> list[Any]:
    def first() -> Any:
        return total.submit(scaled.submit(table.submit(231))).result()

    def second() -> Any:
        return total.submit(scaled.submit(table.submit(231), 3)).result()

    options = {"store": "memory://helix", "storage_options": None}
    return [run(first, **options), run(first, **options), run(second, **options)]


def late() -> list[Any]:
    """What turns out to be needed after it was pruned is computed by the cluster, with its inputs."""

    def looking(look: bool) -> Any:
        there = processes_of.submit(table.submit(241))
        wait([there])
        return set(there.result()) == {os.getpid()} if look else None

    return [run(looking, look=False, policy="never"), run(looking, look=True, policy="never")]


def all_threads_are_taken() -> list[Any]:
    """What has ended is told though all threads are taken by what waits for what the flow does then."""

    def holding() -> Any:
        gates = [str(steps.HERE / f"gate{number}") for number in range(6)]
        for gate in gates:
            os.mkfifo(gate)
        frame = table.submit(261)
        rows = len(frame.result())
        taking = [held.submit(gate, frame) for gate in gates]
        ends = [os.open(gate, os.O_RDWR) for gate in gates]
        os.write(ends[0], b"x")
        shown = taking[0].result()
        for end in ends[1:]:
            os.write(end, b"x")
        wait(taking)
        for end in ends:
            os.close(end)
        return rows, shown

    return [run(holding), find_run(store=STORE).metrics]


def an_allowed_failure() -> list[Any]:
    """The flow goes on when it has submitted what takes a failure, though it is open whether there will be one."""

    def submitting() -> Any:
        gate, end = gate_at("allowed")
        first = patient.submit(gate)
        second = text.submit(allow_failure(first))
        third = text.submit([allow_failure(first)])
        os.write(end, b"x")
        found = first.result(), second.result(), third.result()
        os.close(end)
        return found

    return [run(submitting)]


@helix_task
def joined(first: str, values: Any) -> list[Any]:
    ran("joined")
    return [first, *map(int, values)]


def an_argument_is_changed_meanwhile() -> list[Any]:
    """The flow changes what it gave to calls that are not on their way yet."""
    gate, end = gate_at("meanwhile")

    def submitting() -> Any:
        first = patient.submit(gate)
        second = text.submit(allow_failure(first))
        batch, array = [1, 2], np.arange(2)
        taking = [
            joined.submit(allow_failure(first), batch),
            joined.submit(second, batch),
            joined.submit(second, array),
        ]
        batch.clear()
        array[:] = 7
        os.write(end, b"x")
        wait(taking)
        return [str(one.result(raise_on_failure=False))[:20] for one in taking]

    found = [run(submitting)]
    os.close(end)
    return found


@helix_task
def summed(gate: str, first: Any, second: Any) -> tuple[float, bool]:
    ran("summed")
    passed(gate)
    return float(first["x"].sum() + second.sum()), first["x"] is second


def an_argument_is_changed_at_once() -> list[Any]:
    """The flow changes arrays right after it gave them to calls: one of its own, and one that a task gave it."""
    gate, end = gate_at("at_once")

    def submitting() -> Any:
        own = np.ones(100_000)
        taking = [summed.submit(gate, {"x": own}, own)]
        own[:] = 7
        given = large(1)
        taking.append(summed.submit(gate, {"x": own}, given))
        given *= 7
        own[:] = 1
        for _ in taking:
            os.write(end, b"x")
        return [one.result() for one in taking]

    found = [run(submitting), run(submitting)]
    os.close(end)
    return found


def an_argument_of_a_module_that_is_copied() -> list[Any]:
    """Workers cannot import the module, and somebody has told cloudpickle so."""
    folder = steps.HERE / "of_the_flow"
    folder.mkdir()
    (folder / "only_here.py").write_text("class Weight:\n    def __str__(self):\n        return 'heavy'\n")
    sys.path.append(str(folder))
    only_here = importlib.import_module("only_here")
    sys.path.remove(str(folder))

    def bringing() -> Any:
        runner: Any = FlowRunContext.get().task_runner
        luggage = DaskCluster(runner).luggage()
        brought = luggage.add(only_here.Weight())
        luggage.pack()
        copied = pickle.dumps(brought, protocol=5)
        return sorted(runner.client.run(lambda: str(pickle.loads(copied))).values())

    cloudpickle.register_pickle_by_value(only_here)
    found = [run(bringing)]
    cloudpickle.unregister_pickle_by_value(only_here)
    return found


def a_future_of_dask_is_given() -> list[Any]:
    """What the flow has brought to the workers by itself arrives as the value there."""

    def giving() -> Any:
        scattered = FlowRunContext.get().task_runner.client.scatter(np.ones(100))
        return total.submit(scattered).result(), total.submit([scattered]).result()

    return [run(giving)]


def a_cluster_of_its_own() -> list[Any]:
    """A run that begins with loads has its task runner start a cluster."""
    from prefect_dask import DaskTaskRunner  # noqa: PLC0415

    def first() -> Any:
        return [total.submit(table.submit(start)).result() for start in (401, 402)]

    def second() -> Any:
        totals = [total.submit(scaled.submit(table.submit(start), 3)) for start in (401, 402)]
        return [one.result() for one in totals]

    before, after = run(first), run(second, task_runner=DaskTaskRunner(cluster_class=cluster_of_its_own))
    return [before, after, len(clusters)]


def a_flow_fails() -> list[Any]:
    def failing() -> Any:
        for x in range(5):
            tagged.submit(x + 300)
        raise ValueError("stop")

    return [run(failing)]


def an_interrupt() -> list[Any]:
    def going_on() -> Any:
        interrupted.submit(431, Interrupting())
        ran("after")

    return [run(going_on)]


HELPING = """
def weight(x):
    return x * {by}
"""


def write_helping(by: int) -> None:
    """Write a helper of tasks, and have it in this process as one that is started afterwards."""
    global helping, weight
    (steps.HERE / "helping.py").write_text(HELPING.format(by=by))
    sys.modules.pop("helping", None)
    importlib.invalidate_caches()
    helping = importlib.import_module("helping")
    weight = helping.weight


@helix_task
def weighed(x: int) -> int:
    ran("weighed")
    return helping.weight(x)


@helix_task
def priced(x: int) -> int:
    ran("priced")
    return weight(x)


@helix_task(code_version="1")
def versioned(x: int, turn: int) -> int:
    ran("versioned")
    return weight(x)


def an_edit_beside_workers() -> list[Any]:
    """Workers go on with what they imported before an edit, until they are restarted."""
    from distributed import Client  # noqa: PLC0415

    def weighing(turn: int) -> Any:
        found = [weighed.submit(3), total.submit(priced.submit(4)), versioned.submit(5, turn)]
        return [one.result() for one in found]

    def turned(turn: int) -> dict[str, Any]:
        def weighing_then() -> Any:
            return weighing(turn)

        return run(weighing_then)

    write_helping(2)
    found = [turned(1)]
    with Client(make_runner().address) as client:
        client.run(exec, "import helping")  # on each of them
        write_helping(100)
        found += [turned(2), turned(2)]
        client.restart()
    return [*found, turned(2), turned(2)]


def an_async_flow() -> list[Any]:
    async def awaiting() -> Any:
        frame = table.submit(251)
        there = await steps.doubled(total.submit(scaled.submit(frame)))
        return there, total.submit(frame).result()

    return [run(awaiting), run(awaiting)]


def main() -> None:
    global make_runner
    count_bytes()
    found = {}
    for story in STORIES:
        with patience(story), runners(KIND) as make_runner:
            found[story] = globals()[story]()
    Path(RESULT).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
