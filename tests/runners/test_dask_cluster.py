"""What can happen on a real Dask cluster of two worker processes: values stay there, and records stay right."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from prefect_helix.inputs import Luggage

from .telling import MEGABYTE, told, warnings

STORIES = (
    "moved_bytes",
    "moved_bytes_of_a_load",
    "a_worker_dies",
    "a_value_is_lost",
    "a_sent_value_is_lost",
    "a_value_comes_out_otherwise",
    "an_input_is_changed",
    "brought_and_dropped",
    "a_part_for_many",
    "a_store_of_this_process_only",
    "late",
    "all_threads_are_taken",
    "an_allowed_failure",
    "an_argument_is_changed_meanwhile",
    "an_argument_is_changed_at_once",
    "a_future_of_dask_is_given",
    "an_argument_of_a_module_that_is_copied",
    "a_cluster_of_its_own",
    "a_flow_fails",
    "an_interrupt",
    "an_async_flow",
    "an_edit_beside_workers",
    "a_folder_of_another_machine",
    "a_blob_is_damaged",
    "a_blob_of_a_direct_call_is_damaged",
)
pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        importlib.util.find_spec("prefect_dask") is None, reason="prefect-dask is not installed: pip install .[dask]"
    ),
]


@pytest.fixture(scope="module")
def stories(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """All stories, over a store in a folder."""
    folder = tmp_path_factory.mktemp("project")
    return told("dask", folder, prefect_server, str(folder / "store"), {}, *STORIES)


@pytest.fixture(scope="module")
def on_s3(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Any]]]:
    """The stories of large values, over a store on S3."""
    pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[server]'")
    import s3fs  # noqa: PLC0415
    from moto.server import ThreadedMotoServer  # noqa: PLC0415

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    options = {"key": "helixhelix", "secret": "helixhelix", "endpoint_url": f"http://{host}:{port}"}
    s3fs.S3FileSystem(**options).mkdir("bucket")
    yield told("dask", tmp_path_factory.mktemp("s3"), prefect_server, "s3://bucket/helix", options, *STORIES[:2])
    server.stop()


@pytest.mark.parametrize("place", ["stories", "on_s3"])
def test_a_large_value_never_passes_through_the_flows_process(place: str, request: pytest.FixtureRequest) -> None:
    run, socket_bytes, grown_bytes = request.getfixturevalue(place)["moved_bytes"]

    assert (run["result"], warnings(run)) == ("(39321600.0, 26214400.0)", [])
    assert run["ran"] == ["large", "raised", "raised", "total", "total"]
    assert socket_bytes < MEGABYTE
    assert grown_bytes < 80 * MEGABYTE


@pytest.mark.parametrize("place", ["stories", "on_s3"])
def test_a_stored_value_is_loaded_where_it_is_used(place: str, request: pytest.FixtureRequest) -> None:
    run, socket_bytes, grown_bytes = request.getfixturevalue(place)["moved_bytes_of_a_load"]

    assert (run["result"], run["ran"], warnings(run)) == ("52428800.0", ["raised", "total"], [])
    assert socket_bytes < MEGABYTE
    assert grown_bytes < 80 * MEGABYTE


def test_a_task_whose_worker_dies_crashes_and_the_flow_goes_on(stories: dict[str, list[Any]]) -> None:
    first, again = stories["a_worker_dies"]

    assert first["result"] == again["result"] == repr(("KilledWorker", "Crashed", "2"))
    assert (first["ran"], again["ran"]) == (["dies", "text"], ["dies"])


def test_a_value_that_dask_computes_again_is_recorded_once(stories: dict[str, list[Any]]) -> None:
    first, again = stories["a_value_is_lost"]

    assert (first["ran"].count("table"), first["ran"].count("scaled")) == (2, 1)  # the rest depends on what Dask held
    assert (again["ran"], again["result"]) == ([], first["result"])
    assert warnings(first) == []


def test_a_value_of_the_flows_process_outlives_the_worker_it_was_sent_to(stories: dict[str, list[Any]]) -> None:
    (run,) = stories["a_sent_value_is_lost"]

    assert run["result"] == repr((208_410_000.0, 416_820_000.0))
    assert (run["ran"].count("table"), warnings(run)) == (1, [])


def test_what_was_made_from_another_outcome_of_a_lost_value_is_never_reused(stories: dict[str, list[Any]]) -> None:
    lost, kept = stories["a_value_comes_out_otherwise"]

    assert lost["ran"].count("varying") > 1
    assert (kept["ran"], kept["result"]) == (["total"], repr((20_000.0, 20_000.0)))


def test_what_was_made_from_a_changed_input_is_never_reused(stories: dict[str, list[Any]]) -> None:
    changed, unchanged = stories["an_input_is_changed"]

    assert changed["ran"] == ["table", "total", "zeroed"]
    assert any("zeroed changed its argument 'frame' in place" in line for line in warnings(changed))
    assert unchanged["result"] == "204210000.0"
    # Dask may have given total the very object that zeroed changed, or another worker's copy of it.
    assert changed["result"] in ("(0.0, 0.0)", "(0.0, 204210000.0)")
    assert ("total" in unchanged["ran"]) == (changed["result"] == "(0.0, 0.0)")


def test_what_the_flow_has_had_brought_leaves_memory_with_its_names(stories: dict[str, list[Any]]) -> None:
    (run,) = stories["brought_and_dropped"]

    assert run["result"] == repr([True, True, True])
    assert run["ran"] == ["table", "table", "table", "tagged"]


def test_a_part_of_a_result_is_taken_out_once_for_all_who_take_it(stories: dict[str, list[Any]]) -> None:
    (run,) = stories["a_part_for_many"]

    assert run["result"] == repr(([273_525_000.0, 328_230_000.0, 382_935_000.0], 1))
    assert (run["ran"], warnings(run)) == (["scaled", "scaled", "scaled", "split", "table"], [])


def test_a_store_that_workers_cannot_see_is_told_once_and_costs_time_only(stories: dict[str, list[Any]]) -> None:
    first, again, other = stories["a_store_of_this_process_only"]

    assert [sum("do not see the store" in line for line in run["told"]) for run in (first, other)] == [1, 1]
    assert (first["result"], again["result"], other["result"]) == ("409220000.0", "409220000.0", "613830000.0")
    assert (again["ran"], other["ran"]) == ([], ["scaled", "table", "total"])


def test_what_is_needed_late_is_computed_on_the_cluster(stories: dict[str, list[Any]]) -> None:
    first, again = stories["late"]

    assert (first["result"], again["result"]) == ("None", "False")
    assert first["ran"] == again["ran"] == ["processes_of", "table"]


def test_results_come_though_all_threads_are_taken(stories: dict[str, list[Any]]) -> None:
    run, metrics = stories["all_threads_are_taken"]

    assert run["result"] == repr((20_000, "x"))
    assert metrics == {f"gate{number}": 20_000 for number in range(6)}  # what its tasks logged there
    assert run["ran"] == [*["held"] * 6, "table"]
    assert warnings(run) == []


def test_the_flow_goes_on_while_it_is_open_whether_an_input_fails(stories: dict[str, list[Any]]) -> None:
    (run,) = stories["an_allowed_failure"]

    assert run["result"] == repr(("x", "x", "['x']"))
    assert (run["ran"], warnings(run)) == (["patient", "text", "text"], [])


def test_a_late_call_is_computed_of_what_it_was_called_with_or_not_at_all(stories: dict[str, list[Any]]) -> None:
    (run,) = stories["an_argument_is_changed_meanwhile"]

    told = "Task 'joined' has to"  # be computed after all, but its argument was changed
    assert run["result"] == repr([told, "['x', 1, 2]", told])
    assert run["ran"] == ["joined", "patient"], "the text of an x is known from another story"


def test_what_the_flow_changes_after_a_call_does_not_show_in_it(stories: dict[str, list[Any]]) -> None:
    first, again = stories["an_argument_is_changed_at_once"]

    assert first["result"] == repr([(200_000.0, True), (831_072.0, False)])
    assert first["ran"] == ["large", "summed", "summed"]
    assert (again["result"], again["ran"]) == (first["result"], [])


def test_a_future_of_dask_that_is_an_argument_arrives_as_its_value(stories: dict[str, list[Any]]) -> None:
    (run,) = stories["a_future_of_dask_is_given"]

    assert (run["result"], run["ran"]) == (repr((100.0, 100.0)), ["total", "total"])


def test_an_argument_brings_along_its_class_where_workers_cannot_import_that(stories: dict[str, list[Any]]) -> None:
    (run,) = stories["an_argument_of_a_module_that_is_copied"]

    assert run["result"] == repr(["heavy", "heavy"])


UNPACKED: list[int] = []


class Grain:
    """Takes note of being unpacked."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return unpacked, (self.number,)


