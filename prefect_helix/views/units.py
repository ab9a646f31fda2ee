"""Times, sizes and names in a form for people."""

from __future__ import annotations

from datetime import datetime, timezone

_SIZE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_LAST_US = 250_000_000_000_000_000  # in the year 9892
_LONG_UNITS_S = (("min", 60), ("h", 3_600), ("d", 86_400))


def format_us(us: int | None) -> str:
    """Return a time given in microseconds with two significant digits or more: "3.2 ms", "63 s", "2 min 5 s".

    Seconds go up to two minutes, minutes to two hours, hours to two days. None is "unknown".
    """
    if us is None:
        return "unknown"
    if us < 0:
        return f"-{format_us(-us)}"
    if us == 0:
        return "0 s"
    if us < 1_000:
        return f"{us} µs"
    if us < 999_500:
        return f"{_two_digits(us / 1_000)} ms"
    if us < 119_500_000:
        return f"{_two_digits(us / 1_000_000)} s"
    seconds = round(us / 1_000_000)
    small, large = ("s", 1), _LONG_UNITS_S[0]
    for longer in _LONG_UNITS_S[1:]:
        if seconds >= 2 * longer[1]:
            small, large = large, longer
    count, rest = divmod(seconds // small[1], large[1] // small[1])
    return f"{count} {large[0]} {rest} {small[0]}" if rest else f"{count} {large[0]}"


def moment(us: int) -> str:
    """Return a time since the epoch in local time, to the second; in words if no calendar has it."""
    at = _utc(us)
    return "at an unknown time" if at is None else f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def iso(us: int | None) -> str | None:
    """Return a time since the epoch as ISO 8601 in UTC; None if no calendar has it."""
    at = None if us is None else _utc(us)
    return None if at is None else at.isoformat(timespec="milliseconds")


def format_bytes(size_bytes: int | None) -> str:
    """Return a size in decimal units, as budgets are given: "512 B", "1.5 kB", "64 MB". None is "unknown"."""
    if size_bytes is None:
        return "unknown"
    if size_bytes < 1_000:
        return f"{size_bytes} B"
    size, unit = float(size_bytes), 0
    while size >= 999.5 and unit < len(_SIZE_UNITS) - 1:
        size /= 1_000
        unit += 1
    return f"{_two_digits(size)} {_SIZE_UNITS[unit]}"


def format_count(count: int, noun: str) -> str:
    """Return "1 step", "12 steps"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def and_more(count: int, noun: str = "") -> str:
    """Return "and 1 more", "and 12 more lines" of what is not shown; empty if everything is."""
    if count <= 0:
        return ""
    return f"and {format_count(count, f'more {noun}')}" if noun else f"and {count} more"


def with_calls(told: str, calls: int) -> str:
    """Return "fit"; of several calls "fit (12 calls)"."""
    return told if calls == 1 else f"{told} ({calls} calls)"


def shorten(text: str, limit: int) -> str:
    """Return `text` on one line without control or formatting characters, at most `limit` characters long."""
    head = text[: 4 * limit + 4]
    line = " ".join("".join(c if c.isprintable() else " " for c in head).split())
    cut = len(line) > limit or len(head) < len(text)
    return f"{line[: limit - 1].rstrip()}…" if cut else line


def _utc(us: int) -> datetime | None:
    return datetime.fromtimestamp(us / 1e6, timezone.utc) if 0 <= us < _LAST_US else None


def _two_digits(number: float) -> str:
    return f"{number:.1f}" if number < 9.95 else f"{number:.0f}"
