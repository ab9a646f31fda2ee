"""The command line: shows runs and plans, and decides nothing. It needs no Prefect server."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from prefect_helix import __version__
from prefect_helix.cli import (
    accept,
    checkout,
    cleaning,
    diff,
    metrics,
    plan,
    remarks,
    rulings,
    runs,
    store,
    ui,
    verifying,
    why,
)
from prefect_helix.cli.output import complain, replace_unknown_characters
from prefect_helix.core.errors import ConfigurationError, HelixError


class _Verbs(TyperGroup):
    """Ends a verb that fails on purpose with one line: 2 if the call makes no sense, else 1."""

    def main(self, *args: Any, **extra: Any) -> Any:
        replace_unknown_characters()
        return super().main(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except HelixError as error:
            complain(f"error: {error}")
            raise typer.Exit(2 if isinstance(error, ConfigurationError) else 1) from error


app = typer.Typer(
    cls=_Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"prefect-helix {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """See what runs of helix flows computed, loaded and pruned, and why; no Prefect server is needed."""


_SHOWING = (runs.runs, runs.show, diff.diff, plan.plan, why.why, metrics.metrics, checkout.checkout, ui.ui)
_SAYING = (remarks.tag, remarks.untag, remarks.note)
_RULING = (accept.accept, rulings.revoke, rulings.rulings, rulings.undo)
for _verb in (*_SHOWING, *_SAYING, *_RULING):
    app.command()(_verb)
store.app.command()(cleaning.gc)
store.app.command()(cleaning.rm)
store.app.command()(verifying.verify)
app.add_typer(store.app, name="store")
