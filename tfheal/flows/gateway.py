"""Instances behind gateways: drained before they are worked on, put back afterwards, and shown as the gateways see them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from tfheal.base.errors import ActionFailed, ConnectionLost, Refused, TfhealError, UsageError
from tfheal.core import draining
from tfheal.core.draining import Point
from tfheal.flows.fleet import Limits, ask_all
from tfheal.flows.pauses import check
from tfheal.flows.releases import expected
from tfheal.model.draining import Backend, Drain
from tfheal.model.inventory import Slice
from tfheal.model.ports import Exec, Ports
from tfheal.model.release import InstanceName
from tfheal.model.route import GATEWAY
from tfheal.model.workspace import Workspace

PATIENCE = 30.0  # seconds that what is under way has to come to its end, unless somebody says otherwise
_BACK = 20.0  # seconds in which an instance that is put back is well again, by the gateway's own checks
_SLACK = 40.0  # seconds that a trip has beyond what it waits for
_ASKED = 20.0


@dataclass(frozen=True, slots=True)
class Out:
    """For whom an instance is drained: who, for how many seconds at most, whether its requests wait where it is the last.

    The `owner` is what is done, and not the run that does it: who goes on where one was killed takes its drain over. What `must` be drained is not worked on where the gateway cannot be asked.
    """

    owner: str
    longest: float
    patience: float = PATIENCE
    waits: bool = False
    must: bool = False


@contextmanager
def drained(workspace: Workspace, instance: InstanceName, out: Out, ports: Ports) -> Iterator[list[Point]]:
    """Given an instance, have its gateways give it no new request while the context lasts, and yield where that is so.

    The last instance that is well stays in the traffic, and what somebody else drained stays drained. What is taken from the
    list stays out when the context ends, until its timer. Raise Refused or ActionFailed, with nothing changed, where it
    `must` be drained and cannot.
    """
    done: list[Point] = []
    for point in points(workspace, instance, ports):
        try:
            found = drain(workspace, point, out, ports)
        except TfhealError as error:
            # Where only the answer was lost it is drained all the same, and nobody else would put it back.
            lost = [point] if isinstance(error, (ConnectionLost, ActionFailed)) else []
            for one in [*lost, *(done if out.must else ())]:
                _back(workspace, one, out.owner, ports)
            if out.must:
                raise
            ports.reporter.say(f"{instance}  is not drained: {error}")
            continue
        if found.state == "drained" or (found.state == "last" and out.waits):
            done.append(point)
    try:
        yield done
    finally:
        for point in done:
            _back(workspace, point, out.owner, ports)


def put_back(workspace: Workspace, instance: InstanceName, owner: str, ports: Ports) -> None:
    """Given an instance, put it back where `owner` drained it: a run that was killed may have left it out."""
    for point in points(workspace, instance, ports):
        _back(workspace, point, owner, ports)


def drain(workspace: Workspace, point: Point, out: Out, ports: Ports) -> Drain:
    """Given an instance at a gateway, drain it there, and return how that ended; raise Refused or ActionFailed."""
    ports.reporter.step(str(point.instance), f"is drained at {point.gateway}")
    marker = ports.marker()
    script = draining.drained(point, out.owner, (out.longest, out.patience), marker, waits=out.waits)
    return draining.ended(trip(workspace, point.gateway, script, out.patience, ports), point.gateway, marker)


def undrain(workspace: Workspace, point: Point, owner: str, ports: Ports) -> Drain:
    """Given an instance at a gateway, put it back, by `owner` only where that drained it; return whether it is well there."""
    marker = ports.marker()
    script = draining.undrained(point, owner, _BACK, marker)
    return draining.ended(trip(workspace, point.gateway, script, _BACK, ports), point.gateway, marker)


def points(workspace: Workspace, instance: InstanceName, ports: Ports) -> tuple[Point, ...]:
    """Return the gateways that lead to an instance, none if its app is led to by none or it is not the routed component."""
    spec = workspace.apps.get(instance.app)
    if spec is None or spec.route is None or workspace.folder(instance.app).playbook.routed != instance.component:
        return ()
    there = expected((spec.route.gateway,), ports)
    return tuple(Point(item.release.instance, instance) for item in there if item.deployed.phase == "deployed")


def meant(workspace: Workspace, name: str, ports: Ports) -> tuple[Point, ...]:
    """Given how a person names an instance, APP/COMPONENT@SLICE, return it at its gateways; raise UsageError or Refused."""
    found = {str(item.release.instance): item.release.instance for item in expected(workspace.apps, ports)}
    if name not in found:
        raise UsageError(f"there is no instance {name}", hint="tfheal gateway status shows those behind a gateway")
    if not (there := points(workspace, found[name], ports)):
        raise Refused("no gateway leads to it", where=name, hint="route: {gateway: APP} in its app spec, and deploy")
    return there


def seen(
    workspace: Workspace, ports: Ports, limits: Limits
) -> Mapping[InstanceName, tuple[Backend, ...] | TfhealError]:
    """Return what each gateway that is deployed leads to, or why it cannot be asked."""
    gateways = {item.release.instance: item for item in expected(_gateways(workspace), ports)}
    routed = {
        app: component
        for app, spec in workspace.apps.items()
        if spec.route and (component := workspace.folder(app).playbook.routed)
    }

    def ask(target: Slice) -> dict[InstanceName, tuple[Backend, ...]]:
        return {name: asked(workspace, name, routed, ports) for name in gateways if name.slice == target.name}

    slices = dict.fromkeys(name.slice for name in gateways)
    answers = ask_all([workspace.inventory.slice(name) for name in slices], ask, limits)
    found: dict[InstanceName, tuple[Backend, ...] | TfhealError] = {}
    for name in gateways:
        answer = answers[name.slice]
        found[name] = answer if isinstance(answer, TfhealError) else answer[name]
    return found


def addresses(workspace: Workspace, app: str, ports: Ports) -> tuple[str, ...]:
    """Return the URLs by which another gateway, such as the platform's, reaches an app: of its gateway's slices if it has one."""
    if app not in workspace.apps:
        raise UsageError(f"there is no app {app}", hint=f"the apps are {', '.join(workspace.apps) or 'none yet'}")
    spec = workspace.apps[app]
    items = expected((spec.route.gateway if spec.route else app,), ports)
    found = dict.fromkeys(item.release.url for item in items if item.release.url)
    if not found:
        raise Refused("it has no address on the web", where=app, hint=f"tfheal deploy {app}")
    return tuple(found)


def _gateways(workspace: Workspace) -> list[str]:
    return [app for app, spec in workspace.apps.items() if spec.playbook == GATEWAY]


def asked(workspace: Workspace, gateway: InstanceName, routed: Mapping[str, str], ports: Ports) -> tuple[Backend, ...]:
    """Given a gateway and the routed component of each app that matters, return what it leads to of them; raise what its slice does."""
    marker = ports.marker()
    reply = trip(workspace, gateway, draining.status(gateway, marker), 0.0, ports, acts=False)
    return draining.backends(reply, gateway, routed, marker)


def _back(workspace: Workspace, point: Point, owner: str, ports: Ports) -> None:
    """Put an instance back; where that cannot be said to its gateway, the timer there does it."""
    try:
        found = undrain(workspace, point, owner, ports)
        if found.state == "ill":
            ports.reporter.say(f"{point.instance}  is back, and {point.gateway} calls it {found.detail}")
    except TfhealError as error:
        ports.reporter.say(f"{point.instance}  is put back by a timer of its gateway: {error}")


def trip(
    workspace: Workspace, gateway: InstanceName, script: str, waits: float, ports: Ports, *, acts: bool = True
) -> bytes:
    """Run a script on the slice of a gateway, that `waits` for so many seconds, and return its reply; refused where that `acts` on a paused one."""
    if acts:
        check(gateway.app, gateway.slice, ports)
    order = Exec(script, timeout=waits + _SLACK if acts else _ASKED, cap=draining.CAP, beats=False)
    return ports.transport.run(workspace.inventory.slice(gateway.slice), order).stdout
