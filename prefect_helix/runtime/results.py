"""What a computed value is in the lineage and in the store."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from prefect_helix.core.digest import Digest, digest, outline
from prefect_helix.core.digest_writer import Known
from prefect_helix.core.errors import CorruptError, NotStorableError, StoreError, UndigestibleError
from prefect_helix.core.lineage import Copy, Leaf, Result
from prefect_helix.core.mismatch import by_digest, mismatch
from prefect_helix.core.short import HIDDEN, is_secret
from prefect_helix.runtime.code import ValueCode
from prefect_helix.runtime.values import LeafRef, approximate_size, name_of_type, split
from prefect_helix.storage.blob import Code, DecodingError, Encoded
from prefect_helix.storage.codec import decode, encode
from prefect_helix.storage.copies import copy_of, is_as_it_was, put_back
from prefect_helix.storage.files import File, files
from prefect_helix.storage.mapped import Look, known_among

SMALL_BYTES = 64 * 1024
"""A result of at most this size is given to the flow body as it is."""

INLINE_BYTES = 4 * 1024
"""A result of at most this size sits in the lineage."""


@dataclass(frozen=True)
class Described:
    """A value taken apart.

    Attributes:
        result: What the lineage says of it.
        skeleton: The value with its large leaves taken out.
        leaves: Its large leaves, in the order of `result.leaves`.
        pieces: What has to be written to materialize it: views on the live value, not copies.
        problem: Why it cannot be materialized, if so.
    """

    result: Result
    skeleton: object
    leaves: Sequence[object]
    pieces: tuple[Encoded, ...]
    problem: str | None = None


def describe(value: object, value_code: ValueCode) -> Described:
    """Take a freshly computed value apart, digest it and serialise it, before anybody else sees it.

    Complexity: one pass for the checksums of the serialised form; the digest knows long buffers by these, and takes
    another pass over everything else.
    """
    problems: list[str] = []
    skeleton, leaves = take_apart(value)
    encoded = [_encode(leaf, problems) for leaf in leaves]
    records = tuple(_leaf(leaf, blob, value_code) for leaf, blob in zip(leaves, encoded, strict=True))
    body = _encode(skeleton, problems)
    code = {
        *_code(skeleton, body),
        *(part for leaf, blob in zip(leaves, encoded, strict=True) for part in _code(leaf, blob)),
    }
    inline = (
        b"".join(map(bytes, body.verified_chunks())) if body is not None and body.size_bytes <= INLINE_BYTES else None
    )
    copied = _copies(skeleton) if File in code else []
    standin = isinstance(skeleton, LeafRef)
    digest_, exact = (records[0].digest, records[0].exact) if standin else _digest(value, [*encoded, body])
    result = Result(
        digest=digest_,
        exact=exact,
        size_bytes=(body.size_bytes if body else 0) + sum(leaf.size_bytes for leaf in records),
        type_name=name_of_type(value),
        inline=inline,
        blob=body.name if body is not None and inline is None else None,
        leaves=records,
        standin=standin,
        code=value_code.hash(code - {LeafRef}),
        classes=value_code.named(code - {LeafRef}),
        files=_files_digest(skeleton) if File in code else "",
        copies=tuple(copy for copy, _ in copied),
    )
    pieces = [*encoded, *([body] if inline is None else []), *(content for _, content in copied)]
    return Described(
        result=result,
        skeleton=skeleton,
        leaves=leaves,
        pieces=() if problems else tuple(piece for piece in pieces if piece is not None),
        problem=problems[0] if problems else None,
    )


def take_apart(value: object) -> tuple[object, tuple[object, ...]]:
    """Return the skeleton of a value, and its large parts."""
    return split(value, _is_large)


def is_small(value: object) -> bool:
    """Return whether a value takes little to send and to keep."""
    return not _is_large(value)


def try_digest(value: object, known: Known | None = None) -> Digest | None:
    """Return the digest of `value`, or None if it has none.

    Args:
        value: The value.
        known: Gives the hash of a long buffer that need not be read; else what is known of memory is asked.
    """
    try:
        return digest(value, known or Look().hash_of)
    except UndigestibleError:
        return None


def outline_of(value: object) -> str | None:
    """Return what can be told of `value` if it has no digest; see `core.digest.outline`."""
    return outline(value, Look().hash_of)


def difference(
    task: str,
    recorded: Callable[[], object],
    now: Callable[[], object],
    recorded_digest: str | None,
    now_digest: str | None,
) -> str:
    """Return how a value differs from a recorded one; by no more than their digests where one cannot be had.

    Args:
        task: Name of the task that gave them; of a secret it is told only that it differs.
        recorded: Loads the recorded value; raises `StoreError`.
        now: Gives the value; raises `StoreError`.
        recorded_digest: Digest of the recorded value.
        now_digest: Digest of the value.
    """
    if is_secret(task):
        return f"recorded {HIDDEN}, now another one"
    try:
        return mismatch(recorded(), now())
    except (StoreError, NotStorableError):
        return by_digest(recorded_digest, now_digest)
    except Exception as error:  # such as of a comparison that an object defines
        return f"{by_digest(recorded_digest, now_digest)} (comparing them raised {type(error).__name__}: {error})"


def objection(
    result: Result,
    get_blob: Callable[[str], object],
    has_blob: Callable[[str], bool],
    value_code: ValueCode,
) -> str | None:
    """Return why a result does not mean what it meant; None if it does.

    A class in it may have other code now: what comes from the store brings the old code with it, or meets the new. A
    file that it names may have other content; one that is gone is put back with the value, if the store has a copy.
    """
    changed = value_code.changed(result.classes)
    if changed is not None:
        return f"the code of {changed}, which its result holds, changed"
    if result.files:
        try:
            held = (
                all(is_as_it_was(copy, has_blob) for copy in result.copies)
                if result.copies
                else _files_digest(skeleton_of(result, get_blob)) == result.files
            )
        except StoreError:
            held = False
        if not held:
            return "a file that its result names has other content now"
    return None


def _copies(skeleton: object) -> list[tuple[Copy, Encoded]]:
    """Return copies of the files in `skeleton`; none at all if one of them cannot be copied."""
    try:
        found = [copy_of(file) for file in files(skeleton)]
    except OSError:
        return []
    return [one for one in found if one] if all(found) else []


def _files_digest(skeleton: object) -> str:
    """Return the digest of the contents of the files in `skeleton`; one of its own kind where they cannot be told."""
    named = try_digest(list(files(skeleton)))
    return named.hex if named and any(files(skeleton)) else uuid.uuid4().hex


def skeleton_of(result: Result, get_blob: Callable[[str], object]) -> object:
    """Return the value of a result as far as it is not in its leaves, the files that it names put back.

    Raises:
        StoreError: If its blob cannot be read, or a file that is gone cannot be put back.
    """
    for copy in result.copies:
        put_back(copy, get_blob)
    if result.inline is not None:
        try:
            return decode(result.inline)
        except DecodingError as error:
            raise CorruptError("lineage", f"give a {result.type_name}", str(error), "") from error
    if result.blob is None:
        raise NotStorableError(result.type_name, "it was never stored")
    return get_blob(result.blob)


def _is_large(value: object) -> bool:
    size_bytes = approximate_size(value)
    if size_bytes is None:
        encoded = _encode(value, [])
        return encoded is not None and encoded.size_bytes > SMALL_BYTES
    return size_bytes > SMALL_BYTES


def _encode(value: object, problems: list[str]) -> Encoded | None:
    try:
        return encode(value)
    except NotStorableError as error:
        problems.append(str(error))
        return None


def _code(value: object, encoded: Encoded | None) -> frozenset[Code]:
    return encoded.code if encoded else frozenset({type(value)})


def _digest(value: object, encoded: Iterable[Encoded | None]) -> tuple[str | None, bool]:
    """Return the digest of a value that was just encoded, and whether it is exact."""
    content = try_digest(value, known_among(blob for blob in encoded if blob is not None))
    return (content.hex, content.exact) if content else (None, False)


def _leaf(value: object, encoded: Encoded | None, value_code: ValueCode) -> Leaf:
    digest_, exact = _digest(value, [encoded])
    return Leaf(
        digest=digest_,
        exact=exact,
        size_bytes=encoded.size_bytes if encoded else approximate_size(value) or 0,
        type_name=name_of_type(value),
        blob=encoded.name if encoded else None,
        code=value_code.hash(_code(value, encoded)),
    )
