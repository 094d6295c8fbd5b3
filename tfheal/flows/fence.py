"""The fence: what was left behind on a slice that was given up is stopped there as soon as the slice answers."""

from tfheal.base.errors import TfhealError
from tfheal.flows.act import act_everywhere
from tfheal.flows.releases import retired
from tfheal.flows.remove import finish_removal
from tfheal.flows.rungs import HealRun
from tfheal.model.inventory import Slice
from tfheal.model.record import Deployed, Expected
from tfheal.model.release import InstanceName

WHY = "fence: it runs elsewhere now"


def fence(run: HealRun) -> tuple[InstanceName, ...]:
    """Given a run that holds the leases of its apps, take away what is retired where that can be; return what it was."""
    slices: dict[str, list[Deployed]] = {}
    for item in retired(run.ports):
        if item.instance.app in run.apps and item.instance.slice in run.workspace.inventory.slices:
            slices.setdefault(item.instance.slice, []).append(item)
    targets = [run.workspace.inventory.slice(name) for name in slices]

    def stop(target: Slice) -> list[InstanceName]:
        shown = run.ports.scan.offered(target)  # a slice that is silent, or a stranger, leaves no line in the history
        if not set(shown) & set(run.ports.keys.pinned(target.name)):
            return []
        return [item.instance for item in slices[target.name] if _is_stopped(run, item, target)]

    stopped: list[InstanceName] = []
    for names in act_everywhere(targets, stop, run.limits).values():
        stopped += [] if isinstance(names, TfhealError) else names
    return tuple(stopped)


def _is_stopped(run: HealRun, item: Deployed, target: Slice) -> bool:
    """Take away one retired instance; what does not come to its end stays retired."""
    release = run.ports.journal.release(item.release)
    if release is None:
        return False
    run.ports.reporter.say(f"{item.instance}  {WHY}")
    stopped = False
    try:
        stopped = finish_removal(Expected(item, release), target, run.ports, run.run, None, WHY).outcome == "done"
    finally:
        if not stopped:
            run.ports.journal.set_deployed(item)
    return stopped
