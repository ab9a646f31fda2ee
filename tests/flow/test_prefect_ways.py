"""Ways in which Prefect lets tasks be called: the same results, errors and states as with plain tasks."""

from __future__ import annotations

import functools
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pytest
from prefect import flow, task, unmapped
from prefect.futures import PrefectFlowRunFuture, as_completed, wait
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import allow_failure, quote
from pydantic import BaseModel, ConfigDict

from prefect_helix import helix_flow, helix_task

RAN = logging.getLogger("ran")


@helix_task
def add(x: Any, y: int = 1) -> Any:
    RAN.info("add")
    return x + y


@helix_task
def listed(n: int) -> list[int]:
    RAN.info("listed")
    return list(range(n))


@helix_task
def count(items: Any) -> int:
    RAN.info("count")
    return len(items)


@helix_task
def boom(x: int) -> int:
    raise ValueError(f"no {x}")


@helix_task
def large(n: int) -> pd.DataFrame:
    return pd.DataFrame({"a": range(n)})


@helix_task
def stated(x: int) -> Any:
    return Completed(data=x, message="as it is")


@helix_task
def refused(x: int) -> Any:
    return Failed(message="not today")


@task
def plain(x: Any) -> Any:
    return x


@helix_task
def several(x: int) -> Any:
    return [Completed(data=x, message="good"), Failed(message="bad")]


@helix_task
def both(x: int) -> Any:
    return Completed(data=x, message="one"), Completed(data=x, message="two")


@task
def cap(frame: pd.DataFrame) -> None:
    frame.loc[frame["a"] > 9, "a"] = 9


@helix_task
def highest(frame: pd.DataFrame) -> int:
    RAN.info("highest")
    return int(frame["a"].max())


@flow
def inner() -> Any:
    return add.submit(1)


def futures_of_plain_tasks() -> list[Any]:
    future = plain.submit(3)
    return [add(future), add.submit(future).result(), add(plain(3, return_state=True)), add(future, wait_for=[future])]


def map_over_futures() -> list[Any]:
    return [*add.map(plain.map([1, 2]), unmapped(10)).result(), *add.map(add.map([1, 2])).result()]


def results_of_subflows() -> Any:
    return add(inner()), add.submit(inner()).result()


def changed_results_of_futures_and_states() -> list[int]:
    future, state = listed.submit(3), listed(3, return_state=True)
    future.result().append(1)
    state.result().extend([1, 2])
    return [count(future), count(state), count.submit(future).result()]


def states_as_results() -> list[Any]:
    state = stated(3)
    return [state.message, add(state), add(stated.submit(4)), refused(1).message, refused(1, return_state=True).message]


def several_states_as_a_result() -> list[Any]:
    good, bad = several(3)
    ended = several(4, return_state=True)
    return [good.message, bad.message, ended.type, ended.message, add(both(5)[0]), [x.message for x in both(5)]]


def failed_inputs() -> list[Any]:
    future = boom.submit(1)
    wait([future])
    not_ready = add(future, return_state=True)
    return [add(future), add(8, wait_for=[future]), not_ready.is_pending(), not_ready.name]


def caught_failures() -> list[Any]:
    try:
        boom(1)
    except ValueError as error:
        caught = str(error)
    return [caught, boom(2, return_state=True).is_failed(), str(add_text(allow_failure(boom.submit(3))))]


@helix_task
def add_text(error: Any) -> str:
    return f"{type(error).__name__}: {error}"


def completed_in_any_order() -> list[int]:
    return sorted(future.result() for future in as_completed([add.submit(n) for n in range(4)]))


def branches_and_loops() -> int:
    total = 0
    while total < 5:
        total = add(total) if total % 2 else add(total, 2)
    return total if large(50_000).empty else -total


def nested_and_quoted() -> list[Any]:
    return [count([add.submit(1), {"a": large(50_000)}]), count(quote([1, 2])), count(large(50_000))]


def a_long_chain() -> int:
    frame = large(50_000)
    for _ in range(60):
        frame = extended(frame)
    return len(frame)


