"""How far restic is, in a few words: what it says on a real slice, and what nobody should believe."""

import pytest

from tfheal.core.backup import progress

MIB = 1 << 20


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (
            {
                "percent_done": 0.5,
                "seconds_remaining": 90,
                "total_bytes": 64 * MIB,
                "bytes_done": 32 * MIB,
                "files_done": 1200,
            },
            ("folders, 90s left, 32M of 64M, 1,200 files", 50),
        ),
        (
            {"percent_done": 0.254, "total_bytes": 64 * MIB, "bytes_restored": MIB, "files_restored": 2},
            ("folders, 1.0M of 64M, 2 files", 25),
        ),
        ({"percent_done": 1, "total_bytes": MIB, "bytes_done": MIB}, ("folders, being stored, 1.0M of 1.0M", 99)),
        ({"percent_done": 0, "seconds_remaining": 9_000_000_000, "bytes_done": MIB}, ("folders, 1.0M", 0)),
        ({"percent_done": 2}, None),
        ({"percent_done": "1"}, None),
        ({"message_type": "summary"}, None),
    ],
)
def test_what_is_told_while_it_works(word: dict[str, object], said: tuple[str, int] | None) -> None:
    """Time left, bytes and files, as far as they are known; what is read is not stored yet, so that a bar stays until the end."""
    assert progress.told("folders", word) == said
