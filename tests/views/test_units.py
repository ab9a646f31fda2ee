from __future__ import annotations

import pytest

from prefect_helix.views.units import and_more, format_bytes, format_count, format_us, shorten, with_calls


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (None, "unknown"),
        (0, "0 s"),
        (1, "1 µs"),
        (999, "999 µs"),
        (1_000, "1.0 ms"),
        (3_210, "3.2 ms"),
        (9_949, "9.9 ms"),
        (9_951, "10 ms"),
        (999_499, "999 ms"),
        (999_500, "1.0 s"),
        (4_100_000, "4.1 s"),
        (63_000_000, "63 s"),
        (119_499_999, "119 s"),
        (119_500_000, "2 min"),
        (125_000_000, "2 min 5 s"),
        (7_199_000_000, "119 min 59 s"),
        (7_200_000_000, "2 h"),
        (7_500_000_000, "2 h 5 min"),
        (172_800_000_000, "2 d"),
        (180_000_000_000, "2 d 2 h"),
        (-4_100_000, "-4.1 s"),
    ],
)
def test_times_have_two_digits_and_the_unit_a_person_would_use(us: int | None, text: str) -> None:
    assert format_us(us) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, "unknown"),
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (1_540, "1.5 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (64_000_000, "64 MB"),
        (20_000_000_000, "20 GB"),
        (3 * 10**18, "3000 PB"),
    ],
)
def test_sizes_are_in_decimal_units(size_bytes: int | None, text: str) -> None:
    assert format_bytes(size_bytes) == text


def test_counts_have_a_plural() -> None:
    assert [format_count(n, "step") for n in (0, 1, 2)] == ["0 steps", "1 step", "2 steps"]


def test_what_is_not_shown_is_told_if_there_is_any() -> None:
    assert [and_more(n) for n in (-1, 0, 1, 12)] == ["", "", "and 1 more", "and 12 more"]
    assert [and_more(n, "line") for n in (0, 1, 12)] == ["", "and 1 more line", "and 12 more lines"]


def test_how_many_calls_there_are_is_told_of_several() -> None:
    assert [with_calls("fit", n) for n in (1, 12)] == ["fit", "fit (12 calls)"]


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("fit", "fit"),
        ("a\nb\t c", "a b c"),
        ("a\x00b\u202ec\ud800d\ufffe", "a b c d"),
        ("exactly 10", "exactly 10"),
        ("more than ten", "more than…"),
        ("x" * 10_000, "xxxxxxxxx…"),
        ("a" + " " * 10_000 + "b", "a…"),
        ("", ""),
    ],
)
def test_shortened_text_is_one_line_of_printable_characters(text: str, short: str) -> None:
    assert shorten(text, 10) == short
