"""The server: listens, says where, and opens a browser."""

from __future__ import annotations

import contextlib
import socket
import threading
import webbrowser
from collections.abc import Callable, Collection
from errno import EADDRNOTAVAIL

import uvicorn

from prefect_helix.core.errors import ConfigurationError
from prefect_helix.settings import Resolved
from prefect_helix.web.app import create_app
from prefect_helix.web.guard import is_host_name, is_loopback
from prefect_helix.web.library import Library

DEFAULT_PORT = 4300
_TRIED_PORTS = 20


def serve(
    resolved: Resolved,
    *,
    host: str,
    port: int | None,
    names: Collection[str],
    browser: bool,
    say: Callable[[str], None],
    warn: Callable[[str], None],
) -> None:
    """Show the runs of a store until the process is interrupted.

    Args:
        resolved: The settings that name the store.
        host: Where to listen.
        port: The port; None for the first free one from `DEFAULT_PORT` on.
        names: Names that it goes by besides, as a proxy passes them on.
        browser: Whether to open a browser.
        say: Told the address.
        warn: Told what is dangerous about it.

    Raises:
        ConfigurationError: If nothing can listen there, or a name is none of a host.
        StoreError: If the store cannot be read.
    """
    for name in names:
        if not is_host_name(name):
            remedy = "Give the name alone, such as helix.example.com, without scheme and port."
            raise ConfigurationError("name", name, remedy)
    library = Library(resolved)
    url = library.archive().url
    listener = _listen(host, port)
    own = not is_loopback(host)
    app = create_app(library, names={host, *names, *([socket.gethostname(), socket.getfqdn()] if own else ())})
    address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
    if own:
        warn(
            f"{host} is not of this machine alone: whoever reaches it sees all runs of {url}, with their code and "
            "parameters. Listen on 127.0.0.1 unless that is what you want."
        )
    say(f"{url} at {address} (stop with Ctrl+C)")
    if browser:
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", server_header=False, ws="none"))
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


def _listen(host: str, port: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    wanted = [port] if port is not None else [*range(DEFAULT_PORT, DEFAULT_PORT + _TRIED_PORTS), 0]
    problem: OSError | None = None
    for one in wanted:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, one))
            listener.listen()  # a browser that comes before the server is ready waits
        except (OSError, UnicodeError) as error:
            listener.close()
            if not isinstance(error, OSError) or isinstance(error, socket.gaierror) or error.errno == EADDRNOTAVAIL:
                raise ConfigurationError("--host", host, f"It is no address of this machine ({error}).") from error
            problem = error
            continue
        return listener
    raise ConfigurationError("port", f"{host}:{port}", f"Nothing can listen there ({problem}); name another one.")
