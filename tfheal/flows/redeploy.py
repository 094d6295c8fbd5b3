"""Putting kept releases onto slices anew, in the order of their needs: after a slice was made anew, or an app was moved."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from tfheal.core.deploy import liveness
from tfheal.core.order import stages
from tfheal.core.resources import steps
from tfheal.flows.act import Done, Work, act, act_everywhere
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

    What needs something that failed is left: the next round finds it interrupted.
    """
    failed: dict[InstanceName, str] = {}
    for app in sorted({item.release.app for item in items}):
        ours = [item for item in items if item.release.app == app]
        for components in stages({item.release.component: item.release.needs for item in ours}):
            due = {item.release.instance: item for item in ours if item.release.component in components}
            failed |= _together(run, due, because)
            if any(name.app == app for name in failed):
                break
    return failed


def _together(run: HealRun, due: dict[InstanceName, Expected], because: Because) -> dict[InstanceName, str]:
    slices = by_slice(item.release for item in due.values())
    targets = [run.workspace.inventory.slice(name) for name in slices]

    def put(target: Slice) -> dict[InstanceName, Done]:
        return {one.instance: _put(run, due[one.instance], target, because) for one in slices[target.name]}

    failed: dict[InstanceName, str] = {}
    for name, dones in act_everywhere(targets, put, run.limits).items():
        for release in slices[name]:
            done = dones.get(release.instance) if isinstance(dones, dict) else None
            if done is None or done.outcome != "done":
                failed[release.instance] = done.detail if done else str(dones)
    return failed


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
    )
    done = act(work, target, run.ports)
    if done.outcome == "done":
        deployed = replace(item.deployed, phase="deployed", at=run.ports.clock.now())
        run.ports.journal.set_deployed(deployed)
    return done
