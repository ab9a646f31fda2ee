"""A value that tells when it is unpickled."""

from __future__ import annotations

from collections.abc import Callable

SUNG: list[str] = []
"""Grows whenever a canary comes out of a pickle."""


def sing(song: str) -> None:
    SUNG.append(song)


class Canary:
    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return sing, ("unpickled",)
