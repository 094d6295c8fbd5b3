"""Putting kept releases onto slices anew, in the order of their needs: after a slice was made anew, or an app was moved."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import zip_longest

from tfheal.core.deploy import liveness
from tfheal.core.order import stages
from tfheal.core.resources import steps
from tfheal.flows.act import Done, Work, act_everywhere
from tfheal.flows.put import put
from tfheal.flows.releases import by_slice, secret_values
from tfheal.flows.rungs import HealRun
from tfheal.model.inventory import Slice
from tfheal.model.record import Expected
from tfheal.model.release import InstanceName


@dataclass(frozen=True, slots=True)
class Because:
    """Why something is done, and the incident that it is done for, if any."""

    why: str
    incident: str | None = None


def redeploy(run: HealRun, items: Collection[Expected], because: Because) -> dict[InstanceName, str]:
    """Given what shall stand on its slices, put it there, and return what did not come to be, with the reason.

    Of a component one instance at a time, so that the others serve meanwhile. After one that failed, what would come next
    stays as it is; one that could not be reached holds up nobody. The next round finds both interrupted.
    """
    left: dict[InstanceName, str] = {}
    for app in sorted({item.release.app for item in items}):
        ours = [item for item in items if item.release.app == app]
        for wave in _waves(ours):
            undone = _together(run, {item.release.instance: item for item in wave}, because)
            left |= {name: done.detail for name, done in undone.items()}
            if any(done.outcome == "failed" for done in undone.values()):
                break
    return left


def _waves(items: Collection[Expected]) -> Iterator[list[Expected]]:
    """Yield what goes together: the components in the order of their needs, of each the next instance."""
    for components in stages({item.release.component: item.release.needs for item in items}):
        queues = [[item for item in items if item.release.component == component] for component in components]
        for wave in zip_longest(*queues):
            yield [item for item in wave if item is not None]


def _together(run: HealRun, due: dict[InstanceName, Expected], because: Because) -> dict[InstanceName, Done]:
    """Put instances onto their slices, and return those that did not come to be."""
    slices = by_slice(item.release for item in due.values())
    targets = [run.workspace.inventory.slice(name) for name in slices]

    def there(target: Slice) -> dict[InstanceName, Done]:
        return {one.instance: _put(run, due[one.instance], target, because) for one in slices[target.name]}

    undone: dict[InstanceName, Done] = {}
    for name, dones in act_everywhere(targets, there, run.limits).items():
        for release in slices[name]:
            done = dones[release.instance] if isinstance(dones, dict) else Done("", "refused", str(dones), 0.0)
            undone |= {release.instance: done} if done.outcome != "done" else {}
    return undone


def _put(run: HealRun, item: Expected, target: Slice, because: Because) -> Done:
    release = item.release
    secrets = secret_values(release, run.ports)
    work = Work(
        verb="redeploy",
        release=release,
        steps=steps(release, secrets) + liveness(release, secrets),
        secrets=secrets,
        why=because.why,
        run=run.run,
        generation=item.deployed.generation,
        incident=because.incident,
        identity=None if item.reached else f"{release.slice} {run.ports.marker()}",
        limit=run.workspace.provider.heal.act_timeout,
    )
    return put(work, item, target, run.ports)
