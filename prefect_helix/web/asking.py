"""What a page is asked for, and what it answers: names and numbers in an address in, a template with values out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import urlencode

from prefect_helix.archive import Archive
from prefect_helix.core.digest import hash_parts
from prefect_helix.core.errors import NotFoundError
from prefect_helix.core.lineage import Lineage, Run
from prefect_helix.web.library import Library

PICTURE_WIDTH = 1_070
"""Width in px of the pictures of a page."""

LONGEST_TEXT = 500
"""Characters of a value in an address."""

_PREFECT_ADDRESS = re.compile(r"https?://\S*/flow-run/([0-9a-f-]{36})\b\S*", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LONGEST_NAME = 200

T = TypeVar("T")


class Links:
    """Addresses of pages of this server, and what runs are called in them.

    Args:
        archive: The runs.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._short = archive.short_ids
        self._attempts = Counter(lineage.run.run_id for lineage in archive.lineages)

    def short(self, run: Run) -> str:
        """Return the beginning of a run's id that tells it from others."""
        return self._short.get(run.run_id, run.run_id[:8])

    def key(self, run: Run) -> str:
        """Return what names one run, and one attempt of a flow run that was tried more than once."""
        run_id = run.run_id if _PLAIN.fullmatch(run.run_id) else hash_parts(run.run_id)
        return run_id if self._attempts[run.run_id] < 2 else f"{run_id}@{run.started_us}"

    def flow(self, name: str, page: int = 1) -> str:
        """Return the address of the versions of a flow."""
        return _address("/flow", name=flow_key(name), **({"page": page} if page > 1 else {}))

    def run(self, run: Run, **more: str) -> str:
        """Return the address of a run."""
        return _address("/run", id=self.key(run), **more)

    def step(self, run: Run, call: int) -> str:
        """Return the address of a step."""
        return _address("/step", run=self.key(run), call=call)

    def compare(self, before: Run, after: Run, **more: str) -> str:
        """Return the address of a comparison."""
        return _address("/compare", before=self.key(before), after=self.key(after), **more)

    def find(self, name: str) -> Lineage:
        """Return the run that is meant: by its key, its address in the Prefect UI, or a name that people give it.

        Raises:
            NotFoundError: If there is none.
        """
        name = name.strip()
        if found := _PREFECT_ADDRESS.fullmatch(name):
            name = found[1].lower()
        if lineage := next((one for one in self._archive.lineages if self.key(one.run) == name), None):
            return lineage
        if not name:
            raise NotFoundError("Name a run: by its id, the beginning of it, its name, or `last`.")
        return self._archive.run(name[:LONGEST_TEXT])


@dataclass(frozen=True)
class Ask:
    """A request for a page.

    Attributes:
        library: The store.
        archive: Its runs as they are now.
        links: Addresses of pages.
        values: What the address says.
    """

    library: Library
    archive: Archive
    links: Links
    values: Mapping[str, str]

    def text(self, name: str) -> str:
        """Return a value of the address; empty if there is none."""
        return self.values.get(name, "")

    def number(self, name: str, default: int) -> int:
        """Return a number of the address, at least 1; the default if there is none."""
        value = self.text(name)
        return max(1, int(value)) if re.fullmatch(r"[0-9]{1,9}", value) else default


@dataclass(frozen=True)
class Page:
    """What is shown.

    Attributes:
        template: Name of the template.
        title: What the page is called.
        values: What the template is given.
        section: Which entry of the menu it belongs to.
        refresh_seconds: After how long it is to be shown anew; 0 for never.
        status: HTTP status.
    """

    template: str
    title: str
    values: Mapping[str, object] = field(default_factory=dict)
    section: str = "flows"
    refresh_seconds: int = 0
    status: int = 200


@dataclass(frozen=True)
class Pages(Generic[T]):
    """A part of a long list.

    Attributes:
        items: The items in it.
        number: Which part it is, from 1.
        last: How many parts there are.
        first: Position of its first item, from 0.
        count: Number of all items.
    """

    items: Sequence[T]
    number: int
    last: int
    first: int
    count: int

    @property
    def end(self) -> int:
        """Position after its last item."""
        return self.first + len(self.items)


def flow_key(name: str) -> str:
    """Return what names a flow in addresses: its name, or a hash of one that no address should hold."""
    return name if len(name) <= _LONGEST_NAME and name.isprintable() else hash_parts(name)


def part(items: Sequence[T], number: int, size: int) -> Pages[T]:
    """Return the part of that number, or the last one if there are fewer."""
    last = max(1, -(-len(items) // size))
    number = min(number, last)
    first = (number - 1) * size
    return Pages(items[first : first + size], number, last, first, len(items))


def _address(path: str, **values: str | int) -> str:
    return f"{path}?{urlencode(values, errors='replace')}"
