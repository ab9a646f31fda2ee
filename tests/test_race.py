"""The race: what is measured once stays measured, what a wrong result is called, and what nothing is faster than."""

from __future__ import annotations

import argparse
import itertools
import re
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.race.__main__ import Race, main
from benchmarks.race.bound import Call, least_seconds
from benchmarks.race.child import hash_of
from benchmarks.race.measuring import Track, Version, environment, this_python, versions_of
from benchmarks.race.report import charts, report
from benchmarks.race.results import Measurement, OtherRaceError, Results
from benchmarks.race.standings import outcomes
from benchmarks.race.systems import SYSTEMS
from benchmarks.race.tracing import Tracer
from benchmarks.workloads import WORKLOADS

RACE = {"size": "small", "data": "packaged"}
SESSION = {"date": "2026-01-02 03:04", "machine": "2 cores", "system": "Linux", "versions": "prefect 3"}


def measured(system: str, iteration: int, seconds: float, returned: object = "right", repeat: int = 0) -> Measurement:
    digest = hash_of([returned, iteration])
    return Measurement(
        "census",
        system,
        repeat,
        iteration,
        f"edit {iteration}",
        body_seconds=seconds,
        process_seconds=seconds + 3,
        stored_bytes=1_000,
        peak_bytes=2_000_000,
        digest=digest,
        rounded=digest,
    )


def call(key: str, compute_us: int, *parents: int, load_us: int = 1, read: bool = False) -> Call:
    return Call(key.split("-", maxsplit=1)[0], key, compute_us, load_us, parents, read)


CHAIN = (call("load-1", 8_000_000), call("fit-1", 2_000_000, 0, read=True))
EDITED = (CHAIN[0], call("fit-2", 3_000_000, 0, read=True))
A_RACE = [
    replace(measured("bound", 0, 10.0), calls=CHAIN),
    replace(measured("bound", 1, 11.0), calls=EDITED),
    measured("plain", 0, 13.0),
    measured("plain", 1, 13.0),
    measured("prefect-cache", 0, 20.0),
    measured("prefect-cache", 1, 1.0, "stale"),
    replace(measured("auto", 0, 14.0), task_seconds=13.5),
    replace(measured("auto", 1, 5.5), task_seconds=5.0),
    measured("joblib", 0, 9.0),
    replace(measured("joblib", 1, 0.0), body_seconds=None, digest="", failure="it broke"),
]


def test_a_race_of_nothing_that_can_run_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results, python = tmp_path / "results.jsonl", tmp_path / "no-python"
    options = ["--systems", "redun,joblib", "--python", str(python), "--results", str(results)]
    monkeypatch.setattr(sys, "argv", ["race", *options])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit, match=r"Nothing is left to race\."):
        main()
    assert f"redun is left out: {python} has no redun." in capsys.readouterr().out
    assert not results.exists()


def test_without_the_bytes_of_a_version_nothing_is_raced_of_systems_that_need_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = Results(tmp_path / "results.jsonl")
    broken = replace(measured("always", 0, 0.0), body_seconds=None, digest="", failure="it broke")
    monkeypatch.setattr(Track, "measure", lambda track, iteration: broken)
    options = argparse.Namespace(work=tmp_path, results=tmp_path, python=sys.executable, threads=1, workers=1)
    Race(results, options, {}, 0).run("census", [Version("first", {}, {})], 0, [SYSTEMS["auto 10%"]])
    assert "Systems with a budget are left out" in capsys.readouterr().out
    assert not results.measurements


def test_a_race_is_over_the_written_series_or_one_drawn_from_a_seed(tmp_path: Path) -> None:
    census = WORKLOADS["census"]
    written, drawn = versions_of(census, "small", None), versions_of(census, "small", 31, seed=1)
    assert [version.change for version in written[1:]] == [edit.change for edit in census.series]
    assert (len(drawn), drawn) == (31, versions_of(census, "small", 31, seed=1))
    assert drawn != versions_of(census, "small", 31, seed=2)
    results = Results(tmp_path / "results.jsonl")
    results.begin({**RACE, "seed": 1}, SESSION)
    assert "edits drawn from the seed 1." in report(results, [], "race")


