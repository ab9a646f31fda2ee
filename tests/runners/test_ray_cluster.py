"""What can happen on a real Ray of this machine: values stay in its object store, and records stay right."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from .telling import MEGABYTE, told, warnings

STORIES = ("moved_bytes", "moved_bytes_of_a_load", "a_store_of_this_process_only", "late", "an_async_flow")
pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        importlib.util.find_spec("prefect_ray") is None, reason="prefect-ray is not installed: pip install .[ray]"
    ),
]


@pytest.fixture(scope="module")
def stories(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """All stories, over a store in a folder."""
    folder = tmp_path_factory.mktemp("project")
    return told("ray", folder, prefect_server, str(folder / "store"), {}, *STORIES)


def test_a_large_value_never_passes_through_the_flows_process(stories: dict[str, list[Any]]) -> None:
    run, got_bytes, grown_bytes = stories["moved_bytes"]

    assert (run["result"], warnings(run)) == ("(39321600.0, 26214400.0)", [])
    assert run["ran"] == ["large", "raised", "raised", "total", "total"]
    assert 0 < got_bytes < MEGABYTE
    assert grown_bytes < 80 * MEGABYTE


def test_a_stored_value_is_loaded_where_it_is_used(stories: dict[str, list[Any]]) -> None:
    run, got_bytes, grown_bytes = stories["moved_bytes_of_a_load"]

    assert (run["result"], run["ran"], warnings(run)) == ("52428800.0", ["raised", "total"], [])
    assert 0 < got_bytes < MEGABYTE
    assert grown_bytes < 80 * MEGABYTE


def test_a_store_that_workers_cannot_see_is_told_once_and_costs_time_only(stories: dict[str, list[Any]]) -> None:
    first, again, other = stories["a_store_of_this_process_only"]

    assert [sum("do not see the store" in line for line in run["told"]) for run in (first, other)] == [1, 1]
    assert (first["result"], again["result"], other["result"]) == ("409220000.0", "409220000.0", "613830000.0")
    assert (again["ran"], other["ran"]) == ([], ["scaled", "table", "total"])


def test_what_is_needed_late_is_computed_on_the_cluster(stories: dict[str, list[Any]]) -> None:
    first, again = stories["late"]

    assert (first["result"], again["result"]) == ("None", "False")
    assert first["ran"] == again["ran"] == ["processes_of", "table"]


def test_an_async_flow_is_planned_too(stories: dict[str, list[Any]]) -> None:
    first, again = stories["an_async_flow"]

    assert first["ran"] == ["doubled", "scaled", "table", "total", "total"]
    assert (again["ran"], again["result"]) == ([], first["result"])
