"""The traffic of an app at its gateways: what they count of its instances, and a share of it for one of them."""

from dataclasses import dataclass

from tfheal.base.errors import Refused, TfhealError
from tfheal.core import draining, shares
from tfheal.flows.gateway import asked, points, trip
from tfheal.model.draining import Backend
from tfheal.model.ports import Ports
from tfheal.model.release import InstanceName
from tfheal.model.workspace import Workspace


def is_led(workspace: Workspace, instance: InstanceName, ports: Ports) -> bool:
    """Return whether a gateway leads to an instance."""
    return bool(points(workspace, instance, ports))


def counted(workspace: Workspace, instance: InstanceName, ports: Ports) -> tuple[Backend, ...]:
    """Given an instance, return what its gateways count of it and of those beside it; raise TfhealError where none can be asked."""
    found: list[Backend] = []
    failed: TfhealError | None = None
    for gateway in dict.fromkeys(point.gateway for point in points(workspace, instance, ports)):
        try:
            found += asked(workspace, gateway, {instance.app: instance.component}, ports)
        except TfhealError as error:
            failed = error
    if failed and not found:
        raise failed
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Share:
    """For whom an instance gets a share of the traffic: who, which percent beside how many others, for how many seconds at most."""

    owner: str
    percent: float
    others: int
    longest: float


def give(workspace: Workspace, instance: InstanceName, share: Share, ports: Ports) -> None:
    """Given an instance, let its gateways give it a share of the traffic; raise Refused or ActionFailed where one does not."""
    weight = shares.weight(share.percent, share.others)
    for point in points(workspace, instance, ports):
        marker = ports.marker()
        script = shares.given(point, share.owner, weight, share.longest, marker)
        done = draining.ended(trip(workspace, point.gateway, script, 0.0, ports), point.gateway, marker)
        if done.state == "anothers":
            raise Refused("its share of the traffic is somebody else's", where=str(instance), why=done.detail)


def even(workspace: Workspace, instance: InstanceName, owner: str, ports: Ports) -> None:
    """Given an instance, let it have its full share again; where that cannot be said to a gateway, the timer there does it."""
    for point in points(workspace, instance, ports):
        marker = ports.marker()
        try:
            reply = trip(workspace, point.gateway, shares.evened(point, owner, marker), 0.0, ports)
            draining.ended(reply, point.gateway, marker)
        except TfhealError as error:
            ports.reporter.say(f"{instance}  gets its full share by a timer of its gateway: {error}")
