"""`store ls` and `store du`: what a store holds, and what takes its room."""

from __future__ import annotations

from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from prefect_helix.archive import Archive
from prefect_helix.cli.finding import JsonOption, ResultsOfArgument, StoreOption, archive_of
from prefect_helix.cli.output import ago, complain, console, print_json
from prefect_helix.settings import FlowOptions, resolve
from prefect_helix.storage.inventory import KINDS, Group, grouped, inventory
from prefect_helix.views.units import format_bytes, format_count, format_us, iso, shorten

app = typer.Typer(no_args_is_help=True, help="See what the store holds, and make room in it.")


@app.command()
def ls(
    flow: ResultsOfArgument = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what is kept by flow and task: number, size, last use, and what computing it again would take."""
    archive = archive_of(resolve(FlowOptions(store=store)))
    if flow is not None:
        archive.of_flow(flow)  # says what else may be meant
    held = inventory(archive.lineages, archive.store.blob_entries())
    groups = [group for group in grouped(held) if flow in (None, group.flow)]
    if as_json:
        print_json([_group_json(group) for group in groups])
        return
    if not groups:
        of = "" if flow is None else f" of a flow {flow!r}"
        complain(f"The store {archive.url} holds no results{of} in files of their own; small ones are in its lineage.")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("flow", "task"):
        table.add_column(heading, overflow="fold")
    for heading in ("files", "size", "last used", "to compute"):
        table.add_column(heading, justify="right", no_wrap=True)
    for group in groups:
        table.add_row(
            shorten(group.flow, 40) or Text("no known run", "dim"),
            shorten(group.task, 40),
            str(group.blobs),
            format_bytes(group.size_bytes),
            ago(group.last_used_us),
            format_us(group.compute_us) if group.flow else "",
        )
    out = console()
    out.print(table)
    total = sum(one.size_bytes for one in held if flow is None or flow in {owner for owner, _ in one.owners})
    out.print(Text(f"{format_bytes(total)} in all; what several tasks gave is listed for each.", "dim"))


@app.command()
def du(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show what takes the room, and how much of the budget is used."""
    resolved = resolve(FlowOptions(store=store))
    archive = archive_of(resolved)
    sizes = {kind: [entry.size_bytes for entry in archive.store.list(kind)] for kind in KINDS}
    sizes["unfinished"] = [entry.size_bytes for entry in archive.store.unfinished()]
    found = {kind: files for kind, files in sizes.items() if files}
    used = sum(sizes["blobs"])
    if as_json:
        kinds = {kind: {"files": len(files), "size_bytes": sum(files)} for kind, files in found.items()}
        print_json({"store": archive.url, "kinds": kinds, "budget_bytes": resolved.budget_bytes, "used_bytes": used})
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("what", no_wrap=True)
    for heading in ("files", "size"):
        table.add_column(heading, justify="right", no_wrap=True)
    for kind, files in found.items():
        table.add_row(kind, str(len(files)), format_bytes(sum(files)))
    out = console()
    out.print(table)
    out.print(
        f"{archive.url}: {format_bytes(used)} of results; the budget of these settings is "
        f"{format_bytes(resolved.budget_bytes)}, and {format_count(len(archive.lineages), 'run')} are known.",
        soft_wrap=True,
    )


def opened(store: str | None) -> Archive:
    """Return the runs of the store of that name, by default the settings'."""
    return archive_of(resolve(FlowOptions(store=store)))


def _group_json(group: Group) -> dict[str, Any]:
    return {
        "flow": group.flow or None,
        "task": group.task or None,
        "blobs": group.blobs,
        "size_bytes": group.size_bytes,
        "last_used": iso(group.last_used_us),
        "compute_us": group.compute_us,
    }
