"""Every way to use Prefect gives the same with `@helix_task` as with `@task`, and only what is due computes."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from prefect import flow, task

from . import (
    features_async,
    features_caching,
    features_calls,
    features_context,
    features_control,
    features_maps,
    features_options,
    features_subflows,
    features_values,
    features_waiting,
)
from .feature import Feature
from .playing import Played, Stage, settled, shown_plans

GROUPS = {
    "calls": features_calls,
    "maps": features_maps,
    "waiting": features_waiting,
    "async": features_async,
    "subflows": features_subflows,
    "options": features_options,
    "caching": features_caching,
    "control": features_control,
    "values": features_values,
    "context": features_context,
}
FEATURES = {f"{group}: {feature.name}": feature for group, module in GROUPS.items() for feature in module.FEATURES}

each_feature = pytest.mark.parametrize("feature", FEATURES.values(), ids=FEATURES)


class Ticking:
    """A clock on which every task body takes a second, so that plans do not hang on how fast the machine is."""

    def __init__(self) -> None:
        self._ticks = itertools.count(step=1_000_000_000)

    def perf_counter_ns(self) -> int:
        return next(self._ticks)


Plays = Callable[[Feature], tuple[dict[str, Played], dict[str, Played]]]


@pytest.fixture(scope="module")
def plays(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plays]:
    """Plays a feature, plain and with ours; the second time it is asked, what came of it is known."""
    known: dict[str, tuple[dict[str, Played], dict[str, Played]]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prefect_helix.clones.time", Ticking())
        stage = Stage(tmp_path_factory.mktemp("stage"), patch)

        def play(feature: Feature) -> tuple[dict[str, Played], dict[str, Played]]:
            if feature.name not in known:
                known[feature.name] = (stage.plain(feature), stage.helix(feature))
            return known[feature.name]

        with stage.settings():
            flow(task(lambda: None, name="any"), name="first")()  # Prefect counts tasks outside of flows to the first
            yield play


@each_feature
def test_results_and_errors_are_those_of_plain_prefect(feature: Feature, plays: Plays) -> None:
    plain, helix = plays(feature)

    assert helix["fresh"].outcome == plain["fresh"].outcome
    assert helix["unchanged"].outcome == plain["fresh"].outcome
    assert helix["edited"].outcome == plain["edited"].outcome


@each_feature
def test_the_bodies_that_are_due_run_and_no_others(feature: Feature, plays: Plays) -> None:
    plain, helix = plays(feature)
    order = sorted if feature.concurrent else list

    assert [order(turn.ran) for turn in helix.values()] == [order(names.split()) for names in feature.ran]
    assert not Counter(helix["fresh"].ran) - Counter(plain["fresh"].ran)
    assert not Counter(helix["edited"].ran) - Counter(plain["edited"].ran)


@each_feature
def test_only_the_warnings_that_are_due_are_given(feature: Feature, plays: Plays) -> None:
    _, helix = plays(feature)
    warnings = {line for turn in helix.values() for line in turn.warnings}

    assert [line for line in warnings if not any(words in line for words in feature.says)] == []
    assert [words for words in feature.says if not any(words in line for line in warnings)] == []


@each_feature
def test_the_server_records_the_same_flow_runs_and_task_runs(feature: Feature, plays: Plays) -> None:
    plain, helix = plays(feature)
    turns = (("fresh", "fresh"), ("unchanged", "fresh"), ("edited", "edited"))
    for turn, like in turns[:1] if feature.differs else turns:
        want = settled(plain[like], lambda found: all(run[2] != "RUNNING" for run in found.task_runs))
        got = settled(helix[turn], lambda found, want=want: found == want)

        assert (got.flow_runs, got.task_runs) == (want.flow_runs, want.task_runs), turn


@each_feature
def test_each_run_that_has_a_plan_tells_and_shows_it(feature: Feature, plays: Plays) -> None:
    plain, helix = plays(feature)

    assert [turn.planned for turn in plain.values()] == [[], []]
    assert [shown_plans(turn) for turn in helix.values()] == [turn.planned for turn in helix.values()]
