"""Quoting is tried on real shells: whatever the text, it arrives as one word and runs nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shells import SHELLS, ran

from tfheal.base import sh

WORDS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=30)
ODD = (
    "",
    "plain",
    "two words",
    "it's",
    "''",
    '"',
    "$(id)",
    "`id`",
    "\\",
    "\n",
    "-n",
    "a=b",
    "~",
    "*",
    "#",
    "é日",
    "!",
    "{a,b}",
)


def words_of(command: str, shell: tuple[str, ...]) -> list[bytes]:
    """Return the words that a shell hands on, each ended by NUL."""
    return ran(f"printf '%s\\0' {command}", shell).stdout.split(b"\0")[:-1]


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: str(shell[0]))
def test_odd_words_arrive(shell: tuple[str, ...]) -> None:
    """Each is one word, the empty one too."""
    assert words_of(sh.join(*ODD), shell) == [word.encode() for word in ODD]


@given(words=st.lists(WORDS, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_any_words_arrive(words: list[str]) -> None:
    """As they were, and as many."""
    assert words_of(sh.join(*words), SHELLS[0]) == [word.encode() for word in words]


def test_nul_is_refused() -> None:
    """No shell can pass it on, and silently dropping it would change the meaning."""
    with pytest.raises(ValueError, match="NUL"):
        sh.quote("a\0b")


@pytest.mark.parametrize("word", ["plain", "/etc/x.conf", "a=b", "user@host:22", "1,5%"])
def test_what_needs_no_quotes_has_none(word: str) -> None:
    """Scripts stay readable for the owner."""
    assert sh.quote(word) == word


@given(data=st.binary(max_size=300))
@settings(max_examples=40, deadline=None)
def test_any_bytes_are_written(data: bytes) -> None:
    """Also those that no argument could hold."""
    assert ran(sh.decoded(data)).stdout == data


@pytest.mark.parametrize(
    ("encoded", "data"),
    [
        (b"", b""),
        (b"eA==", b"x"),
        (b"eA=", None),
        (b"e A==", None),
        (b"eA==\n", None),
        (b"eA==eA==", None),
        (b"\xff", None),
    ],
)
def test_only_base64_is_decoded(encoded: bytes, data: bytes | None) -> None:
    """What is no base64 is None, not a guess."""
    assert sh.unencoded(encoded) == data
