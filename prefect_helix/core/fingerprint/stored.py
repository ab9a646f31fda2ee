"""The code that Python has stored for a file: compiling the file again takes as long as all the rest."""

from __future__ import annotations

import marshal
import struct
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path
from types import CodeType

_HEADER_BYTES = 16
_GRANULARITY_NS = 2 * 10**9
"""Of the dates of files, at the most (FAT)."""


def stored_code(filename: str) -> CodeType | None:
    """Return the code of a source file that Python has stored, None unless it is surely that of the file as it is.

    Python itself goes by the file's date in whole seconds and its size (PEP 552), so that it may run the code of a
    file that has been edited since. So the file must also have been written, and moved here, before its code was.
    """
    try:
        path = Path(cache_from_source(filename))
        source, stored, content = Path(filename).stat(), path.stat(), path.read_bytes()
    except (OSError, ValueError, NotImplementedError):
        return None
    header = MAGIC_NUMBER + struct.pack("<III", 0, int(source.st_mtime) & 0xFFFFFFFF, source.st_size & 0xFFFFFFFF)
    written_ns = max(source.st_mtime_ns, source.st_ctime_ns)
    if content[:_HEADER_BYTES] != header or stored.st_mtime_ns <= written_ns + _GRANULARITY_NS:
        return None
    try:
        code = marshal.loads(content[_HEADER_BYTES:])
    except (EOFError, ValueError, TypeError):
        return None
    return code if isinstance(code, CodeType) else None
