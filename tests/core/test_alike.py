"""What is looked up is what would be found by holding a call against every trace."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_helix.core import history as history_module
from prefect_helix.core.alike import Alike
from prefect_helix.core.graph import Decision
from prefect_helix.core.history import History
from prefect_helix.core.lineage import ParentLink, Result, Trace
from prefect_helix.core.signature import Input, Match, match

TRACE = Trace(
    task="fit",
    key="census:fit",
    call=0,
    signature="s",
    fingerprint="code",
    arguments=(),
    literals="literals",
    parents=(),
    wait_for=(),
    decision=Decision.PRUNE,
    reason="",
    status="completed",
    result=Result("d", True, 1, "m:T", inline=b""),
    compute_us=1,
    load_us=None,
    demanded=False,
    started_us=0,
)
WAITS = st.sampled_from([(), (), ("w",)])


@st.composite
def links(draw: st.DrawFn, *, learned: bool) -> ParentLink:
    signature = draw(st.sampled_from("abc"))
    # of one signature and leaf the digest is known always or never, unless it was learned between two runs
    unknown = draw(st.booleans()) if learned else signature == "c"
    digest = None if unknown else draw(st.sampled_from(["x", "y", "z"]))
    exact = digest is not None and draw(st.integers(0, 3)) > 0
    return ParentLink(signature, draw(st.sampled_from([None, 0])), digest, exact, "df")


@st.composite
def inputs(draw: st.DrawFn, *, learned: bool) -> Input:
    link = draw(links(learned=learned))
    pending = draw(st.booleans())
    digest, exact = (None, False) if pending else (link.digest, link.exact)
    by_digest = draw(st.integers(0, 3)) == 0
    return Input(link.signature, link.leaf, "df", digest, exact, pending=pending, by_digest=by_digest)


@st.composite
def calls(draw: st.DrawFn, *, learned: bool = False) -> tuple[list[Trace], list[Input], tuple[str, ...]]:
    width = draw(st.integers(0, 3))
    rows = draw(
        st.lists(st.tuples(st.lists(links(learned=learned), min_size=width, max_size=width), WAITS), max_size=12)
    )
    traces = [
        replace(TRACE, call=call, signature=f"s{call}", parents=tuple(parents), wait_for=wait_for)
        for call, (parents, wait_for) in enumerate(rows)
    ]
    return traces, draw(st.lists(inputs(learned=learned), min_size=width, max_size=width)), draw(WAITS)


@settings(max_examples=400)
@given(calls())
def test_all_that_match_are_found_newest_first_or_one_of_those_that_may(call) -> None:
    traces, given_inputs, wait_for = call
    kinds = {kind: [t for t in traces[::-1] if match(t, given_inputs, wait_for) is kind] for kind in Match}
    found = [*Alike(traces).like(given_inputs, wait_for)]
    assert [t for t in dict.fromkeys(found) if t in kinds[Match.YES]] == kinds[Match.YES]
    assert kinds[Match.YES] or any(t in kinds[Match.MAYBE] for t in found) == bool(kinds[Match.MAYBE])


@settings(max_examples=400)
@given(calls(learned=True))
def test_all_that_match_are_found_also_where_a_digest_was_learned_meanwhile(call) -> None:
    traces, given_inputs, wait_for = call
    kinds = {kind: [t for t in traces if match(t, given_inputs, wait_for) is kind] for kind in Match}
    found = [*Alike(traces).like(given_inputs, wait_for)]
    assert all(trace in found for trace in kinds[Match.YES])
    assert kinds[Match.YES] or any(t in kinds[Match.MAYBE] for t in found) == bool(kinds[Match.MAYBE])


def test_a_call_is_found_whose_input_had_no_digest_yet() -> None:
    parents = ParentLink("p", None, None, False, "a"), ParentLink("q", None, "d", True, "b")
    trace = replace(TRACE, parents=parents)
    known = [Input("p", None, "a", "c", exact=True), Input("made anew", None, "b", "d", exact=True)]
    assert match(trace, known, ()) is Match.YES
    assert [*Alike([trace]).like(known, ())] == [trace]


def mapped(number: int, run: int) -> Trace:
    link = ParentLink(f"parent {number} {run}", None, f"digest {number}", True, "df")
    return replace(TRACE, call=number, signature=f"s {number} {run}", parents=(link,), started_us=run)


def test_a_map_over_results_is_looked_up_call_by_call() -> None:
    history = History(())
    for run in range(10):
        for number in range(100):
            history.add(mapped(number, run))

    def found(digest: str) -> list[tuple[int, int]]:
        made_anew = [Input("made anew", None, "df", digest, exact=True)]
        same = history.matching("code", "literals", "no such", made_anew, ())
        return [(trace.call, trace.started_us) for trace in same]

    assert len(found("digest 0")) == history_module._FEW + 10  # what was gone through before there was a look-up
    for number in range(100):
        assert found(f"digest {number}") == [(number, run) for run in range(9, -1, -1)]
    assert found("another digest") == []
    history.add(mapped(5, 10))
    assert found("digest 5")[0] == (5, 10)
