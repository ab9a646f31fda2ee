"""What every test gets: a home of its own, a quiet Prefect, and on request a real Prefect server and a browser."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from selenium import webdriver

PATIENCE_S = 120

_HOME = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Settle the environment before any test module imports Prefect, which reads it once."""
    if importlib.util.find_spec("hypothesis") is not None:
        from hypothesis import settings  # noqa: PLC0415 - not needed to play the ways of Prefect alone

        settings.register_profile("tests", deadline=None)  # a busy machine is no defect
        settings.load_profile("tests")
    home = Path(tempfile.mkdtemp(prefix="helix-tests-"))
    config.stash[_HOME] = home
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        del os.environ[name]
    os.environ.update(
        HOME=str(home),
        XDG_CACHE_HOME=str(home / ".cache"),
        XDG_CONFIG_HOME=str(home / ".config"),
        XDG_DATA_HOME=str(home / ".local/share"),
        PREFECT_HOME=str(home / ".prefect"),
        PREFECT_LOGGING_LEVEL="WARNING",
        PREFECT_LOGGING_TO_API_ENABLED="false",
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_HOME], ignore_errors=True)


class Ticking:
    """A clock on which every task body takes a second."""

    def __init__(self) -> None:
        self._ticks = itertools.count(step=1_000_000_000)

    def perf_counter_ns(self) -> int:
        return next(self._ticks)


@pytest.fixture
def slow_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Task bodies take a second each, so that plans do not hang on how fast the machine is."""
    monkeypatch.setattr("prefect_helix.clones.time", Ticking())


Told = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def told_by() -> Told:
    """Runs a program of the tests and gives the JSON that it tells; it fails where a promise is broken."""

    def told(program: Path, *arguments: str, timeout_s: float) -> dict[str, Any]:
        command = [sys.executable, str(program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return told


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """A real Prefect server with an empty database; gives its API URL, for subprocesses."""
    from prefect.settings import PREFECT_API_URL  # noqa: PLC0415 - Prefect is slow to import; most tests do without
    from prefect.testing.utilities import prefect_test_harness  # noqa: PLC0415

    with prefect_test_harness(server_startup_timeout=120):
        yield PREFECT_API_URL.value()


@pytest.fixture(scope="session")
def helix_data() -> Path:
    """The folder of the full data sets, named by HELIX_DATA."""
    folder = os.environ.get("HELIX_DATA")
    if not folder:
        pytest.skip("HELIX_DATA names no folder with the full data sets")
    return Path(folder)


@dataclass(frozen=True)
class Server:
    """A Prefect server of its own.

    Attributes:
        url: Where its UI is; the API is below it.
        environment: Environment of processes that use it.
    """

    url: str
    environment: dict[str, str]

    def ask(self, path: str, **query: Any) -> Any:
        """Return the answer of its API: to a POST where there is a query, else to a GET."""
        return self._answer("POST" if query else "GET", path, query or None).json()

    @staticmethod
    def stop(process: subprocess.Popen[bytes]) -> None:
        """Stop a process, a server or what works for it, and wait until it has ended."""
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def order(self, path: str) -> None:
        """Have its API do what `path` says."""
        self._answer("POST", path, None)

    def change(self, path: str, **fields: Any) -> None:
        """Change fields of what is at `path` of its API."""
        self._answer("PATCH", path, fields)

    def _answer(self, method: str, path: str, content: Any) -> httpx.Response:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            answer = httpx.request(method, f"{self.url}/api{path}", json=content, timeout=PATIENCE_S)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
                return answer.raise_for_status()
            time.sleep(0.2)  # its database is locked; Prefect's client asks again, too


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server as a user starts it, with its UI and its scheduler, which is in more of a hurry here."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("prefect")
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_SERVER_UI_API_URL": f"{url}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "INFO",
        "PREFECT_LOGGING_TO_API_ENABLED": "true",
        "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "1",
        "PREFECT_SERVER_SERVICES_SCHEDULER_MAX_RUNS": "8",
        "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    output = home / "server.log"
    with output.open("w") as log:
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_for_health(url, process, output)
        yield Server(url, environment)
    finally:
        Server.stop(process)


def _wait_for_health(url: str, process: subprocess.Popen[bytes], output: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/api/health", timeout=10).is_success:
                return
        except httpx.TransportError:
            pass  # it does not listen yet
        try:
            process.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
        break
    pytest.fail(f"The Prefect server did not start:\n{output.read_text()}")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A headless Chromium that reaches this machine only."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("Chromium or its chromedriver is not installed (Debian: apt-get install chromium chromium-driver)")
    from selenium import webdriver  # noqa: PLC0415 - for the few tests that look at a page
    from selenium.webdriver.chrome.service import Service  # noqa: PLC0415

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"user-data-dir={tmp_path_factory.mktemp('chromium')}",
        "window-size=1400,1300",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    yield chrome
    chrome.quit()
