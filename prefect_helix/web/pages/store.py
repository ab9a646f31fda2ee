"""The store: what takes its space, what it saved, and how much of the budget is used."""

from __future__ import annotations

from prefect_helix.storage.inventory import KINDS, Group, grouped
from prefect_helix.views.treemap import Tile, treemap
from prefect_helix.views.units import format_count, format_us, moment
from prefect_helix.web.asking import PICTURE_WIDTH, Ask, Page
from prefect_helix.web.pages.flows import summary_of

REFRESH_SECONDS = 1


def store_page(ask: Ask) -> Page:
    """Show what the store holds."""
    archive, budget_bytes = ask.archive, ask.library.resolved.budget_bytes
    held, unread = ask.library.holdings.read(archive)
    groups = grouped(held)
    used_bytes = sum(one.size_bytes for one in held)
    entries = {kind: [entry.size_bytes for entry in archive.store.list(kind)] for kind in KINDS if kind != "blobs"}
    sizes = {"blobs": [one.size_bytes for one in held], **entries}
    sizes["unfinished"] = [entry.size_bytes for entry in archive.store.unfinished()]
    tiles = [_tile(ask, group) for group in groups]
    values = {
        "used_bytes": used_bytes,
        "budget_bytes": budget_bytes,
        "share": round(100 * used_bytes / budget_bytes) if budget_bytes else 0,
        "saved_us": sum(summary_of(ask, lineage).saved_us or 0 for lineage in archive.lineages),
        "unread": unread,
        "groups": groups,
        "picture": treemap(tiles, title="Space by flow and task", width=PICTURE_WIDTH),
        "kinds": [(kind, len(files), sum(files)) for kind, files in sizes.items() if files],
    }
    refresh_seconds = REFRESH_SECONDS if unread else 0
    return Page("store.html", "Store", values, section="store", refresh_seconds=refresh_seconds)


def _tile(ask: Ask, group: Group) -> Tile:
    if not group.flow:
        return Tile("no known run", "", group.size_bytes, format_count(group.blobs, "file"))
    told = [
        format_count(group.blobs, "file"),
        f"last used {moment(group.last_used_us)}",
        f"{format_us(group.compute_us)} to compute again",
    ]
    return Tile(group.flow, group.task, group.size_bytes, "\n".join(told), ask.links.flow(group.flow))
