"""Which updates are installed when, in which order over a fleet, and what has to be so before a slice is rebooted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tfheal.core.charter import forbids, withholds
from tfheal.core.windows import next_start
from tfheal.model.app import Reboots
from tfheal.model.facts import Unknown
from tfheal.model.patches import Patch, Pending
from tfheal.model.window import Window

EXPECTED: Final = 900.0  # seconds that a patch is taken to last where a window has to hold it
REBOOTS: Final = 300.0  # and a reboot


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: security alone, without waiting for a window, what was taken back before, reboots where needed."""

    security: bool = False
    now: bool = False
    again: bool = False
    reboot: bool = False
    auto: bool = False  # nobody asked for it just now
    bad: frozenset[tuple[str, str]] = frozenset()  # packages and versions that broke an app elsewhere


def chosen(pending: Pending, wish: Wish) -> tuple[Patch, ...]:
    """Given what is pending and what is wished, return what is to be installed: nothing held, nothing that was taken back."""
    return tuple(
        one
        for one in pending.patches
        if not one.held
        and (one.security or not wish.security)
        and (wish.again or not one.taken_back)
        and (one.package, one.offered) not in wish.bad
    )


def gated(
    patches: tuple[Patch, ...], windows: Iterable[Window | None], defer: float, now: datetime
) -> tuple[tuple[Patch, ...], datetime | None]:
    """Given updates, the windows of the apps and how long security waits, return what may be installed now; till when the rest waits.

    None: nothing waits, or for a window that never fits.
    """
    starts = [next_start(window, now, EXPECTED) for window in windows]
    if all(start == now for start in starts):
        return patches, None
    urgent = tuple(one for one in patches if one.security and one.age >= defer)
    return urgent, max((one for one in starts if one), default=None)


def waves(apps: Mapping[str, tuple[str, ...]], *, alone_first: bool = False) -> tuple[tuple[str, ...], ...]:
    """Given slices and the apps on each, return them in waves: no app has two of its slices in one.

    With `alone_first` the first goes by itself, and shows what an update is worth.
    """
    first = tuple(apps)[:1] if alone_first else ()
    found: list[tuple[list[str], set[str]]] = []
    for name, here in apps.items():
        if name in first:
            continue
        wave = next((one for one in found if not one[1] & set(here)), None)
        if wave is None:
            wave = ([], set())
            found.append(wave)
        wave[0].append(name)
        wave[1].update(here)
    return (*((first,) if first else ()), *(tuple(names) for names, _ in found))


def barred(pending: Pending, allowed: Iterable[Reboots], every: float, *, auto: bool) -> str:
    """Given a slice, the words of its apps about reboots and how long it has to be up, return why it is not rebooted."""
    words = {*allowed}
    if "never" in words or (auto and "by-hand" in words):
        return "`reboot` of `patch` in an app spec or tfheal.toml does not allow it"
    if why := forbids(pending.charter, "reboot") or withholds(pending.charter, "reboot"):
        return why
    if isinstance(pending.up, Unknown):
        return "it did not say since when it is up"
    if pending.up.value < every:
        return f"it booted {pending.up.value} s ago, and `reboot_every` is {every:.0f} s"
    return ""
