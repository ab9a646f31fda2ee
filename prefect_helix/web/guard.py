"""What no request may do, and what no page may do, whatever it shows."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("GET", "HEAD")

LOCAL_NAMES = frozenset({"localhost"})

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_HOST = re.compile(rf"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>{_NAME.pattern}))(?::\d{{1,5}})?")


class Guard:
    """Refuses what is no reading request to a name that is ours, and adds the headers that bind a page.

    A page of another site can make its own name mean this machine (DNS rebinding), and then read what is served here.
    It cannot make an address mean anything else, so addresses are served, and names only if they are known.

    Args:
        app: What is guarded.
        names: Names that the server goes by, besides addresses and `LOCAL_NAMES`.
    """

    def __init__(self, app: ASGIApp, names: Collection[str] = ()) -> None:
        self._app = app
        self._names = LOCAL_NAMES | {_plain(name) for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await (self._refusal(scope) or self._app)(scope, receive, _bound(send))

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        hosts = Headers(scope=scope).getlist("host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            sentence = (
                "This server does not go by that name. Open it by its address, or by a name given to --host or --name."
            )
            return PlainTextResponse(sentence, status_code=403)
        if scope["method"] not in METHODS:
            headers = {"Allow": ", ".join(METHODS)}
            return PlainTextResponse("This server only shows; it changes nothing.", status_code=405, headers=headers)
        return None

    def _is_ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found["v6"] or found["name"]
        return _plain(name) in self._names or _is_address(name)


def is_host_name(text: str) -> bool:
    """Return whether a host can go by that name."""
    return _NAME.fullmatch(text) is not None


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches what listens there."""
    return host in LOCAL_NAMES or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _plain(name: str) -> str:
    return name.lower().rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _bound(send: Send) -> Send:
    async def bound(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(HEADERS)
        await send(message)

    return bound
