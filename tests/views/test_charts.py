"""Charts and treemaps: what is drawn is where it belongs, and nothing that is given to them can break them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_helix.views.charts import MAX_PANELS, Part, Version, line_chart, sparkline, stacked_bars
from prefect_helix.views.treemap import MAX_TILES, Area, Tile, squarified, treemap

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</svg><script>alert('&\"')</script>\x00\x1b\u202e\ud800"


def versions(count: int) -> list[Version]:
    return [Version(f"v{i}", f"run {i}", f"/run?id={i}") for i in range(count)]


def dots(picture: str) -> list[tuple[float, float]]:
    circles = ElementTree.fromstring(picture).iter(f"{SVG}circle")
    return [(float(one.attrib["cx"]), float(one.attrib["cy"])) for one in circles]


def texts(picture: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def line_paths(picture: str) -> list[str]:
    paths = ElementTree.fromstring(picture).iter(f"{SVG}path")
    return [path.attrib["d"] for path in paths if path.attrib.get("stroke-linejoin")]


def test_a_line_goes_up_where_the_metric_does_and_breaks_where_it_is_missing() -> None:
    picture = line_chart({"accuracy": [0.8, 0.9, None, 0.85, float("nan")]}, versions(5), title="Metrics")
    (first, second, fourth) = dots(picture)
    assert first[0] < second[0] < fourth[0]
    assert second[1] < fourth[1] < first[1]
    (path,) = line_paths(picture)
    assert path.count("M") == 2
    assert {"accuracy", "0.80", "0.85", "0.90"} <= {*texts(picture)}
    assert texts(picture)[-1] == "v4"


def test_each_metric_has_an_axis_of_its_own() -> None:
    picture = line_chart({"loss": [0.1, 0.2], "rows": [9_800.0, 9_900.0]}, versions(2), title="Metrics")
    ys = [y for _, y in dots(picture)]
    assert ys[0] > ys[1] and ys[2] > ys[3]
    assert min(ys[2:]) > max(ys[:2]), "one panel below the other"


def test_thousands_of_metrics_are_told_by_number() -> None:
    picture = line_chart({f"metric {i}": [1.0] for i in range(5_000)}, versions(1), title="Metrics")
    assert len(line_paths(picture)) == MAX_PANELS
    assert f"and {5_000 - MAX_PANELS} more" in texts(picture)


def test_labels_do_not_touch_and_the_last_one_is_among_them() -> None:
    picture = line_chart({"m": [1.0] * 300}, [Version(f"11-26 18:{i:03}") for i in range(300)], title="Metrics")
    shown = [e for e in ElementTree.fromstring(picture).iter(f"{SVG}text") if (e.text or "").startswith("11-26")]
    assert (shown[-1].text or "").endswith("299")
    xs = [float(element.attrib["x"]) for element in shown]
    assert min(b - a for a, b in pairwise(xs)) > 11 * 6


def test_bars_are_stacked_without_gaps_and_say_what_they_are() -> None:
    parts = [
        Part("compute", "compute-line", "full", [30_000_000, 0]),
        Part("load", "load-line", "narrow", [10_000_000, 5_000_000]),
        Part("saved", "prune-line", "hollow", [None, 60_000_000]),
    ]
    picture = stacked_bars(parts, versions(2), title="Time")
    bars = list(ElementTree.fromstring(picture).iter(f"{SVG}g"))
    told = [bar.findtext(f"{SVG}title") for bar in bars]
    assert told == [
        "run 0\ncompute 30 s\nload 10 s\nsaved unknown",
        "run 1\ncompute 0 s\nload 5.0 s\nsaved 60 s",
    ]
    computed, loaded = ([float(r.attrib[k]) for k in ("y", "height")] for r in list(bars[0].iter(f"{SVG}rect"))[1:])
    assert computed[1] == pytest.approx(3 * loaded[1], abs=0.1)
    assert loaded[0] + loaded[1] == pytest.approx(computed[0], abs=0.1)
    assert texts(picture)[:3] == ["compute", "load", "saved"]


@pytest.mark.parametrize("highest_us", [0, 1, 7, 900, 12_345, 4_000_000, 59_000_000, 3_599_000_000, 10**13, 2**62])
def test_ticks_of_time_are_few_and_reach_the_highest_bar(highest_us: int) -> None:
    picture = stacked_bars([Part("compute", "series", "full", [highest_us])], versions(1), title="Time")
    assert 2 <= len(texts(picture)) - 2 <= 6
    for bar in list(ElementTree.fromstring(picture).iter(f"{SVG}rect"))[1:]:
        assert float(bar.attrib["y"]) >= 0


def test_a_click_leads_to_the_run_and_the_keyboard_passes_by() -> None:
    for picture in (
        line_chart({"m": [1.0, 2.0]}, versions(2), title="m"),
        stacked_bars([Part("compute", "series", "full", [1, 2])], versions(2), title="t"),
    ):
        links = [*ElementTree.fromstring(picture).iter(f"{SVG}a")]
        assert [link.attrib["href"] for link in links] == ["/run?id=0", "/run?id=1"]
        assert {link.attrib["tabindex"] for link in links} == {"-1"}
        assert 'role="group"' in picture, "what holds links is no single image"


@given(st.lists(st.one_of(st.none(), st.floats(), st.integers(-(2**63), 2**63)), max_size=12))
def test_any_numbers_make_a_picture_with_finite_coordinates(values: list[float | None]) -> None:
    known = versions(len(values))
    amounts = [None if v is None or not math.isfinite(v) else min(2**63, int(abs(v))) for v in values]
    for picture in (
        line_chart({HOSTILE: values}, known, title=HOSTILE),
        sparkline(values, title=HOSTILE),
        stacked_bars([Part(HOSTILE, "series", "hollow", amounts)], known, title=HOSTILE),
    ):
        root = ElementTree.fromstring(picture)
        assert not root.findall(f".//{SVG}script")
        for element in root.iter():
            for name in ("x", "y", "cx", "cy", "width", "height", "d"):
                assert not re.search("nan|inf", element.attrib.get(name, ""))


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=40))
def test_squarified_areas_are_in_proportion_and_do_not_overlap(sizes: Sequence[int]) -> None:
    sizes = sorted(sizes, reverse=True)
    areas = squarified(sizes, Area(0, 0, 900, 300))
    whole = sum(sizes)
    for size, area in zip(sizes, areas, strict=True):
        assert area.width * area.height == pytest.approx(size / whole * 270_000, rel=1e-6, abs=1e-6)
    for one, other in combinations(areas, 2):
        across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
        down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
        assert min(across, down) < 1e-6


def test_equal_sizes_are_nearly_squares() -> None:
    areas = squarified([1.0] * 12, Area(0, 0, 400, 300))
    assert max(max(a.width / a.height, a.height / a.width) for a in areas) < 1.5


def test_a_treemap_names_what_has_room_and_tells_the_rest_when_pointed_at() -> None:
    tiles = [Tile("census", "read", 900_000_000, "3 files", "/flow?name=census"), Tile("census", "fit", 1_000)]
    picture = treemap([*tiles, Tile("<b>", HOSTILE, 100_000_000), Tile("none", "empty", 0)], title="Store")
    root = ElementTree.fromstring(picture)
    assert {"census · 900 MB", "read", "900 MB"} <= {*texts(picture)}
    told = [title.text for title in root.iter(f"{SVG}title")]
    assert "census · read\n900 MB\n3 files" in told and "census · fit\n1.0 kB" in told
    assert not root.findall(f".//{SVG}script")
    assert "empty" not in picture


def test_a_treemap_of_thousands_is_of_a_few_hundred_tiles() -> None:
    picture = treemap([Tile("flow", f"task {i}", 10_000 - i) for i in range(5_000)], title="Store")
    assert len(picture) < 200_000
    assert f"{5_000 - MAX_TILES} smaller ones" in picture
