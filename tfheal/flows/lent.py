"""A spare slice that is lent for a drill: the software of what is drilled is put there, stopped, and taken away again.

The lease of the app is held only while something is put there or taken away, so that healing may act during the drill.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from tfheal.base.errors import ActionFailed
from tfheal.core.backup.drill import Rehearsal
from tfheal.core.remove import removal
from tfheal.core.resources import steps
from tfheal.flows.act import act
from tfheal.flows.releases import secret_values
from tfheal.flows.rungs import HealRun
from tfheal.flows.set_down import dumped, permitted, put_there, quiet_releases, work_there
from tfheal.model.backup import Planned
from tfheal.model.release import Release


@dataclass(frozen=True, slots=True)
class Lent:
    """What is drilled on the spare, and the slice whose repository it comes from."""

    rehearsal: Rehearsal
    source: str


@contextmanager
def lent(heal: HealRun, plan: Planned, owner: str = "") -> Iterator[Lent]:
    """Given what is to be drilled on the slice that the plan names, have its software there while the context lasts.

    The slice is the app's owner's, or that of another `owner`. Raise Refused or ActionFailed where it cannot be. Data that lies there is nobody's to throw away: then nothing is done.
    """
    source, found = permitted(heal, plan, owner), quiet_releases(heal, plan).values()
    put: list[Release] = []
    try:
        with heal.ports.leases.hold(plan.app, "backup drill", heal.run):
            for release in found:
                if why := put_there(heal, plan, release):
                    raise ActionFailed("a drill cannot be made there", where=plan.to, why=why)
                put.append(release)
        secrets = {key: value for one in put for key, value in secret_values(one, heal.ports).items()}
        yield Lent(
            Rehearsal(plan.app, plan.to, dumped(plan, source), tuple(put), secrets), plan.sources.get(source, source)
        )
    finally:
        if put:
            with heal.ports.leases.hold(plan.app, "backup drill", heal.run):
                for release in reversed(put):
                    _taken_away(heal, plan, release)


def _taken_away(heal: HealRun, plan: Planned, release: Release) -> None:
    """Take the software away, and the empty folders that were made for data."""
    secrets = secret_values(release, heal.ports)
    gone = removal(release, steps(release, secrets), frozenset(), data=True, packages=False)
    work = replace(work_there(heal, plan, release), verb="remove", steps=gone, why="the drill there is over")
    done = act(work, heal.workspace.inventory.slice(plan.to), heal.ports)
    if done.outcome != "done":
        heal.ports.reporter.say(f"{release.instance}  was not taken away after the drill: {done.detail}")
