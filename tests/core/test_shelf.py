from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pytest

from prefect_helix.core.errors import ConfigurationError
from prefect_helix.core.losses import Chances, Expected, Losses
from prefect_helix.core.lots import Lot, Parcel
from prefect_helix.core.materialization import POLICIES, Candidate, Choice, Policy, policy_named
from prefect_helix.core.prospects import NOW, Key, Prospects
from prefect_helix.core.shelf import Shelf

STEADY = Chances({}, other=1.0, nothing=1.0, addition=0.0)


class Worth:
    """Puts a price on each result by its size."""

    name = "worth"

    def __init__(self, by_size: Mapping[int, float]) -> None:
        self._by_size = by_size

    def worth(self, candidate: Candidate) -> float:
        return self._by_size[candidate.size_bytes]


def key(name: str) -> Key:
    return NOW, name


def parcel(name: str, *blobs: str, size: int = 100, choice: Choice = "auto", write_us: int = 0) -> Parcel:
    """A result in blobs of this size each; by default in one that is named like its step."""
    return Parcel(key(name), dict.fromkeys(blobs or (name,), size), load_us=1, write_us=write_us, choice=choice)


def shelf_of(
    policy: Policy,
    budget_bytes: int,
    *steps: str,
    stored: Iterable[Parcel] = (),
    blobs: Mapping[str, int] | None = None,
    last_used_us: Mapping[str, int] | None = None,
    **options: object,
) -> Shelf:
    """A shelf for steps that do not depend on each other, each demanded."""
    stored = [*stored]
    kept = {one.key[1] for one in stored}
    prospects = Prospects()
    prospects.add(NOW, 1, Losses(STEADY, [Expected(s, s, (), 1000, 1, demanded=True, stored=s in kept) for s in steps]))
    found = {blob: size for one in stored for blob, size in one.blobs.items()}
    shelf = Shelf(policy, budget_bytes, prospects, found | {**(blobs or {})}, last_used_us or {}, **options)  # type: ignore[arg-type]
    for one in stored:
        shelf.expect(one)
    return shelf


def test_what_there_is_room_for_is_stored_if_it_is_worth_anything() -> None:
    shelf = shelf_of(Worth({100: 1.0, 50: 0.0, 30: -1.0}), 1000, "a", "b", "c")
    assert shelf.offer(parcel("a")) == ()
    assert shelf.offer(parcel("b", size=50)) is None
    assert shelf.offer(parcel("c", size=30)) is None
    assert (shelf.blobs, shelf.size_bytes) == ({"a": 100}, 100)


def test_what_nobody_expects_goes_first_and_the_least_recently_used_of_it() -> None:
    shelf = shelf_of(
        Worth({100: 5.0, 200: 1.0}),
        500,
        "a",
        "b",
        stored=[parcel("a")],
        blobs={"old": 100, "older": 100, "new": 100},
        last_used_us={"old": 2, "older": 1, "new": 3},
    )
    assert shelf.offer(parcel("b", size=200)) == ("older",)
    assert set(shelf.blobs) == {"a", "b", "old", "new"}


def test_what_nobody_expects_is_not_gone_through_for_each_result_that_takes_its_place() -> None:
    asked: list[None] = []

    def spared() -> tuple[str, ...]:
        asked.append(None)
        return ()

    steps, old = [f"step{n:03}" for n in range(1000)], [f"old{n:03}" for n in range(1000)]
    shelf = shelf_of(Worth({100: 5.0}), 100_000, *steps, blobs=dict.fromkeys(old, 100), spared=spared)
    assert [blob for step in steps for blob in shelf.offer(parcel(step)) or ()] == old
    assert set(shelf.blobs) == set(steps)
    assert len(asked) < len(steps) / 2


def test_what_is_worth_least_per_byte_goes_for_what_is_clearly_worth_more() -> None:
    stored = [parcel("a", size=100), parcel("b", size=50), parcel("c", size=25)]
    worth = {100: 10.0, 50: 4.0, 25: 4.0, 30: 4.4, 31: 4.5, 60: 15.0}
    steps = ("a", "b", "c", "d")
    assert shelf_of(Worth(worth), 175, *steps, stored=stored).offer(parcel("d", size=30)) is None
    assert shelf_of(Worth(worth), 175, *steps, stored=stored).offer(parcel("d", size=31)) == ("b",)


