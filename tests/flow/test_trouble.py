"""What goes wrong is told in a sentence with the way out, and costs no run."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prefect_helix import ConfigurationError, File, FileChangedError, VerificationError, helix_flow, helix_task

RAN = logging.getLogger("ran")
ROWS = 20_000


@helix_task
def scan(rows: int) -> pd.DataFrame:
    RAN.info("scan")
    return pd.DataFrame({"a": np.arange(rows)})


@helix_task
def total(frame: pd.DataFrame, lock: Any = None) -> int:
    RAN.info("total")
    return int(frame["a"].sum())


def body() -> int:
    return total(scan(ROWS))


def test_an_argument_that_cannot_be_hashed_is_named_and_its_task_computed(store: str, ran: Any, said: Any) -> None:
    @helix_flow(store=store)
    def locked() -> int:
        return total(scan(ROWS), threading.Lock())

    assert locked() == locked() == sum(range(ROWS))

    assert ran.take() == ["scan", "total", "total"]
    for part in ("'total' is computed in every run", "'lock'", "ignore=['lock']", "register_digest()"):
        assert part in said.warnings[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"store": "gopher://bucket/helix"}, r"store='gopher://bucket/helix' cannot be used"),
        ({"budget": "plenty"}, r'budget=\'plenty\' cannot be used\. Give a number of bytes or a size such as "20GB"'),
        ({"budget": -1}, r"budget=-1 cannot be used"),
        ({"policy": "greedy"}, r"policy='greedy' cannot be used\. Use one of 'auto', 'helix', 'always', 'never'"),
        ({"mode": "fast"}, r"mode='fast' cannot be used"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_where_the_flow_is_defined(options: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        helix_flow(**options)(body)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"materialize": "sometimes"}, r"materialize='sometimes' cannot be used"),
        ({"ignore": ["verbose"]}, r"ignore=\['verbose'\] cannot be used\. Task 'crunch' has no such parameter"),
        ({"ignore": "rows"}, r"Give a list of parameter names"),
        ({"max_age": 3600}, r"Give a datetime\.timedelta"),
        ({"cache_key_fn": lambda context, parameters: "key"}, r"depends_on= or max_age=, or keep @task"),
    ],
)
def test_a_task_option_that_makes_no_sense_is_refused_where_the_task_is_defined(option: Any, words: str) -> None:
    def crunch(rows: int) -> int:
        return rows

    with pytest.raises(ConfigurationError, match=words):
        helix_task(**option)(crunch)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("STORE", "gopher://bucket/helix", "store='gopher://bucket/helix' cannot be used"),
        ("BUDGET", "plenty", "budget='plenty' cannot be used"),
        ("POLICY", "greedy", "policy='greedy' cannot be used"),
        ("MODE", "fast", "mode='fast' cannot be used"),
    ],
)
def test_a_setting_that_makes_no_sense_is_told_and_the_run_computes(
    variable: str, value: str, words: str, ran: Any, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"PREFECT_INTEGRATIONS_HELIX_{variable}", value)

    assert helix_flow(body)() == sum(range(ROWS))

    assert ran.take() == ["scan", "total"]
    assert len(said.warnings) == 1
    assert words in said.warnings[0]
    assert said.warnings[0].startswith("ERROR")


def test_a_store_that_cannot_be_written_is_told_once_and_the_run_computes(tmp_path: Path, ran: Any, said: Any) -> None:
    (tmp_path / "file").write_text("not a folder")
    unwritable = helix_flow(store=str(tmp_path / "file" / "store"))(body)

    assert unwritable() == sum(range(ROWS))

    assert ran.take() == ["scan", "total"]
    assert len(said.warnings) == 1, said.warnings
    assert str(tmp_path / "file" / "store") in said.warnings[0]


def test_a_damaged_store_is_told_and_recomputed(store: str, ran: Any, said: Any) -> None:
    pipeline = helix_flow(store=store, policy="always")(body)
    want = pipeline()
    for path in sorted(Path(store).rglob("*")):
        if path.is_file():
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
    ran.take()

    assert pipeline() == want
    assert any(" is damaged: " in line for line in said.warnings)
    ran.take()
    assert pipeline() == want
    assert ran.take() == []


def test_a_lost_result_is_told_and_recomputed_where_it_is_needed(store: str, ran: Any, said: Any) -> None:
    @helix_flow(store=store, policy="always")
    def looking(look: bool) -> int:
        frame = scan(ROWS)
        return len(frame.drop_duplicates()) if look else 0

    looking(False)
    for path in Path(store, "blobs").rglob("*"):
        if path.is_file():
            path.unlink()
    ran.take()

    assert looking(True) == ROWS
    assert ran.take() == ["scan"]
    assert any("no longer holds the results of scan" in line for line in said.warnings)


def test_a_lost_lineage_is_told_and_recomputed(store: str, ran: Any, said: Any) -> None:
    pipeline = helix_flow(store=store, policy="always")(body)
    want = pipeline()
    for path in Path(store, "lineage").iterdir():
        path.unlink()
    for path in Path(store, "blobs").rglob("*"):  # a run that is going on may just have written what is new
        os.utime(path, (1, 1))
    ran.take()

    assert pipeline() == want
    assert ran.take() == ["scan", "total"]
    assert any("The store holds 1 result of no run that is known" in line for line in said.warnings)


def test_mode_verify_names_the_task_that_is_not_what_it_claims(store: str) -> None:
    outcomes = iter([1.0, 2.0])
    seeds = {"next": lambda: next(outcomes)}

    @helix_task(code_version="1")
    def draw() -> float:
        return seeds["next"]()

    def drawing() -> float:
        return draw()

    helix_flow(store=store)(drawing)()
    with pytest.raises(VerificationError, match=r"draw \(recorded 1\.0, now 2\.0 \(\+1\)\)"):
        helix_flow(store=store, mode="verify")(drawing)()


def test_what_waits_for_a_call_that_could_not_begin_does_not_run(store: str, tmp_path: Path, ran: Any) -> None:
    path, gate = tmp_path / "data.txt", threading.Event()

    def loading(number: int) -> Any:
        @helix_task
        def load() -> int:
            assert gate.wait(60)
            RAN.info("load")
            return number

        return load

    @helix_task
    def check(file: File, number: int) -> int:
        RAN.info("check")
        return len(Path(file).read_text()) + number

    @helix_task
    def publish() -> int:
        RAN.info("publish")
        return 1

    loads = [loading(1)]

    @helix_flow(store=store)
    def publishing(change: bool) -> tuple[bool, object]:
        checked = check.submit(File(path), loads[0].submit())
        published = publish.submit(wait_for=[checked])
        if change:
            path.write_text("changed")
        gate.set()
        published.wait()
        return bool(published.state.is_completed()), checked.result(raise_on_failure=False)

    path.write_text("1")
    assert publishing(False) == (True, 2)
    assert ran.take() == ["load", "check", "publish"]
    loads[0] = loading(2)
    gate.clear()
    completed, error = publishing(True)
    assert (completed, type(error)) == (False, FileChangedError)
    assert ran.take() == ["load"]


def test_a_task_that_returns_none_is_told_to_be_a_plain_task(store: str, said: Any) -> None:
    @helix_task
    def notify(message: str) -> None:
        return None

    @helix_flow(store=store)
    def notifying() -> None:
        notify("done")

    notifying()
    assert any("notify returned None" in line and "plain @task" in line for line in said.warnings)


def test_a_cache_key_is_refused_when_the_task_is_defined() -> None:
    def key(context: Any, parameters: dict[str, Any]) -> str:
        return "one"

    with pytest.raises(ConfigurationError, match=r"cache_key_fn.*known by its code and its inputs.*depends_on="):

        @helix_task(cache_key_fn=key)
        def double(x: int) -> int:
            return 2 * x
