"""Seals: what somebody without the key cannot put into a store for us to load.

A sealed object begins with 64 bytes: magic, HMAC-SHA256, zeros. The seal is over the object's path and its content;
of a blob its name stands for the content, and of an index its first line, since these hold checksums of all the rest.
An object that is sealed can be read without a key, and then nothing is proven. With a key, what is not sealed with it
is as good as damaged.
"""

from __future__ import annotations

import hashlib
import hmac

MAGIC = b"\x93HELIXS\n"
SEAL_BYTES = 64

_DIGEST_BYTES = 32


def seal(key: bytes, path: str, content: bytes) -> bytes:
    """Return what a sealed object begins with.

    Args:
        key: The secret.
        path: The object's path in the store.
        content: The content, or what stands for it.
    """
    message = len(path).to_bytes(4, "little") + path.encode() + content
    signature = hmac.new(key, message, hashlib.sha256).digest()
    return MAGIC + signature + bytes(SEAL_BYTES - len(MAGIC) - _DIGEST_BYTES)


def is_sealed(head: bytes) -> bool:
    """Return whether an object that begins like this is sealed."""
    return head.startswith(MAGIC)


def holds(key: bytes, path: str, content: bytes, head: bytes) -> bool:
    """Return whether `head` is the seal of an object."""
    return hmac.compare_digest(seal(key, path, content), head)
