"""Which address shows which page, and what is said where there is none."""

from __future__ import annotations

from collections.abc import Callable, Collection
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from prefect_helix import __version__
from prefect_helix.core.errors import HelixError, NotFoundError
from prefect_helix.web.asking import Ask, Links, Page
from prefect_helix.web.guard import METHODS, Guard
from prefect_helix.web.library import Library
from prefect_helix.web.pages.compare import compare_page
from prefect_helix.web.pages.flows import flows_page, versions_page
from prefect_helix.web.pages.run import run_page
from prefect_helix.web.pages.step import step_page
from prefect_helix.web.pages.store import store_page
from prefect_helix.web.rendering import environment

PAGES: dict[str, Callable[[Ask], Page]] = {
    "/": flows_page,
    "/flow": versions_page,
    "/run": run_page,
    "/step": step_page,
    "/compare": compare_page,
    "/store": store_page,
}


def create_app(library: Library, names: Collection[str] = ()) -> ASGIApp:
    """Return the server of the pages.

    Args:
        library: The store.
        names: Names that it goes by, besides addresses and ``localhost``.
    """
    shown = _Shown(library)
    routes = [Route(path, shown.endpoint(page), methods=[*METHODS]) for path, page in PAGES.items()]
    routes.append(Route("/runs/{key:path}", _of_run, methods=[*METHODS]))
    static = Mount("/static", StaticFiles(packages=[("prefect_helix.web", "static")]))
    handlers = {
        NotFoundError: shown.not_found,
        HelixError: shown.no_store,
        HTTPException: shown.refused,
        Exception: shown.broken,
    }
    return Guard(Starlette(routes=[*routes, static], exception_handlers=handlers), names)


def _of_run(request: Request) -> Response:
    """Lead from the short address of a run, as others link to it, to its page."""
    return RedirectResponse(f"/run?{urlencode({'id': request.path_params['key']}, errors='replace')}")


class _Shown:
    """Turns requests into pages."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._templates = environment()

    def endpoint(self, page: Callable[[Ask], Page]) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            archive = self._library.archive()
            ask = Ask(self._library, archive, Links(archive), request.query_params)
            return self._rendered(page(ask), ask)

        return answer

    def not_found(self, _: Request, error: Exception) -> Response:
        way_out = "Look for it among the versions of its flow, or give more of its id."
        return self._error(HTTPStatus.NOT_FOUND, "Not there", str(error), way_out)

    def no_store(self, _: Request, error: Exception) -> Response:
        return self._error(HTTPStatus.SERVICE_UNAVAILABLE, "The store cannot be read", str(error), "Try again later.")

    def refused(self, _: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status = HTTPStatus(error.status_code)
        if status is not HTTPStatus.NOT_FOUND:
            return self._error(status, status.phrase, f"{status.description}.", "Go back, and take another way.")
        return self._error(status, "No such page", "There is no page at this address.", "Begin with the list of flows.")

    def broken(self, _: Request, error: Exception) -> Response:
        sentence = f"This page could not be made ({type(error).__name__}); the server's log says more."
        way_out = "Please report it. The command line shows the same: prefect-helix show."
        return self._error(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong", sentence, way_out)

    def _error(self, status: HTTPStatus, title: str, sentence: str, way_out: str) -> Response:
        page = Page("error.html", title, {"sentence": sentence, "way_out": way_out}, section="", status=status)
        return self._rendered(page, None)

    def _rendered(self, page: Page, ask: Ask | None) -> Response:
        problems = ask.archive.problems if ask else ()
        common = {
            "title": page.title,
            "section": page.section,
            "live": page.refresh_seconds,
            "archive": ask.archive if ask else None,
            "links": ask.links if ask else None,
            "url": ask.archive.url if ask else "",
            "problems": problems,
            "harmless": not any(problem.startswith("rulings/") for problem in problems),  # a revocation may be lost
            "version": __version__,
        }
        text = self._templates.get_template(page.template).render(common | dict(page.values))
        return HTMLResponse(text.encode("utf-8", "replace"), page.status)
