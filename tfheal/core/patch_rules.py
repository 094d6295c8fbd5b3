"""Which updates are installed when, in which order over a fleet, and what has to be so before a slice is rebooted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
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


def chosen(pending: Pending, wish: Wish) -> tuple[Patch, ...]:
    """Given what is pending and what is wished, return what is to be installed: nothing held, nothing that was taken back."""
    return tuple(
        one
        for one in pending.patches
        if not one.held and (one.security or not wish.security) and (wish.again or not one.taken_back)
    )


def left_out(pending: Pending, wish: Wish) -> tuple[Patch, ...]:
    """Given what is pending and what is wished, return what would be installed too, had it not been taken back."""
    installed = chosen(pending, wish)
    return tuple(one for one in chosen(pending, replace(wish, again=True)) if one not in installed)


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


def waves(
    apps: Mapping[str, tuple[str, ...]], behind: Mapping[str, str], *, alone_first: bool = False
) -> tuple[tuple[str, ...], ...]:
    """Given slices, the apps on each and the gateway that each app is behind, return the slices in waves.

    In one wave are no two slices of an app, and no gateway beside what it leads to, which it has to drain. With
    `alone_first` the first goes by itself, and shows what an update is worth.
    """
    first = tuple(apps)[:1] if alone_first else ()
    found: list[tuple[list[str], set[str], set[str]]] = []
    for name, here in apps.items():
        if name in first:
            continue
        ours, fronts = set(here), {behind[app] for app in here if app in behind}
        free = (one for one in found if not (ours & (one[1] | one[2]) or fronts & one[1]))
        wave = next(free, None)
        if wave is None:
            wave = ([], set(), set())
            found.append(wave)
        wave[0].append(name)
        wave[1].update(ours)
        wave[2].update(fronts)
    return (*((first,) if first else ()), *(tuple(names) for names, _, _ in found))


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
