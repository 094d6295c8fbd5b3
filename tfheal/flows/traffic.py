"""The traffic of an app at its gateways: what they count of its instances."""

from tfheal.base.errors import TfhealError
from tfheal.flows.gateway import asked, points
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
