"""A store that somebody made to harm whoever looks at it: all of it is text, and nothing outside of it is read."""

from __future__ import annotations

import builtins
import os
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from prefect_helix.core.lineage import Argument, Lineage, Run
from prefect_helix.core.remarks import Note, Tag
from prefect_helix.storage.segments import encode_line, encode_segment

Make = Callable[..., Any]

MARKUP = "</title></svg></script><script>alert(1)</script><img src=x onerror=alert(1)>\"'`{{7*7}}{% raw %}"
NAMES = {
    "markup": MARKUP,
    "up": "../../../../etc/passwd",
    "nul": "a\x00b\x1b[31m\x7f",
    "turned": "user\u202eNIMDA\u2066",
    "half a pair": "\ud800\udfff\ud800",
    "wide": "長" * 3_000,
    "long": "x" * 200_000,
    "lines": "\r\nSet-Cookie: a=b\r\n\r\n" * 50,
    "address": "javascript:alert(1)",
    "empty": "",
    "spaces": " \t ",
    "query": "a&b=c#d?e=%2e%2e/+%00;",
}

PIECE = {"name": "f", "kind": "function", "hash": "h", "file": "f.py", "line": 7, "source": "pass", "via": ""}

TAGS = (
    "html head meta title link body a header div img nav ul li form label input button main details summary h1 h2 h3 p "
    "span b table colgroup col caption thead tbody tr th td br time dl dt dd blockquote bdi footer code ol section "
    "progress select option noscript script svg rect path circle text g"
)
ALLOWED = frozenset(TAGS.split(" "))


class _Checker(HTMLParser):
    """Fails at what we never write; a browser reads markup much as this does."""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED, tag
        for name, value in attributes:
            assert not name.startswith("on") and name != "style", (tag, name)
            if name == "href" and ("rel", "noreferrer") in attributes:
                assert re.fullmatch(r"https?://[a-z0-9.:]+/runs/(flow|task)-run/[0-9a-f-]{36}", value or "")
            elif name in ("src", "href", "action"):
                assert value and value.startswith(("/", "#")) and not value.startswith("//"), (tag, value)

    handle_startendtag = handle_starttag


def check(answer: Any) -> str:
    assert answer.status in (200, 404), answer.text[:2_000]
    text: str = answer.text
    assert "<script>" not in text and "49{%" not in text and "\x00" not in text and "\u202e" not in text
    assert not {"set-cookie", "a"} & answer.headers.keys()
    _Checker().feed(text)
    assert len(answer.body) < 3_000_000
    return text


def links(page: str) -> Iterator[str]:
    for found in dict.fromkeys(re.findall(r'href="(/[^"]*)"', page)):
        yield found.replace("&amp;", "&").partition("#")[0]


def hostile_run(number: int, name: str, make_run: Make, make_trace: Make, prior: Lineage | None = None) -> Lineage:
    arguments = (Argument(name, "d", "flow_parameter", name, name), Argument("b", name, "file", name, name))
    fields = {"reason": name, "arguments": arguments, "task_run_id": name, "computed_in": name}
    traces = [make_trace(name, 0, f"code-{number}", **fields)]
    traces += [make_trace(f"{name}{n}", n, "../../secret", [traces[0]], **fields) for n in (1, 2)]
    return make_run(
        number, traces, prior, run_id=name if number == 1 else f"{name}!", flow=name, name=name, host=name, mode=name,
        policy=name, parameters={name: name}, shown_parameters={name: name}, versions={name: name},
        problems=(name,) * 30, parent_run_id=name, metrics={name: float("nan"), f"{name}2": 1e308},
    )  # fmt: skip


