"""What the workloads have in common: where their data lie, and the options of their command lines."""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec

from prefect_helix import helix_flow


def data_root(data: str | None) -> str | None:
    """Return the folder or URL named by the argument, else by `HELIX_DATA`; None stands for the packaged data."""
    return data or os.environ.get("HELIX_DATA") or None


def find(root: str, folder: str, names: tuple[str, ...], sample: str) -> list[str]:
    """Find files in a folder of `root`, or in `root` itself.

    Raises:
        FileNotFoundError: If neither has them all. It names the package `sample`, which has other data.
    """
    filesystem, _ = fsspec.url_to_fs(root)
    for place in (f"{root}/{folder}", root):
        files = [f"{place}/{name}" for name in names]
        if all(filesystem.exists(file) for file in files):
            return files
    raise FileNotFoundError(
        f"{root} has no {' and '.join(names)}, nor has its folder {folder}. "
        f"Name a folder that has them by --data or HELIX_DATA, or none to use the sample in {sample}."
    )


def packaged(package: str, file: str, instead: str) -> str:
    """Return the path of a file that an installed package has; the package itself is not imported.

    Raises:
        ModuleNotFoundError: If the package is not installed. It says what may be named `instead`.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            f"The default data come with the package {package}, which is not installed: "
            f"`pip install {package}`, or name a folder with {instead} by --data."
        )
    return str(Path(spec.origin).parent / file)


def run(body: Callable[..., Any], parser: argparse.ArgumentParser, leave_out: tuple[str, ...] = ()) -> Any:
    """Run a flow's body with the options of the command line, among them those of reuse, and return what it returns.

    Args:
        body: The function under the flow.
        parser: Knows the flow's options by the names of the parameters.
        leave_out: Options that are no parameters of the flow.
    """
    add = parser.add_argument_group("reuse (else the settings of prefect_helix)").add_argument
    add("--store", metavar="URL", help="where results are kept: a folder or a URL")
    add("--budget", metavar="SIZE", help="how much may be kept, for example 2GB")
    add("--policy", choices=["auto", "helix", "always", "never"], help="what is kept")
    add("--mode", choices=["auto", "off", "recompute", "verify"], help="whether results are reused")
    options = {name: value for name, value in vars(parser.parse_args()).items() if name not in leave_out}
    reuse = {name: options.pop(name) for name in ("store", "budget", "policy", "mode")}
    return helix_flow(body, **reuse)(**options)
