"""What every test gets: a home of its own, a quiet Prefect, and on request a real Prefect server."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_HOME = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Settle the environment before any test module imports Prefect, which reads it once."""
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
