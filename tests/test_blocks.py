"""The `HelixStorage` block: saved and loaded, as a store by name, and as Prefect's own result storage."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from prefect import flow, task
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from pydantic import ValidationError
from typer.testing import CliRunner

from prefect_helix import ConfigurationError, HelixStorage, blocks, helix_flow, helix_task
from prefect_helix.blocks import _place
from prefect_helix.cli import app
from prefect_helix.core.errors import CorruptError
from prefect_helix.settings import FlowOptions, resolve
from prefect_helix.storage.catalog import Catalog
from prefect_helix.storage.store import open_store

ran: list[str] = []


class TestStandards(BlockStandardTestSuite):
    @pytest.fixture
    def block(self) -> type[Block]:
        return HelixStorage

    @pytest.mark.skip(reason="It asks a server for the picture, and no test asks the network.")
    def test_has_a_valid_image(self) -> None: ...


@pytest.fixture
def saved(prefect_server: str, tmp_path: Path) -> Iterator[HelixStorage]:
    block = HelixStorage(
        url=str(tmp_path / "store"),
        storage_options={"secret": "hunter2"},
        budget="3MB",
        policy="always",
        compression="zstd",
        signing_key="a long key",
    )
    block.save("prod", overwrite=True, _sync=True)
    yield block
    HelixStorage.delete("prod", _sync=True)


def test_a_saved_block_comes_back(saved: HelixStorage) -> None:
    assert HelixStorage.load("prod", _sync=True) == saved
    assert "hunter2" not in repr(saved)
    assert "a long key" not in repr(saved)


def test_its_secrets_are_secrets_to_the_server(saved: HelixStorage, prefect_server: str) -> None:
    schema = HelixStorage._to_block_schema().fields
    assert set(schema["secret_fields"]) == {"storage_options.*", "signing_key"}


@pytest.mark.parametrize(
    ("field", "value"), [("budget", "much"), ("policy", "magic"), ("compression", "gzip"), ("url", None)]
)
def test_what_makes_no_sense_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        HelixStorage(**{"url": "/x", field: value})


def test_a_block_gives_the_settings_of_a_run(saved: HelixStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_BUDGET", "7GB")
    found = resolve(FlowOptions(store="helix-storage/prod"))
    assert (found.store, found.budget_bytes, found.policy.name) == (saved.url, 3_000_000, "always")
    assert (found.storage_options, found.compression, found.key) == ({"secret": "hunter2"}, "zstd", b"a long key")
    assert "hunter2" not in repr(found)
    assert "a long key" not in repr(found)
    assert resolve(FlowOptions(store="helix-storage/prod", budget=5, policy="never")).budget_bytes == 5
    monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_STORE", "helix-storage/prod")
    assert resolve(FlowOptions()).store == saved.url


def test_a_block_that_is_not_there_says_what_to_do(prefect_server: str) -> None:
    with pytest.raises(ConfigurationError, match=r"Save a HelixStorage block .* Prefect server"):
        resolve(FlowOptions(store="helix-storage/nothing"))


def test_the_key_of_a_plain_store_comes_from_a_secret_block(
    prefect_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_SIGNING_KEY", "helix-key")
    with pytest.raises(ConfigurationError, match=r"Save a Secret block .* Prefect server"):
        resolve(FlowOptions(store=tmp_path))
    Secret(value="a long key").save("helix-key", overwrite=True, _sync=True)
    monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_COMPRESSION", "lz4")
    found = resolve(FlowOptions(store=tmp_path))
    assert (found.key, found.compression) == (b"a long key", "lz4")


@helix_task
def numbers(count: int) -> list[int]:
    ran.append("numbers")
    return list(range(count))


@helix_task
def total(numbers: list[int]) -> int:
    ran.append("total")
    return sum(numbers)


def test_a_flow_keeps_its_results_in_a_store_named_by_a_block(saved: HelixStorage) -> None:
    @helix_flow(store="helix-storage/prod")
    def sums(count: int) -> int:
        return total(numbers(count))

    ran.clear()
    assert [sums(3), sums(3), sums(20_000)] == [3, 3, 199_990_000]
    assert ran == ["numbers", "total", "numbers", "total"]
    store = saved.open()
    assert len(Catalog(store).read().lineages) == 3
    assert len(store.blobs()) == 1
    with pytest.raises(CorruptError):
        open_store(saved.url, key=b"another key").get_blob(next(iter(store.blobs())))
    listed = CliRunner().invoke(app, ["store", "ls", "--store", "helix-storage/prod"], catch_exceptions=False)
    assert "numbers" in listed.stdout


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_prefect_keeps_its_own_results_there(saved: HelixStorage, kind: str) -> None:
    computed: list[int] = []

    @task(persist_result=True, cache_key_fn=lambda *_: f"{kind}/one key")
    def double(number: int) -> int:
        computed.append(number)
        return 2 * number

    @flow(result_storage=saved, persist_result=True)
    def plain() -> int:
        return double(21) + double(21)

    @flow(result_storage=saved, persist_result=True)
    async def plain_async() -> int:
        return double(21) + double(21)

    assert (plain() if kind == "sync" else asyncio.run(plain_async())) == 84
    assert computed == [21]
    assert saved.open().list("results")


def test_paths_of_prefect_become_names_and_no_two_the_same() -> None:
    paths = ["a", "a/b", "a b", "a_b", "a_2f_b", ".a", "../a", "/a", "a//b", "ä", "A"]
    places = [_place(path) for path in paths]
    assert len(set(places)) == len(paths)
    for place in places:
        open_store("memory://places").write(place, [b"1"])


def test_reading_what_is_not_there_is_a_value_error(tmp_path: Path) -> None:
    block = HelixStorage(url=str(tmp_path))
    with pytest.raises(ValueError, match=r"Path x/y does not exist\."):
        block.read_path("x/y")
    block.write_path("x/y", b"1")
    assert block.read_path("x/y") == b"1"
    assert asyncio.run(block.aread_path("x/y")) == b"1"


def test_prefects_results_go_over_one_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    open_store = blocks.open_store
    monkeypatch.setattr(blocks, "open_store", lambda *args, **options: opened.append(1) or open_store(*args, **options))
    block = HelixStorage(url=str(tmp_path))
    for number in range(3):
        block.write_path(f"key-{number}", b"x")
        assert block.read_path(f"key-{number}") == b"x"
    assert opened == [1]
    assert cloudpickle.loads(cloudpickle.dumps(block)).read_path("key-2") == b"x"
    assert block == HelixStorage(url=str(tmp_path))


def test_the_block_is_registered_as_prefect_registers_blocks(prefect_server: str) -> None:
    command = [sys.executable, "-m", "prefect", "block", "register", "-m", "prefect_helix"]
    environment = {**os.environ, "PREFECT_API_URL": prefect_server}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert "Helix Storage" in done.stdout


def test_where_the_block_says_nothing_the_environment_holds(
    prefect_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    HelixStorage(url=str(tmp_path)).save("bare", overwrite=True, _sync=True)
    Secret(value="our key").save("helix-key", overwrite=True, _sync=True)  # type: ignore[arg-type]
    monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_SIGNING_KEY", "helix-key")
    monkeypatch.setenv("PREFECT_INTEGRATIONS_HELIX_COMPRESSION", "lz4")
    found = resolve(FlowOptions(store="helix-storage/bare", storage_options={"anon": True}))
    assert (found.key, found.compression, found.storage_options) == (b"our key", "lz4", {"anon": True})
