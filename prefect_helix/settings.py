"""Settings: what a flow is told, what the environment says, and the defaults, in this order."""

from __future__ import annotations

import contextlib
import math
import re
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, cast, get_args

from prefect.settings import PREFECT_HOME, PREFECT_UI_URL
from prefect.settings.base import PrefectBaseSettings, build_settings_config
from pydantic import Field, StrictFloat, StrictInt, ValidationError
from pydantic_settings import SettingsConfigDict

from prefect_helix.blocks import is_block_name, load_key, load_storage
from prefect_helix.core.errors import ConfigurationError
from prefect_helix.core.materialization import Policy, policy_named
from prefect_helix.core.sizes import budget_bytes
from prefect_helix.storage.store import Store, folder_of, open_store

Mode = Literal["auto", "off", "recompute", "verify"]
Shown = Literal["auto", "on", "off"]

DEFAULT_POLICY = "auto"
DEFAULT_BUDGET_BYTES = 10 * 10**9


class HelixSettings(PrefectBaseSettings):
    """The integration's settings, from ``PREFECT_INTEGRATIONS_HELIX_*``, Prefect profiles and ``prefect.toml``."""

    model_config: ClassVar[SettingsConfigDict] = build_settings_config(("integrations", "helix"))

    store: str | None = Field(default=None, examples=["s3://bucket/helix"])
    budget: str | StrictInt | None = Field(default=None, examples=["20GB", 20_000_000_000])
    policy: str | None = Field(default=None, examples=["auto"])
    mode: str | None = Field(default=None, examples=["auto"])
    verify: str | StrictFloat = Field(
        default=0, description="Share of the reused results that is computed again.", examples=[0.01]
    )
    compression: str | None = Field(default=None, examples=["zstd"])
    signing_key: str | None = Field(
        default=None, description="Name of the Secret block that holds the key.", examples=["helix-key"]
    )
    wait: str | StrictFloat = Field(
        default=0, description="Seconds that a call waits for another run that computes it.", examples=[600]
    )
    progress: str | None = Field(
        default=None, description="Whether the terminal shows how far a run is.", examples=["off"]
    )
    ui_url: str = Field(
        default="", description="Where the package's own web pages are.", examples=["http://127.0.0.1:4300"]
    )


@dataclass(frozen=True)
class FlowOptions:
    """What a flow says of its runs; None leaves it to the settings."""

    store: str | Path | None = None
    budget: str | int | None = None
    policy: str | Policy | None = None
    mode: str | None = None
    storage_options: Mapping[str, Any] | None = None
    verify: float | None = None


@dataclass(frozen=True)
class Resolved:
    """Settings that a run goes by."""

    store: str | Path
    budget_bytes: int
    policy: Policy
    mode: Mode
    storage_options: Mapping[str, Any] | None = field(repr=False)
    compression: str | None = None
    key: bytes | None = field(default=None, repr=False)
    wait_seconds: float = 0.0
    verify: float = 0.0
    progress: Shown = "auto"
    ui_url: str = ""

    def open(self) -> Store:
        """Open the store.

        Raises:
            ConfigurationError: If it makes no sense.
        """
        return open_store(self.store, storage_options=self.storage_options, compression=self.compression, key=self.key)


def resolve(options: FlowOptions) -> Resolved:
    """Return the settings of a run: what the flow says, else what the block of its store says, else the environment.

    Raises:
        ConfigurationError: If one makes no sense.
    """
    settings = _said()
    home = PREFECT_HOME.value() / "helix"
    store = options.store or settings.store or home
    block = load_storage(store) if is_block_name(store) else None
    url = block.url if block else store
    said_budget = None if settings.budget == "" else settings.budget
    budget = _first(options.budget, block.budget if block else None, said_budget)
    policy = options.policy or (block.policy if block else None) or settings.policy or DEFAULT_POLICY
    return Resolved(
        store=url,
        budget_bytes=_default_budget_bytes(url) if budget is None else budget_bytes(budget),
        policy=policy_named(policy),
        mode=checked_mode(options.mode or settings.mode or "auto"),
        storage_options=_first(options.storage_options, block.options() if block else None),
        compression=_first(block.compression if block else None, settings.compression or None),
        key=(block.key() if block else None) or load_key(settings.signing_key or None),
        wait_seconds=_seconds(settings.wait or 0),
        verify=checked_share((settings.verify or 0) if options.verify is None else options.verify),
        progress=_shown(settings.progress or "auto"),
        ui_url=_url(settings.ui_url),
    )


def prefect_address(kind: Literal["flow-run", "task-run"], run_id: str) -> str:
    """Return the address of a run in the Prefect UI; empty if none is configured, or the id is none of Prefect's."""
    ui = PREFECT_UI_URL.value() or ""
    try:
        known = str(uuid.UUID(run_id)) == run_id
    except ValueError:
        known = False
    return f"{ui.rstrip('/')}/runs/{kind}/{run_id}" if known and ui.startswith(("http://", "https://")) else ""


def checked_mode(mode: str) -> Mode:
    """Return `mode` if there is one of that name.

    Raises:
        ConfigurationError: If there is none.
    """
    return cast("Mode", _one_of(get_args(Mode), "mode", mode))


def checked_share(verify: str | float) -> float:
    """Return `verify` as a share of the reused results.

    Raises:
        ConfigurationError: If it is none.
    """
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        if not isinstance(verify, bool) and 0 <= (share := float(verify)) <= 1:
            return share
    remedy = "Give the share of the reused results to compute again, from 0 to 1: 0.01 for one in a hundred."
    raise ConfigurationError("verify", verify, remedy)


def _said() -> HelixSettings:
    """Return what the environment, profiles and files say.

    Raises:
        ConfigurationError: If they say what is of no kind that the setting takes.
    """
    try:
        return HelixSettings()
    except ValidationError as error:
        problem = error.errors()[0]
        setting = str(problem["loc"][0])
        examples = " or ".join(map(repr, HelixSettings.model_fields[setting].examples or ()))
        raise ConfigurationError(setting, problem["input"], f"Give something like {examples}.") from error


def _first(*said: Any) -> Any:
    """Return the first that is not None."""
    return next((one for one in said if one is not None), None)


def _shown(progress: str) -> Shown:
    return cast("Shown", _one_of(get_args(Shown), "progress", progress))


def _one_of(choices: Sequence[str], setting: str, choice: str) -> str:
    if choice not in choices:
        raise ConfigurationError(setting, choice, f"Use one of {', '.join(map(repr, choices))}.")
    return choice


def _url(text: str) -> str:
    if text and not re.fullmatch(r"https?://[^\s<>]+", text):
        raise ConfigurationError("ui_url", text, "Give an address such as http://127.0.0.1:4300.")
    return text.rstrip("/")


def _seconds(wait: str | float) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (seconds := float(wait)) < math.inf:
            return seconds
    raise ConfigurationError("wait", wait, "Give a number of seconds, such as 600; 0 waits for nobody.")


def _default_budget_bytes(store: str | Path) -> int:
    """Return 10 GB, or a tenth of what is free on the disk of a local store if that is less."""
    folder = folder_of(store)
    for place in (folder, *folder.parents) if folder else ():
        with contextlib.suppress(OSError):  # it is made when the run stores something
            return min(DEFAULT_BUDGET_BYTES, shutil.disk_usage(place).free // 10)
    return DEFAULT_BUDGET_BYTES
