"""What the local reflex did for an instance since we looked last: its record on the slice, read back as data."""

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from tfheal.base import untrusted
from tfheal.model import paths
from tfheal.model.facts import ReflexEvent
from tfheal.model.release import Release

_NEWEST: Final = 20  # lines; more than the loop writes between two rounds of a provider who looks every few minutes
_WHY_CAP: Final = 200


def script(release: Release) -> str:
    """Given a release, return sh that prints what its reflex did last, a line of `reflex …` each."""
    record = paths.reflex_record(release.app, release.component)
    return f"[ ! -s {record} ] || tail -n {_NEWEST} {record} | sed 's/^/reflex /'"


def events(lines: Iterable[str], hidden: Collection[str] = ()) -> tuple[ReflexEvent, ...]:
    """Given the lines and what is not to be shown, return the events; what is no event is passed over."""
    return tuple(event for line in lines for event in _event(line, hidden))


def _event(line: str, hidden: Collection[str]) -> Iterator[ReflexEvent]:
    said = untrusted.from_json(line)
    if not isinstance(said, dict) or not all(isinstance(said.get(key), str) for key in ("at", "event", "why")):
        return
    if said["event"] in {"restarted", "gave-up", "systemd"} and untrusted.moment(said["at"]):
        # Only here: JSON has words of its own for any character, harmless until they are read.
        yield ReflexEvent(said["at"], said["event"], untrusted.line(said["why"], _WHY_CAP, hidden))