def test_measurements_are_there_again_and_a_torn_line_is_not(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    results = Results(file)
    results.begin(RACE, SESSION)
    results.size("census", 5_000)
    for measurement in A_RACE[:3]:
        results.add(measurement)
    with file.open("a") as stream:
        stream.write('{"measurement": {"workl')

    again = Results(file)
    assert [*again.measurements.values()] == A_RACE[:3]
    assert again.version_bytes == {"census": 5_000}
    again.begin(RACE, SESSION)
    again.add(A_RACE[3])
    assert [*Results(file).measurements.values()] == A_RACE[:4]
    assert len(Results(file).sessions) == 2
    with pytest.raises(OtherRaceError, match="Name another file"):
        Results(file).begin({**RACE, "size": "benchmark"}, SESSION)


def test_the_report_says_what_systems_took_and_who_was_wrong(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl")
    results.begin(RACE, SESSION)
    for measurement in A_RACE:
        results.add(measurement)
    (outcome,) = found = outcomes(results.measurements.values())
    lines = report(results, found, "race").splitlines()
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in reversed(lines) if line.startswith("|")}
    assert rows["auto"] == "| auto | 19.50 | 18.50 | 1.50 | 1.33 | 14.00 | 25.50 | 1.0 kB | 2.0 MB | right |"
    assert rows["prefect-cache"].startswith("| prefect-cache | 21.00 |  | ~~1.62~~ | ~~1.24~~ |")
    assert rows["prefect-cache"].endswith("| **WRONG: 1** |")
    assert rows["joblib"].startswith("| joblib | not finished |")
    assert rows["joblib"].endswith("| failed: 1 |")
    assert "- prefect-cache, repeat 0, iteration 1 (edit 1): WRONG" in lines
    assert "- joblib, repeat 0, iteration 1 (edit 1): it broke" in lines
    assert any("lower bound, is 2.00." in line for line in lines)
    pictures = charts(outcome)
    assert "prefect-cache (WRONG results: 1)" in pictures["totals"]
    assert all(picture.startswith("<svg") for picture in pictures.values())
    for told in ("bound", "plain", "auto", "prefect-cache (WRONG results: 1)", "20 s", "26 s"):
        assert all(f">{told}" in picture or f"  {told}<" in picture for picture in pictures.values())


def test_in_pictures_words_stand_apart_where_systems_took_as_long() -> None:
    alike = [replace(one, system=other) for one in A_RACE if one.system == "auto" for other in ("always", "helix")]
    (outcome,) = outcomes([*A_RACE, *alike])
    ends = re.findall(r'<text [^>]*y="([0-9.]+)"[^>]*>[a-z][^<]*  [0-9]', charts(outcome)["iterations"])
    heights = sorted(map(float, ends))
    assert len(heights) == 6
    assert all(above + 14 < below for above, below in itertools.pairwise(heights))


def test_the_last_digit_counts_unless_plain_prefect_does_not_agree_with_itself() -> None:
    exact, noisy, stale = (
        replace(measured("x", 0, 1.0), digest=hash_of({"loss": loss}), rounded=hash_of({"loss": loss}, 9))
        for loss in (0.1, 0.1 + 2e-17, 0.1001)
    )
    noisy = replace(noisy, digest=hash_of({"loss": 0.1 + 1e-15}))

    def wrong(one: Measurement, *plain: Measurement) -> int:
        of_plain = [replace(other, system="plain", repeat=number) for number, other in enumerate(plain)]
        (outcome,) = outcomes([*of_plain, replace(one, system="auto")])
        return len(outcome.standings["auto"].wrong)

    assert wrong(exact, exact) == 0
    assert wrong(noisy, exact) == 1
    assert wrong(replace(exact, digest="other"), exact, noisy) == 0
    assert wrong(stale, exact, noisy) == 1


def test_frames_and_arrays_are_compared_by_what_they_hold() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"bin": [0.1, 0.2], "pairs": [3, 4]})
    assert hash_of({"curve": frame}) == hash_of({"curve": frame.copy()})
    assert hash_of(frame) != hash_of(frame.assign(pairs=[3, 5])) != hash_of(frame.rename(columns={"bin": "edge"}))
    assert hash_of(frame["bin"].to_numpy()) == hash_of([0.1, 0.2])
    assert hash_of(b"<svg/>") != hash_of(b"<svg>")
    with pytest.raises(TypeError, match="cannot be compared"):
        hash_of(object())


def test_only_what_changed_and_is_needed_counts_and_the_cheaper_way_to_have_the_rest() -> None:
    assert least_seconds([CHAIN, EDITED, CHAIN]) == [10.0, 3.000001, 0.000001]
    cheap_and_bulky = (call("block-1", 500_000, load_us=2_000_000), call("fit-1", 1_000_000, 0, read=True))
    edited = (cheap_and_bulky[0], call("fit-2", 1_000_000, 0, read=True))
    assert least_seconds([cheap_and_bulky, edited]) == [1.5, 1.5]
    assert least_seconds([(*CHAIN, call("unused-1", 9_000_000))]) == [10.0]
    twice = (call("same-1", 1_000_000), call("same-1", 1_000_000, 0), call("end-1", 500_000, 1, read=True))
    assert least_seconds([twice]) == [1.5]


def test_a_trace_knows_whose_results_a_call_takes_and_what_the_flow_may_have_read() -> None:
    tracer = Tracer()
    whole = tracer(make, (3,), {})
    part = tracer(measure, (), {"rows": [whole]})
    tracer(measure, ([whole],), {})
    first, second, third = tracer.calls
    assert (first.task, first.parents, first.read) == ("make", (), False)
    assert (second.task, second.parents, second.read) == ("measure", (0,), True)
    assert third.key != second.key != first.key
    assert tracer.makers({"rows": whole, "part": part}) == (0,)


