"""`revoke`, `rulings` and `undo`: results that are not to be used any more, and what was ruled so far."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from prefect_helix.archive import Archive, suggestion
from prefect_helix.cli.finding import JsonOption, StoreOption, open_archive
from prefect_helix.cli.output import complain, console, print_json, visible
from prefect_helix.core.errors import ConfigurationError, NotFoundError
from prefect_helix.core.history import computations
from prefect_helix.core.lineage import Trace
from prefect_helix.core.rulings import Acceptance, Revocation, Ruling, Rulings
from prefect_helix.core.written import Withdrawal
from prefect_helix.runtime.session import now_us
from prefect_helix.storage.documents import new_id
from prefect_helix.views.units import format_count, iso, moment, shorten

NoteOption = Annotated[str, typer.Option("--note", metavar="TEXT", help="Why, for those who read it later.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

SHORT_HASH = 8
SHOWN_RUNS = 3

_UNITS_S = {"min": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_AGO = re.compile(r"(\d{1,6})\s*(min|h|d|w)")


def revoke(
    task: Annotated[str | None, typer.Argument(metavar="[TASK]", help="Only results of this task.")] = None,
    run: Annotated[
        list[str] | None, typer.Option("--run", metavar="RUN", help="Only what this run computed; may be repeated.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Only what was computed then or later: 2026-01-31T12:00, 3h, 2d.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="Only what was computed before.")] = None,
    host: Annotated[str | None, typer.Option(metavar="NAME", help="Only what runs on this machine computed.")] = None,
    note: NoteOption = "",
    yes: YesOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Never use results again: those that meet every criterion. What is needed of them is computed anew."""
    if not (task or run or since or until or host):
        raise ConfigurationError("revoke", "everything", "Say which: a TASK, --run, --since, --until or --host.")
    archive = open_archive(store)
    revocation = Revocation(
        new_id(),
        now_us(),
        tasks=(task,) if task else (),
        runs=_runs(archive, run or [], host),
        since_us=when("--since", since),
        until_us=when("--until", until),
        note=note,
    )
    covered = _covered(archive, revocation)
    if not as_json:
        _print_covered(covered)
    ask("Never use these results again?", yes=yes, as_json=as_json)
    archive.catalog.rule(revocation)
    if as_json:
        print_json(ruling_json(revocation, archive.rulings) | {"covered": _by_task(covered)})
    else:
        done([revocation])


