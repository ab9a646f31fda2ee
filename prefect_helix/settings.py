"""Settings: what a flow is told, what the environment says, and the defaults, in this order."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, cast, get_args

from prefect.settings import PREFECT_HOME
from prefect.settings.base import PrefectBaseSettings, build_settings_config
from pydantic_settings import SettingsConfigDict

from prefect_helix.core.errors import ConfigurationError
from prefect_helix.core.materialization import Policy, policy_named

Mode = Literal["auto", "off", "recompute", "verify"]

DEFAULT_POLICY = "helix"
DEFAULT_BUDGET_BYTES = 10 * 10**9

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {f"{letter}IB": 1024 ** (power + 1) for power, letter in enumerate("KMGT")}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


class HelixSettings(PrefectBaseSettings):
    """The integration's settings, from ``PREFECT_INTEGRATIONS_HELIX_*``, Prefect profiles and ``prefect.toml``."""

    model_config: ClassVar[SettingsConfigDict] = build_settings_config(("integrations", "helix"))

    store: str | None = None
    budget: str | None = None
    policy: str | None = None
    mode: str | None = None


@dataclass(frozen=True)
class FlowOptions:
    """What a flow says of its runs; None leaves it to the settings."""

    store: str | Path | None = None
    budget: str | int | None = None
    policy: str | Policy | None = None
    mode: str | None = None
    storage_options: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Resolved:
    """Settings that a run goes by."""

    store: str | Path
    budget_bytes: int
    policy: Policy
    mode: Mode
    storage_options: Mapping[str, Any] | None


def resolve(options: FlowOptions) -> Resolved:
    """Return the settings of a run.

    Raises:
        ConfigurationError: If one makes no sense.
    """
    settings = HelixSettings()
    mode = options.mode or settings.mode or "auto"
    budget = options.budget if options.budget is not None else settings.budget
    home = PREFECT_HOME.value() / "helix"
    return Resolved(
        store=options.store or settings.store or home,
        budget_bytes=_default_budget_bytes(home) if budget is None else budget_bytes(budget),
        policy=policy_named(options.policy or settings.policy or DEFAULT_POLICY),
        mode=checked_mode(mode),
        storage_options=options.storage_options,
    )


def checked_mode(mode: str) -> Mode:
    """Return `mode` if there is one of that name.

    Raises:
        ConfigurationError: If there is none.
    """
    if mode not in get_args(Mode):
        raise ConfigurationError("mode", mode, f"Use one of {', '.join(map(repr, get_args(Mode)))}.")
    return cast("Mode", mode)


def budget_bytes(budget: str | int) -> int:
    """Return a budget in bytes, from bytes or a text such as ``"20GB"`` or ``"512 MiB"``.

    Raises:
        ConfigurationError: If it makes no sense.
    """
    remedy = 'Give a number of bytes or a size such as "20GB" or "512MiB"; zero keeps nothing but small results.'
    if isinstance(budget, bool) or not isinstance(budget, (int, str)) or (isinstance(budget, int) and budget < 0):
        raise ConfigurationError("budget", budget, remedy)
    if isinstance(budget, int):
        return budget
    found = _SIZE.fullmatch(budget)
    if found is None or found[2].upper() not in _UNITS:
        raise ConfigurationError("budget", budget, remedy)
    return int(float(found[1]) * _UNITS[found[2].upper()])


def _default_budget_bytes(home: Path) -> int:
    """Return 10 GB, or a tenth of the free disk if that is less."""
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    return min(DEFAULT_BUDGET_BYTES, shutil.disk_usage(existing).free // 10)
