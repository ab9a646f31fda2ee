"""Each page says what one would look there for, and what is not there is told in words."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_UI_URL, temporary_settings

from prefect_helix.core.graph import Decision
from prefect_helix.core.lineage import Argument
from prefect_helix.core.remarks import Note, Tag
from prefect_helix.storage.store import Store

TEMPLATES = Path(__file__).parents[2] / "prefect_helix" / "web" / "templates"
SECOND_US = 1_000_000

Make = Callable[..., Any]


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words += data.split()


def words(page: str) -> str:
    """What a page says, without its markup."""
    parser = _Words()
    parser.feed(page)
    return " ".join(parser.words)


def links(page: str, to: str) -> list[str]:
    return [found.replace("&amp;", "&") for found in re.findall(r'href="([^"]*)"', page) if found.startswith(to)]


def test_flows_are_listed_with_their_last_run_and_what_they_saved(site: Any) -> None:
    page = site.get("/").text
    said = words(page)
    assert "1 flow, 3 versions" in said
    assert "cobalt-otter-3" in said and "failed" in said
    assert "accuracy 0.82" in said, "of the last run that had metrics"
    assert "4.0 s" in said, "0.98 s of the second run, and three of the third"
    assert links(page, "/flow") == ["/flow?name=census"]


def test_a_small_line_is_a_picture_and_no_place_to_go_to(site: Any) -> None:
    main = site.get("/").text.partition("<main")[2]
    assert 'role="img" aria-label="accuracy of the last 3 versions"' in main
    assert re.findall(r'role="region" aria-label="([^"]*)"', main) == ["Flows"]
    assert main.count('tabindex="0"') == 1


def test_versions_are_listed_newest_first_with_what_changed(site: Any) -> None:
    page = site.get("/flow", name="census").text
    said = words(page)
    listed = said.partition("Newest first")[2]
    assert listed.index("cobalt-otter-3") < listed.index("cobalt-otter-2") < listed.index("cobalt-otter-1")
    for expected in ("first run", "code of clean", "new step report", "without check", "reg 0.1 → 0.5"):
        assert expected in said
    assert "best" in said and "beats the baseline" in said
    assert 'aria-label="Metrics"' in page and 'aria-label="Time spent and saved"' in page


def test_two_versions_are_chosen_with_a_plain_form(site: Any) -> None:
    page = site.get("/flow", name="census").text
    assert re.search(r'<form action="/compare" method="get">', page)
    for name in ("before", "after"):
        chosen = re.findall(rf'type="radio" name="{name}" value="([^"]*)"', page)
        assert chosen == [site.THIRD, site.SECOND, site.FIRST]


def test_long_lists_come_in_parts(make_site: Make, make_run: Make, make_trace: Make) -> None:
    site = make_site()
    for number in range(120):
        fields = {"run_id": f"run-{number}", "name": f"name-{number}.", "started_us": number * SECOND_US}
        site.catalog.commit(make_run(1, [make_trace("scan", 0, "scan")], **fields))
    first, last = (site.get("/flow", name="census", page=page).text for page in (1, 999))
    listed = words(first).partition("Newest first")[2]
    assert "1 to 50 of 120" in listed and "name-119." in listed and "name-69." not in listed
    assert "101 to 120 of 120" in words(last)
    assert links(first, "/flow?") == ["/flow?name=census&page=2"]


def test_what_a_page_leaves_out_is_told(make_site: Make, make_run: Make, make_trace: Make) -> None:
    site = make_site()
    before, after = (
        make_trace("fit", 0, "fit", arguments=tuple(Argument(f"p{i}", digest, shown=digest) for i in range(80)))
        for digest in ("one", "two")
    )
    after = replace(after, literals="others", signature="other")
    first = make_run(1, [before], problems=tuple(f"Problem {i}." for i in range(30)))
    for lineage in (first, make_run(2, [after], first)):
        site.catalog.commit(lineage)
    for number in range(25):
        site.catalog.remark(Note(f"n{number}", number, site.FIRST, f"note {number}."))
        site.catalog.remark(Tag(f"t{number}", number, f"tag-{number}", site.FIRST))
    for number in range(502):
        site.catalog.commit(make_run(3, (), flow=f"flow {number}", run_id=f"run-{number}"))
    run = words(site.get("/run", id=site.FIRST).text)
    assert "Problem 19." in run and "and 10 more problems" in run
    assert "5 earlier ones" in run and "note 5." in run and "note 4." not in run
    assert "and 13 more" in run.partition("Tags")[2]
    assert "and 30 more" in words(site.get("/step", run=site.SECOND, call=0).text)
    flows = words(site.get("/").text)
    assert "503 flows, 504 versions" in flows and "and 3 more flows" in flows


def test_a_run_shows_its_plan_steps_and_facts(site: Any) -> None:
    page = site.get("/run", id=site.SECOND).text
    said = words(page)
    for expected in ("cobalt-otter-2", "reg", "0.1", "accuracy", "3.11", "beats the baseline", "best", "52 kB added"):
        assert expected in said
    assert ", took 30 s" in said and "4 steps" in said
    assert 'aria-label="clean, compute · 1.0 s"' in page
    assert f"/step?run={site.SECOND}&call=1" in links(page, "/step")
    assert page.count("<svg x=") == 4, "a box for each step"
    assert f"/compare?before={site.FIRST}&after={site.SECOND}" in links(page, "/compare")


@pytest.mark.parametrize("name", ["last", "31111111", "cobalt-otter-3", "http://prefect/runs/flow-run/{}?tab=Logs"])
def test_a_run_is_found_by_any_of_its_names(site: Any, name: str) -> None:
    assert "fit ran out of memory." in words(site.get("/run", id=name.format(site.THIRD)).text)


def test_a_run_is_found_by_its_tag_and_by_its_short_address(site: Any) -> None:
    assert "cobalt-otter-2" in words(site.get("/run", id="best").text)
    assert site.get(f"/runs/{site.SECOND}").headers["location"] == f"/run?id={site.SECOND}"


def test_steps_are_searched_by_name_and_decision(site: Any) -> None:
    def found(**asked: str) -> list[str]:
        table = site.get("/run", id=site.THIRD, **asked).text.partition('id="steps-box"')[2]
        return re.findall(r'<th scope="row"><a href="/step[^"]*"><bdi>([^<]*)', table)

    assert found() == ["scan", "clean", "fit", "report"]
    assert found(q="C") == ["scan", "clean"]
    assert found(decision="failed") == ["fit"]
    assert found(q="nothing") == []
    assert "No step is like that." in words(site.get("/run", id=site.THIRD, q="nothing").text)


def test_calls_of_a_map_are_one_box_and_one_row(make_site: Make, make_run: Make, make_trace: Make) -> None:
    site = make_site()
    scan = make_trace("scan", 0, "scan")
    calls = [make_trace("load", n, "load", [scan], decision=Decision.PRUNE) for n in range(1, 1_001)]
    site.catalog.commit(make_run(1, [scan, *calls]))
    page = site.get("/run", id="last").text
    assert page.count("<svg x=") == 2
    assert "1000 calls" in page and "load#1 to #1000" in words(page)
    assert "1000 steps, the first 200 of them" in words(site.get("/run", id="last", q="load").text)


@pytest.mark.parametrize("name", ["fit  model", "Fit\nmodel", "fit" * 100, "fit model " * 30, "fit\u200bmodel"])
def test_calls_of_a_map_are_found_whatever_it_is_called(
    make_site: Make, make_run: Make, make_trace: Make, name: str
) -> None:
    site = make_site()
    first = make_run(1, [make_trace(name, n, f"code{n}") for n in range(30)])
    site.catalog.commit(first)
    site.catalog.commit(make_run(2, [make_trace(name, n, f"new{n}") for n in range(30)], first))
    run, compared = (
        site.get("/run", id=site.FIRST).text,
        site.get("/compare", before=site.FIRST, after=site.SECOND).text,
    )
    found = [*links(run, "/run?id="), *links(compared, "/run?id=")]
    searches = [href.partition("#")[0] for href in found if "q=" in href]
    assert len(searches) >= 3, "of the picture and of the table, and of the picture of both"
    for href in searches:
        assert "30 steps" in words(site.ask(href).text.partition('id="steps-box"')[2]), href


def test_a_step_tells_why_it_was_computed_and_shows_its_code(site: Any) -> None:
    page = site.get("/step", run=site.SECOND, call=1).text
    said = words(page)
    assert "clean() in census.py:12 changed" in said
    assert re.search(r'class="removed">.*rows\.dropna\(\)', page) and re.search(r'class="added">.*fillna\(0\)', page)
    assert "def clean(rows):" in page, "the source as recorded"
    for expected in ("column", "constant", "&#39;age&#39;", "pandas:DataFrame", "52 kB"):
        assert expected in page
    assert f"/step?run={site.SECOND}&call=0" in links(page, "/step"), "its input"
    assert "Taken by fit" in said


def test_a_step_without_more_to_say_has_no_empty_list(site: Any) -> None:
    for run, call in ((site.FIRST, 0), (site.SECOND, 1), (site.THIRD, 2)):
        assert not re.search(r"<ul[^>]*>\s*</ul>", site.get("/step", run=run, call=call).text)


def test_a_run_without_steps_has_nothing_to_search(make_site: Make, make_run: Make) -> None:
    site = make_site()
    site.catalog.commit(make_run(1, ()))
    page = site.get("/run", id="last").text
    assert "No helix task was called." in page and 'id="q"' not in page


def test_a_step_that_was_not_computed_names_the_run_that_did(site: Any) -> None:
    said = words(site.get("/step", run=site.THIRD, call=0).text)
    assert "Its result is the one that run 11111111 cobalt-otter-1 computed" in said
    assert "Unchanged, and not needed." in said


def test_a_step_knows_its_history_and_what_became_of_its_result(site: Any) -> None:
    page = site.get("/step", run=site.SECOND, call=1).text
    history = page.partition('aria-label="History"')[2]
    assert re.findall(r'class="tag (\w+)"', history) == ["prune", "name", "compute", "compute"]
    assert history.partition("shown here")[0].count("<tr>") == 3, "in the second row below the heading"
    assert "Stored yes" in words(page)
    gone = words(site.get("/step", run=site.FIRST, call=2).text)
    assert "not any more; it was when the run ended" in gone


def test_two_runs_are_compared(site: Any) -> None:
    page = site.get("/compare", before=site.FIRST, after=site.SECOND).text
    said = words(page)
    assert {"added 1", "removed 1", "changed 1"} <= set(re.findall(r">((?:added|removed|changed) \d+)<", page))
    assert "no longer called" in said and "new step" in said and "code: clean()" in said
    assert "accuracy 0.81 0.82 +0.01" in said
    assert "clean() in census.py:12 changed" in said
    split = site.get("/compare", before=site.FIRST, after=site.SECOND, view="split").text
    lines = [re.findall(r"<td[^>]*>(.*?)</td>", line) for line in re.findall(r"<tr>(.*?)</tr>", split, re.DOTALL)]
    assert ["13", "\u2212", "    return rows.dropna()", "13", "+", "    return rows.fillna(0)"] in lines
    assert ["12", "", "def clean(rows):", "12", "", "def clean(rows):"] in lines


def test_only_code_that_is_there_can_be_seen_side_by_side(site: Any, make_run: Make, make_trace: Make) -> None:
    assert "Side by side" in site.get("/compare", before=site.FIRST, after=site.SECOND).text
    site.catalog.commit(make_run(7, [make_trace("scan", 0, "unknown")]))
    page = site.get("/compare", before=site.SECOND, after="last").text
    assert "what changed in it is not recorded" in page and "Side by side" not in page


def test_a_parameter_that_changed_is_told(site: Any) -> None:
    assert "parameter reg 0.1 → 0.5" in words(site.get("/compare", before=site.SECOND, after=site.THIRD).text)


def test_one_run_is_compared_with_the_one_before(site: Any) -> None:
    alone = site.get("/compare", after=site.SECOND).text
    assert alone == site.get("/compare", before=site.FIRST, after=site.SECOND).text


def test_the_store_tells_what_takes_its_space(site: Any) -> None:
    page = site.get("/store").text
    said = words(page)
    assert "4.0 kB results" in said
    for task in ("scan", "clean", "fit", "report"):
        assert f"census {task} 1 1.0 kB" in said
    assert 'aria-label="Space by flow and task"' in page


def test_an_empty_store_says_what_to_do(make_site: Make) -> None:
    site = make_site()
    assert "This store holds no runs yet" in words(site.get("/").text)
    assert site.get("/store").status == 200
    assert site.get("/run", id="last").status == 404


def test_new_runs_are_there_on_the_next_look(site: Any, make_run: Make, make_trace: Make) -> None:
    assert "3 versions" in words(site.get("/").text)
    site.catalog.commit(make_run(4, [make_trace("scan", 0, "scan1")]))
    assert "4 versions" in words(site.get("/").text)


def test_a_running_flow_is_followed_from_its_journal(site: Any, make_run: Make, make_trace: Make) -> None:
    scan = make_trace("scan", 0, "scan9")
    run = replace(
        make_run(5, ()).run, status="running", finished_us=None, summary=None, predicted_us=4 * SECOND_US,
        prior_run_id=site.SECOND, metrics={},
    )  # fmt: skip
    site.catalog.append(run, [scan])
    page = site.get("/run", id=run.run_id).text
    said = words(page)
    assert "1 step computed in 1.0 s, of 4 steps that the run before had; about 3.0 s" in said
    assert 'max="100" value="25"' in page
    assert '<noscript><meta http-equiv="refresh"' in page and "/static/live.js" in page
    assert all(name in said.partition("not computed so far")[2] for name in ("clean", "fit", "report"))

    site.catalog.append(run, [make_trace("clean", 1, "clean9", [scan])])
    assert "2 steps computed in 2.0 s" in words(site.get("/run", id=run.run_id).text)
    site.catalog.commit(make_run(5, [scan]))
    assert "live.js" not in site.get("/run", id=run.run_id).text


def test_a_run_in_progress_goes_on_being_measured_when_a_step_has_failed(
    make_site: Make, make_run: Make, make_trace: Make
) -> None:
    site = make_site()
    scan = make_trace("scan", 0, "scan")
    failed = make_trace("fit", 1, "fit", [scan], status="failed", result=None, compute_us=None)
    run = make_run(1, (), status="running", finished_us=None, predicted_us=4 * SECOND_US).run
    site.catalog.append(run, [scan, failed])
    page = site.get("/run", id=run.run_id).text
    assert "2 steps computed in 1.0 s; about 3.0 s of computing and loading are left" in words(page)
    assert 'max="100" value="25"' in page


def test_of_tasks_that_one_function_is_made_into_those_to_come_are_named(
    make_site: Make, make_run: Make, make_trace: Make
) -> None:
    site = make_site()
    fits = [replace(make_trace(f"fit {name}", at, name), key="flows.census:fit") for at, name in enumerate("abc")]
    prior = make_run(1, fits)
    site.catalog.commit(prior)
    run = replace(make_run(2, (), prior).run, status="running", finished_us=None, summary=None)
    site.catalog.append(run, fits[2:])
    to_come = site.get("/run", id=run.run_id).text.partition('<details id="to-come">')[2].partition("</details>")[0]
    assert re.findall("<bdi>(.*?)</bdi>", to_come) == ["fit a", "fit b"]


def test_each_attempt_of_a_flow_run_has_an_address(site: Any, make_run: Make, make_trace: Make) -> None:
    started_us = make_run(9, ()).run.started_us
    site.catalog.commit(make_run(3, [make_trace("scan", 0, "scan1")], name="again", started_us=started_us))
    addresses = dict.fromkeys(links(site.get("/flow", name="census").text, "/run?"))
    titles = [re.findall("<title>(.*?)</title>", site.ask(address).text)[0] for address in addresses]
    assert len(titles) == len(set(titles)) == 4


def test_the_picture_of_an_attempt_leads_to_its_own_steps(site: Any, make_run: Make, make_trace: Make) -> None:
    assert "@" not in site.get("/run", id=site.THIRD).text
    started_us = make_run(9, ()).run.started_us
    site.catalog.commit(make_run(3, [make_trace("scan", 0, "scan1")], name="again", started_us=started_us))
    first = next(to for to in links(site.get("/flow", name="census").text, "/run?")[::-1] if "%40" in to)
    page = site.ask(first).text
    assert "cobalt-otter-3" in page
    assert all("%40" in to for to in links(page, "/step?"))


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("/run?id=nobody", "There is no run &#39;nobody&#39;"),
        ("/run", "Name a run"),
        ("/flow?name=cencus", "did you mean census?"),
        ("/flow", "There is no run of a flow"),
        ("/step?run=last&call=99", "has no step of that number"),
        ("/compare?after=11111111", "There is no run of census before"),
        ("/nothing/here", "There is no page at this address."),
        ("/static/nothing.css", "There is no page at this address."),
    ],
)
def test_what_is_not_there_is_told_in_words_with_the_way_out(site: Any, target: str, sentence: str) -> None:
    answer = site.ask(target)
    assert answer.status == 404
    assert sentence in answer.text
    assert 'href="/">See all flows</a>' in answer.text


def test_commands_in_sentences_are_set_as_code(site: Any, make_run: Make) -> None:
    assert "See <code>prefect-helix runs</code>." in site.get("/run", id="nobody").text
    assert "no run &#39;a`b&#39;. See `prefect-helix runs`." in site.get("/run", id="a`b").text, "an odd one stays"
    site.catalog.commit(make_run(7, (), problems=("Call `pip install <x>`.",)))
    assert "Call <code>pip install &lt;x&gt;</code>." in site.get("/run", id="last").text


def test_a_store_that_cannot_be_read_is_told(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(type(site.store._backend), "list", refuse)
    answer = site.get("/")
    assert answer.status == 503
    assert "not yours" in answer.text and "The store cannot be read" in answer.text


def test_a_page_that_breaks_tells_the_log_alone_how(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(Store, "unfinished", broken)
    with pytest.raises(RuntimeError):  # which the server logs, once it has answered
        site.get("/store")


def test_runs_that_were_not_read_yet_are_read_by_the_requests_that_follow(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_helix.web.holdings.PATIENCE_SECONDS", -1.0)
    page = site.get("/store").text
    assert "3 runs of 3 are still to be read" in words(page) and 'content="1"' in page
    monkeypatch.setattr("prefect_helix.web.holdings.PATIENCE_SECONDS", 60.0)
    assert "still to be read" not in site.get("/store").text


@pytest.mark.parametrize(("ui", "linked"), [("http://prefect.example/", True), ("javascript:alert(1)//", False)])
def test_a_run_links_to_the_prefect_ui_where_one_is_known(site: Any, ui: str, linked: bool) -> None:
    with temporary_settings({PREFECT_UI_URL: ui}):
        page = site.get("/run", id=site.SECOND).text
    assert (f'href="http://prefect.example/runs/flow-run/{site.SECOND}"' in page) is linked
    assert "javascript:" not in page


def test_every_tone_of_a_picture_has_a_colour_for_dark_screens(site: Any) -> None:
    pages = [
        site.get("/flow", name="census"), site.get("/run", id=site.SECOND), site.get("/run", id=site.THIRD),
        site.get("/compare", before=site.FIRST, after=site.SECOND), site.get("/store"),
        site.get("/step", run=site.SECOND, call=0),
    ]  # fmt: skip
    painted = {tone for page in pages for tone in re.findall(r"(?:fill|stroke)-[a-z0-9-]+", page.text)}
    painted -= {"stroke-width", "stroke-linejoin", "stroke-dasharray"}
    dark = site.ask("/static/style.css").text.partition("prefers-color-scheme: dark")[2]
    assert len(painted) > 20
    assert {tone for tone in painted if f".{tone} " not in dark} == set()


def test_markup_is_let_through_in_one_place_only() -> None:
    found = [(path.name, line) for path in TEMPLATES.glob("*") for line in path.read_text("utf-8").splitlines()]
    assert [name for name, line in found if re.search(r"\|\s*safe", line)] == ["parts.html"]
    assert not [line for _, line in found if re.search(r"autoescape|style=|<style|\son\w+=|<script(?! src)", line)]
