from __future__ import annotations

import pytest

from prefect_helix.core.errors import ConfigurationError
from prefect_helix.settings import FlowOptions, resolve


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