def test_no_more_goes_than_must() -> None:
    stored = [parcel("a", size=10), parcel("b", size=90)]
    shelf = shelf_of(Worth({10: 0.5, 90: 5.0, 80: 50.0}), 100, "a", "b", "c", stored=stored)
    assert shelf.offer(parcel("c", size=80)) == ("b",)
    assert set(shelf.blobs) == {"a", "c"}


def test_a_result_that_is_larger_than_the_budget_displaces_nothing() -> None:
    shelf = shelf_of(Worth({100: 1.0, 300: 1000.0}), 200, "a", "b", stored=[parcel("a")])
    assert shelf.offer(parcel("b", size=300)) is None
    assert set(shelf.blobs) == {"a"}


def test_what_somebody_is_about_to_load_stays() -> None:
    stored = [parcel("a"), parcel("b")]
    worth = Worth({100: 1.0, 101: 9.0, 40: 9.0})
    shelf = shelf_of(worth, 200, "a", "b", "c", stored=stored, spared=lambda: {"a"})
    assert shelf.offer(parcel("c", size=101)) is None, "b alone is too small"
    assert shelf.offer(parcel("c", size=40)) == ("b",)


def test_equal_content_is_stored_once_and_stays_for_whoever_needs_it() -> None:
    shelf = shelf_of(Worth({100: 1.0, 0: 1.0, 150: 5.0}), 200, "a", "b", "c")
    assert shelf.offer(parcel("a", "one")) == ()
    assert shelf.offer(parcel("b", "one")) == ()
    assert shelf.size_bytes == 100
    assert shelf.offer(parcel("b", "two")) == (), "b was computed again, with another result"
    assert set(shelf.blobs) == {"one", "two"}
    assert shelf.offer(parcel("c", size=150)) == ("one", "two")


def test_a_blob_of_two_results_comes_free_with_the_second_only() -> None:
    both = [parcel("a", "shared", "first"), parcel("b", "shared", "second")]
    shelf = shelf_of(Worth({100: 1.0, 200: 1.0, 150: 50.0}), 300, "a", "b", "c", stored=both)
    assert set(shelf.offer(parcel("c", size=150)) or ()) == {"shared", "first", "second"}
    shelf = shelf_of(Worth({100: 1.0, 80: 50.0}), 300, "a", "b", "c", stored=both)
    assert shelf.offer(parcel("c", size=80)) == ("first",)


@pytest.mark.parametrize("policy", ["helix", "always"])
def test_first_come_first_served(policy: str) -> None:
    shelf = shelf_of(POLICIES[policy], 150, "a", "b")
    assert shelf.offer(parcel("a")) == ()
    assert shelf.offer(parcel("b")) is None


def test_a_task_overrules_the_policy() -> None:
    shelf = shelf_of(Worth({100: 1.0}), 250, "a", "b", "c", stored=[parcel("a")])
    assert shelf.offer(parcel("b", choice="never")) is None
    assert shelf.offer(parcel("b", choice="always")) == ()
    assert shelf.offer(parcel("c", choice="always")) == ("a",)
    assert shelf.offer(parcel("a")) is None


def test_a_result_that_is_not_worth_storing_is_stored_for_now_where_nothing_of_worth_goes() -> None:
    policy = Worth({100: 0.0, 50: 1.0})
    shelf = shelf_of(policy, 150, "a", "b", "c", blobs={"old": 100})
    cheap = parcel("a", write_us=1000)
    assert (shelf.offer(cheap), shelf.lodge(cheap, 7)) == (None, None), "it takes as long to write as to make"
    dear = parcel("a", write_us=999)
    assert (shelf.offer(dear), shelf.lodge(dear, 7)) == (None, ("old",))
    assert shelf.lodged == {key("a"): dear}
    assert shelf.offer(parcel("b", size=50)) == ()
    other = parcel("c", write_us=1)
    assert (shelf.offer(other), shelf.lodge(other, 8)) == (None, ("a",)), "the older goes"
    never = shelf_of(POLICIES["never"], 150, "a")
    assert never.lodge(parcel("a"), 7) is None


