"""Which version an app goes to by itself: the newest of its channel that was listed long enough and was never taken back."""

import re
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

from tfheal.model.app import AutoUpgrade

_PLAIN: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})*")
_ALIKE: Final = {"patch": 2, "minor": 1}  # how many of the first numbers stay the same


def next_version(
    listed: Mapping[str, datetime], current: str, wish: AutoUpgrade, bad: Collection[str], now: datetime
) -> str | None:
    """Given since when versions are listed, the one that is there, what its app wishes and those that are bad, return the next one.

    A version that is not made of numbers alone, as a release candidate is, is for people to choose.
    """
    there = _numbers(current)
    if wish.channel == "none" or there is None:
        return None
    latest = now - timedelta(seconds=wish.cooldown)
    fit = {
        version: numbers
        for version, since in listed.items()
        if since <= latest
        and version not in bad
        and (numbers := _numbers(version))
        and is_alike(version, current, wish)
    }
    newer = [version for version, numbers in fit.items() if numbers > there]
    return max(newer, key=lambda version: fit[version], default=None)


def is_newer(version: str, current: str) -> bool:
    """Return whether a version comes after another, as people count; what is not made of numbers alone comes after none."""
    ours, theirs = _numbers(current), _numbers(version)
    return ours is not None and theirs is not None and theirs > ours


def is_alike(version: str, current: str, wish: AutoUpgrade) -> bool:
    """Return whether a version is in the channel of an app that is at `current`; a number that is not written is 0."""
    ours, theirs, alike = _numbers(current), _numbers(version), _ALIKE.get(wish.channel)
    if ours is None or theirs is None or alike is None:
        return False
    return (*ours, 0)[:alike] == (*theirs, 0)[:alike]


def unlisted(current: str, listed: Collection[str], found: Collection[str]) -> tuple[str, ...]:
    """Given the version of an app, those that its playbook lists and those of an index, return what is newer there.

    That is the newest of the app's own series (the same first two numbers), and the newest of all.
    """
    newer = []
    for series in (AutoUpgrade(channel="patch"), None):
        ours, theirs = (
            [one for one in versions if series is None or is_alike(one, current, series)]
            for versions in ((*listed, current), found)
        )
        highest = max(map(_in_order, ours), default=())
        newer += sorted((one for one in theirs if _in_order(one) > highest), key=_in_order)[-1:]
    return tuple(dict.fromkeys(newer))


def _in_order(version: str) -> tuple[int, ...]:
    return _numbers(version) or ()


def _numbers(version: str) -> tuple[int, ...] | None:
    """Return a version as people count, with the zeros at its end left out; None if it is not made of numbers alone."""
    if not _PLAIN.fullmatch(version):
        return None
    numbers = [int(part) for part in version.split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
