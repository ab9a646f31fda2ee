"""Where series are played: in a folder, or in a bucket of an S3 server that gives out a folder."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.storage.servers import KEY, SECRET, s3_server

_BUCKET = "attack"


@dataclass(frozen=True)
class Place:
    """Where series are played.

    Attributes:
        folder: Each series has a folder of its own in it.
        url: What runs call it.
        environment: What runs need to know to reach it.
        server: The process of its server, 0 if there is none.
    """

    folder: Path
    url: str
    environment: Mapping[str, str]
    server: int = 0


@contextlib.contextmanager
def folder() -> Iterator[Place]:
    """Play in a folder."""
    with tempfile.TemporaryDirectory(prefix="attack") as root:
        yield Place(Path(root), root, {})


@contextlib.contextmanager
def bucket() -> Iterator[Place]:
    """Play in a bucket: what befalls its files, and what is looked at after a run, passes its server by."""
    with tempfile.TemporaryDirectory(prefix="attack") as root, s3_server(Path(root)) as server:
        Path(root, _BUCKET).mkdir()
        environment = {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL_S3": server.url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        }
        yield Place(Path(root, _BUCKET), f"s3://{_BUCKET}", environment, server.pid)


PLACES = {"folder": folder, "bucket": bucket}
