"""The command that shows the pages: where it listens, what it says, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from prefect_helix.core.errors import ConfigurationError
from prefect_helix.web.serving import _listen

UI = "from prefect_helix.cli import app; app()"
PATIENCE_S = 120


@contextmanager
def started(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", UI, "ui", "--store", str(folder / "store"), "--no-browser", *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_it_says_where_it_is_and_ends_when_told(tmp_path: Path, host: str, warned: bool) -> None:
    with started(tmp_path, "--host", host, "--port", "0") as process:
        assert process.stdout is not None
        port = re.search(rf"http://{re.escape(host)}:(\d+)", process.stdout.readline())
        assert port
        answer = httpx.get(f"http://127.0.0.1:{port[1]}/", timeout=PATIENCE_S)
        assert answer.status_code == 200 and "This store holds no runs yet" in answer.text
        assert "server" not in answer.headers
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, complaints
        assert ("whoever reaches it sees all runs" in complaints) is warned
        assert "Traceback" not in complaints


def test_it_goes_by_the_names_given_to_it(tmp_path: Path) -> None:
    with started(tmp_path, "--port", "0", "--name", "Helix.Example.", "--name", "other") as process:
        assert process.stdout is not None
        port = re.search(r":(\d+)", process.stdout.readline())
        assert port
        for host, status in (("helix.example", 200), ("other:443", 200), ("evil.example", 403)):
            answer = httpx.get(f"http://127.0.0.1:{port[1]}/", headers={"host": host}, timeout=PATIENCE_S)
            assert answer.status_code == status, host


@pytest.mark.parametrize("name", ["https://helix.example/", ""])
def test_a_name_that_no_host_has_is_told(tmp_path: Path, name: str) -> None:
    with started(tmp_path, "--name", name) as process:
        _, complaints = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert "without scheme and port" in complaints


@pytest.mark.parametrize("host", ["192.0.2.1", "x" * 70, "nosuch.invalid"])
def test_a_host_that_this_machine_is_not_is_told_as_such(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--host=.*no address of this machine"):
        _listen(host, None)


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with started(tmp_path, "--port", str(taken.getsockname()[1])) as process:
            _, complaints = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert "Nothing can listen there" in complaints
