"""Looks at pages of the Prefect UI in a browser."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE_S = 120

COUNT_NODES = """
const [png, [red, green, blue], done] = arguments;
const image = new Image();
image.onload = () => {
  const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
  context.drawImage(image, 0, 0);
  const {data, width} = context.getImageData(0, 0, image.width, image.height);
  const coloured = new Set();
  for (let i = 0; 4 * i < data.length; i++)
    if (data[4 * i] === red && data[4 * i + 1] === green && data[4 * i + 2] === blue) coloured.add(i);
  let nodes = 0;
  for (const first of coloured) {
    let last = first;
    const reached = [first];
    coloured.delete(first);
    while (reached.length) {
      const i = reached.pop();
      last = Math.max(last, i);
      for (const j of [i - 1, i + 1, i - width, i + width]) if (coloured.delete(j)) reached.push(j);
    }
    if (last - first > 12 * width) nodes++;  // lower areas are the time line's
  }
  done(nodes);
};
image.src = `data:image/png;base64,${png}`;
"""
COMPLETED_GREEN = [33, 157, 75]


def text_of(browser: webdriver.Chrome) -> str:
    return browser.find_element(By.TAG_NAME, "body").text


def wait(browser: webdriver.Chrome, condition: Any, what: str) -> Any:
    return WebDriverWait(browser, PATIENCE_S).until(condition, f"The page does not show {what}.")


def complaints(browser: webdriver.Chrome) -> list[str]:
    """What the console holds against what we show; that files of its own are missing is the UI's business."""
    return [
        entry["message"]
        for entry in browser.get_log("browser")
        if (entry["level"] == "SEVERE" and "Failed to load resource" not in entry["message"])
        or "Parent node not found" in entry["message"]
        or entry["message"].startswith("data:")
    ]


def look_at_flow_run(browser: webdriver.Chrome, url: str, states: Mapping[str, str]) -> None:
    """Wait until the page of a flow run lists its task runs, by name, in these states, and draws as many nodes."""
    browser.get(url)
    tab = (By.XPATH, "//*[self::button or self::li][normalize-space()='Task Runs']")
    wait(browser, expected_conditions.element_to_be_clickable(tab), "the tab of task runs").click()
    pattern = re.compile(rf"^({'|'.join(states)})\n(\w+)$", re.MULTILINE)
    wait(browser, lambda page: dict(pattern.findall(text_of(page))) == states, f"the task runs as {states}")

    def all_nodes_drawn(page: webdriver.Chrome) -> bool:
        canvas = page.find_element(By.TAG_NAME, "canvas").screenshot_as_base64
        return page.execute_async_script(COUNT_NODES, canvas, COMPLETED_GREEN) == len(states)

    wait(browser, all_nodes_drawn, f"a graph of {len(states)} nodes")
    assert complaints(browser) == []
