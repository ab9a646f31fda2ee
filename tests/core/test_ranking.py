from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from prefect_helix.core.ranking import _SPARE, Ranking

STEPS = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 5), st.integers(0, 3)),
    st.tuples(st.just("drop"), st.integers(0, 5), st.none()),
    st.tuples(st.just("take"), st.none(), st.none()),
)


@given(st.lists(STEPS, max_size=60))
def test_the_lowest_is_had_whatever_was_ranked_anew_or_dropped(steps: list[tuple[str, int, int | None]]) -> None:
    ranking: Ranking[int] = Ranking()
    ranks: dict[int, tuple[float, int, int]] = {}
    for how, thing, worth in steps:
        if how == "take":
            lowest = min(ranks, key=ranks.__getitem__, default=None)
            assert ranking.take() == lowest
            ranks.pop(lowest, None)  # type: ignore[arg-type]
        elif worth is None:
            ranking.drop(thing)
            ranks.pop(thing, None)
        else:
            ranks[thing] = (float(worth), 0, thing)
            ranking.put(thing, ranks[thing])


def test_what_does_not_hold_any_more_does_not_pile_up() -> None:
    ranking: Ranking[str] = Ranking()
    for number in range(10 * _SPARE):
        ranking.put("a", (1.0, 0, number))
    assert len(ranking._heap) <= _SPARE + 2