def rulings(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List what was accepted and revoked, newest first."""
    archive = open_archive(store)
    made = [one for one in reversed(archive.rulings.all) if not isinstance(one, Withdrawal)]
    if as_json:
        print_json([ruling_json(one, archive.rulings) for one in made])
    elif not made:
        complain(f"Nothing was accepted or revoked in the store {archive.url}.")
    else:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for heading in ("id", "when"):
            table.add_column(heading, no_wrap=True)
        table.add_column("what", overflow="fold")
        for one in made:
            table.add_row(Text(one.id, "cyan"), moment(one.at_us), _told(one, archive))
        console().print(table)


def undo(
    ruling: Annotated[
        list[str], typer.Argument(metavar="ID...", help="What `rulings` lists; the beginning of each is enough.")
    ],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back what was accepted or revoked: results count as if it had not been."""
    archive = open_archive(store)
    found = {one.id: one for one in [_in_force(name, archive.rulings) for name in ruling]}
    withdrawals = [Withdrawal(new_id(), now_us(), name) for name in found]
    for withdrawal in withdrawals:
        archive.catalog.rule(withdrawal)
    if as_json:
        now = Rulings.of([*archive.rulings.all, *withdrawals])
        print_json([ruling_json(one, now) for one in found.values()])
        return
    for one in found.values():
        console().print(visible(f"Taken back: {_what(one, archive)}."))


def _in_force(name: str, rulings: Rulings) -> Acceptance | Revocation:
    """Return the ruling whose id begins so.

    Raises:
        NotFoundError: If there is none, or more than one, or if it was taken back.
    """
    known = [one for one in rulings.all if not isinstance(one, Withdrawal)]
    found = [one for one in known if name and one.id.startswith(name)]
    if len(found) != 1:
        problem = "names more than one ruling." if found else f"is no ruling{suggestion(name, [o.id for o in known])}"
        raise NotFoundError(f"{name!r} {problem} See `prefect-helix rulings`.")
    if found[0].id in rulings.withdrawn:
        raise NotFoundError(f"{found[0].id} was taken back already.")
    return found[0]


def ask(question: str, *, yes: bool, as_json: bool) -> None:
    """Have a ruling confirmed, unless that was done already; who does not agree ends the verb with status 1."""
    if yes:
        return
    if as_json:
        raise ConfigurationError("--json", True, "Add --yes: a program cannot be asked whether it agrees.")
    typer.confirm(question, abort=True)


def done(made: Sequence[Ruling]) -> None:
    """Tell what rulings that were just made are called, and how they are taken back."""
    ids = [one.id for one in made]
    told = f"Done: {', '.join(ids)}. Take that back with `prefect-helix undo {' '.join(ids)}`."
    console().print(told, soft_wrap=True)


def ruling_json(ruling: Ruling, among: Rulings) -> dict[str, Any]:
    """Return a ruling as JSON-ready data, with when it was withdrawn."""
    data: dict[str, Any] = {"id": ruling.id, "kind": ruling.kind, "made": iso(ruling.at_us)}
    match ruling:
        case Acceptance():
            data |= {"task": ruling.task, "before": ruling.before, "after": ruling.after}
        case Revocation():
            data |= {"tasks": list(ruling.tasks), "runs": list(ruling.runs)}
            data |= {"since": iso(ruling.since_us), "until": iso(ruling.until_us), "results": list(ruling.results)}
    withdrawal = among.withdrawn.get(ruling.id)
    return data | {"note": getattr(ruling, "note", ""), "undone": iso(withdrawal.at_us) if withdrawal else None}


def _covered(archive: Archive, revocation: Revocation) -> list[Trace]:
    """Return the results that it revokes and no other revocation does.

    Raises:
        NotFoundError: If there are none.
    """
    known = computations(archive.lineages)
    covered = [t for t in known if revocation.covers(t) and archive.rulings.revocation(t) is None]
    if covered:
        return covered
    names = {trace.task for trace in known}
    task = next(iter(revocation.tasks), "")
    if task and task not in names and task not in {trace.key for trace in known}:
        raise NotFoundError(f"The store has no result of a task {task!r}{suggestion(task, names)}")
    raise NotFoundError("The store has no result that meets all of this and is not revoked already.")


def _runs(archive: Archive, names: Sequence[str], host: str | None) -> tuple[str, ...]:
    """Return the ids of the runs that are named, or that ran on `host`; of both, those that meet both."""
    runs = [archive.run(name).run for name in names]
    if host is not None:
        hosts = {lineage.run.host for lineage in archive.lineages} - {""}
        if host not in hosts:
            known = f" The store knows {', '.join(sorted(hosts))}." if hosts else ""
            raise NotFoundError(f"No run was on the machine {host!r}{suggestion(host, hosts)}{known}")
        runs = [run for run in (runs or [lineage.run for lineage in archive.lineages]) if run.host == host]
        if not runs:
            raise NotFoundError(f"None of these runs was on the machine {host!r}.")
    return tuple(dict.fromkeys(run.run_id for run in runs))


def when(option: str, text: str | None) -> int | None:
    """Return the time that `text` names, since the epoch: "2026-01-31", "2026-01-31T12:00", or "3h" for so long ago."""
    if text is None:
        return None
    if found := _AGO.fullmatch(text.strip()):
        return now_us() - int(found[1]) * _UNITS_S[found[2]] * 1_000_000
    try:
        return int(datetime.fromisoformat(text.strip()).timestamp() * 1e6)
    except (ValueError, OverflowError, OSError):
        remedy = "Give a time such as 2026-01-31 or 2026-01-31T12:00, or how long ago it was: 90min, 3h, 2d, 1w."
        raise ConfigurationError(option, text, remedy) from None


def _print_covered(covered: Sequence[Trace]) -> None:
    times = sorted(trace.computed_at_us or trace.started_us for trace in covered)
    named = ", ".join(f"{count} of {task}" for task, count in _by_task(covered).items())
    span = f"from {moment(times[0])} to {moment(times[-1])}" if len(times) > 1 else f"at {moment(times[0])}"
    console().print(visible(f"{format_count(len(covered), 'result')}: {named}; computed {span}."))


def _by_task(covered: Sequence[Trace]) -> dict[str, int]:
    return dict(Counter(trace.task for trace in covered).most_common())


def _told(ruling: Acceptance | Revocation, archive: Archive) -> Text:
    withdrawal = archive.rulings.withdrawn.get(ruling.id)
    text = Text(visible(_what(ruling, archive)), "dim" if withdrawal else "")
    if ruling.note:
        text.append(f": {shorten(ruling.note, 240)}")
    if withdrawal:
        text.append(f" (taken back {moment(withdrawal.at_us)})")
    return text


def _what(ruling: Acceptance | Revocation, archive: Archive) -> str:
    if isinstance(ruling, Acceptance):
        return f"accepted {ruling.task}, code {ruling.before[:SHORT_HASH]} → {ruling.after[:SHORT_HASH]}"
    return f"revoked {', '.join(_criteria(ruling, archive))}"


def _criteria(ruling: Revocation, archive: Archive) -> Iterator[str]:
    yield ", ".join(ruling.tasks) or "all tasks"
    if ruling.results:
        yield format_count(len(ruling.results), "result")
    if ruling.runs:
        short = archive.short_ids
        more = f" and {len(ruling.runs) - SHOWN_RUNS} more" if len(ruling.runs) > SHOWN_RUNS else ""
        yield f"of run {', '.join(short.get(run, run[:SHORT_HASH]) for run in ruling.runs[:SHOWN_RUNS])}{more}"
    if ruling.since_us is not None:
        yield f"computed since {moment(ruling.since_us)}"
    if ruling.until_us is not None:
        yield f"computed before {moment(ruling.until_us)}"
