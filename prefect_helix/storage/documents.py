"""Small JSON documents in a store, one line each, under names made from what they hold: written once, never changed."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, cast

from prefect_helix.core.errors import BlobMissingError, CorruptError
from prefect_helix.core.fingerprint import Component
from prefect_helix.core.remarks import REMARK_KINDS, Remark, Remarks
from prefect_helix.core.rulings import RULING_KINDS, Ruling, Rulings
from prefect_helix.core.written import R, Record, S, record_from_json, record_to_json
from prefect_helix.storage.segments import BadLineError, checked, encode_line, parse_line
from prefect_helix.storage.store import Store

_READERS = 8
_FINGERPRINT = re.compile(r"[A-Za-z0-9_-]{1,100}")

_LOST_RULING = (
    "what it rules does not hold. If it revoked results, they are used again: revoke them anew, and delete the file."
)
_LOST_REMARK = "a tag or a note is missing. Write it anew, and delete the file."


class Documents:
    """The documents of a store: what code is made of, and what people wrote. Safe to share between threads.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._records: dict[str, Record] = {}

    def rule(self, ruling: Ruling) -> None:
        """Write what somebody has ruled.

        Raises:
            StoreError: If the store refuses.
        """
        self._put_record("rulings", ruling)

    def remark(self, remark: Remark) -> None:
        """Write what somebody says of a run.

        Raises:
            StoreError: If the store refuses.
        """
        self._put_record("remarks", remark)

    def rulings(self) -> tuple[Rulings, tuple[str, ...]]:
        """Return what people have ruled, and what of it cannot be read, in sentences.

        Raises:
            StoreError: If the store refuses.
        """
        return self._all(Rulings, "rulings", RULING_KINDS, _LOST_RULING)

    def remarks(self) -> tuple[Remarks, tuple[str, ...]]:
        """Return what people say of runs, and what of it cannot be read, in sentences; runs do not need it.

        Raises:
            StoreError: If the store refuses.
        """
        return self._all(Remarks, "remarks", REMARK_KINDS, _LOST_REMARK)

    def put_document(self, kind: str, name: str, data: Mapping[str, Any]) -> None:
        """Keep a small JSON document under a name made from its content; written once.

        Raises:
            StoreError: If the store refuses.
        """
        if self.get_document(kind, name) is None:
            self._store.write(f"{kind}/{name}.json", [encode_line(data)])

    def components_of(self, fingerprint: str) -> Sequence[Component] | None:
        """Return what code is made of; None where that is not recorded.

        Raises:
            StoreError: If the store refuses.
        """
        document = self.get_document("code", fingerprint) if _FINGERPRINT.fullmatch(fingerprint) else None
        try:
            found = document["components"] if document else None
            return found if found is None else [checked(_component, one, Component) for one in found]
        except (BadLineError, KeyError, TypeError):  # written by another version
            return None

    def get_document(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return a document; None if it is not there or damaged.

        Raises:
            StoreError: If the store refuses.
        """
        try:
            document = parse_line(self._store.read(f"{kind}/{name}.json").rstrip(b"\n"))
        except (BlobMissingError, CorruptError, BadLineError):
            return None
        return document if isinstance(document, dict) else None

    def _files(self, folder: str, suffix: str) -> Iterator[str]:
        return (entry.path for entry in self._store.list(folder) if entry.path.endswith(suffix))

    def _put_record(self, folder: str, record: Record) -> None:
        self.put_document(folder, f"{record.at_us:020}-{record.id}", record_to_json(record))

    def _all(self, sort: type[S], folder: str, kinds: Mapping[str, type[R]], lost: str) -> tuple[S, tuple[str, ...]]:
        """Return what people wrote into a folder; in place of what cannot be read a sentence that ends with `lost`."""
        with ThreadPoolExecutor(_READERS) as readers:
            read = partial(self._read_record, kinds=kinds, lost=lost)
            found = [*readers.map(read, self._files(folder, ".json"))]
        return sort.of(one for one in found if one and not isinstance(one, str)), tuple(
            one for one in found if isinstance(one, str)
        )

    def _read_record(self, path: str, *, kinds: Mapping[str, type[R]], lost: str) -> R | str | None:
        """Return the record at `path`, or what is wrong with it; None if it was deleted since it was listed."""
        if path in self._records:
            return cast("R", self._records[path])
        try:
            data = parse_line(self._store.read(path).rstrip(b"\n"))
            record = cast("R", checked(partial(record_from_json, kinds=kinds), data, kinds[data["kind"]]))
            self._records[path] = record
            return record
        except BlobMissingError:
            return None
        except (CorruptError, BadLineError, KeyError, TypeError):
            return f"{path} is damaged, or was written by a newer prefect-helix, so {lost}"


def new_id() -> str:
    """Return a name for what is written that nothing else has."""
    return secrets.token_hex(4)


def _component(fields: Mapping[str, Any]) -> Component:
    return Component(**fields)
