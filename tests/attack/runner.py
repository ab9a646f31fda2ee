"""Runs versions of a project, each in a process of its own: a fork of one that has imported all but the project.

A program of its own: it reads orders from standard input, a line of JSON each, and answers each with a line. Its
argument says what runs flows: ``lab`` (the flow runner of the tests of the runtime) or ``prefect``.

A line orders some processes, which go on at the same time; each runs a version once, or in several threads at once, and
may be one of the wrong systems of `wrong`.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import inspect
import json
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from prefect_helix.core.fingerprint import fingerprint
from prefect_helix.storage import known, local
from tests.attack import trouble, wrong
from tests.attack.shown import outcome, shown
from tests.attack.workbench import workbench

SECONDS = {"lab": 60, "prefect": 240}
"""A run that takes longer hangs; under load Prefect's server with SQLite may not answer for a minute."""

UNANSWERED_S = 30
"""A request of Prefect that has waited for so long when the time of a run is up is why the run did not end."""

_OF_TASKS = ("deterministic", "lazy", "ignore")


class Pipe:
    """Where a process tells what happens, line by line, so that it is known if it ends there."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def tell(self, what: str, told: Any) -> None:
        line = json.dumps([what, told]).encode() + b"\n"
        with self._lock:
            while line:
                line = line[os.write(self._descriptor, line) :]


class Stage:
    """A process that runs one version of a project, once or in several threads at once."""

    def __init__(self, pipe: Pipe, order: dict[str, Any]) -> None:
        self.pipe, self.order = pipe, order
        self.project = {path.stem for path in Path(order["folder"]).rglob("*.py")}
        made = order["trouble"] and trouble.Trouble(**order["trouble"])
        self._trouble: trouble.Trouble | None = made
        self._bodies = 0
        if made is not None and made.at != "body":
            trouble.bring(made, pipe.tell, Path(order["files"]), order["server"])
        sys.modules["workbench"] = workbench(self.task, order["place"])
        sys.path.insert(0, order["folder"])

    def task(self, name: str, retries: int = 0, **options: Any) -> Any:
        """Return the decorator of tasks."""
        raise NotImplementedError

    def run(self, run: dict[str, Any]) -> None:
        """Run the flow of the project and tell what came of it."""
        raise NotImplementedError

    def play(self) -> None:
        runs = self.order["runs"]
        if len(runs) == 1:
            self.run(runs[0])
            return
        threads = [threading.Thread(target=self._guarded, args=(run,)) for run in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _guarded(self, run: dict[str, Any]) -> None:
        try:
            self.run(run)
        except BaseException:
            self.pipe.tell("broke", traceback.format_exc())

    def flow(self) -> Callable[..., Any]:
        import pipeline  # noqa: PLC0415 - the project

        return pipeline.flow

    def ran(self, number: Any, call: Any, task: str, arguments: dict[str, Any]) -> None:
        """Take note of a body that is about to run."""
        if self._trouble is not None:
            trouble.befalls_body(self._trouble, self._bodies)
        self._bodies += 1
        self.pipe.tell("ran", [number, call, task, shown(arguments, self.project)])

    def ended(self, number: Any, gave: list[Any], **more: Any) -> None:
        self.pipe.tell("ended", {"number": number, "outcome": gave, **more})


def tried(fn: Callable[[], Any], retries: int) -> Any:
    """Return what a function gives, at one of so many tries more."""
    for _ in range(retries):
        with contextlib.suppress(Exception):
            return fn()
    return fn()


def noted(source: Callable[..., Any], note: Callable[[dict[str, Any]], None]) -> Callable[..., Any]:
    """Return a function that notes what it is given, and takes its parameters by name."""

    def body(*, args: Any = (), kwargs: Any = MappingProxyType({}), **named: Any) -> Any:
        note({"args": args, "kwargs": dict(kwargs), **named})
        return source(*args, **kwargs, **named)

    return body


def lab_stage() -> type[Stage]:
    """Return the stage that needs no Prefect."""
    from prefect_helix.core.errors import HelixError  # noqa: PLC0415
    from prefect_helix.runtime.specs import TaskSpec  # noqa: PLC0415
    from tests.runtime.conftest import Lab, LabTask, Run  # noqa: PLC0415

    computing = threading.local()

    class NotedRun(Run):
        def run(self, node: Any) -> None:
            before = getattr(computing, "now", None)
            computing.now = self, node
            try:
                super().run(node)
            finally:
                computing.now = before

    class ThreadLab(Lab):
        """In each thread a run of its own goes on."""

        new_run = NotedRun
        _now = threading.local()

        @property
        def current(self) -> Any:
            return getattr(self._now, "run", None)

        @current.setter
        def current(self, run: Any) -> None:
            self._now.run = run

        @property
        def _runs(self) -> int:
            return getattr(self._now, "runs", 0)

        @_runs.setter
        def _runs(self, count: int) -> None:
            self._now.runs = count

    @dataclass
    class CodeTask(LabTask):
        """A task that is known by its code, read anew where it may change; notes what its body is given."""

        stage: Any = None
        retries: int = 0
        code: Any = None

        def __post_init__(self) -> None:
            self.source = self.fn
            self.fn = lambda **given: tried(lambda: noted(self.source, self._note)(**given), self.retries)

        def spec(self) -> TaskSpec:
            if self.code is None or self.code.may_change:
                self.code = wrong.fingerprint_of(self.source)
            returns = inspect.signature(self.source).return_annotation
            made = pd.DataFrame if returns is pd.DataFrame else None
            return TaskSpec(self.name, f"lab:{self.name}", self.fn, self.code, returns=made, **self.options)

        def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
            bound = inspect.signature(self.source).bind(*args, **kwargs)
            bound.apply_defaults()
            return dict(bound.arguments)

        def map(self, values: list[Any], *rest: Any) -> list[Any]:
            return [self.submit(value, *rest) for value in values]

        def _note(self, given: dict[str, Any]) -> None:
            now = getattr(computing, "now", None)
            if now is not None:
                counts = {name: value for name, value in given.items() if name not in self.options["ignore"]}
                run, node = now
                self.stage.ran(run.number, node.call, self.name, counts)

    class LabStage(Stage):
        def __init__(self, pipe: Pipe, order: dict[str, Any]) -> None:
            super().__init__(pipe, order)
            self.lab = ThreadLab(order["store"])

        def task(self, name: str, retries: int = 0, **options: Any) -> Any:
            given = {"deterministic": True, "lazy": False, **options, "ignore": frozenset(options.get("ignore", ()))}

            def decorate(fn: Any) -> CodeTask:
                made = CodeTask(self.lab, fn, name, options=given, stage=self, retries=retries)
                self.lab.tasks[name] = made
                return made

            return decorate

        def run(self, run: dict[str, Any]) -> None:
            flow, number = self.flow(), run["number"]

            def scratch() -> Any:
                return shown(self.lab.scratch(flow, **run["parameters"]), self.project)

            if not run["reuse"]:
                self.ended(number, outcome(scratch))
                return
            found: list[Any] = []
            self.lab._runs = number - 1  # each run of the store has an id of its own

            def play() -> Any:
                with self.lab.open(flow.__name__, run["parameters"], **run["orders"]) as going:
                    found.append(going)
                    going.number = number
                    return shown(going.resolved(flow(**run["parameters"])), self.project)

            try:
                gave = ["gave", play()]
            except Exception as error:
                gave = ["raised", type(error).__name__, str(error)]
                if not found and isinstance(error, HelixError):  # as with Prefect, where the plan cannot be made
                    gave = outcome(scratch)
            if not found:
                self.ended(number, gave)
                return
            going = found[0]
            self.ended(
                number,
                gave,
                run_id=going.session.head.run_id,
                warnings=dict(going.warnings),
                most_bytes=going.most_bytes,
                mismatched=list(going.session.mismatched),
                escaped=[repr(error) for error in going.escaped],
            )

    return LabStage


def prefect_stage() -> type[Stage]:
    """Return the stage that is Prefect itself."""
    from types import SimpleNamespace  # noqa: PLC0415

    import prefect.runtime  # noqa: PLC0415
    import prefect.task_engine  # noqa: PLC0415
    from prefect.context import TaskRunContext  # noqa: PLC0415

    import prefect_helix.clones  # noqa: PLC0415
    from prefect_helix import helix_flow, helix_task  # noqa: PLC0415
    from prefect_helix.tasks import HelixTask  # noqa: PLC0415

    ticks = iter(range(0, 1 << 62, 1_000_000_000))  # every task body takes a second
    prefect_helix.clones.time = SimpleNamespace(perf_counter_ns=lambda: next(ticks))  # type: ignore[attr-defined]
    logging.getLogger("prefect").setLevel(logging.CRITICAL)

    class PrefectStage(Stage):
        number = -1

        def __init__(self, pipe: Pipe, order: dict[str, Any]) -> None:
            super().__init__(pipe, order)
            watch_server(pipe)

        def task(self, name: str, **options: Any) -> Any:
            return helix_task(name=name, **options)

        def run(self, run: dict[str, Any]) -> None:
            flow, self.number, run_ids = self.flow(), run["number"], []
            call_body = prefect.task_engine.call_with_parameters

            def noted(fn: Any, parameters: dict[str, Any]) -> Any:
                context = TaskRunContext.get()
                assert context is not None
                ignored = context.task.helix.ignore if isinstance(context.task, HelixTask) else ()
                counts = {name: value for name, value in parameters.items() if name not in ignored}
                self.ran(run["number"], str(context.task_run.id), context.task.name, counts)
                return call_body(fn, parameters)

            prefect.task_engine.call_with_parameters = noted

            @wraps(flow)
            def told(p: Any, source: Any) -> Any:
                run_ids.append(str(prefect.runtime.flow_run.id))
                return shown(flow(p, source), self.project)

            orders = {**run["orders"], **({} if run["reuse"] else {"mode": "off"})}
            made = helix_flow(store=self.order["store"], **orders)(told)
            gave = outcome(lambda: made(**run["parameters"]))
            self.ended(run["number"], gave, run_id=run_ids[0] if run_ids else "")

    return PrefectStage


def watch_server(pipe: Pipe) -> None:
    """Tell what Prefect's server has not answered: requests given up, and such that wait when the time is nearly up."""
    import httpx  # noqa: PLC0415
    from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient  # noqa: PLC0415

    waiting: dict[object, tuple[float, str]] = {}
    send, send_async = PrefectHttpxSyncClient.send, PrefectHttpxAsyncClient.send

    @contextlib.contextmanager
    def asked(request: httpx.Request) -> Iterator[None]:
        key, what = object(), f"{request.method} {request.url.path}"
        waiting[key] = time.monotonic(), what
        try:
            yield
        except httpx.TransportError as error:
            pipe.tell("unanswered", f"{what}: {error!r}")
            raise
        except httpx.HTTPStatusError as error:
            if error.response.is_server_error:
                pipe.tell("unanswered", f"{what}: {error}")
            raise
        finally:
            del waiting[key]

    def sent(self: Any, request: httpx.Request, *args: Any, **more: Any) -> Any:
        with asked(request):
            return send(self, request, *args, **more)

    async def sent_async(self: Any, request: httpx.Request, *args: Any, **more: Any) -> Any:
        with asked(request):
            return await send_async(self, request, *args, **more)

    PrefectHttpxSyncClient.send, PrefectHttpxAsyncClient.send = sent, sent_async

    def tell() -> None:
        for since, what in [*waiting.values()]:
            if time.monotonic() - since > UNANSWERED_S:
                pipe.tell("unanswered", f"{what}: for {time.monotonic() - since:.0f} s")

    timer = threading.Timer(SECONDS["prefect"] - 10, tell)
    timer.daemon = True
    timer.start()


