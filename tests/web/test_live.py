"""The page of a running flow changes under the hands of whoever uses it: it takes nothing out of them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

Make = Callable[..., Any]

PATIENCE_S = 60

ASKED = "return performance.getEntriesByType('resource').filter((one) => one.initiatorType === 'fetch').length"
HELD = """
const held = document.activeElement;
return [held.tagName, held.getAttribute("href") ?? held.id, held.closest("[id]").id];
"""


class Followed:
    """A browser on the page of a run that goes on."""

    def __init__(self, page: webdriver.Chrome, site: Any, make_run: Make, make_trace: Make) -> None:
        self.page = page
        self._site = site
        self._make_trace = make_trace
        self._steps = 0
        self._run = make_run(1, (), status="running", finished_us=None, summary=None).run
        self.compute_step()

    def compute_step(self) -> None:
        self._site.catalog.append(self._run, [self._make_trace(f"part{self._steps}", self._steps, "code")])
        self._steps += 1

    def open(self, url: str) -> None:
        self.page.get(f"{url}/run?id={self._run.run_id}")
        assert self.says(1)

    def says(self, steps: int) -> bool:
        said = self.page.execute_script("return document.body.textContent")
        return f"{steps} step{'s' if steps > 1 else ''} computed in" in said

    def wait_for(self, steps: int) -> None:
        WebDriverWait(self.page, PATIENCE_S).until(lambda _: self.says(steps), "The page does not keep up.")

    def wait_for_refreshes(self) -> None:
        """Wait until all that is there by now was asked for, and the answer is dealt with."""
        before = self.page.execute_script(ASKED)
        WebDriverWait(self.page, PATIENCE_S).until(lambda _: self.page.execute_script(ASKED) >= before + 3)


@pytest.fixture
def followed(browser: webdriver.Chrome, make_site: Make, make_run: Make, make_trace: Make) -> Iterator[Followed]:
    site = make_site()
    made = Followed(browser, site, make_run, make_trace)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(site.app, log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            made.open(f"http://127.0.0.1:{listener.getsockname()[1]}")
            yield made
        finally:
            browser.get("about:blank")
            server.should_exit = True
            thread.join(PATIENCE_S)


@pytest.mark.parametrize(
    "selector", ["#plan", "#plan svg a", "#steps-box", "#steps-box th a", "nav.trail li:last-child a"]
)
def test_the_focus_stays_where_it_is(followed: Followed, selector: str) -> None:
    followed.page.execute_script("document.querySelector(arguments[0]).focus()", selector)
    before = followed.page.execute_script(HELD)
    assert before[0] != "BODY"
    followed.page.execute_script("document.querySelector('main p').id = 'old'")
    followed.compute_step()
    WebDriverWait(followed.page, PATIENCE_S).until(
        lambda page: page.execute_script("return !document.getElementById('old')"), "The page does not keep up."
    )
    assert followed.page.execute_script(HELD) == before


def test_what_has_not_changed_is_not_exchanged(followed: Followed) -> None:
    followed.page.execute_script("window.first = document.querySelector('main h1')")
    followed.wait_for_refreshes()
    assert followed.page.execute_script("return window.first.isConnected")


def test_text_stays_selected_and_the_page_goes_on_afterwards(followed: Followed) -> None:
    followed.page.execute_script("getSelection().selectAllChildren(document.querySelector('main h1'))")
    followed.compute_step()
    followed.wait_for_refreshes()
    assert followed.page.execute_script("return getSelection().toString()") == "cobalt-otter-1"
    assert followed.says(1)
    followed.page.execute_script("getSelection().removeAllRanges()")
    followed.wait_for(2)
