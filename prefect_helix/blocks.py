"""`HelixStorage`: a store as a Prefect block, with its credentials, budget and policy."""

from __future__ import annotations

import asyncio
import functools
import os
import re
from pathlib import Path
from typing import Any, ClassVar, Literal

from prefect.blocks.system import Secret
from prefect.filesystems import WritableFileSystem
from prefect.types import SecretDict
from pydantic import Field, SecretStr, field_validator

from prefect_helix.compat import async_dispatch
from prefect_helix.core.errors import BlobMissingError, ConfigurationError
from prefect_helix.core.materialization import policy_named
from prefect_helix.core.sizes import budget_bytes
from prefect_helix.storage.store import Store, open_store

_SLUG = "helix-storage"
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]|^\.")


class HelixStorage(WritableFileSystem):
    """A place where results and lineage of helix flows are kept, for any number of runs on any number of machines.

    Example:
        Load a saved block, and use it as the store of a flow:
        ```python
        from prefect_helix import HelixStorage, helix_flow

        storage = HelixStorage.load("BLOCK_NAME")

        @helix_flow(store="helix-storage/BLOCK_NAME")
        def census(): ...
        ```
    """

    _block_type_name: ClassVar[str | None] = "Helix Storage"
    _block_type_slug: ClassVar[str | None] = _SLUG
    _documentation_url: ClassVar[Any] = "https://docs.prefect.io/v3/advanced/results"
    _logo_url: ClassVar[Any] = (
        "https://cdn.sanity.io/images/3ugk85nk/production/e86b41bc0f9c99ba9489abeee83433b43d5c9365-48x48.png"
    )

    url: str = Field(
        description="Where it is: an fsspec URL or a local path.",
        examples=["s3://bucket/helix", "/data/helix"],
    )
    storage_options: SecretDict | None = Field(
        default=None,
        title="Storage options",
        description="Options of the URL's fsspec file system, such as credentials and endpoint; kept as a secret.",
        examples=[{"key": "...", "secret": "...", "endpoint_url": "https://s3.example.com"}],
    )
    budget: str | None = Field(
        default=None,
        description="What it may hold in results. Without it, 10 GB, or less in a folder whose disk has little room: "
        "a tenth of what is free there when the run begins.",
        examples=["20GB", "512MiB"],
    )
    policy: str | None = Field(
        default=None,
        description="Which results are worth their storage; a flow may say otherwise.",
        examples=["auto", "helix", "always", "never"],
    )
    compression: Literal["zstd", "lz4"] | None = Field(
        default=None,
        description="How results are made smaller. Of use where the network is slower than compressing.",
    )
    signing_key: SecretStr | None = Field(
        default=None,
        title="Signing key",
        description="What all that is kept is signed with. Nothing is loaded that is not signed with it.",
    )

    @field_validator("budget")
    @classmethod
    def _check_budget(cls, value: str | None) -> str | None:
        if value is not None:
            budget_bytes(value)
        return value

    @field_validator("policy")
    @classmethod
    def _check_policy(cls, value: str | None) -> str | None:
        if value is not None:
            policy_named(value)
        return value

    def options(self) -> dict[str, Any] | None:
        """Return the options of the file system."""
        return None if self.storage_options is None else self.storage_options.get_secret_value()

    def key(self) -> bytes | None:
        """Return the signing key."""
        return None if self.signing_key is None else self.signing_key.get_secret_value().encode()

    def open(self) -> Store:
        """Open the store.

        Raises:
            ConfigurationError: If it makes no sense.
        """
        return open_store(self.url, storage_options=self.options(), compression=self.compression, key=self.key())

    # Prefect keeps results of its own here, too: ``result_storage=``.

    async def aread_path(self, path: str) -> bytes:
        """Return what Prefect keeps at `path`.

        Raises:
            ValueError: If there is nothing.
        """
        return await asyncio.to_thread(self._read, path)

    @async_dispatch(aread_path)
    def read_path(self, path: str) -> bytes:  # type: ignore[override]  # as Prefect's own file systems have it
        """Return what Prefect keeps at `path`.

        Raises:
            ValueError: If there is nothing.
        """
        return self._read(path)

    async def awrite_path(self, path: str, content: bytes) -> None:
        """Keep what Prefect has for `path`."""
        await asyncio.to_thread(self._write, path, content)

    @async_dispatch(awrite_path)
    def write_path(self, path: str, content: bytes) -> None:  # type: ignore[override]
        """Keep what Prefect has for `path`."""
        self._write(path, content)

    def _read(self, path: str) -> bytes:
        try:
            return self._results.read(_place(path))
        except BlobMissingError as error:
            raise ValueError(f"Path {path} does not exist.") from error

    def _write(self, path: str, content: bytes) -> None:
        self._results.write(_place(path), [content])

    @functools.cached_property
    def _results(self) -> Store:
        """The store, connected to once: Prefect reads and writes its results one by one."""
        return self.open()


def is_block_name(store: str | os.PathLike[str]) -> bool:
    """Return whether a store is named by a saved block."""
    return os.fspath(store).startswith(f"{_SLUG}/")


def load_storage(store: str | Path) -> HelixStorage:
    """Return the saved block that is named ``helix-storage/NAME``.

    Raises:
        ConfigurationError: If there is none.
    """
    name = os.fspath(store).partition("/")[2]
    try:
        return HelixStorage.load(name, _sync=True)  # type: ignore[call-arg,return-value]
    except Exception as error:  # there is none, or no server answers
        remedy = (
            "Save a HelixStorage block of that name, and make sure that the Prefect server which has it answers "
            f"({type(error).__name__}: {error})."
        )
        raise ConfigurationError("store", os.fspath(store), remedy) from error


def load_key(name: str | None) -> bytes | None:
    """Return the key that a Secret block of Prefect holds; None for no name.

    Raises:
        ConfigurationError: If there is none.
    """
    if name is None:
        return None
    try:
        value = Secret.load(name, _sync=True).get()  # type: ignore[call-arg,union-attr]
    except Exception as error:  # there is none, or no server answers
        remedy = (
            "Save a Secret block of that name, and make sure that the Prefect server which has it answers "
            f"({type(error).__name__}: {error})."
        )
        raise ConfigurationError("signing_key", name, remedy) from error
    return str(value).encode()


def _place(path: str) -> str:
    """Return where in a store Prefect's `path` is: one name, whatever is in it, and another for another."""
    return "results/" + _UNSAFE.sub(lambda found: f"_{found[0].encode().hex()}_", path)