def unpacked(number: int) -> Grain:
    UNPACKED.append(number)
    return Grain(number)


def test_what_many_arguments_bring_along_is_unpacked_once_and_only_where_it_arrives() -> None:
    tokenize = pytest.importorskip("dask.tokenize").tokenize
    luggage = Luggage()
    given = [luggage.add(Grain(number)) for number in range(3)]
    luggage.pack()

    assert len(tokenize(given)) == 32, "a part of the name that Dask gives to the call"
    assert UNPACKED == []
    assert [one.number for one in pickle.loads(pickle.dumps(given, protocol=5))] == [0, 1, 2]
    assert UNPACKED == [0, 1, 2]


def test_a_run_that_begins_with_loads_starts_one_cluster(stories: dict[str, list[Any]]) -> None:
    before, after, clusters = stories["a_cluster_of_its_own"]

    assert before["ran"] == ["table", "table", "total", "total"]
    assert (after["ran"], after["result"]) == (["scaled", "scaled", "total", "total"], "[624030000.0, 624090000.0]")
    assert (clusters, warnings(after)) == (1, [])


def test_a_failing_flow_ends_and_leaves_its_queue(stories: dict[str, list[Any]]) -> None:
    (run,) = stories["a_flow_fails"]

    assert run["result"] == repr("ValueError: stop")