def make(rows: int) -> set[int]:
    return set(range(rows))


def measure(rows: list[set[int]]) -> int:
    return len(rows)


TINY = """
from prefect_helix import helix_flow, helix_task

@helix_task
def one(number):
    return 1 / number

@helix_flow
def tiny(log, number):
    with open(log, "a") as stream:
        stream.write(str(number))
    return one(number)
"""


@pytest.mark.parametrize("system", ["joblib", "hamilton"])
def test_a_track_goes_on_from_where_it_was_or_from_its_start_and_failures_are_told(tmp_path: Path, system: str) -> None:
    pytest.importorskip(system)
    log = tmp_path / "log"
    versions = [Version("", {"tiny.py": TINY}, {"log": str(log), "number": number}) for number in (4, 0, 5)]
    home = tmp_path / "home"
    track = Track(SYSTEMS[system], "tiny", 0, versions, home, this_python(), environment({}, threads=1, workers=2), int)
    first, failed = track.measure(0), track.measure(1)
    assert (first.digest, first.failure) == (hash_of(0.25), "")
    assert first.body_seconds is not None
    assert first.stored_bytes > 0
    assert first.peak_bytes > 0
    assert (failed.body_seconds, failed.failure) == (None, "ZeroDivisionError: division by zero")
    assert log.read_text() == "40"

    (tmp_path / "home" / "reached").unlink()  # as when the race ends in the middle of a run
    assert track.measure(2).digest == hash_of(0.2)
    assert log.read_text() == "40405"


BRANCHING = """
from prefect_helix import helix_flow, helix_task

def note(step):
    with open(LOG, "a") as stream:
        stream.write(step + " ")

@helix_task
def part(rows: list[int], at: int) -> tuple[list[int], list[int]]:
    note("part")
    return rows[:at], rows[at:]

@helix_task(lazy=True)
def scale(rows: list[int], by: int) -> list[int]:
    note("scale")
    return [row * by for row in rows]

@helix_task
def highest(groups: dict[str, list[int]]) -> dict[str, int]:
    note("highest")
    return {name: max(rows) for name, rows in groups.items()}

@helix_task
def count(groups: list[tuple[list[int], bool]]) -> int:
    note("count")
    return sum(map(len, (rows for rows, counts in groups if counts)))

@helix_flow
def branching(rows, at=2, by=10, least=0, more=0):
    parts = part(rows, at)
    first, last = parts
    scaled = {"first": scale(first, by), "last": scale.submit(last, by), "unused": scale(first, -1)}
    scaled |= {f"more {number}": scale(last, number) for number in range(more)}
    found = highest({name: rows for name, rows in scaled.items() if name != "unused"})
    best = [name for name, value in found.items() if value >= least]
    counted = count.submit([(scaled[name], True) for name in best]).result()
    return {"best": best, "count": counted, "last": count([(last, True)])}
"""


def test_hamilton_reuses_by_code_and_contents_and_computes_what_the_flow_asks_for(tmp_path: Path) -> None:
    pytest.importorskip("hamilton")
    log = tmp_path / "log"
    source = f"LOG = {str(log)!r}\n{BRANCHING}"
    same_parts = source.replace("rows[:at], rows[at:]", "[*rows][:at], rows[at:]")
    other_helper = same_parts.replace('step + " "', 'step + "! "')
    rows = {"rows": [1, 2, 3, 4]}
    both, third = ["first", "last"], ["first", "last", "more 0"]
    runs = (
        (source, rows, (both, 4, 2), "part scale scale highest count count"),
        (f"{source}# A comment.", rows, (both, 4, 2), ""),
        (source, {**rows, "least": 30}, (["last"], 2, 2), "count"),
        (same_parts, rows, (both, 4, 2), "part"),  # what follows depends on what comes out
        (same_parts, {**rows, "more": 1}, (third, 6, 2), "scale highest count"),  # other calls keep their names
        (same_parts, {**rows, "at": 1}, (both, 4, 3), "part scale scale highest count count"),
        (other_helper, rows, (both, 4, 2), ""),  # of which its documentation warns
        (other_helper, {**rows, "by": 7}, (both, 4, 2), "scale! scale! highest! count!"),
    )
    versions = [Version("", {"branching.py": text}, parameters) for text, parameters, *_ in runs]
    home = tmp_path / "home"
    track = Track(
        SYSTEMS["hamilton"], "branching", 0, versions, home, this_python(), environment({}, threads=1, workers=2), int
    )
    for iteration, (_, _, (best, counted, last), computed) in enumerate(runs):
        log.write_text("")
        measurement = track.measure(iteration)
        assert (measurement.failure, log.read_text().strip()) == ("", computed)
        assert measurement.digest == hash_of({"best": best, "count": counted, "last": last})
