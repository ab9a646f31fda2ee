"""One iteration of one system, in a process of its own: `python -m benchmarks.race.child REQUEST`.

The request is a JSON file; what was measured is written beside it. The time of the body is, under Prefect, the one
between the hooks for Running and for Completed, so that planning, storing and telling are in it, and what Prefect does
for every run, whatever is in it, is not. Without Prefect, it is the time of the call.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ANSWER = "answer.json"
DIGITS = 9


def main() -> None:
    """Run what the request says and write down what it took."""
    request_file = Path(sys.argv[1])
    request = json.loads(request_file.read_text())
    ways = {"prefect": _prefect, "helix": _helix, "direct": _direct, "bound": _bound}
    returned, found = ways[request["family"]](request)
    found |= {
        "digest": hash_of(returned),
        "rounded": hash_of(returned, DIGITS),
        "cpu_seconds": time.process_time(),
        "peak_bytes": peak_bytes(Path("/proc/self/status").read_text()),
    }
    (request_file.parent / ANSWER).write_text(json.dumps(found))


def _prefect(request: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    from .shims import Bodies, as_prefect

    bodies = Bodies()
    sys.modules["prefect_helix"] = as_prefect(request["choice"], bodies)
    returned, found = _helix(request)
    return returned, found | {"computed": dict(bodies.computed), "task_seconds": bodies.seconds}


def _helix(request: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    sys.path.insert(0, request["folder"])
    flow = getattr(importlib.import_module(request["flow"]), request["flow"])
    times: dict[str, float] = {}
    flow.on_running(_noting("start", times))
    flow.on_completion(_noting("end", times))
    returned = flow(**request["parameters"])
    return returned, {"body_seconds": times["end"] - times["start"]}


def _noting(what: str, times: dict[str, float]) -> Callable[..., None]:
    def note(flow: Any, flow_run: Any, state: Any) -> None:
        times[what] = time.perf_counter()

    return note


def _direct(request: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    from benchmarks.workloads.plain import play_in

    from .shims import cached_by

    cached = cached_by(request["choice"], Path(request["store"]))
    returned, seconds = play_in(cached, request["flow"], request["parameters"], Path(request["folder"]))
    return returned, {"body_seconds": seconds}


def _bound(request: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    from benchmarks.workloads.plain import play_by

    from .tracing import Tracer

    tracer = Tracer()
    returned, _ = play_by(tracer, request["flow"], request["parameters"], Path(request["folder"]))
    last = tracer.makers(returned)
    calls = [call._replace(read=call.read or number in last) for number, call in enumerate(tracer.calls)]
    computed = Counter(call.task for call in calls)
    return returned, {"body_seconds": tracer.body_seconds, "computed": dict(computed), "calls": calls}


def hash_of(value: Any, digits: int | None = None) -> str:
    """Return a digest of what a flow returned, of its floats in so many significant digits, or in all."""
    text = json.dumps(_simple(value, digits), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _simple(value: Any, digits: int | None) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _simple(part, digits) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_simple(part, digits) for part in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float):
        return float(value) if digits is None else float(f"{value:.{digits}g}")
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if hasattr(value, "columns") and hasattr(value, "to_dict"):  # a frame of pandas, which need not be installed
        return _simple(value.to_dict(orient="split"), digits)
    if hasattr(value, "tolist"):
        return _simple(value.tolist(), digits)
    raise TypeError(f"A {type(value).__name__} cannot be compared with what other systems return.")


def peak_bytes(status: str) -> int:
    """Return the peak of a process's memory.

    `ru_maxrss` is no less than what the parent had when it started the process; this is the process's own.
    """
    (kilobytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(kilobytes) * 1024


if __name__ == "__main__":
    main()
