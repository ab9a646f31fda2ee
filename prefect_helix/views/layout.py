"""Where the boxes and edges of a layered drawing go (after Sugiyama, Tagawa, Toda, IEEE SMC-11, 1981).

Edges lead down. A layer that is wider than the page takes several rows. An edge that passes rows on its way is bent
around their boxes; the long edges that leave (or enter) one box share their bends, so that they run as one line.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from prefect_helix.views.boxes import Edge, longest_path

BOX_WIDTH = 208
LANE_GAP = 12
BOX_GAP = 2 * LANE_GAP
"""Room in px beside a line that passes between boxes, and between two boxes."""

_ORDER_SWEEPS = 12
_PLACE_SWEEPS = 12
_ALIGN_SWEEPS = 8
_BEND_WEIGHT = 32.0


@dataclass(frozen=True, slots=True)
class Layout:
    """A drawing of `boxes` boxes; the vertices after them are bends.

    Attributes:
        boxes: How many of the vertices are boxes.
        row: Row of each vertex, from 0 at the top.
        x: Centre of each vertex in px, from 0 at the left.
        width: Width of the drawing in px.
        segments: Edges between vertices of neighbouring rows; an edge is a path over bends.
    """

    boxes: int
    row: tuple[int, ...]
    x: tuple[int, ...]
    width: int
    segments: tuple[Edge, ...]


def layout(boxes: int, edges: Sequence[Edge], width: int) -> Layout:
    """Return where `boxes` boxes and the `edges` between them go; the same for the same input.

    Args:
        boxes: Number of boxes; each edge's source is less than its target.
        edges: At most one for each pair.
        width: Room in px; the drawing is wider only if one box, or the lines that pass one row, need more.

    Complexity: O((boxes + bends + segments) log segments) for each of a fixed number of sweeps.
    """
    columns = max(1, (width + BOX_GAP) // (BOX_WIDTH + BOX_GAP))
    row = _rows(_layers(boxes, edges), columns)
    segments = _bend(row, edges)
    order = _order(row, segments)
    x = _place(order, segments, boxes, width)
    half = [BOX_WIDTH / 2 if v < boxes else 0 for v in range(len(row))]
    left = min((x[v] - half[v] for v in range(len(row))), default=0)
    right = max((x[v] + half[v] for v in range(len(row))), default=0)
    return Layout(boxes, tuple(row), tuple(round(c - left) for c in x), round(right - left), tuple(segments))


def _layers(boxes: int, edges: Sequence[Edge]) -> list[int]:
    """Return longest-path layers, with boxes that have more children than parents drawn down to their children."""
    layers = longest_path(boxes, edges)
    children: dict[int, list[int]] = defaultdict(list)
    parents: Counter[int] = Counter()
    for edge in edges:
        children[edge.source].append(edge.target)
        parents[edge.target] += 1
    for box in reversed(range(boxes)):
        if len(children[box]) > parents[box]:
            layers[box] = min(layers[child] for child in children[box]) - 1
    if edges:
        last = max(layers) + 1
        for box in range(boxes):
            if not children[box] and not parents[box]:
                layers[box] = last
    return layers


def _rows(layers: Sequence[int], columns: int) -> list[int]:
    """Return the row of each box: layers in order, each in as few rows as hold it, filled evenly."""
    members: dict[int, list[int]] = defaultdict(list)
    for box, layer in enumerate(layers):
        members[layer].append(box)
    row = [0] * len(layers)
    first = 0
    for layer in sorted(members):
        boxes = members[layer]
        count = -(-len(boxes) // columns)
        for position, box in enumerate(boxes):
            row[box] = first + position * count // len(boxes)
        first += count
    return row


def _bend(row: list[int], edges: Sequence[Edge]) -> list[Edge]:
    """Return segments between neighbouring rows; bends are appended to `row`."""
    long = [edge for edge in edges if row[edge.target] - row[edge.source] > 1]
    leaving = Counter((edge.source, edge.waits) for edge in long)
    entering = Counter((edge.target, edge.waits) for edge in long)
    bends: dict[tuple[bool, int, bool, int], int] = {}
    segments: dict[Edge, None] = {}
    for edge in edges:
        by_source = leaving[edge.source, edge.waits] >= entering[edge.target, edge.waits]
        owner = edge.source if by_source else edge.target
        previous = edge.source
        for passed in range(row[edge.source] + 1, row[edge.target]):
            bend = bends.setdefault((by_source, owner, edge.waits, passed), len(row))
            if bend == len(row):
                row.append(passed)
            segments[Edge(previous, bend, edge.waits)] = None
            previous = bend
        segments[Edge(previous, edge.target, edge.waits)] = None
    return list(segments)


def _neighbours(count: int, segments: Iterable[Edge]) -> tuple[list[list[int]], list[list[int]]]:
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    for segment in segments:
        above[segment.target].append(segment.source)
        below[segment.source].append(segment.target)
    return above, below


def _order(row: Sequence[int], segments: Sequence[Edge]) -> list[list[int]]:
    """Return the vertices of each row from left to right, with few crossings (barycentre sweeps)."""
    order: list[list[int]] = [[] for _ in range(max(row, default=-1) + 1)]
    for vertex, at in enumerate(row):
        order[at].append(vertex)
    above, below = _neighbours(len(row), segments)
    best, fewest = [list(vertices) for vertices in order], _crossings(order, below)
    for sweep in range(_ORDER_SWEEPS):
        if fewest == 0:
            break
        if sweep % 2 == 0:
            for fixed, free in pairwise(order):
                _sort_by_barycentre(free, fixed, above)
        else:
            for fixed, free in pairwise(reversed(order)):
                _sort_by_barycentre(free, fixed, below)
        crossings = _crossings(order, below)
        if crossings < fewest:
            best, fewest = [list(vertices) for vertices in order], crossings
    return best


def _sort_by_barycentre(free: list[int], fixed: Sequence[int], neighbours: Sequence[Sequence[int]]) -> None:
    """Sort the row `free` by the mean position of its neighbours in `fixed`; who has none keeps its place."""
    position = {vertex: (i + 0.5) / len(fixed) for i, vertex in enumerate(fixed)}
    wanted = {v: _mean([position[w] for w in neighbours[v]], (i + 0.5) / len(free)) for i, v in enumerate(free)}
    free.sort(key=wanted.__getitem__)


def _crossings(order: Sequence[Sequence[int]], below: Sequence[Sequence[int]]) -> int:
    crossings = 0
    for upper, lower in pairwise(order):
        position = {vertex: i for i, vertex in enumerate(lower)}
        ends: list[int] = []
        for vertex in upper:
            own = sorted(position[child] for child in below[vertex])
            crossings += sum(len(ends) - bisect_right(ends, end) for end in own)
            for end in own:
                insort(ends, end)
    return crossings


def _place(order: Sequence[Sequence[int]], segments: Sequence[Edge], boxes: int, width: int) -> list[float]:
    """Return centres that keep each row's order and gaps, as near to their neighbours' as that allows.

    Boxes go between their neighbours; at the end the bends of one line go below each other.
    """
    gaps = [[_gap(a, b, boxes) for a, b in pairwise(vertices)] for vertices in order]
    margins = [[BOX_WIDTH / 2 if v < boxes else 0.0 for v in (vertices[0], vertices[-1])] for vertices in order]
    room = max([float(width), *(sum(gap) + sum(margin) for gap, margin in zip(gaps, margins, strict=True))])
    above, below = _neighbours(sum(map(len, order)), segments)
    both = [a + b for a, b in zip(above, below, strict=True)]
    after, before = (
        both[:boxes] + [[w for w in near if w >= boxes] for near in side[boxes:]] for side in (above, below)
    )
    x = [room / 2] * len(both)
    for down, up, sweeps in (
        (above, below, _PLACE_SWEEPS),
        (both, both, _PLACE_SWEEPS),
        (after, before, _ALIGN_SWEEPS),
    ):
        for sweep in range(sweeps):
            near, rows = (up, reversed(range(len(order)))) if sweep % 2 else (down, range(len(order)))
            for row in rows:
                vertices = order[row]
                wanted = [_mean([x[w] for w in near[v]], x[v]) for v in vertices]
                weights = [1.0 if v < boxes else _BEND_WEIGHT for v in vertices]
                low, high = margins[row][0], room - margins[row][1]
                for vertex, centre in zip(vertices, _spread(wanted, weights, gaps[row], low, high), strict=True):
                    x[vertex] = centre
    return x


def _gap(left: int, right: int, boxes: int) -> float:
    is_box = (left < boxes) + (right < boxes)
    return (LANE_GAP, BOX_WIDTH / 2 + LANE_GAP, BOX_WIDTH + BOX_GAP)[is_box]


def _spread(
    wanted: Sequence[float], weights: Sequence[float], gaps: Sequence[float], low: float, high: float
) -> list[float]:
    """Return the places nearest to `wanted` (least squares) that keep the gaps: isotonic regression by pooling."""
    shift = [0.0]
    for gap in gaps:
        shift.append(shift[-1] + gap)
    pools: list[tuple[float, float, int]] = []
    for want, weight, moved in zip(wanted, weights, shift, strict=False):
        mean, mass, count = want - moved, weight, 1
        while pools and pools[-1][0] >= mean:
            other, other_mass, other_count = pools.pop()
            mean = (mean * mass + other * other_mass) / (mass + other_mass)
            mass, count = mass + other_mass, count + other_count
        pools.append((mean, mass, count))
    flat = [min(max(mean, low), high - shift[-1]) for mean, _, count in pools for _ in range(count)]
    return [base + moved for base, moved in zip(flat, shift, strict=False)]


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
