"""The constants among the components: digested only when it is settled which of them are state."""

from __future__ import annotations

from prefect_helix.core.fingerprint.components import Node
from prefect_helix.core.fingerprint.live import Live
from prefect_helix.core.fingerprint.values import size_bytes, strings_in
from prefect_helix.core.short import HIDDEN, is_secret, short_form

LARGE_BYTES = 64 * 2**20


class Constants:
    """The constants that one fingerprint reaches.

    Args:
        live: The running program.
        notes: Gets sentences for people.
    """

    def __init__(self, live: Live, notes: dict[str, None]) -> None:
        self._live = live
        self._notes = notes
        self._values: dict[int, object] = {}
        self._strings: dict[int, set[str] | None] = {}

    def add(self, node: Node, value: object) -> None:
        """Make `node` a constant, to be filled in if it is still one when the walk is done."""
        node.kind = "constant"
        self._values[id(node)] = value

    def fill(self, node: Node) -> None:
        """Give `node` the digest of its value, if it is a constant that has none yet."""
        if id(node) not in self._values or node.own:
            return
        value = self._values[id(node)]
        content = self._live.content(value)
        node.own = content.hex
        if content.refused:
            self._notes.setdefault(f"The constant {node.name} counts by its type only. {content.refused}")
        node.source = HIDDEN if is_secret(node.name.rpartition(".")[2]) else short_form(value)
        size = size_bytes(value)
        if size > LARGE_BYTES:
            self._live.is_large = True
            self._notes.setdefault(
                f"The constant {node.name} ({size / 2**20:,.0f} MiB) is digested for every fingerprint. "
                "Make it an argument of the task."
            )

    def tokens(self) -> tuple[set[str], bool]:
        """Return the identifiers in all strings of the constants, and whether these are all."""
        for key, value in self._values.items():
            if key not in self._strings:
                self._strings[key] = strings_in(value)
        found = [self._strings[key] for key in self._values]
        return set().union(*filter(None, found)), None not in found
