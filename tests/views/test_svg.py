from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from xml.etree import ElementTree

import pytest

from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Lineage, Trace, run_to_json, trace_to_json
from prefect_helix.views.svg import dag_svg

SVG = "{http://www.w3.org/2000/svg}"
EXTRACTORS = ("age", "education", "occupation", "race", "sex", "relationship", "country", "hours", "gain", "loss")

MakeTrace = Callable[..., Trace]
MakeLineage = Callable[..., Lineage]


@dataclass(frozen=True)
class DrawnBox:
    left: float
    top: float
    width: float
    height: float
    texts: tuple[str, ...]
    tooltip: str

    def overlaps(self, other: DrawnBox) -> bool:
        return (
            self.left < other.left + other.width
            and other.left < self.left + self.width
            and self.top < other.top + other.height
            and other.top < self.top + self.height
        )


def drawn_boxes(text: str) -> list[DrawnBox]:
    return [
        DrawnBox(
            left=float(nested.attrib["x"]),
            top=float(nested.attrib["y"]),
            width=float(nested.attrib["width"]),
            height=float(nested.attrib["height"]),
            texts=tuple(element.text or "" for element in nested.iter(f"{SVG}text")),
            tooltip=nested.findtext(f"{SVG}title") or "",
        )
        for nested in ElementTree.fromstring(text).iterfind(f"{SVG}svg")
    ]


def drawn_edges(text: str) -> Counter[tuple[str, str, bool]]:
    """Follow the lines from the boxes they leave to those they enter: (from, to, dashed)."""
    boxes = drawn_boxes(text)
    found: Counter[tuple[str, str, bool]] = Counter()
    for path in ElementTree.fromstring(text).iterfind(f"{SVG}path[@fill='none']"):
        lines = defaultdict(list)
        for start, end in _lines(path.attrib["d"]):
            lines[start].append(end)
        for box in boxes:
            ends = [start for start in lines if start[1] == box.top + box.height and _above(start, box)]
            while ends:
                end = ends.pop()
                ends.extend(lines[end])
                found.update(
                    (box.texts[0], target.texts[0], "stroke-dasharray" in path.attrib)
                    for target in boxes
                    if 0 < target.top - end[1] < 10 and _above(end, target)
                )
    return found


def _above(point: tuple[float, float], box: DrawnBox) -> bool:
    return box.left < point[0] < box.left + box.width


def _lines(path: str) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    for line in path.split("M")[1:]:
        (x, y), (command, *_) = map(float, re.findall(r"-?\d+", line)[:2]), re.findall("[CVv]", line)
        last = [float(number) for number in re.findall(r"-?\d+", line)][-2:]
        yield (x, y), {"C": (last[0], last[1]), "V": (x, last[1]), "v": (x, y + last[1])}[command]


@pytest.fixture
def census(make_trace: MakeTrace, make_lineage: MakeLineage) -> Lineage:
    """Two readers, a parser, ten extractors, what is made of them, and a model: 21 steps."""
    extracted = [f"extract_{name}" for name in EXTRACTORS]
    parents: dict[str, Sequence[str]] = {
        "read_train": (),
        "read_test": (),
        "parse": ("read_train", "read_test"),
        **dict.fromkeys(extracted, ("parse",)),
        "bucketize": ("extract_age",),
        "interaction": ("extract_education", "extract_occupation"),
        "target": ("parse",),
        "assemble": (*extracted, "bucketize", "interaction"),
        "fit": ("assemble", "target"),
        "predict": ("fit", "assemble"),
        "evaluate": ("predict", "target"),
        "report": (),
    }
    waits = {"report": ("evaluate", "parse"), "evaluate": ("fit",)}
    decisions = list(Decision)
    return make_lineage(
        [
            make_trace(task, parents=of, wait_for=waits.get(task, ()), call=call, decision=decisions[call % 3])
            for call, (task, of) in enumerate(parents.items())
        ]
    )


def test_every_step_has_a_box_and_every_edge_a_line(census: Lineage) -> None:
    text = dag_svg(census)
    assert Counter(box.texts[0] for box in drawn_boxes(text)) == Counter(trace.task for trace in census.traces)
    solid = Counter((p.signature, trace.task, False) for trace in census.traces for p in trace.parents)
    dashed = Counter((signature, trace.task, True) for trace in census.traces for signature in trace.wait_for)
    assert drawn_edges(text) == solid + dashed