@helix_task
def extended(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(a=frame["a"] + 1)


WAYS: list[Callable[[], Any]] = [
    futures_of_plain_tasks,
    map_over_futures,
    results_of_subflows,
    changed_results_of_futures_and_states,
    states_as_results,
    several_states_as_a_result,
    failed_inputs,
    caught_failures,
    completed_in_any_order,
    branches_and_loops,
    nested_and_quoted,
    a_long_chain,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_flow_gives_the_same_with_and_without(way: Callable[[], Any], store: str, ran: Any) -> None:
    want = helix_flow(mode="off")(way)()

    assert helix_flow(store=store)(way)() == want
    assert helix_flow(store=store)(way)() == want


def test_a_bounded_task_runner_is_never_blocked_by_what_waits(store: str, ran: Any) -> None:
    @helix_flow(store=store, policy="never", task_runner=ThreadPoolTaskRunner(max_workers=1))
    def narrow(last: int) -> int:
        frame = large.submit(50_000)
        for _ in range(5):
            frame = extended.submit(frame)
        return count.submit(frame).result() + last

    assert (narrow(1), narrow(1)) == (50_001, 50_001)


@helix_task
def settings(n: int) -> int:
    RAN.info("settings")
    return n


@helix_task
def export(n: int) -> list[int]:
    RAN.info("export")
    return [n]


@helix_task(ignore=["exported"])
def read(n: int, exported: list[int] | None = None) -> Any:
    RAN.info("read")
    return n, exported


@pytest.mark.parametrize("taken", [False, True])
def test_a_bounded_task_runner_is_never_blocked_by_what_waits_for_an_open_call(
    store: str, ran: Any, taken: bool
) -> None:
    @helix_flow(store=store, task_runner=ThreadPoolTaskRunner(max_workers=1))
    def narrow(n: int) -> Any:
        exported = export.submit(settings.submit(n))
        last = read.submit(n, exported) if taken else read.submit(n, wait_for=[exported])
        return last.result(timeout=60)

    for n in (1, 2):
        assert narrow(n) == (n, [n] if taken else None)
        assert ran.take() == ["settings", "export", "read"]


def test_a_late_need_for_a_long_pruned_chain_computes_it(store: str, ran: Any) -> None:
    @helix_flow(store=store, policy="never")
    def chain(look: bool) -> int:
        frame = large(50_000)
        for _ in range(120):
            frame = extended(frame)
        return int(frame["a"].max()) if look else count(frame)

    assert chain(False) == chain(False) == 50_000
    assert chain(True) == 49_999 + 120


def logged(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator whose wrapper takes keywords only."""

    @functools.wraps(fn)
    def wrapper(**kwargs: Any) -> Any:
        return fn(**kwargs)

    return wrapper


@helix_task
@logged
def product(x: int, y: int = 2) -> int:
    return x * y


def test_what_is_decorated_gets_its_arguments_as_prefect_gives_them(store: str) -> None:
    @logged
    def main(x: int) -> list[int]:
        return [product(x), product(x, y=3), product.submit(x, 4).result()]

    assert helix_flow(store=store)(main)(x=5) == helix_flow(mode="off")(main)(x=5) == [10, 15, 20]


def end(made: Callable[[], Any]) -> str:
    """What a flow gives, or the kind of its error."""
    try:
        return repr(made())
    except Exception as error:
        return type(error).__name__


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "submitted"])
def test_a_spared_call_does_not_go_past_a_plain_task_that_fails(direct: bool, store: str, ran: Any) -> None:
    wrong: list[str] = []

    @task
    def check() -> None:
        if wrong:
            raise ValueError("bad data")

    def body() -> Any:
        checked = [check.submit()]
        return add(2, wait_for=checked) if direct else add.submit(2, wait_for=checked).result()

    checking = helix_flow(store=store)(body)
    assert (checking(), checking(), ran.take()) == (3, 3, ["add"])
    wrong.append("data")
    plainly, found = (end(made) for made in (helix_flow(mode="off")(body), checking))
    assert (found, ran.take()) == (plainly, [])
    assert "3" not in found
    wrong.clear()
    assert (checking(), ran.take()) == (3, [])


@pytest.mark.parametrize("made", [large, large.submit], ids=["direct", "submitted"])
def test_what_a_submitted_plain_task_changes_in_place_is_another_value(
    made: Callable[[int], Any], store: str, ran: Any
) -> None:
    def body(caps: bool) -> int:
        frame = made(20_000)
        if caps:
            cap.submit(frame).wait()
        return highest(frame)

    looking = helix_flow(store=store, policy="always")(body)
    assert (looking(False), ran.take()) == (19_999, ["highest"])
    assert (looking(True), ran.take()) == (9, ["highest"])
    assert helix_flow(mode="off")(body)(True) == 9
    ran.take()
    assert (looking(False), looking(True), ran.take()) == (19_999, 9, [])


@dataclass
class Batch:
    frame: pd.DataFrame
    rows: int = field(init=False)

    def __post_init__(self) -> None:
        self.rows = len(self.frame)


class Checked(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    frame: pd.DataFrame
    _rows: int = 0

    def model_post_init(self, context: Any, /) -> None:
        self._rows = len(self.frame)


class Labelled(list[Any]):
    def __init__(self, label: str, items: Iterable[Any]) -> None:
        super().__init__(items)
        self.label = label


def grouped(frame: pd.DataFrame) -> defaultdict[str, Any]:
    groups: defaultdict[str, Any] = defaultdict(list)
    groups["all"].append(frame)
    return groups


def labelled(frame: pd.DataFrame) -> Labelled:
    return Labelled("all", [frame])


def checked(frame: pd.DataFrame) -> Checked:
    return Checked(frame=frame)


@helix_task
def told(parts: Any, by: int) -> str:
    RAN.info("told")
    frame = parts.frame if hasattr(parts, "frame") else parts["all"][0] if isinstance(parts, dict) else parts[0]
    return f"{type(parts).__name__} {getattr(parts, 'label', '')} {getattr(parts, 'rows', 0)} {len(frame) * by}"


@task
def told_plainly(parts: Any) -> str:
    return told.fn(parts, 1)


@pytest.mark.parametrize("made", [Batch, checked, labelled, grouped])
def test_a_collection_with_a_constructor_of_its_own_is_handed_on_as_it_is(
    made: Callable[[pd.DataFrame], Any], store: str, ran: Any
) -> None:
    def body(by: int) -> Any:
        parts = made(large(20_000))
        return [told(parts, by), told.submit(parts, by + 1).result(), told_plainly.submit(parts).result()], parts

    telling = helix_flow(store=store, policy="always")(body)
    want = helix_flow(mode="off")(body)(1)[0]
    ran.take()
    for due in (["told"] * 3, ["told"]):
        found, parts = telling(1)
        assert (found, ran.take()) == (want, due)
        assert told.fn(parts, 1) == want[0]
        ran.take()


def test_what_a_try_gave_back_is_not_what_the_next_one_comes_to(store: str) -> None:
    tries: list[int] = []

    @helix_task(retries=1)
    def unlucky() -> Any:
        tries.append(1)
        if len(tries) % 2:
            return Failed(message="not yet")
        raise ValueError("broken")

    for mode in ("off", "auto"):
        with pytest.raises(ValueError, match="broken"):
            helix_flow(store=store, mode=mode)(lambda: unlucky())()


@pytest.mark.filterwarnings("ignore:The task_run_id property:DeprecationWarning")  # Prefect asks each future for it
def test_the_future_of_a_flow_run_is_an_argument(store: str, ran: Any) -> None:
    @flow
    def elsewhere() -> int:
        return 3

    ended = elsewhere(return_state=True)
    future = PrefectFlowRunFuture[int](ended.state_details.flow_run_id)
    future._final_state = ended  # it was waited for; that starts a listener which outlasts the test
    made = helix_flow(store=store)(lambda: [add(future), add.submit(future, 2).result()])

    assert (made(), made(), ran.take()) == ([4, 5], [4, 5], ["add", "add"])
