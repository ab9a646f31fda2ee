"""`tag`, `untag` and `note`: what people say of runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from prefect_helix.archive import Archive
from prefect_helix.cli.completing import complete_run, complete_tag
from prefect_helix.cli.finding import JsonOption, RunArgument, StoreOption, open_archive
from prefect_helix.cli.output import complain, console, print_json, visible
from prefect_helix.core.errors import ConfigurationError
from prefect_helix.core.remarks import Note
from prefect_helix.views.units import iso, moment


def tag(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="The run; see `runs`.", autocompletion=complete_run)
    ] = None,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="What it is to be called.")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a run a name that stands for it wherever a RUN is asked for, or list those names.

    A name is that of one run: one that another run has is taken from it.
    """
    archive = open_archive(store)
    if run is None:
        _list(archive, as_json=as_json)
        return
    if name is None:
        raise ConfigurationError("tag", run, "Say which run, and then what it is to be called: `tag RUN NAME`.")
    lineage, before = archive.run(run), archive.remarks.tags.get(name)
    archive.tag(lineage, name)
    if as_json:
        moved = before.run if before and before.run != lineage.run.run_id else None
        print_json({"tag": name, "run_id": lineage.run.run_id, "taken_from": moved})
        return
    told = f"{name} is run {_named(archive, lineage.run.run_id)} now"
    if before is not None and before.run != lineage.run.run_id:
        told += f"; it was run {_named(archive, before.run)}"
    console().print(visible(f"{told}."))


def untag(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A tag.", autocompletion=complete_tag)],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a tag away from the run that has it."""
    archive = open_archive(store)
    run_id = archive.untag(name)
    if as_json:
        print_json({"tag": name, "run_id": None, "taken_from": run_id})
    else:
        console().print(visible(f"{name} is no run any more; it was run {_named(archive, run_id)}."))


def note(
    run: RunArgument,
    text: Annotated[str | None, typer.Argument(metavar="[TEXT]", help="What there is to say of it.")] = None,
    remove: Annotated[
        str | None, typer.Option("--remove", metavar="ID", help="Withdraw a note; `show` lists their ids.")
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say something of a run for those who look at it later; a run may have several notes."""
    archive = open_archive(store)
    lineage = archive.run(run)
    if (text is None) == (remove is None):
        raise ConfigurationError("note", text or "", "Give the text of a note, or --remove and the id of one.")
    if text is not None:
        written = archive.note(lineage, text)
        name = _named(archive, lineage.run.run_id)
        told = f"Noted of run {name}. Take it back with `prefect-helix note {name} --remove {written.id}`."
    else:
        written = archive.withdraw_note(lineage, remove or "")
        told = f"Withdrawn: {written.text}"
    if as_json:
        print_json(note_json(written) | {"run_id": lineage.run.run_id, "withdrawn": text is None})
    else:
        console().print(visible(told), soft_wrap=True)


def note_json(note: Note) -> dict[str, Any]:
    """Return a note as JSON-ready data."""
    return {"id": note.id, "written": iso(note.at_us), "text": note.text}


def _list(archive: Archive, *, as_json: bool) -> None:
    tags = archive.remarks.tags.values()
    if as_json:
        print_json([{"tag": one.name, "run_id": one.run, "given": iso(one.at_us)} for one in tags])
        return
    if not tags:
        complain(f"No run of the store {archive.url} has a tag; give one with `prefect-helix tag RUN NAME`.")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("tag", "run", "given"):
        table.add_column(heading, no_wrap=True)
    for one in tags:
        table.add_row(Text(visible(one.name), "magenta"), Text(_named(archive, one.run), "cyan"), moment(one.at_us))
    console().print(table)


def _named(archive: Archive, run_id: str) -> str:
    return archive.short_ids.get(run_id, run_id)
