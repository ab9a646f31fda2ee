"""`ui`: the runs of a store in a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from prefect_helix.cli.finding import StoreOption
from prefect_helix.cli.output import complain, console
from prefect_helix.settings import FlowOptions, resolve


def ui(
    store: StoreOption = None,
    host: Annotated[str, typer.Option("--host", help="Where to listen; by default only this machine reaches it.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int | None, typer.Option("--port", min=0, max=65_535, help="The port; else a free one.")] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="HOST", help="A name it goes by behind a proxy; may be repeated."),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
) -> None:
    """Show flows, runs, steps and what changed in a browser. It only reads."""
    from prefect_helix.web.serving import serve  # noqa: PLC0415  # a server takes half a second to import

    serve(
        resolve(FlowOptions(store=store)),
        host=host,
        port=port,
        names=name or (),
        browser=browser,
        say=lambda sentence: console().print(sentence, soft_wrap=True),
        warn=lambda sentence: complain(f"warning: {sentence}"),
    )
