"""How the verbs are told which store, run and step is meant."""

from __future__ import annotations

from typing import Annotated

import typer

from prefect_helix.archive import Archive, read_archive
from prefect_helix.cli.completing import complete_flow, complete_run, complete_task
from prefect_helix.cli.output import warn
from prefect_helix.core.errors import NotFoundError
from prefect_helix.settings import FlowOptions, Resolved, resolve

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="The store: fsspec URL, local path or helix-storage/NAME; else the one of the settings.",
    ),
]
FlowStoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="The store: fsspec URL, local path or helix-storage/NAME; else the flow's own, or that of the settings.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
FlowArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[FLOW]", help="The flow; needed if the store has runs of several.", autocompletion=complete_flow
    ),
]
ResultsOfArgument = Annotated[
    str | None,
    typer.Argument(metavar="[FLOW]", help="Only results of this flow.", autocompletion=complete_flow),
]
TaskArgument = Annotated[
    str,
    typer.Argument(
        metavar="TASK", help="A task of the run; `fit#2` for its second call.", autocompletion=complete_task
    ),
]
RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run id or its beginning, a tag, a flow run's name, `last`, or `last~1`.",
        autocompletion=complete_run,
    ),
]


def open_archive(store: str | None) -> Archive:
    """Return the runs of a store, by default the settings', and warn of what cannot be read.

    Raises:
        ConfigurationError: If the store makes no sense.
        StoreError: If it cannot be read.
    """
    return archive_of(resolve(FlowOptions(store=store)))


def archive_of(resolved: Resolved) -> Archive:
    """Return the runs of the store of these settings; see `open_archive`."""
    archive = read_archive(resolved)
    for problem in archive.problems:
        warn("", problem)
    return archive


def existing(archive: Archive) -> Archive:
    """Return an archive whose store is there.

    Raises:
        NotFoundError: If it is a folder that does not exist.
    """
    if not archive.store.is_there():
        raise NotFoundError(f"There is no store at {archive.url}. Correct the path, or name another one with --store.")
    return archive
