"""What people write into a store: small records that nobody changes later, each with a name and its time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Generic, Protocol, TypeVar


class Record(Protocol):
    """One of them; a frozen dataclass whose fields are of types that JSON has, or tuples of these."""

    kind: ClassVar[str]

    @property
    def id(self) -> str:
        """Its name, which no other one has."""

    @property
    def at_us(self) -> int:
        """When it was written, since the epoch."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Another record does not hold any more.

    Attributes:
        id: Its name.
        at_us: When it was made, since the epoch.
        of: Name of the record that is withdrawn.
    """

    kind: ClassVar[str] = "withdrawal"

    id: str
    at_us: int
    of: str


R = TypeVar("R", bound=Record)
S = TypeVar("S", bound="Records[Any]")


@dataclass(frozen=True)
class Records(Generic[R]):
    """All records of one sort in a store.

    Attributes:
        all: In the order they were made, withdrawn ones and withdrawals included.
    """

    all: tuple[R, ...] = ()

    @classmethod
    def of(cls: type[S], records: Iterable[R]) -> S:
        """Return `records` in the order they were made, which is the same for every reader."""
        return cls(tuple(sorted(records, key=lambda one: (one.at_us, one.id))))

    @cached_property
    def withdrawn(self) -> Mapping[str, Withdrawal]:
        """The withdrawals, by the name of the record that each withdraws."""
        return {one.of: one for one in self.all if isinstance(one, Withdrawal)}


def record_to_json(record: Record) -> dict[str, Any]:
    """Return a record as JSON-ready data; `record_from_json` is its inverse."""
    return {"kind": record.kind, **dataclasses.asdict(record)}  # type: ignore[call-overload]


def record_from_json(data: Mapping[str, Any], kinds: Mapping[str, type[R]]) -> R:
    """Return the record that `record_to_json` wrote.

    Raises:
        KeyError, TypeError, ValueError: If the data is none of these kinds.
    """
    fields: dict[str, Any] = {name: tuple(value) if type(value) is list else value for name, value in data.items()}
    return kinds[fields.pop("kind")](**fields)
