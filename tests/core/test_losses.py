from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import pytest

from prefect_helix.core import losses as losses_module
from prefect_helix.core.graph import ancestors
from prefect_helix.core.losses import Chances, Expected, Losses
from prefect_helix.core.planner import PlanNode, solve


def drawn(rng: random.Random, size: int) -> list[Expected]:
    """Draw steps of which some share a task and some are stored; loading costs no more than the function itself."""
    steps = []
    for number in range(size):
        compute_us = rng.randint(1, 50)
        steps.append(
            Expected(
                key=f"s{number}",
                task=f"t{rng.randint(0, size)}",
                parents=tuple({f"s{rng.randrange(number)}" for _ in range(rng.randint(0, 3))}) if number else (),
                compute_us=compute_us,
                load_us=rng.randint(0, compute_us),
                demanded=rng.random() < 0.2,
                stored=rng.random() < 0.5,
            )
        )
    return steps


def drawn_chances(rng: random.Random, steps: Sequence[Expected]) -> Chances:
    tasks = {step.task: rng.random() for step in steps if rng.random() < 0.8}
    return Chances(tasks, other=rng.random(), nothing=rng.random(), addition=rng.random())


def best_us(
    steps: Sequence[Expected], stored: Mapping[str, bool], changed: str | None, needed: Collection[str] = ()
) -> int:
    """Return what the cheapest plan costs if a task changes, or nothing, and other steps are needed, too."""
    affected: set[str] = set()
    nodes = []
    for step in steps:
        if step.task == changed or affected & {*step.parents}:
            affected.add(step.key)
        demanded = step.demanded or step.key in needed
        nodes.append(
            PlanNode(
                step.key,
                step.parents,
                step.compute_us,
                step.load_us if stored[step.key] else None,
                original=step.key in affected,
                demanded=demanded or step.key in affected,
            )
        )
    return solve(nodes).cost_us


def expected_loss(steps: Sequence[Expected], chances: Chances, key: str) -> float:
    """Return what is lost without a result, by the cheapest plan for each scenario with it and without it."""
    stored = {step.key: step.stored for step in steps}
    tasks = {step.task for step in steps}
    weights: dict[str | None, float] = {task: chances.tasks.get(task, chances.other) for task in tasks}
    weights[None] = chances.nothing

    def more_us(changed: str | None, needed: Collection[str] = ()) -> int:
        without, with_it = ({**stored, key: one} for one in (False, True))
        return best_us(steps, without, changed, needed) - best_us(steps, with_it, changed, needed)

    loss = sum(weight * more_us(changed) for changed, weight in weights.items())
    taken = {parent for step in steps for parent in step.parents}
    loss += chances.addition * more_us(None, {step.key for step in steps} - taken)
    return loss / (sum(weights.values()) + chances.addition)


def everything(losses: Losses, steps: Sequence[Expected]) -> dict[str, float]:
    return {step.key: losses.loss_us([step.key]) for step in steps}


@pytest.mark.parametrize("seed", range(40))
def test_the_loss_is_what_the_cheapest_plans_cost_more_without_a_result(seed: int) -> None:
    rng = random.Random(seed)
    steps = drawn(rng, rng.randint(1, 14))
    chances = drawn_chances(rng, steps)
    losses = Losses(chances, steps)
    for step in steps:
        assert losses.loss_us([step.key]) == pytest.approx(expected_loss(steps, chances, step.key), abs=1e-9), steps


@pytest.mark.parametrize("seed", range(30))
def test_steps_that_come_one_by_one_are_valued_as_if_all_had_been_known(seed: int) -> None:
    rng = random.Random(seed)
    steps = drawn(rng, 15)
    chances = drawn_chances(rng, steps)
    grown = Losses(chances)
    for step in steps:
        grown.append(step)
    assert everything(grown, steps) == pytest.approx(everything(Losses(chances, steps), steps))


@pytest.mark.parametrize("seed", range(30))
def test_what_is_stored_and_given_up_is_valued_as_if_it_had_always_been_so(seed: int) -> None:
    rng = random.Random(seed)
    steps = drawn(rng, 15)
    chances = drawn_chances(rng, steps)
    changed = Losses(chances, steps)
    for _ in range(25):
        number = rng.randrange(len(steps))
        steps[number] = replace(steps[number], stored=not steps[number].stored)
        changed.flip([steps[number].key])
    assert everything(changed, steps) == pytest.approx(everything(Losses(chances, steps), steps))


@pytest.mark.parametrize("seed", range(30))
def test_the_steps_that_are_affected_are_told(seed: int) -> None:
    rng = random.Random(seed)
    steps = drawn(rng, 15)
    losses = Losses(drawn_chances(rng, steps), steps)
    told = 0
    for _ in range(25):
        losses.affected()
        before = everything(losses, steps)
        losses.flip([rng.choice(steps).key])
        after = everything(losses, steps)
        affected = set(losses.affected())
        assert all(losses.stored(key) for key in affected)
        assert {key for key in before if losses.stored(key) and before[key] != pytest.approx(after[key])} <= affected
        told += len(affected)
    assert told < 25 * len(steps) / 3, "not all of them"


@pytest.mark.parametrize("seed", range(10))
def test_results_that_go_together_are_valued_together(seed: int) -> None:
    rng = random.Random(seed)
    steps = [replace(step, stored=True) for step in drawn(rng, 12)]
    chances = drawn_chances(rng, steps)
    both = [step.key for step in rng.sample(steps, 2) if any(step.key in other.parents for other in steps)]
    losses = Losses(chances, steps)
    apart = []
    for key in both:
        apart.append(losses.loss_us([key]))
        losses.flip([key])
    if both:
        assert Losses(chances, steps).loss_us(both) == pytest.approx(sum(apart))