@pytest.mark.parametrize(
    ("policy", "budget_bytes", "choice"), [("never", 150, "auto"), ("auto", 0, "auto"), ("auto", 150, "never")]
)
def test_what_is_not_stored_for_now_anyway_is_refused_without_a_look_at_what_it_was_made_from(
    policy: str, budget_bytes: int, choice: Choice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> bool:
        raise AssertionError("its ancestors were looked at")

    monkeypatch.setattr(Losses, "_above", refused)
    assert shelf_of(POLICIES[policy], budget_bytes, "a").lodge(parcel("a", choice=choice), 7) is None


@pytest.mark.parametrize("policy", ["auto", "helix"])
def test_what_would_not_be_worth_its_write_if_all_steps_had_to_be_made_again_is_refused_without_a_look_at_them(
    policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [Expected(f"s{n}", "t", (f"s{n - 1}",) if n else (), 10, 1, demanded=n == 999) for n in range(1_000)]
    prospects = Prospects()
    prospects.add(NOW, 1, Losses(STEADY, steps))
    shelf = Shelf(POLICIES[policy], 1000, prospects, {}, {})

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("its ancestors were looked at")

    monkeypatch.setattr(Losses, "_above", refused)
    monkeypatch.setattr(Losses, "_flip", refused)
    last = Parcel(key("s999"), {"s999": 100}, load_us=1_000_000, write_us=1_000_000)
    assert (shelf.offer(last), shelf.lodge(last, 7)) == (None, None)


def lodged(*steps: Expected) -> list[str]:
    """Compute steps whose results are not worth storing, and take as long to write as to load; tell what is lodged."""
    prospects = Prospects()
    prospects.add(NOW, 1, Losses(STEADY, steps))
    shelf = Shelf(Worth({100: 0.0}), 100 * len(steps), prospects, {}, {})
    for step in steps:
        one = Parcel(key(step.key), {step.key: 100}, load_us=step.load_us, write_us=step.load_us)
        assert shelf.offer(one) is None
        shelf.lodge(one, 7)
    return [step for _, step in shelf.lodged]


def test_a_result_is_stored_for_now_if_making_it_again_from_what_is_so_far_takes_longer() -> None:
    chain = [Expected(f"s{n}", f"s{n}", (f"s{n - 1}",) if n else (), 10, 15) for n in range(10)]
    assert lodged(*chain) == ["s1", "s2", "s4", "s5", "s7", "s8"], "all writes take no longer than the steps so far"
    dear, cheap = Expected("dear", "dear", (), 1000, 15), Expected("cheap", "cheap", ("dear",), 1, 15)
    assert lodged(dear, cheap) == ["dear"], "the other is made from it again as soon as it is loaded"


@pytest.mark.parametrize("gone", [False, True])
def test_what_was_stored_for_now_and_is_gone_has_to_be_made_again(gone: bool) -> None:
    prospects = Prospects()
    steps = [Expected("dear", "dear", (), 1000, 80), Expected("cheap", "cheap", ("dear",), 1, 80)]
    prospects.add(NOW, 1, Losses(STEADY, steps))
    shelf = Shelf(Worth({100: 0.0}), 300, prospects, {}, {})
    dear, cheap = (Parcel(key(step.key), {step.key: 100}, load_us=80, write_us=80) for step in steps)
    assert (shelf.offer(dear), shelf.lodge(dear, 7)) == (None, ())
    if gone:
        shelf.forget("dear")
    assert (shelf.offer(cheap), shelf.lodge(cheap, 8)) == (None, () if gone else None)


def test_what_is_stored_for_now_takes_no_longer_to_write_than_the_steps_took() -> None:
    source = Expected("source", "source", (), 100, 50)
    wide = [Expected(f"f{n:02}", f"f{n:02}", ("source",), 1, 10) for n in range(1, 31)]
    fit = Expected("fit", "fit", tuple(step.key for step in wide), 500, 10)
    found = lodged(source, *wide, fit)
    assert found == ["source", "f01", "f02", "f03", "f04", "f05", "f10", "f20", "f30", "fit"]


@pytest.mark.parametrize("lasting", [False, True])
def test_what_no_later_run_loads_takes_no_room_from_what_one_may(lasting: bool) -> None:
    steps = [Expected("a", "a", (), 1000, 1, demanded=True), Expected("b", "b", (), 500, 1, demanded=True)]
    prospects = Prospects()
    prospects.add(NOW, 1, Losses(STEADY, steps))
    shelf = Shelf(POLICIES["auto"], 100, prospects, {}, {})
    first = replace(parcel("a"), lasting=lasting)
    assert shelf.offer(first) == (() if lasting else None)
    assert shelf.offer(parcel("b")) == (None if lasting else ())
    assert [prospects.stored(key(name)) for name in ("a", "b")] == [lasting, not lasting]


def test_what_no_later_run_loads_is_not_stored_for_now() -> None:
    shelf = shelf_of(Worth({100: 0.0}), 150, "a")
    one = replace(parcel("a", write_us=1), lasting=False)
    assert (shelf.offer(one), shelf.lodge(one, 7)) == (None, None)
    assert (dict(shelf.blobs), shelf.lent) == ({}, set())


def test_a_result_that_no_later_run_loads_stands_for_no_equal_one() -> None:
    steps = [Expected("a", "a", (), 1000, 1), Expected("b", "b", ("a",), 10, 1, demanded=True)]
    prospects = Prospects()
    prospects.add(NOW, 1, Losses(STEADY, steps))
    shelf = Shelf(POLICIES["auto"], 100, prospects, {}, {})
    assert shelf.offer(parcel("a", "one")) == ()
    before = prospects.loss_us([key("a")])
    assert shelf.offer(replace(parcel("b", "one"), lasting=False)) == ()
    assert prospects.loss_us([key("a")]) == before > 0
    shelf.forget("one")
    assert [prospects.stored(key(name)) for name in ("a", "b")] == [False, False]


def test_what_is_stored_stays_if_it_is_worth_that_and_is_idle_else() -> None:
    shelf = shelf_of(Worth({100: 1.0, 50: 0.0}), 500, "a", "b", blobs={"a": 100, "b": 50})
    assert shelf.admit(parcel("a"))
    assert not shelf.admit(parcel("b", size=50))
    assert [blob for blob in ("a", "b") if blob in shelf.idle] == ["b"]


def test_what_is_not_stored_any_more_does_not_stay() -> None:
    shelf = shelf_of(Worth({100: 1.0}), 500, "a", "b", blobs={"b": 100})
    assert not shelf.admit(parcel("a"))
    assert shelf.admit(parcel("b"))
    assert set(shelf.blobs) == {"b"}


def test_a_result_does_not_make_room_for_itself_out_of_what_it_is_made_of() -> None:
    shelf = shelf_of(POLICIES["always"], 250, "a", blobs={"same": 100, "other": 100}, last_used_us={"other": 1})
    assert shelf.offer(parcel("a", "same", "new")) == ("other",)
    assert (set(shelf.blobs), shelf.size_bytes) == ({"same", "new"}, 200)
    policy = Worth({100: 0.0, 200: 0.0})
    shelf = shelf_of(policy, 250, "a", blobs={"same": 100, "other": 100}, last_used_us={"other": 1})
    both = parcel("a", "same", "new", write_us=1)
    assert (shelf.offer(both), shelf.lodge(both, 7)) == (None, ("other",))
    assert shelf.lent == {"new"}, "the other was there before"


def test_of_equal_results_the_task_that_asks_for_most_is_heard() -> None:
    equal = [parcel("a", "blob", choice="never"), parcel("b", "blob")]
    shelf = shelf_of(Worth({100: 9.0, 90: 1.0}), 150, "a", "b", "c", stored=equal)
    assert shelf.offer(parcel("c", size=90)) is None
    equal = [parcel("a", "blob"), parcel("b", "blob", choice="always")]
    shelf = shelf_of(Worth({100: 0.5, 90: 9.0}), 150, "a", "b", "c", stored=equal)
    assert shelf.offer(parcel("c", size=90)) is None


def test_what_found_no_room_is_weighed_again_once_there_is_some() -> None:
    shelf = shelf_of(Worth({100: 5.0, 90: 1.0, 80: 6.0}), 100, "a", "b", "c", stored=[parcel("a")])
    assert shelf.offer(parcel("b", size=90)) is None
    assert shelf.offer(parcel("b", size=90)) is None
    assert shelf.offer(parcel("c", size=80)) == ("a",), "more is offered"
    shelf.forget("c")
    assert shelf.offer(parcel("b", size=90)) == ()


def test_a_lowered_budget_is_kept_whatever_it_takes() -> None:
    stored = [parcel("a"), parcel("b"), parcel("c")]
    last_used_us = {"a": 2, "b": 1, "c": 3}
    shelf = shelf_of(POLICIES["always"], 100, "a", "b", "c", stored=stored, last_used_us=last_used_us)
    assert shelf.make_room() == ("b", "a")
    assert shelf.make_room() == ()


def test_where_what_is_spared_takes_more_than_the_budget_everything_else_goes() -> None:
    stored = [parcel("a"), parcel("b"), parcel("c")]
    shelf = shelf_of(POLICIES["always"], 50, "a", "b", "c", stored=stored, spared=lambda: {"a"})
    assert set(shelf.make_room()) == {"b", "c"}
    assert dict(shelf.blobs) == {"a": 100}


def test_making_room_does_not_look_at_all_results_for_each_that_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"s{number}" for number in range(200)]
    shelf = shelf_of(Worth({100: 1.0}), 2_000, *names, stored=map(parcel, names))
    plain, looks = Lot.parcel.fget, []  # type: ignore[attr-defined]
    monkeypatch.setattr(Lot, "parcel", property(lambda lot: looks.append(lot) or plain(lot)))
    assert len(shelf.make_room()) == 180
    assert len(looks) < 10 * len(names)


def test_what_others_have_just_written_goes_last() -> None:
    shelf = shelf_of(Worth({100: 1.0, 120: 9.0}), 250, "a", "b", stored=[parcel("a")])
    shelf.find({"a": 100, "theirs": 100})
    assert shelf.offer(parcel("b", size=120)) == ("a",)
    shelf.find({"b": 120, "theirs": 100, "more": 100})
    assert set(shelf.make_room()) == {"b"}
    shelf.find({"theirs": 100, "more": 200})
    assert set(shelf.make_room()) == {"more"}


def test_what_is_gone_is_not_counted_any_more() -> None:
    shelf = shelf_of(Worth({100: 1.0}), 200, "a", "b", "c", stored=[parcel("a"), parcel("b")])
    shelf.find({"b": 100})
    shelf.forget("unheard of")
    assert (shelf.size_bytes, shelf.holds(parcel("a"))) == (100, False)
    assert shelf.offer(parcel("c")) == ()


def other_run(prospects: list[Prospects], share: float) -> Sequence[Parcel]:
    """Another run that may come has one step, whose result is stored."""
    prospects[0].add("other", share, Losses(STEADY, [Expected("x", "x", (), 1000, 1, demanded=True, stored=True)]))
    return [Parcel(("other", "x"), {"x": 100}, 1, 0)]


@pytest.mark.parametrize(("share", "gone"), [(5.0, None), (0.2, ("x",))])
def test_a_result_of_another_run_counts_as_that_run_is_likely(share: float, gone: tuple[str, ...] | None) -> None:
    prospects = Prospects()
    prospects.add(NOW, 1, Losses(STEADY, [Expected("a", "a", (), 1000, 1, demanded=True)]))
    shelf = Shelf(POLICIES["auto"], 150, prospects, {"x": 100}, {}, elsewhere=lambda: other_run([prospects], share))
    assert shelf.offer(parcel("a")) == gone


def test_a_policy_without_prices_lets_results_of_other_runs_go() -> None:
    prospects = Prospects()
    prospects.add(NOW, 1, Losses(STEADY, [Expected("a", "a", (), 1000, 1, demanded=True)]))
    shelf = Shelf(POLICIES["always"], 150, prospects, {"x": 100}, {}, elsewhere=lambda: other_run([prospects], 5))
    assert shelf.offer(parcel("a")) == ("x",)


# -- random ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [*POLICIES])
def test_the_budget_is_kept_and_the_books_are_right(policy: str) -> None:
    assert sum(displaced(policy, random.Random(seed)) for seed in range(15)) > 0 or policy == "never"


def displaced(policy: str, rng: random.Random) -> int:
    """Compute each step of a random graph, and some twice, under a budget for some of them; count what went."""
    steps = []
    for number in range(30):
        parents = tuple({f"s{rng.randrange(number)}" for _ in range(rng.randint(0, 2))}) if number else ()
        steps.append(Expected(f"s{number}", f"t{number % 20}", parents, rng.randint(1, 5000), rng.randint(1, 50)))
    sizes = {f"blob{n}": rng.randint(1, 100) for n in range(35)}
    budget_bytes = sum(sizes.values()) // rng.choice([2, 5, 10])
    prospects = Prospects()
    prospects.add(NOW, 1, Losses(STEADY, steps))
    spared: set[str] = set()
    shelf = Shelf(POLICIES[policy], budget_bytes, prospects, {}, {}, spared=lambda: spared)
    there: dict[str, int] = {}
    went = 0
    for step in (*steps, *rng.sample(steps, 10)):
        spared = {blob for blob in there if rng.random() < 0.1}
        names = rng.sample([*sizes], rng.choice([1, 1, 2]))
        one = Parcel(key(step.key), {name: sizes[name] for name in names}, step.load_us, rng.randint(0, 100))
        gone = shelf.offer(one)
        if gone is not None:
            assert not spared & {*gone}
            went += len(gone)
            for blob in gone:
                del there[blob]
            there |= one.blobs
        assert shelf.blobs == there
        assert shelf.size_bytes == sum(there.values()) <= budget_bytes
        assert prospects.stored(key(step.key)) is (gone is not None)
    return went


def test_a_refusal_leaves_everything_as_it_was() -> None:
    rng = random.Random(1)
    refused = 0
    for _ in range(40):
        steps = [
            Expected(f"s{n}", f"t{n}", (f"s{n - 1}",) if n else (), rng.randint(1, 900), 1, stored=n < 8)
            for n in range(9)
        ]
        losses = Losses(STEADY, steps)
        prospects = Prospects()
        prospects.add(NOW, 1, losses)
        stored = [parcel(step.key, size=rng.randint(50, 150)) for step in steps[:8]]
        blobs = {blob: size for one in stored for blob, size in one.blobs.items()}
        shelf = Shelf(POLICIES["auto"], sum(blobs.values()), prospects, blobs, {})
        for one in stored:
            shelf.expect(one)
        before = [(step.key, losses.stored(step.key), losses.loss_us([step.key])) for step in steps]
        if shelf.offer(parcel("s8", size=rng.randint(100, 400))) is None:
            refused += 1
            assert [(step.key, losses.stored(step.key), losses.loss_us([step.key])) for step in steps] == before
            assert shelf.blobs == blobs
    assert refused > 5


def test_what_comes_free_is_what_is_there() -> None:
    shelf = shelf_of(Worth({100: 1.0, 20: 1.0, 101: 0.5, 230: 50.0}), 300, "a", "b", "c", "d")
    for name in ("a", "d"):
        assert shelf.offer(parcel(name)) == ()
    assert shelf.offer(parcel("b", size=101)) is None
    shelf.find({"a": 20, "d": 100})
    assert shelf.offer(parcel("c", size=230)) is not None
    assert shelf.size_bytes <= 300


def test_a_policy_goes_by_its_name_or_is_an_object() -> None:
    own = Worth({})
    assert policy_named(own) is own
    assert policy_named("auto").name == "auto"
    for none in ("greedy", object()):
        with pytest.raises(ConfigurationError, match="policy="):
            policy_named(none)  # type: ignore[arg-type]
