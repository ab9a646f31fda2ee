"""What disks, networks and other programs may make of stored bytes, and what somebody may write in their place."""

from __future__ import annotations

import base64
import copy
import json
import pickle
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

from prefect_helix.storage.blob import checksum
from prefect_helix.storage.codec import encode
from tests.fuzz.canary import Canary

CANARY_BLOB = b"".join(encode(Canary()).chunks)
CANARY_PICKLE = pickle.dumps(Canary(), protocol=5)

_HUGE = "\0 ten thousand digits"
_DEEP = "\0 a hundred thousand lists"
_TWICE = "\0 the key before"
_RAW = {_HUGE: b"9" * 10_000, _DEEP: b"[" * 100_000 + b"]" * 100_000}

ALIENS: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63 - 1, -(2**63), 2**64, 10**18, 10**400, 0.5, 1e308, float("nan"),
    float("inf"), float("-inf"), "", "\x00", "\ud800", "\u202e", "../../../etc/passwd", "~nobody-has-this-name/x",
    "alien://host/x", "file://", "\n", "é" * 50, "x" * 20_000, "9" * 5_000, base64.b64encode(CANARY_BLOB).decode(),
    "a" * 32, [], {}, [[]], [None], {"": None}, ["x"], [1, 2, 3, 4, 5, 6, 7], {"__class__": "x"}, _HUGE, _DEEP,
)  # fmt: skip
TOKENS = (
    b"\n", b"\x00" * 64, b"\xff\xfe\xc0\x80", b'["', b'",', b"]\n", b"{}", b"\xed\xa0\x80", b"NaN", b"[" * 100_000,
    b"9" * 5_000, b"1e999999999", b'"\\ud800"', b"\x93HELIX\r\n", b"\x93HELIXZ zstd\n", b"\x93HELIXZ lz4\n",
    b"\x93HELIXS\n", CANARY_BLOB, CANARY_PICKLE,
)  # fmt: skip
NUMBERS = (0, 1, 2**16, 8 << 20, 2**31 - 1, 2**32 - 1, 10**12, 10**18, 2**63, 2**64 - 1)


@st.composite
def damaged(draw: st.DrawFn, whole: Sequence[bytes]) -> bytes:
    """Stored bytes with a few things done to them, or any bytes at all."""
    if not draw(st.integers(0, 9)):
        return draw(st.binary(max_size=400))
    data = bytearray(draw(st.sampled_from(whole)))
    for _ in range(draw(st.integers(1, 3))):
        at, length = draw(st.integers(0, len(data))), draw(st.integers(1, 200))
        match draw(st.sampled_from(("flip", "byte", "cut", "drop", "repeat", "splice", "number", "token", "many"))):
            case "flip" if at < len(data):
                data[at] ^= 1 << length % 8
            case "byte" if at < len(data):
                data[at] = length % 256
            case "cut":
                del data[at:]
            case "drop":
                del data[at : at + length]
            case "repeat":
                data[at:at] = data[at : at + length]
            case "splice":
                other = draw(st.sampled_from(whole))
                data[at:] = other[draw(st.integers(0, len(other))) :]
            case "number":
                form = "<Q" if length % 2 else "<I"
                data[at : at + struct.calcsize(form)] = struct.pack(
                    form, _fitting(form, draw(st.sampled_from(NUMBERS)))
                )
            case "token":
                data[at:at] = draw(st.sampled_from(TOKENS))
            case "many" if data:
                data += data[at : at + length] * (100_000 // length)
    return bytes(data)


def _fitting(form: str, number: int) -> int:
    return number % (1 << 8 * struct.calcsize(form))


@st.composite
def altered(draw: st.DrawFn, documents: Sequence[Any]) -> bytes:
    """The text of a JSON document of which some parts are of another shape, size or type, gone, or there twice."""
    document = copy.deepcopy(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(1, 3))):
        places = [*_places(document)]
        if not places:
            break
        owner, key = places[draw(st.integers(0, len(places) - 1))]
        other_owner, other_key = places[draw(st.integers(0, len(places) - 1))]
        match draw(st.sampled_from(("alien", "alien", "alien", "other", "gone", "twice", "within", "new"))):
            case "alien":
                owner[key] = copy.deepcopy(draw(st.sampled_from(ALIENS)))
            case "other":
                owner[key] = copy.deepcopy(other_owner[other_key])
            case "gone":
                del owner[key]
            case "twice" if isinstance(owner, list):
                owner.insert(key, copy.deepcopy(owner[key]))
            case "twice":
                owner[f"{key}{_TWICE}"] = draw(st.sampled_from((None, 0, "x", [])))
            case "within":
                owner[key] = [owner[key]]
            case "new" if isinstance(owner, dict):
                owner["a field of tomorrow"] = 1
    return text_of(document)


def text_of(document: Any) -> bytes:
    """Return JSON text, with what no JSON library writes put in where it is named."""
    text = json.dumps(document, separators=(",", ":")).encode("ascii")
    text = text.replace(json.dumps(_TWICE)[1:].encode("ascii"), b'"')
    for name, raw in _RAW.items():
        text = text.replace(json.dumps(name).encode("ascii"), raw)
    return text


def line(text: bytes) -> bytes:
    """Return a line whose checksum is right, whatever it says."""
    return b'["%b",%b]\n' % (checksum(text).hex().encode("ascii"), text)


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place in a document: what owns it, and its key there."""
    keys = range(len(document)) if isinstance(document, list) else [*document] if isinstance(document, dict) else ()
    for key in keys:
        yield document, key
        yield from _places(document[key])
