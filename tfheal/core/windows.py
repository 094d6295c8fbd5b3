"""When planned work may start: it has to be expected to end before its window closes.

A start that the clocks jump over is moved to the end of the gap; of one that they show twice the first counts. What a
window lasts is time that passes, whatever the clocks do meanwhile. Openings that touch are one.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from tfheal.model.window import WEEK, Opening, Window

_AHEAD: Final = 15  # days looked ahead: a window opens once a week or more often
_SECOND: Final = timedelta(seconds=1)


def openings(window: Window, now: datetime) -> Iterator[Opening]:
    """Given a window and an aware time, yield its openings that are not over, in order, for two weeks or more."""
    back = int(window.duration // 86_400) + 2
    first = now.astimezone(window.zone).date() - timedelta(days=back)
    current: Opening | None = None
    for ahead in range(back + _AHEAD):
        day = first + timedelta(days=ahead)
        if WEEK[day.weekday()] not in window.days:
            continue
        found = _opening(window, day)
        if current is not None and found.opens <= current.closes:
            current = Opening(current.opens, max(current.closes, found.closes))
            continue
        if current is not None and current.closes > now:
            yield current
        current = found
    if current is not None and current.closes > now:
        yield current


def next_start(window: Window | None, now: datetime, takes: float = 0.0) -> datetime | None:
    """Given a window (None: always open) and how many seconds work takes, return when it may start; None: it never fits."""
    if window is None:
        return now
    for opening in openings(window, now):
        start = max(now, opening.opens)
        if start + timedelta(seconds=takes) <= opening.closes:
            return start
    return None


def window_open(window: Window | None, now: datetime, takes: float = 0.0) -> bool:
    """Given a window and how many seconds work is expected to take, return whether it may start now."""
    return next_start(window, now, takes) == now


def waits(window: Window | None, now: datetime, latest: datetime, takes: float = 0.0) -> datetime | None:
    """Given work that is due and waits till `latest` at most, return till when it waits; None: it may start now."""
    start = next_start(window, now, takes) or latest
    until = min(start, latest)
    return until if until > now else None


def _opening(window: Window, day: date) -> Opening:
    opens = _moment(datetime.combine(day, time.fromisoformat(window.start), window.zone))
    return Opening(opens, opens + timedelta(seconds=window.duration))


def _moment(local: datetime) -> datetime:
    """Return the moment at which clocks first show a time, or the end of the gap that they jump over it."""
    moment = local.astimezone(UTC)
    before = local.replace(fold=1).astimezone(UTC)
    if before >= moment:
        return moment
    after = moment.astimezone(local.tzinfo).utcoffset()
    while moment - before > _SECOND:  # the jump is between the two
        middle = before + (moment - before) / 2
        if middle.astimezone(local.tzinfo).utcoffset() == after:
            moment = middle
        else:
            before = middle
    return moment.replace(microsecond=0)