def test_an_interrupt_ends_the_flow_though_a_call_is_handed_over_just_then(stories: dict[str, list[Any]]) -> None:
    (run,) = stories["an_interrupt"]

    assert (run["result"], run["ran"]) == (repr("KeyboardInterrupt: "), [])


def test_an_async_flow_is_planned_too(stories: dict[str, list[Any]]) -> None:
    first, again = stories["an_async_flow"]

    assert first["ran"] == ["doubled", "scaled", "table", "total", "total"]
    assert (again["ran"], again["result"]) == ([], first["result"])


def test_what_workers_compute_with_code_from_before_an_edit_is_not_kept(stories: dict[str, list[Any]]) -> None:
    first, edited, again, restarted, last = stories["an_edit_beside_workers"]
    old = repr([6, 8.0, 10])

    assert (first["result"], first["ran"], warnings(first)) == (old, ["priced", "total", "versioned", "weighed"], [])
    assert (edited["result"], edited["ran"]) == (old, ["priced", "versioned", "weighed"])  # as with plain Prefect
    assert (again["result"], again["ran"]) == (old, ["priced", "weighed"])
    for task in ("weighed", "priced"):
        assert sum(f"{task} was computed where helping.weight is not" in line for line in warnings(edited)) == 1
    # Whose version stands for its code has kept its result.
    assert (restarted["result"], restarted["ran"]) == (repr([300, 400.0, 10]), ["priced", "total", "weighed"])
    assert (last["result"], last["ran"], warnings(last)) == (restarted["result"], [], [])


def test_a_damaged_blob_is_computed_again(stories: dict[str, list[Any]]) -> None:
    before, after = stories["a_blob_is_damaged"]

    assert before["ran"] == ["table", "total"]
    assert (after["ran"], after["result"]) == (["scaled", "table", "total"], "613230000.0")
    assert any("table is computed again" in line for line in warnings(after))


def test_a_damaged_blob_of_a_direct_call_is_computed_again(stories: dict[str, list[Any]]) -> None:
    before, after = stories["a_blob_of_a_direct_call_is_damaged"]

    assert before["ran"] == ["table", "total"]
    assert (after["ran"], after["result"]) == (["scaled", "table", "total"], "627030000.0")
    assert any("table is computed again" in line for line in warnings(after))


def test_a_store_that_workers_do_not_see_keeps_what_the_flows_process_computes(stories: dict[str, list[Any]]) -> None:
    first, second = stories["a_folder_of_another_machine"]

    assert (first["result"], second["result"]) == ("417620000.0", "626430000.0")
    assert [sum("do not see the store" in line for line in run["told"]) for run in (first, second)] == [1, 1]
    assert (first["ran"], second["ran"]) == (["scaled", "table", "total"], ["scaled", "total"])
