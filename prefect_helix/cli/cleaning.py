"""`store gc` and `store rm`: what nobody needs goes, and what is named."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import typer

from prefect_helix.archive import Archive, suggestion
from prefect_helix.cli.finding import JsonOption, ResultsOfArgument, StoreOption, existing, open_archive
from prefect_helix.cli.output import complain, console, print_json, tracked, visible
from prefect_helix.cli.rulings import YesOption, ask, when
from prefect_helix.core.errors import ConfigurationError, NotFoundError, StoreError
from prefect_helix.core.sizes import budget_bytes
from prefect_helix.storage import leases
from prefect_helix.storage.backend import Entry
from prefect_helix.storage.inventory import Chosen, inventory, of, superfluous
from prefect_helix.storage.leases import Lease
from prefect_helix.storage.store import Store
from prefect_helix.views.units import format_bytes, format_count

UNFINISHED_US = 24 * 3_600 * 1_000_000
"""A write that began longer ago will not be finished."""

DryRunOption = Annotated[bool, typer.Option("--dry-run", "-n", help="Only show what would go.")]


@dataclass(frozen=True)
class Litter:
    """What is to go.

    Attributes:
        blobs: Results.
        unfinished: Writes that were killed.
        files: Paths of what is of no use: expired leases, lineages of which nothing can be read.
    """

    blobs: Sequence[Chosen]
    unfinished: Sequence[Entry] = ()
    files: Sequence[str] = ()

    @property
    def size_bytes(self) -> int:
        """What comes free, as far as known."""
        return sum(one.held.size_bytes for one in self.blobs) + sum(entry.size_bytes for entry in self.unfinished)

    def __len__(self) -> int:
        return len(self.blobs) + len(self.unfinished) + len(self.files)


def gc(
    to: Annotated[
        str | None, typer.Option("--to", metavar="SIZE", help="Remove the least recently used until SIZE is left.")
    ] = None,
    unused_for: Annotated[
        str | None,
        typer.Option("--unused-for", metavar="AGE", help="Remove what was last of use before: 12h, 30d, 8w."),
    ] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove what nobody needs: results of no known run, what killed runs left, and more if you say so.

    What a running flow may load stays.
    """
    to_bytes = None if to is None else budget_bytes(to, setting="--to")
    unused_since_us = when("--unused-for", unused_for)
    archive = _whole(existing(open_archive(store)))
    now_us = _now_us(archive.store, dry_run=dry_run)
    running = leases.in_force(archive.store, now_us)
    blobs = superfluous(
        inventory(archive.lineages, archive.store.blob_entries()),
        leased=leases.needed_blobs(running),
        now_us=now_us,
        unused_since_us=unused_since_us,
        to_bytes=to_bytes,
    )
    unfinished = [entry for entry in archive.store.unfinished() if entry.modified_us < now_us - UNFINISHED_US]
    useless = [*(entry.path for entry in leases.expired(archive.store, now_us)), *archive.useless]
    _clean(archive, Litter(blobs, unfinished, useless), dry_run=dry_run, yes=yes, as_json=as_json)
    if not dry_run:
        archive.catalog.close_abandoned({lease.run_id for lease in running}, now_us)
        archive.catalog.compact()


