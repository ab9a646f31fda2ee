from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from prefect_helix.views.boxes import Edge
from prefect_helix.views.layout import BOX_GAP, BOX_WIDTH, LANE_GAP, Layout, layout

WIDTH = 4 * BOX_WIDTH + 3 * BOX_GAP


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[Edge]]:
    count = draw(st.integers(1, 30))
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda pair: pair[0] < pair[1])
    chosen = draw(st.dictionaries(pairs, st.booleans(), max_size=60)) if count > 1 else {}
    return count, [Edge(source, target, waits) for (source, target), waits in chosen.items()]


def paths(placed: Layout) -> set[Edge]:
    """The edges that the segments draw: from a box over bends to a box."""
    below = defaultdict(list)
    for segment in placed.segments:
        below[segment.source, segment.waits].append(segment.target)
    found = set()
    for box in range(placed.boxes):
        for waits in (False, True):
            stack = list(below[box, waits])
            while stack:
                vertex = stack.pop()
                if vertex < placed.boxes:
                    found.add(Edge(box, vertex, waits))
                else:
                    stack.extend(below[vertex, waits])
    return found


@given(graphs())
def test_the_segments_draw_the_edges_and_no_others(graph: tuple[int, list[Edge]]) -> None:
    count, edges = graph
    assert paths(layout(count, edges, WIDTH)) == set(edges)


@given(graphs())
def test_segments_lead_from_a_row_to_the_next(graph: tuple[int, list[Edge]]) -> None:
    placed = layout(*graph, WIDTH)
    assert all(placed.row[s.target] == placed.row[s.source] + 1 for s in placed.segments)


@given(graphs())
def test_boxes_and_bends_keep_their_distance_and_stay_inside(graph: tuple[int, list[Edge]]) -> None:
    placed = layout(*graph, WIDTH)
    rows = defaultdict(list)
    for vertex, (row, x) in enumerate(zip(placed.row, placed.x, strict=True)):
        half = BOX_WIDTH // 2 if vertex < placed.boxes else 0
        assert x - half >= 0
        assert x + half <= placed.width
        rows[row].append((x - half, x + half))
    for spans in rows.values():
        assert all(right + LANE_GAP - 1 <= left for (_, right), (left, _) in pairwise(sorted(spans)))


@given(graphs())
def test_no_row_has_more_boxes_than_the_width_holds(graph: tuple[int, list[Edge]]) -> None:
    placed = layout(*graph, WIDTH)
    rows = placed.row[: placed.boxes]
    assert max(map(rows.count, rows)) <= 4


def test_children_are_centred_below_their_parent() -> None:
    placed = layout(4, [Edge(0, child, False) for child in (1, 2, 3)], WIDTH)
    assert placed.x == (placed.width // 2, BOX_WIDTH // 2, placed.width // 2, placed.width - BOX_WIDTH // 2)


def test_crossings_that_can_be_avoided_are_avoided() -> None:
    placed = layout(6, [Edge(0, 5, False), Edge(1, 4, False), Edge(2, 3, False)], WIDTH)
    order = sorted(range(3), key=lambda box: placed.x[box])
    assert sorted(range(3, 6), key=lambda box: placed.x[box]) == [5 - box for box in order]


def test_a_long_edge_runs_straight_beside_the_boxes_it_passes() -> None:
    """It leaves one of four boxes side by side, and enters the only box of the last row."""
    readers = [Edge(box, 4, False) for box in range(4)]
    chain = [Edge(box, box + 1, False) for box in range(4, 9)]
    placed = layout(10, [*readers, *chain, Edge(0, 9, False)], WIDTH)
    bends = placed.x[placed.boxes :]
    assert len(bends) == 5
    assert max(bends) - min(bends) <= 1


def test_long_edges_of_one_box_share_their_bends() -> None:
    chain = [Edge(box, box + 1, False) for box in range(6)]
    several = layout(7, [*chain, *(Edge(0, target, False) for target in range(2, 7))], WIDTH)
    assert len(several.x) == 7 + 5


def test_a_source_goes_to_the_row_above_its_only_child() -> None:
    placed = layout(4, [Edge(0, 1, False), Edge(1, 3, False), Edge(2, 3, False)], WIDTH)
    assert placed.row == (0, 1, 1, 2)


def test_boxes_without_edges_go_below() -> None:
    assert layout(3, [Edge(0, 2, False)], WIDTH).row == (0, 2, 1)


def test_a_wide_layer_is_spread_evenly_over_rows() -> None:
    assert layout(10, [], WIDTH).row == (0, 0, 0, 0, 1, 1, 1, 2, 2, 2)


def test_nothing_takes_no_room() -> None:
    assert layout(0, [], WIDTH) == Layout(0, (), (), 0, ())