@pytest.mark.parametrize("width", [200, 700, 960, 2000])
def test_boxes_lie_apart_and_inside_a_picture_as_wide_as_allowed(census: Lineage, width: int) -> None:
    text = dag_svg(census, width=width)
    root = ElementTree.fromstring(text)
    assert float(root.attrib["width"]) <= width
    _, _, full_width, full_height = map(float, root.attrib["viewBox"].split())
    boxes = drawn_boxes(text)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert all(box.left > 0 and box.left + box.width < full_width for box in boxes)
    assert all(box.top > 0 and box.top + box.height < full_height for box in boxes)


def test_the_header_tells_the_run_the_counts_and_the_time(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    traces = [make_trace("read", decision=Decision.PRUNE), make_trace("fit"), make_trace("score", status="failed")]
    texts = [element.text for element in ElementTree.fromstring(dag_svg(make_lineage(traces))).iterfind(f"{SVG}text")]
    assert texts == [
        "census / cobalt-otter",
        "3 steps · 2.0 s instead of 3.0 s",
        "compute 2 (1 failed)",
        "load 0",
        "prune 1",
    ]


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"compute_us": 4_100_000}, "compute · 4.1 s"),
        ({"compute_us": None}, "compute"),
        ({"decision": Decision.LOAD, "load_us": 20_000}, "load · 20 ms"),
        ({"decision": Decision.PRUNE, "compute_us": 58_000_000}, "prune · saves 58 s"),
        ({"decision": Decision.PRUNE, "compute_us": None}, "prune"),
        ({"status": "failed", "compute_us": 31_000}, "failed · 31 ms"),
    ],
)
def test_a_box_says_decision_time_and_size(
    make_trace: MakeTrace, make_lineage: MakeLineage, fields: dict[str, object], detail: str
) -> None:
    (box,) = drawn_boxes(dag_svg(make_lineage([make_trace("fit", size_bytes=52_000, **fields)])))
    assert box.texts == ("fit", detail, "52 kB")
    assert "its code changed" in box.tooltip


def test_text_has_contrast_for_everybody(census: Lineage, make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    failed = make_lineage([make_trace("fit", status="failed")])
    for lineage in (census, failed):
        root = ElementTree.fromstring(dag_svg(lineage))
        for surface in (root, *root.iterfind(f"{SVG}svg")):
            background = surface.find(f"{SVG}rect")
            assert background is not None
            for element in surface.iterfind(f"{SVG}text"):
                assert _contrast(element.attrib["fill"], background.attrib["fill"]) >= 4.5
            for icon in surface.iterfind(f"{SVG}g/{SVG}circle"):
                assert _contrast(icon.attrib["fill"], background.attrib["fill"]) >= 3
                assert _contrast(icon.attrib["fill"], "#ffffff") >= 3


def _contrast(one: str, other: str) -> float:
    """WCAG 2.2, contrast ratio."""
    dark, light = sorted(map(_luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert('&\"')</script>",
        "]]><!-- &amp; -->",
        "a\x00b\x1b[31m\u202e\ud800\ufffe",
        "長い名前" * 200,
        "W" * 100_000,
        "",
    ],
)
def test_hostile_names_stay_text(make_trace: MakeTrace, make_lineage: MakeLineage, name: str) -> None:
    text = dag_svg(make_lineage([make_trace(name, reason=name)], name=name, flow=name))
    root = ElementTree.fromstring(text.encode())
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg", "rect", "text", "title", "g", "path", "circle"
    }  # fmt: skip
    assert len(text) < 10_000


