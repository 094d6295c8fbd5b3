"""Replies as a slice that lies would write them: whole frames of a true reply, spoiled at every depth."""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from hypothesis import strategies as st

SENTINEL: Final = "hush-Hush-hush"
BOOT: Final = "01234567-89ab-cdef-0123-456789abcdef"
MACHINE: Final = f"""\
now 1767323045.5
hands-off no
identity s1 abc
cpus 2
load 0.10
memory 4294967296 1073741824
disk 400 600
inodes 10 90
age 86400
boot {BOOT}
failed begin
failed other.service
""".encode()
_NUMBERS: Final = (
    "",
    "no",
    "-1",
    "0",
    "9" * 30,
    "9" * 18,
    "9" * 12,
    f"{'9' * 12}.00",
    "9" * 5_000,
    "1e999",
    "nan",
    "0x10",
    "\uff11\uff12",
    "1.",
    "f" * 16,
)
_WORDS: Final = ("begin", "complete", "absent", "2026-13-77T99:99:99Z", "../../etc", "~/.ssh/id_ed25519", "é" * 600)
_ODD: Final = (
    "\x1b[2J\x1b]0;owned\x07",
    "\u202eeman",
    "\x9b31m",
    "\0",
    "\r",
    "\udcff\udcfe",
    "[red]",
    "{{ 7*7 }}",
    "$(id)",
)
_TOLD: Final = (SENTINEL, f"x{SENTINEL}\x1b\u202e")
POISONS: Final = tuple(word.encode("utf-8", "surrogateescape") for word in (*_NUMBERS, *_WORDS, *_ODD, *_TOLD))
HOWS: Final = ("value", "tail", "line", "before", "twice", "drop", "pack")


def packed(data: bytes) -> bytes:
    """Return bytes as base64."""
    return base64.b64encode(data)


def seldom(truth: bytes, false: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Return the strategy that says the truth two times of three."""
    return st.integers(0, 2).flatmap(lambda turn: st.just(truth) if turn else false)


def lies(text: bytes, hows: Iterable[str]) -> Iterator[bytes]:
    """Given the true words of an answer, yield each single lie: every line, with every poison."""
    lines = text.splitlines()
    for index in range(len(lines)):
        for how in hows:
            for poison in POISONS:
                yield _twisted(lines, [(index, (how, poison))])


def spoiled(text: bytes) -> st.SearchStrategy[bytes]:
    """Given the true words of an answer, return the strategy of what a liar makes of some of their lines."""
    lines = text.splitlines()
    return st.lists(st.tuples(st.integers(0, max(0, len(lines) - 1)), _twists()), min_size=1, max_size=3).map(
        lambda twists: _twisted(lines, twists)
    )


def _twists() -> st.SearchStrategy[tuple[str, bytes]]:
    known = st.sampled_from(POISONS)
    poison = st.one_of(known, known, known, st.binary(max_size=20), st.text(max_size=10).map(str.encode))
    return st.tuples(st.sampled_from(HOWS), poison)


def _twisted(lines: list[bytes], twists: Iterable[tuple[int, tuple[str, bytes]]]) -> bytes:
    parts: list[list[bytes]] = [[line] for line in lines] or [[b""]]
    for index, (how, poison) in twists:
        first = parts[index][0] if parts[index] else b""
        mark = b"=" if re.match(rb"\w+=\w+$", first) else b" "
        head, _, value = first.rpartition(mark)
        kinds: Mapping[str, list[bytes]] = {
            "value": [head + mark + poison],
            "tail": [first + poison],
            "line": [poison],
            "before": [poison, first],
            "twice": [first, head + mark + poison],
            "drop": [],
            "pack": [head + mark + packed(poison + value + b"\ncurrent:" + packed(poison))],
        }
        parts[index] = kinds[how]
    return b"\n".join(line for part in parts for line in part) + b"\n"


def mangled(lines: st.SearchStrategy[list[bytes]], marker: str) -> st.SearchStrategy[bytes]:
    """Given the lines of a reply, return the strategy of replies that lose, repeat, swap or spoil some of them."""
    noise = st.one_of(
        st.binary(max_size=30),
        st.builds(lambda tail: f"{marker} ".encode() + tail, st.binary(max_size=30)),
        st.sampled_from(
            [b"", b"Welcome!", f"{marker}".encode(), f"{marker} end".encode(), f"{marker} 0 skipped".encode()]
        ),
    )
    change = st.tuples(
        st.sampled_from(["drop", "twice", "noise", "byte", "cut", "first"]), st.integers(0, 1 << 16), noise
    )
    # Most replies stay whole, or nothing would ever be seen of what is behind the frames.
    changes = st.one_of(st.just([]), st.just([]), st.lists(change, max_size=2))
    return st.builds(_mangled, lines, changes)


def _mangled(lines: list[bytes], changes: Iterable[tuple[str, int, bytes]]) -> bytes:
    kept = list(lines)
    for how, number, noise in changes:
        index = number % len(kept) if kept else 0
        match how:
            case "noise":
                kept.insert(index, noise)
            case "drop":
                kept = kept[:index] + kept[index + 1 :]
            case "twice":
                kept = [*kept, *kept[index : index + 1]]
            case "first":
                kept = kept[index : index + 1] + kept
            case "byte" if kept:
                line = bytearray(kept[index] or b" ")
                line[number % len(line)] ^= 1 + number % 255
                kept[index] = bytes(line)
            case "cut" if kept:
                kept[index] = kept[index][: number % (len(kept[index]) + 1)]
    return b"\n".join(kept) + b"\n"
