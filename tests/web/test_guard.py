"""What no request may do, and what every answer says of itself."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from prefect_helix.web.guard import is_loopback

PAGES = ["/", "/flow?name=census", "/run?id=last", "/step?run=last&call=2", "/compare?after=last", "/store", "/nothing"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", ""])
@pytest.mark.parametrize("target", ["/", "/run?id=last", "/static/style.css"])
def test_nothing_but_reading_is_answered(site: Any, method: str, target: str) -> None:
    answer = site.ask(target, method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("target", [*PAGES[:-1], "/static/style.css", "/static/live.js"])
def test_head_is_answered_like_get(site: Any, target: str) -> None:
    head = site.ask(target, method="HEAD")
    assert head.status == 200
    assert int(head.headers["content-length"]) > 0


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:4300", "localhost:4300", "LocalHost", "[::1]:4300", "192.168.1.7", "gpu-7:80"]
)
def test_addresses_and_known_names_are_served(make_site: Callable[..., Any], host: str) -> None:
    assert make_site("GPU-7").ask("/", host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "", "gpu-8", None,
        "localhost:80:80", "[::1", "[evil]", "127.0.0.1:4300/", "localhost evil",
    ],
)  # fmt: skip
@pytest.mark.parametrize("target", ["/", "/static/style.css", "/nothing"])
def test_a_name_that_others_made_ours_is_refused(site: Any, host: str | None, target: str) -> None:
    answer = site.ask(target, host=host)
    assert answer.status == 403
    assert "census" not in answer.text


@pytest.mark.parametrize("target", PAGES)
def test_every_page_forbids_what_it_does_not_need(site: Any, target: str) -> None:
    answer = site.ask(target)
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script(?! src=\"/static/live\.js\")|<style|\sstyle=|\son[a-z]+=", answer.text)
    assert not re.search(r'(?:src=|<link [^>]*href=)"(?!/static/)', answer.text), "nothing from elsewhere"


def test_a_socket_is_closed(site: Any) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(site.app({"type": "websocket", "path": "/", "headers": []}, receive, send))
    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.parametrize(
    ("host", "own"), [("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)]
)
def test_only_this_machine_reaches_the_loopback(host: str, own: bool) -> None:
    assert is_loopback(host) is own