def test_long_names_are_cut_and_kept_in_the_tooltip(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    name = "extract_the_marital_status_of_everybody"
    (box,) = drawn_boxes(dag_svg(make_lineage([make_trace(name)])))
    assert box.texts[0].endswith("…")
    assert name.startswith(box.texts[0].removesuffix("…"))
    assert name in box.tooltip


def test_of_steps_with_one_signature_the_first_has_the_edges(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    traces = [make_trace("read", call=0), make_trace("read", call=1), make_trace("fit", parents=["read"], call=2)]
    text = dag_svg(make_lineage(traces))
    assert drawn_edges(text) == {("read", "fit", False): 1}
    from_top = sorted(drawn_boxes(text), key=lambda box: box.top)
    assert [(box.texts[0], box.texts[-1]) for box in from_top] == [("read", "#1"), ("fit", "1.0 kB"), ("read", "#2")]


def test_parents_of_another_run_are_left_out(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    text = dag_svg(make_lineage([make_trace("fit", parents=["unknown", "fit"], wait_for=["other"])]))
    assert drawn_edges(text) == Counter()


def test_an_edge_that_takes_a_value_and_waits_is_drawn_once(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    traces = [make_trace("read"), make_trace("fit", parents=["read"], wait_for=["read"], call=1)]
    assert drawn_edges(dag_svg(make_lineage(traces))) == {("read", "fit", False): 1}


def test_a_large_map_is_folded_by_task_and_decision(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    traces = [make_trace("files")]
    for call in range(1, 501):
        decision = Decision.COMPUTE if call % 5 == 0 else Decision.PRUNE
        traces.append(make_trace("scan", f"scan {call}", parents=["files"], call=call, decision=decision))
    traces.append(make_trace("merge", parents=[f"scan {call}" for call in range(1, 501)], call=501))
    text = dag_svg(make_lineage(traces))
    assert sorted(box.texts for box in drawn_boxes(text)) == [
        ("files", "compute · 1.0 s", "1.0 kB"),
        ("merge", "compute · 1.0 s", "1.0 kB"),
        ("scan", "compute · 100 s", "100 kB", "100 calls"),
        ("scan", "prune · saves 6 min 40 s", "400 kB", "400 calls"),
    ]
    assert drawn_edges(text) == {("files", "scan", False): 2, ("scan", "merge", False): 2}


def test_a_small_map_is_drawn_call_by_call(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    lineage = make_lineage([make_trace("scan", str(call), call=call) for call in range(12)])
    assert [box.texts[-1] for box in drawn_boxes(dag_svg(lineage))] == [f"#{call + 1}" for call in range(12)]


def test_folding_loses_no_edge_between_layers(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    """The first `clean` is called before the last reader, whose edge to the folded `clean` must stay."""
    traces = []
    for call in range(40):
        task = "first" if call < 20 else "second"
        traces.append(make_trace(task, f"read {call}", call=2 * call))
        traces.append(make_trace("clean", f"clean {call}", parents=[f"read {call}"], call=2 * call + 1))
    edges = drawn_edges(dag_svg(make_lineage(traces)))
    assert edges == {("first", "clean", False): 1, ("second", "clean", False): 1}


def test_a_long_loop_is_drawn_as_its_body(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    traces = [make_trace("start", "step 0")]
    for call in range(1, 300):
        traces.append(make_trace("step", f"step {call}", parents=[f"step {call - 1}"], call=call))
    text = dag_svg(make_lineage(traces))
    assert [(box.texts[0], box.texts[-1]) for box in drawn_boxes(text)] == [("start", "1.0 kB"), ("step", "299 calls")]
    assert drawn_edges(text) == {("start", "step", False): 1}


def test_a_picture_of_many_tasks_stays_small(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    traces = [
        make_trace(f"task {call}", parents=[f"task {parent}" for parent in range(call)], call=call)
        for call in range(200)
    ]
    text = dag_svg(make_lineage(traces))
    assert len(text) < 10_000
    assert [box.texts[0] for box in drawn_boxes(text)] == ["200 tasks"]


def test_the_size_of_a_picture_is_counted_in_bytes(make_trace: MakeTrace, make_lineage: MakeLineage) -> None:
    traces = [make_trace(f"{call} {'長' * 200}", reason="長" * 300, call=call) for call in range(110)]
    assert len(dag_svg(make_lineage(traces)).encode()) <= 200_000


def test_the_order_of_the_traces_does_not_matter(census: Lineage, make_lineage: MakeLineage) -> None:
    assert dag_svg(make_lineage(census.traces[::-1])) == dag_svg(census)


def test_a_run_without_steps_has_a_picture_too(make_lineage: MakeLineage) -> None:
    assert drawn_boxes(dag_svg(make_lineage([]))) == []


def test_the_picture_does_not_depend_on_the_hash_seed(census: Lineage) -> None:
    program = """
import json, sys
from prefect_helix.core.lineage import Lineage, run_from_json, trace_from_json
from prefect_helix.views.svg import dag_svg
run, *traces = json.load(sys.stdin)
sys.stdout.buffer.write(dag_svg(Lineage(run_from_json(run), tuple(map(trace_from_json, traces)))).encode())
"""
    data = json.dumps([run_to_json(census.run), *map(trace_to_json, census.traces)]).encode()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        drawn = subprocess.run(
            [sys.executable, "-c", program], input=data, env=environment, capture_output=True, check=True
        )
        assert drawn.stdout.decode() == dag_svg(census)
