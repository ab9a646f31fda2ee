"""Reports a race as tables in Markdown and charts in SVG: `python -m benchmarks.race.report RESULTS`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from prefect_helix.views.units import format_bytes

from .pictures import iterations, totals
from .results import Results
from .standings import Outcome, Standing, outcomes
from .systems import PLAIN, SYSTEMS

LEGEND = """
Seconds of the flow's body and of whole processes are of all iterations together, the median of the repeats that were
finished (lowest to highest). *In tasks* is the part of the bodies in which the functions of tasks ran, those side by
side added up. *Over bound* is the body over the lower bound (`benchmarks/race/bound.py`), *speed-up* plain Prefect's
body over it. Bytes are what is stored at the end, the peak is the highest of all processes. A result is wrong if it is
not plain Prefect's in the same iteration; a system that gave one is not fast, and its ratios are struck. In the
pictures, the pale part of a bar is the lower bound, and a dashed line is of a system that gave wrong results.
"""


def main() -> None:
    """Write the report of a file of results, and print it."""
    parser = argparse.ArgumentParser(description="Report a race.")
    parser.add_argument("results", type=Path)
    parser.add_argument("--into", type=Path, default=Path(__file__).parents[1] / "results", metavar="FOLDER")
    options = parser.parse_args()
    if not options.results.exists():
        parser.error(f"There is no {options.results}.")
    results = Results(options.results)
    name, found = options.results.stem, outcomes(results.measurements.values())
    options.into.mkdir(parents=True, exist_ok=True)
    for outcome in found:
        for kind, picture in charts(outcome).items():
            (options.into / f"{name}-{outcome.workload}-{kind}.svg").write_text(picture + "\n")
    text = report(results, found, name)
    (options.into / f"{name}.md").write_text(text)
    print(text)


def report(results: Results, found: Sequence[Outcome], name: str) -> str:
    """Return the report in Markdown; pictures have the `name` in front."""
    return "\n".join(_lines(results, found, name))


def charts(outcome: Outcome) -> dict[str, str]:
    """Return the pictures of a workload: what each system took in all, and up to each iteration."""
    return {"totals": totals(outcome), "iterations": iterations(outcome)}


def _lines(results: Results, found: Sequence[Outcome], name: str) -> Iterator[str]:
    yield "# The race\n"
    size, data, threads, workers = (results.race.get(name) for name in ("size", "data", "threads", "workers"))
    series = f"; edits drawn from the seed {results.race['seed']}" if "seed" in results.race else ""
    yield f"Size: {size}; data: {data}; threads of numeric libraries: {threads}; tasks at once: {workers}{series}."
    for session in _distinct(results.sessions):
        yield f"\n{session['date']}, {session['machine']}, {session['system']}; {session['versions']}."
    yield LEGEND
    for outcome in found:
        yield from _workload(outcome, name)
    yield from _means(found)
    yield "\n## Systems\n"
    raced = {system for outcome in found for system in outcome.standings}
    yield from (f"- {system.name}: {system.what}" for system in SYSTEMS.values() if system.name in raced)
    yield ""


def _workload(outcome: Outcome, name: str) -> Iterator[str]:
    yield f"## {outcome.workload}\n"
    ceiling = outcome.ratio(PLAIN)
    said = "unknown: plain Prefect or the lower bound is missing" if ceiling is None else f"{ceiling:.2f}"
    yield f"{len(outcome.changes)} iterations. The ceiling, plain Prefect over the lower bound, is {said}.\n"
    yield "| system | body | in tasks | over bound | speed-up | first run | processes | stored | peak | results |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|---|"
    for standing in outcome.ordered:
        faster = outcome.ratio(PLAIN, standing.system)
        cells = [
            standing.system,
            _body(standing),
            _seconds(standing.task_seconds),
            _times(outcome.ratio(standing.system), struck=bool(standing.wrong)),
            _times(faster, struck=bool(standing.wrong)),
            _seconds(standing.each[0] if standing.each else None),
            _seconds(standing.process_seconds),
            "" if standing.stored_bytes is None else format_bytes(standing.stored_bytes),
            "" if standing.peak_bytes is None else format_bytes(standing.peak_bytes),
            _results(standing),
        ]
        yield f"| {' | '.join(cells)} |"
    yield from _iterations(outcome)
    yield f"\n![]({name}-{outcome.workload}-totals.svg)\n![]({name}-{outcome.workload}-iterations.svg)"
    told = [
        f"- {standing.system}, repeat {one.repeat}, iteration {one.iteration} ({one.change}): {one.failure or 'WRONG'}"
        for standing in outcome.ordered
        for one in (*standing.wrong, *standing.failures)
    ]
    if told:
        yield "\n" + "\n".join(told)
    yield ""


def _iterations(outcome: Outcome) -> Iterator[str]:
    finished = [standing for standing in outcome.unlimited if standing.each]
    if finished:
        yield f"\n| | changed | {' | '.join(standing.system for standing in finished)} |"
        yield f"|--:|---|{'--:|' * len(finished)}"
        for number, change in enumerate(outcome.changes):
            yield f"| {number} | {change} | {' | '.join(_seconds(standing.each[number]) for standing in finished)} |"


def _means(found: Sequence[Outcome]) -> Iterator[str]:
    yield f"## Means over {len(found)} workload{'s' if len(found) != 1 else ''}\n"
    yield "| system | over bound | worst | speed-up | results |"
    yield "|---|--:|--:|--:|---|"
    for name in SYSTEMS:
        standings = [outcome.standings[name] for outcome in found if name in outcome.standings]
        ratios = [ratio for outcome in found if (ratio := outcome.ratio(name)) is not None]
        faster = [ratio for outcome in found if (ratio := outcome.ratio(PLAIN, name)) is not None]
        if not standings:
            continue
        wrong = sum(len(standing.wrong) for standing in standings)
        cells = [
            name,
            _times(fmean(ratios) if len(ratios) == len(found) else None, struck=bool(wrong)),
            _times(max(ratios) if len(ratios) == len(found) else None, struck=bool(wrong)),
            _times(fmean(faster) if len(faster) == len(found) else None, struck=bool(wrong)),
            f"**WRONG: {wrong}**" if wrong else "",
        ]
        yield f"| {' | '.join(cells)} |"
    yield "\nA mean is of all workloads, or there is none."


def _distinct(sessions: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Return the first of the sessions on each day, machine and set of versions."""
    distinct: dict[tuple[str, ...], dict[str, str]] = {}
    for session in sessions:
        distinct.setdefault((session["date"][:10], session["machine"], session["versions"]), session)
    return [*distinct.values()]


def _body(standing: Standing) -> str:
    if standing.seconds is None:
        return "not finished"
    if standing.repeats == 1:
        return f"{standing.seconds:.2f}"
    return f"{standing.seconds:.2f} ({min(standing.body_seconds):.2f} to {max(standing.body_seconds):.2f})"


def _results(standing: Standing) -> str:
    said = [f"**WRONG: {len(standing.wrong)}**"] if standing.wrong else []
    said += [f"failed: {len(standing.failures)}"] if standing.failures else []
    said += [f"not compared: {standing.unchecked}"] if standing.unchecked else []
    return ", ".join(said) or "right"


def _times(ratio: float | None, struck: bool = False) -> str:
    if ratio is None:
        return ""
    return f"~~{ratio:.2f}~~" if struck else f"{ratio:.2f}"


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f}"


if __name__ == "__main__":
    main()
