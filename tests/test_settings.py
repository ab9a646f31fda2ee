from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from prefect_helix.core.errors import ConfigurationError
from prefect_helix.settings import DEFAULT_BUDGET_BYTES, FlowOptions, resolve


@pytest.mark.parametrize(("said", "seconds"), [(None, 0), ("0", 0), ("600", 600), ("0.5", 0.5)])
def test_runs_wait_for_others_as_long_as_they_are_told(
    monkeypatch: pytest.MonkeyPatch, said: str | None, seconds: float
) -> None:
    if said is not None:
        monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_WAIT", said)
    assert resolve(FlowOptions()).wait_seconds == seconds


@pytest.mark.parametrize("said", ["long", "-1", "inf", "nan"])
def test_a_wait_that_makes_no_sense_is_told(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_WAIT", said)
    with pytest.raises(ConfigurationError, match="Give a number of seconds"):
        resolve(FlowOptions())


def test_how_far_a_run_is_is_shown_as_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(FlowOptions()).progress == "auto"
    monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_PROGRESS", "off")
    assert resolve(FlowOptions()).progress == "off"
    monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_PROGRESS", "loud")
    with pytest.raises(ConfigurationError, match="Use one of 'auto', 'on', 'off'"):
        resolve(FlowOptions())


def test_our_own_pages_are_where_they_are_told_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(FlowOptions()).ui_url == ""
    monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_UI_URL", "http://127.0.0.1:4300/")
    assert resolve(FlowOptions()).ui_url == "http://127.0.0.1:4300"
    for nonsense in ("here", "javascript:alert()", "http://a b"):
        monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_UI_URL", nonsense)
        with pytest.raises(ConfigurationError, match="Give an address"):
            resolve(FlowOptions())


def test_the_share_to_verify_is_as_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(FlowOptions()).verify == 0
    monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_VERIFY", "0.01")
    assert resolve(FlowOptions()).verify == 0.01
    assert [resolve(FlowOptions(verify=share)).verify for share in (0, 1, 0.5)] == [0, 1, 0.5]
    for nonsense in ("1.01", "-1", "nan", "one in a hundred"):
        monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_VERIFY", nonsense)
        with pytest.raises(ConfigurationError, match="Give the share of the reused results"):
            resolve(FlowOptions())


def test_what_is_set_to_nothing_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    unset = resolve(FlowOptions())
    for name in ("STORE", "BUDGET", "POLICY", "MODE", "VERIFY", "COMPRESSION", "WAIT", "PROGRESS"):
        monkeypatch.setenv(f"PREFECT_INTEGRATIONS_HELIX_{name}", "")
    assert resolve(FlowOptions()) == unset


def in_file(folder: Path, monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    """Have the current folder's `prefect.toml` say `setting`."""
    (folder / "prefect.toml").write_text(f"[integrations.helix]\n{setting}\n")
    monkeypatch.chdir(folder)


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("budget = 20000000000", "budget_bytes", 20_000_000_000),
        ("budget = 0", "budget_bytes", 0),
        ('budget = "20GB"', "budget_bytes", 20_000_000_000),
        ("wait = 600", "wait_seconds", 600),
        ("wait = 0.5", "wait_seconds", 0.5),
        ("verify = 1", "verify", 1),
        ("verify = 0.01", "verify", 0.01),
    ],
)
def test_a_file_may_say_numbers_as_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, field: str, value: float
) -> None:
    in_file(tmp_path, monkeypatch, setting)
    assert getattr(resolve(FlowOptions()), field) == value


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("budget = true", "budget=True cannot be used. Give something like '20GB' or 20000000000."),
        ("budget = -1", "budget=-1 cannot be used. Give a number of bytes or a size"),
        ("verify = true", "verify=True cannot be used. Give something like 0.01."),
        ("wait = true", "wait=True cannot be used. Give something like 600."),
        ("wait = [1]", "wait=[1] cannot be used. Give something like 600."),
        ("store = 5", "store=5 cannot be used. Give something like 's3://bucket/helix'."),
        ("policy = 5", "policy=5 cannot be used. Give something like 'auto'."),
        ("mode = false", "mode=False cannot be used. Give something like 'auto'."),
        ("compression = 3", "compression=3 cannot be used. Give something like 'zstd'."),
        ("signing_key = 3", "signing_key=3 cannot be used. Give something like 'helix-key'."),
        ("progress = true", "progress=True cannot be used. Give something like 'off'."),
        ("ui_url = 4300", "ui_url=4300 cannot be used. Give something like 'http://127.0.0.1:4300'."),
    ],
)
def test_what_no_setting_takes_is_told_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, told: str
) -> None:
    in_file(tmp_path, monkeypatch, setting)
    with pytest.raises(ConfigurationError) as found:
        resolve(FlowOptions())
    assert str(found.value).startswith(told)
    assert found.value.setting == setting.partition(" ")[0]


def test_the_budget_goes_by_the_disk_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def free(place: Path) -> SimpleNamespace:
        asked.append(place)
        place.stat()
        return SimpleNamespace(free=3_000_000)

    monkeypatch.setattr(shutil, "disk_usage", free)
    disk = tmp_path / "disk"
    disk.mkdir()
    for store in (disk / "new" / "store", f"file://{disk}/new/store"):
        asked.clear()
        assert resolve(FlowOptions(store=store)).budget_bytes == 300_000
        assert asked == [disk / "new" / "store", disk / "new", disk]
    asked.clear()
    assert resolve(FlowOptions(store="s3://bucket/helix")).budget_bytes == DEFAULT_BUDGET_BYTES
    assert asked == []