def test_a_stored_child_shadows_its_parent() -> None:
    steps = [Expected("source", "source", (), 100, 1), Expected("last", "last", ("source",), 1, 1, demanded=True)]
    chances = Chances({}, other=1, nothing=1, addition=0)
    assert Losses(chances, steps).loss_us(["source"]) == pytest.approx((99 + 99) / 3)
    with_child = Losses(chances, [steps[0], replace(steps[1], stored=True)])
    assert with_child.loss_us(["source"]) == pytest.approx(99 / 3), "only if the last one changes"


def test_what_a_step_would_take_that_nobody_needed_so_far_is_worth_something() -> None:
    steps = [
        Expected("source", "source", (), 100, 1),
        Expected("last", "last", ("source",), 1, 1, demanded=True, stored=True),
        Expected("lazy", "lazy", ("source",), 1, 1),
    ]
    losses = Losses(Chances({"source": 1}, other=0, nothing=2, addition=1), steps)
    assert losses.loss_us(["source"]) == pytest.approx(99 / 4)


def test_a_result_that_changes_often_is_valid_for_few_runs() -> None:
    steps = [Expected("a", "a", (), 1, 1), Expected("b", "b", ("a",), 1, 1)]
    losses = Losses(Chances({"a": 1.0, "b": 3.0}, other=0, nothing=0, addition=0), steps)
    assert losses.runs(["a"]) == pytest.approx(1 / (1 - 0.9 * 0.75))
    assert losses.runs(["b"]) == 1


@pytest.mark.parametrize("seed", range(5))
def test_what_making_a_result_again_takes(seed: int) -> None:
    steps = drawn(random.Random(seed), 20)
    losses = Losses(drawn_chances(random.Random(seed), steps), steps)
    parents = {step.key: step.parents for step in steps}
    for step in steps:
        above = {step.key, *ancestors([step.key], parents)}
        assert losses.recreate_us(step.key) == sum(one.compute_us for one in steps if one.key in above)
    open_parents = {step.key: () if step.stored else step.parents for step in steps}
    for step in steps:
        if not step.stored:
            above = {step.key, *ancestors([step.key], open_parents)}
            had = [one.load_us if one.stored else one.compute_us for one in steps if one.key in above]
            assert losses.remake_exceeds(step.key, sum(had) - 1)
            assert not losses.remake_exceeds(step.key, sum(had))


def test_of_the_ancestors_no_more_are_looked_at_than_take_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [Expected(f"s{n}", "t", (f"s{n - 1}",) if n else (), 10, 1, demanded=n == 999) for n in range(1_000)]
    losses = Losses(Chances({}, other=1, nothing=1, addition=1), steps)
    plain, looks = losses_module._Step.cost_us.fget, []
    monkeypatch.setattr(losses_module._Step, "cost_us", property(lambda step: looks.append(step) or plain(step)))
    assert losses.remake_exceeds("s999", 50)
    assert len(looks) == 5


@pytest.mark.parametrize("seed", range(20))
def test_a_loss_is_never_more_than_it_is_known_to_be_at_most(seed: int) -> None:
    rng = random.Random(seed)
    steps = drawn(rng, 15)
    chances = drawn_chances(rng, steps)
    losses = Losses(chances, steps)
    for _ in range(10):
        number = rng.randrange(len(steps))
        steps[number] = replace(steps[number], stored=not steps[number].stored)
        losses.flip([steps[number].key])
        number = rng.randrange(len(steps))
        steps[number] = replace(steps[number], compute_us=rng.randint(1, 50), load_us=rng.randint(0, 50))
        losses.update(steps[number].key, steps[number].compute_us, steps[number].load_us)
        known = Losses(chances, steps)
        for step in steps:
            assert losses.loss_us([step.key]) <= losses.most_loss_us([step.key]) + 1e-9
            assert losses.most_loss_us([step.key]) == pytest.approx(known.most_loss_us([step.key]))


@pytest.mark.parametrize("seed", range(5))
def test_whether_making_a_result_with_nothing_stored_takes_longer_is_told_as_by_the_sum(seed: int) -> None:
    steps = drawn(random.Random(seed), 20)
    losses = Losses(drawn_chances(random.Random(seed), steps), steps)
    for step in steps:
        recreate_us = losses.recreate_us(step.key)
        assert losses.recreate_exceeds(step.key, recreate_us - 1)
        assert not losses.recreate_exceeds(step.key, recreate_us)


def test_what_a_step_really_takes_counts_from_then_on() -> None:
    losses = Losses(Chances({}, other=0, nothing=1, addition=0), [Expected("a", "a", (), 10, 1, demanded=True)])
    losses.update("a", 50, 2)
    assert losses.loss_us(["a"]) == 48


def test_neighbours_change_together_where_there_are_too_many_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [Expected(f"s{n}", f"t{n}", (f"s{n - 1}",) if n else (), 10, 1, demanded=n == 7) for n in range(8)]
    monkeypatch.setattr(losses_module, "SCENARIOS", 4)
    together = Losses(Chances({}, other=1, nothing=0, addition=0), steps)
    pairs = [replace(step, task=f"pair{number // 2}") for number, step in enumerate(steps)]
    monkeypatch.undo()
    as_one = Losses(Chances({}, other=2, nothing=0, addition=0), pairs)
    assert everything(together, steps) == pytest.approx(everything(as_one, pairs))