def rm(
    flow: ResultsOfArgument = None,
    task: Annotated[str | None, typer.Option("--task", metavar="TASK", help="Only results of this task.")] = None,
    run: Annotated[
        list[str] | None, typer.Option("--run", metavar="RUN", help="Only what this run named; may be repeated.")
    ] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove stored results; what is needed of them is computed again.

    What other flows, tasks or runs gave as well stays, and so does what a running flow may load. Results of up to 4 KiB
    are in the lineage and stay, too: `revoke` has them computed again.
    """
    if not (flow or task or run):
        raise ConfigurationError("store rm", "everything", "Say which: a FLOW, --task or --run.")
    archive = _whole(existing(open_archive(store)))
    runs = [archive.run(name).run.run_id for name in run or ()]
    _check_names(archive, flow, task)
    held = inventory(archive.lineages, archive.store.blob_entries())
    leased = leases.needed_blobs(leases.in_force(archive.store, _now_us(archive.store, dry_run=dry_run)))
    named = [*of(held, flow=flow, task=task, runs=runs)]
    blobs = [one for one in named if one.held.name not in leased]
    if len(blobs) < len(named):
        complain(f"Left in place: {format_count(len(named) - len(blobs), 'result')} that a running flow may load.")
    _clean(archive, Litter(blobs), dry_run=dry_run, yes=yes, as_json=as_json)


def _whole(archive: Archive) -> Archive:
    """Return an archive all of which could be read.

    Raises:
        StoreError: If part of it could not: nobody can tell now what only that part needs.
    """
    if archive.unread:
        cause = f"{archive.unread[0]} cannot be read now, or by this release, and may name what nothing else does"
        remedy = "Nothing is removed. Try again, with the newest prefect-helix that uses this store."
        raise StoreError(archive.url, "tell what nobody needs", cause, remedy)
    return archive


def _clean(archive: Archive, litter: Litter, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    if not as_json:
        _print(litter, archive)
    if litter and not dry_run:
        ask("Remove this?", yes=yes, as_json=as_json)
        litter = _still(archive.store, litter)  # a run may have begun while somebody thought about it
        for remove in tracked(_removals(archive.store, litter), len(litter), "Removing"):
            remove()
        if not as_json:
            console().print(f"Removed; {format_bytes(litter.size_bytes)} are free.")
    if as_json:
        print_json(_json(litter, removed=not dry_run))


def _still(store: Store, litter: Litter) -> Litter:
    """Return what may go now that a running flow may need some of it."""
    leased = leases.needed_blobs(leases.in_force(store))
    return replace(litter, blobs=[one for one in litter.blobs if one.held.name not in leased])


def _removals(store: Store, litter: Litter) -> Iterator[Callable[[], None]]:
    yield from (partial(store.delete_blob, one.held.name) for one in litter.blobs)
    yield from (partial(store.discard, entry) for entry in litter.unfinished)
    yield from (partial(store.delete, path) for path in litter.files)


def _print(litter: Litter, archive: Archive) -> None:
    if not litter:
        complain(f"There is nothing to remove in the store {archive.url}.")
        return
    out = console()
    for why, ones in _by_reason(litter.blobs).items():
        tasks = Counter(task for one in ones for _, task in one.held.owners)
        of_tasks = ": " + ", ".join(f"{task} {count}" for task, count in tasks.most_common(8)) if tasks else ""
        size = format_bytes(sum(one.held.size_bytes for one in ones))
        reason = "" if why == "named" else f" {why}"
        out.print(visible(f"{format_count(len(ones), 'result')}{reason}, {size}{of_tasks}"), soft_wrap=True)
    if litter.unfinished:
        size = format_bytes(sum(entry.size_bytes for entry in litter.unfinished))
        out.print(f"{format_count(len(litter.unfinished), 'unfinished write')}, {size}")
    if litter.files:
        out.print(f"{format_count(len(litter.files), 'file')} of no use: {', '.join(litter.files[:4])}", soft_wrap=True)


def _by_reason(blobs: Sequence[Chosen]) -> dict[str, list[Chosen]]:
    found: dict[str, list[Chosen]] = {}
    for one in blobs:
        found.setdefault(one.why, []).append(one)
    return found


def _json(litter: Litter, *, removed: bool) -> dict[str, Any]:
    return {
        "removed": removed,
        "size_bytes": litter.size_bytes,
        "results": [{"blob": one.held.name, "size_bytes": one.held.size_bytes, "why": one.why} for one in litter.blobs],
        "unfinished": [entry.path for entry in litter.unfinished],
        "files": list(litter.files),
    }


def _check_names(archive: Archive, flow: str | None, task: str | None) -> None:
    """Make sure that the flow and the task are known.

    Raises:
        NotFoundError: If one is not.
    """
    lineages = archive.of_flow(flow) if flow else archive.lineages
    tasks: Collection[str] = {trace.task for lineage in lineages for trace in lineage.traces} if task else ()
    if task and task not in tasks:
        raise NotFoundError(f"There is no result of a task {task!r} in {archive.url}{suggestion(task, tasks)}")


def _now_us(store: Store, *, dry_run: bool) -> int:
    """Return the time by the store's clock: it is told by a lease that is taken for a moment.

    Where nothing is to be written, or nothing can be, as on a full disk, it is the time of this machine.
    """
    if dry_run:
        return time.time_ns() // 1000
    name = f"cli-{secrets.token_hex(8)}"
    try:
        leases.beat(store, Lease(name, frozenset()))
    except StoreError:
        return time.time_ns() // 1000
    newest_us = max(entry.modified_us for entry in store.list("leases"))
    leases.end(store, name)
    return newest_us
