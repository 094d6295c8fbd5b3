"""How far restic is, in words that fit beside a bar: how much of how much, how many files, and how long yet."""

from collections.abc import Mapping
from typing import Final

from tfheal.base.amounts import size, span

WHOLE: Final = 100
_LONG: Final = 864_000  # seconds: what is said to take longer than ten days is not known


def told(name: str, word: Mapping[str, object]) -> tuple[str, int] | None:
    """Given what a task is called and a word of restic, return what to say and the share that is done; None for no share.

    What is read to its end is not stored yet: while restic is at work nothing is whole, and it does not say how much it sent.
    """
    share, left = word.get("percent_done"), word.get("seconds_remaining")
    if not isinstance(share, (int, float)) or not 0 <= share <= 1:
        return None
    done, files = (word.get(f"{what}_done", word.get(f"{what}_restored")) for what in ("bytes", "files"))
    total = word.get("total_bytes")
    parts = [name]
    # Of what a command writes restic cannot know how much there is, and guesses thousands of years.
    if share == 1:
        parts.append("being stored")
    elif isinstance(left, int) and 0 < left < _LONG:
        parts.append(f"{span(left)} left")
    if isinstance(done, int):
        parts.append(f"{size(done)} of {size(total)}" if isinstance(total, int) and total >= done else size(done))
    if isinstance(files, int):
        parts.append(f"{files:,} files")
    return ", ".join(parts), min(WHOLE - 1, round(share * WHOLE))