@pytest.fixture(params=NAMES, ids=[*NAMES])
def name(request: pytest.FixtureRequest) -> str:
    return NAMES[request.param]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every file that is opened from now on."""
    paths: list[str] = []
    opens, os_opens = builtins.open, os.open

    def noted(path: Any, *arguments: Any, **more: Any) -> Any:
        paths.append(os.fspath(path) if not isinstance(path, int) else "")
        return opens(path, *arguments, **more)

    def os_noted(path: Any, *arguments: Any, **more: Any) -> Any:
        paths.append(os.fspath(path))
        return os_opens(path, *arguments, **more)

    monkeypatch.setattr(builtins, "open", noted)
    monkeypatch.setattr("io.open", noted)
    monkeypatch.setattr(os, "open", os_noted)
    return paths


def test_whatever_things_are_called_is_text_on_every_page(
    make_site: Make, make_run: Make, make_trace: Make, name: str, opened: list[str]
) -> None:
    site = make_site()
    (site.folder.parent / "secret.json").write_text("root:x:0:0")
    first = hostile_run(1, name, make_run, make_trace)
    for lineage in (first, hostile_run(2, name, make_run, make_trace, first)):
        # a path is made of a run's id when it is written, so that nobody writes such a one by the catalog
        data = b"".join(encode_segment(lineage.run, lineage.traces))
        site.store.write(f"lineage/{lineage.run.started_us:020}-{lineage.run.started_us % 97}.jsonl", [data])
    site.catalog.remark(Tag("t1", 1, name, name))
    site.catalog.remark(Note("n1", 1, name, name))
    opened.clear()

    seen: dict[str, str] = {}
    waiting = ["/", "/store"]
    while waiting:
        target = waiting.pop()
        if target not in seen and not target.startswith("/static"):
            seen[target] = check(site.ask(target))
            waiting += links(seen[target])
    assert "root:x:0:0" not in "".join(seen.values())
    kinds = {target.partition("?")[0] for target in seen}
    assert {"/", "/store", "/flow", "/run", "/step", "/compare"} <= kinds
    outside = [path for path in opened if not path.startswith(str(site.folder))]
    assert not [path for path in outside if "secret" in path or "passwd" in path]


@pytest.mark.parametrize(
    "target",
    [
        "/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static/%2e%2e%2f%2e%2e%2farchive.py",
        "/static//etc/passwd", "/static/%00", "/static/style.css%00.py", "/static/....//app.py", "/../../etc/passwd",
        "/run?id=../../../etc/passwd", "/run?id=%00", "/run?id=" + "A" * 60_000, "/run?id=%ff%fe",
        "/run?id=last~999999999",
        "/flow?name=../..&page=-1", "/flow?name=census&page=99999999999999999999",
        "/flow?name=census&page=%F0%9F%98%80",
        "/step?run=last&call=-1", "/step?run=last&call=1e9", "/step?run=../x&call=..", "/step", "/compare",
        "/compare?before=%2e%2e&after=last&view=<script>", "/run?id=last&q=%3Cscript%3E&decision=%3Cscript%3E",
        "/run?id=a@99999999999999999999", "/runs/..%2f..%2fetc", "/run?id=a&id=b", "/?" + "a=b&" * 5_000, "/%", "/%zz",
        "/run?id=" + "%F0%9F%92%A9" * 300, "/runs/%0d%0aSet-Cookie:a=b", "//evil.example/run", "/runs///evil.example",
    ],
)  # fmt: skip
def test_no_address_leads_out_or_breaks(site: Any, target: str) -> None:
    answer = site.ask(target)
    assert answer.status in (200, 307, 400, 404)
    assert "root:" not in answer.text and "import annotations" not in answer.text
    assert answer.headers.get("location", "/run?").startswith("/run?")
    assert "set-cookie" not in answer.headers
    if answer.headers.get("content-type", "").startswith("text/html"):
        check(answer)


def test_thousands_of_columns_and_parameters_stay_a_page(make_site: Make, make_run: Make, make_trace: Make) -> None:
    site = make_site()
    many = {f"name {n}": str(n) for n in range(5_000)}
    arguments = tuple(Argument(name, "d", shown=name) for name in many)
    parents = [make_trace(f"part {n}", n, "code") for n in range(1_500)]
    last = make_trace("join", 1_500, "code", parents, arguments=arguments)
    fields: dict[str, Any] = {
        "parameters": many, "shown_parameters": many, "versions": many, "metrics": dict.fromkeys(many, 1.0),
        "problems": tuple(many),
    }  # fmt: skip
    first = make_run(1, [*parents, last], **fields)
    site.catalog.commit(first)
    site.catalog.commit(make_run(2, [last], first, **fields))
    for target in ("/", "/flow?name=census", "/run?id=last~1", "/run?id=last", "/step?run=last~1&call=1500", "/store"):
        assert len(check(site.ask(target))) < 1_000_000
    assert len(check(site.ask("/compare?before=last~1&after=last"))) < 1_000_000


def test_numbers_that_no_calendar_or_chart_has_are_told(make_site: Make, make_run: Make, make_trace: Make) -> None:
    site = make_site()
    for number, at_us in enumerate((-(2**60), 2**60, 0, 10**17)):
        amounts = {"started_us": at_us, "compute_us": 2**60, "load_us": -1, "computed_at_us": at_us}
        run = make_run(number, [make_trace("scan", 0, "code", **amounts), make_trace("fit", -5, "code", **amounts)],
                       started_us=at_us, finished_us=at_us, predicted_us=-1, budget_bytes=0,
                       metrics={"m": float("inf"), "n": -1e308, "k": float("nan")})  # fmt: skip
        site.store.write(f"lineage/{number}.jsonl", [b"".join(encode_segment(run.run, run.traces))])
    pages = ["/", "/flow?name=census", "/store", "/compare?before=last&after=last~2"]
    for number in range(4):
        pages += [f"/run?id=last~{number}", f"/step?run=last~{number}&call=-5"]
    for page in pages:
        answer = site.ask(page)
        check(answer)
        assert answer.status == 200


def test_broken_files_are_told_and_the_rest_is_shown(site: Any) -> None:
    paths = sorted((site.folder / "lineage").iterdir())
    whole = paths[1].read_bytes()
    head = whole.index(b"\n") + 1
    paths[1].write_bytes(whole[: head + (len(whole) - head) // 2])
    paths[0].write_bytes(b"\x00" * 100)
    (site.folder / "lineage" / "0-foreign.jsonl").write_bytes(b'["x",{}]\n' * 3)
    (site.folder / "index").mkdir(exist_ok=True)
    (site.folder / "index" / "00000009-bad.index").write_bytes(b"[" * 10_000)
    for code in (site.folder / "code").iterdir():
        code.write_bytes(code.read_bytes()[:-9])
    (site.folder / "remarks" / "broken.json").write_bytes(b"{}")
    page = check(site.get("/"))
    assert "2 versions" in page
    assert "parts of the store cannot be read" in page
    assert "is damaged: " in page and "first line" in page
    shown = check(site.get("/run", id=site.SECOND))
    assert "of this run cannot be read any more; the others are shown" in shown
    for target in ("/flow?name=census", f"/compare?before={site.SECOND}&after={site.THIRD}", "/store"):
        check(site.ask(target))
    assert "not recorded in the store" in check(site.get("/step", run=site.SECOND, call=1))


@pytest.mark.parametrize(("folder", "harmless"), [("remarks", True), ("rulings", False)])
def test_a_loss_is_called_harmless_unless_it_may_be_a_revocation(site: Any, folder: str, harmless: bool) -> None:
    (site.folder / folder).mkdir(exist_ok=True)
    (site.folder / folder / "broken.json").write_bytes(b"{}")
    page = check(site.get("/"))
    assert f"{folder}/broken.json is damaged" in page
    assert ("never a wrong value" in page) is harmless
    assert "prefect-helix store gc" in page


@pytest.mark.parametrize(
    "component",
    [
        {"name": 5}, [], "x", None,
        PIECE | {"name": MARKUP, "hash": MARKUP, "file": MARKUP, "source": f"{MARKUP}\n" * 9},
        PIECE | {"name": "../x", "kind": "alien", "file": None, "line": None, "source": None},
        PIECE | {"line": -9, "source": "\u202e\n" * 90_000, "via": "f"},
    ],
)  # fmt: skip
def test_recorded_code_is_text_whatever_it_is(site: Any, component: Any) -> None:
    site.store.write("code/clean1.json", [encode_line({"components": [component]})])
    check(site.get("/step", run=site.FIRST, call=1))
    check(site.get("/step", run=site.SECOND, call=1))
    check(site.get("/compare", before=site.FIRST, after=site.SECOND, view="split"))


@pytest.mark.parametrize("hidden", "\u00ad\u061c\u200b\u200d\u200e\u200f\u202e\u2060\u2069\ufe0f\ufeff\u3164\U000e0041")
def test_nothing_in_code_is_out_of_sight(site: Any, hidden: str) -> None:
    source = f"def clean(rows):\n    is_admin{hidden} = 1\n    return rows"
    site.store.write("code/clean1.json", [encode_line({"components": [PIECE | {"source": source}]})])
    page = check(site.get("/step", run=site.FIRST, call=1))
    assert hidden not in page and "is_admin\N{REPLACEMENT CHARACTER} = 1" in page


@pytest.mark.parametrize(
    "text", ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\U0001f468\u200d\U0001f469 \u26a0\ufe0f", "売上\t🎉"]
)
def test_writing_that_needs_joiners_is_left_alone(site: Any, text: str) -> None:
    site.store.write("code/clean1.json", [encode_line({"components": [PIECE | {"source": f'x = "{text}"'}]})])
    assert text in check(site.get("/step", run=site.FIRST, call=1))


def test_no_result_is_unpickled(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a value was loaded")

    monkeypatch.setattr("prefect_helix.storage.store.decode", forbidden)
    monkeypatch.setattr("pickle.loads", forbidden)
    monkeypatch.setattr("cloudpickle.loads", forbidden)
    waiting, seen = ["/", "/store"], set()
    while waiting:
        target = waiting.pop()
        if target not in seen and not target.startswith("/static"):
            seen.add(target)
            waiting += links(check(site.ask(target)))
    assert len(seen) > 15


def test_runs_that_call_each_other_in_a_circle_end(make_site: Make, make_run: Make, make_trace: Make) -> None:
    site = make_site()
    one, other = make_trace("a", 0, "c"), make_trace("b", 1, "c")
    circle = [
        make_trace("a", 0, "c", [other], wait_for=(one.signature,)), make_trace("b", 1, "c", [one]),
    ]  # fmt: skip
    fields = {"run_id": "x", "parent_run_id": "x", "prior_run_id": "x"}
    run: Run = make_run(1, circle, **fields).run
    site.catalog.commit(Lineage(run, tuple(circle)))
    for target in ("/", "/run?id=x", "/step?run=x&call=0", "/step?run=x&call=1", "/compare?before=x&after=x"):
        check(site.ask(target))
