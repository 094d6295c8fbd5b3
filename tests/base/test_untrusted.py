"""What comes from a slice becomes text that can be shown, stored and compared, whatever it was."""

import time
import unicodedata
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfheal.base import untrusted

FORBIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        (b"plain \xc3\xa9 \xe6\x97\xa5", "plain é 日"),
        (b"two\nlines\tand a tab", "two\nlines\tand a tab"),
        (b"\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        (b"\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        (b"\xc2\x9b31m", "\\x9b31m"),
        (b"over\rwritten\x08", "over\\x0dwritten\\x08"),
        (b"nul\x00", "nul\\x00"),
        (b"\xff\xfe", "��"),
        ("bidi \u202e\u2066", "bidi \\u202e\\u2066"),
        ("join\u200d \ufeff", "join\\u200d \\ufeff"),
        ("\ud800 alone", "\\ud800 alone"),
        ("\ue000 private \U000f0000", "\\ue000 private \\uf0000"),
        ("line\u2028para\u2029", "line\\u2028para\\u2029"),
        ("", ""),
    ],
)
def test_what_could_mislead_is_shown_as_its_number(raw: bytes | str, safe: str) -> None:
    """Escape sequences, overwriting, invisible and reordering characters do nothing any more."""
    assert untrusted.text(raw) == safe


@pytest.mark.parametrize(
    ("raw", "cap", "safe"),
    [
        ("abcde", 5, "abcde"),
        ("abcdef", 5, "abcd…"),
        ("\x1b\x1b", 8, "\\x1b\\x1b"),
        ("\x1b\x1b\x1b", 8, "\\x1b\\x1…"),
        ("a", 0, "…"),
    ],
)
def test_text_is_capped(raw: str, cap: int, safe: str) -> None:
    """What is cut says so, and what is shown as numbers counts as long as it is shown."""
    assert untrusted.text(raw, cap) == safe


def test_a_line_is_one_line() -> None:
    """Line breaks and runs of spaces become one space."""
    assert untrusted.line(b" a\n\n b\t c \n") == "a b c"


def test_what_is_hidden_is_masked_while_it_is_whole() -> None:
    """A value with line breaks, or one at the edge of the cap, leaves nothing behind."""
    assert untrusted.line("one\ntwo  three", hidden=["one\ntwo  three"]) == "***"
    assert untrusted.text("x" * 8 + "hush" + "y" * 9, 12, hidden=["hush"]) == "x" * 8 + "***…"


@given(raw=st.one_of(st.binary(max_size=200), st.text(max_size=200)), cap=st.integers(1, 60))
def test_no_character_that_could_mislead_is_left(raw: bytes | str, cap: int) -> None:
    """Whatever comes in, at most so many harmless characters come out, and again they come out the same."""
    safe = untrusted.text(raw, cap)
    assert len(safe) <= cap
    assert not [one for one in safe if one not in "\n\t" and unicodedata.category(one) in FORBIDDEN]
    assert untrusted.text(safe, cap) == safe
    safe.encode()


@given(
    raw=st.one_of(
        st.text(max_size=200),
        st.text(st.sampled_from("ab \n\t\x00\x1b\x9b\u202e\u2028\ud800\U000f0000é日"), max_size=200),
        st.builds(lambda piece, times: piece * times, st.text(max_size=9), st.integers(0, 30_000)),
    ),
    cap=st.one_of(st.integers(0, 60), st.integers(60_000, 200_000)),
)
@settings(deadline=None)
def test_it_is_what_one_look_at_each_character_gives(raw: str, cap: int) -> None:
    """However fast it is done, it is the plain definition, character by character."""
    plain = "".join(_plainly(character) for character in raw)
    assert untrusted.text(raw, cap) == (plain if len(plain) <= cap else plain[: max(0, cap - 1)] + "…")


def _plainly(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in FORBIDDEN:
        return character
    return f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"


@pytest.mark.parametrize("raw", [b"a line of a log\n" * 300_000, b"\x1b" * 5_000_000, "日\u202e本".encode() * 500_000])
def test_much_of_it_takes_no_long_time(raw: bytes) -> None:
    """As much as a slice may say at once is read in less than the time it took to send it; before, it took seconds."""
    begun = time.process_time()
    untrusted.text(raw, 4 << 20)
    assert time.process_time() - begun < 1.5


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("0", 0),
        ("00", 0),
        ("100", 100),
        ("101", None),
        ("1000", None),
        ("9" * 5_000, None),
        *((odd, None) for odd in ("", None, "-1", "+1", "1_0", " 1", "1\n", "\uff11", "\u00b2", "0x1", "1e1", "1.0")),
    ],
)
def test_a_whole_number_is_one_that_is_not_too_large(said: str | None, number: int | None) -> None:
    """Digits of ASCII alone, and no more than are wanted."""
    assert untrusted.whole(said, 100) == number


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("0", 0.0),
        ("0.05", 0.05),
        ("99.999999999", 99.999999999),
        ("100.9", 100.0),
        ("101.0", None),
        *((odd, None) for odd in ("", None, ".", "1.", ".5", "1.2.3", "-1.0", "nan", "inf", "1e999", "1.\uff11")),
        (f"{'9' * 400}.0", None),
        (f"1.{'9' * 10}", None),
    ],
)
def test_a_number_with_a_fraction_is_finite(said: str | None, number: float | None) -> None:
    """It is as large as is wanted at most, whatever stands behind the point."""
    assert untrusted.decimal(said, 100) == number


@pytest.mark.parametrize(
    ("said", "there"),
    [
        ("2026-01-31T12:00:00Z", True),
        ("0001-01-01T00:00:00Z", True),
        ("9999-12-31T23:59:59Z", True),
        *((odd, False) for odd in ("", "2026-13-01T00:00:00Z", "9999-12-31T24:00:00Z", "2026-01-31T12:00:00+01:00")),
    ],
)
def test_a_moment_is_one_that_there_is(said: str, *, there: bool) -> None:
    """In the one form that our scripts write."""
    found = untrusted.moment(said)
    assert (found is not None) == there
    assert found is None or found.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ('{"a": [1, 2.5, "x", null, true]}', {"a": [1, 2.5, "x", None, True]}),
        (f"[1e999, -1e999, NaN, Infinity, -Infinity, {'9' * 400}, {'9' * 5_000}, {1 << 61}]", [None] * 8),
        ("[" * 100_000, None),
        ('{"a":' * 100_000, None),
        ("{", None),
        ("", None),
    ],
)
def test_json_has_no_number_that_nobody_can_reckon_with(said: str, found: object) -> None:
    """And it is none where it is too deep to be read."""
    assert untrusted.from_json(said) == found