def answer(stage: Callable[[Pipe, dict[str, Any]], Stage], pipe: Pipe, order: dict[str, Any]) -> None:
    """Do what is ordered in this process, which ends with it."""
    faulthandler.dump_traceback_later(SECONDS[sys.argv[1]], exit=True)
    local.MAP_FROM_BYTES = order["map_from"]
    wrong.SYSTEMS[order["system"]]()
    try:
        stage(pipe, order).play()
    except BaseException:
        pipe.tell("broke", traceback.format_exc())


def serve(stage: Callable[[Pipe, dict[str, Any]], Stage]) -> None:
    """Answer orders: each is a list of processes, which go on at the same time."""
    if "AWS_ENDPOINT_URL_S3" in os.environ:
        importlib.import_module("s3fs")
    fingerprint(shown)  # reads the lists of files of installed libraries, once for all
    known.COVERED_LINEAGES = 3
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        children = []
        for order in json.loads(line):
            reader, writer = os.pipe()
            child = os.fork()
            if not child:
                os.close(reader)
                answer(stage, Pipe(writer), order)
                os._exit(0)
            os.close(writer)
            children.append((child, reader))
        told = []
        for child, reader in children:
            with os.fdopen(reader, "rb") as pipe:
                lines = [json.loads(one) for one in pipe.read().split(b"\n")[:-1]]
            told.append({"told": lines, "status": os.waitpid(child, 0)[1]})
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    logging.getLogger("lab").disabled = True
    logging.getLogger("prefect_helix").setLevel(logging.ERROR)
    serve({"lab": lab_stage, "prefect": prefect_stage}[sys.argv[1]]())
