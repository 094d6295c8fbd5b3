"""Whether requests pass the gateways: a gateway that is broken is not the same finding as an app that is."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from tfheal.base.errors import TfhealError
from tfheal.core import certificates, gateway, passage
from tfheal.core.passage import Passage
from tfheal.flows.fleet import Limits, ask_all
from tfheal.flows.releases import expected
from tfheal.model.certificate import Certificate
from tfheal.model.findings import Finding, Health
from tfheal.model.inventory import Slice
from tfheal.model.ports import Exec, Ports
from tfheal.model.release import InstanceName
from tfheal.model.route import GATEWAY, Route
from tfheal.model.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Known:
    """What a look at the slices told: how healthy each instance is by its own slice, and which slices gave no answer."""

    healths: Mapping[InstanceName, Health]
    silent: Collection[str]


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where people come in at a gateway, what it leads to, and every name that it has a certificate for."""

    front: str
    routes: tuple[Route, ...]
    hosts: Collection[str]


def findings(
    workspace: Workspace, apps: Collection[str], known: Known, ports: Ports, limits: Limits
) -> Iterator[Finding]:
    """Given apps and what is known of their slices, yield which gateways, theirs or among them, do not lead to apps that are well."""
    meant = {name: one for name, one in _meant(workspace, apps, ports).items() if name.slice not in known.silent}
    slices = dict.fromkeys(name.slice for name in meant)

    def ask(target: Slice) -> dict[InstanceName, tuple[tuple[Passage, ...], tuple[Certificate, ...]]]:
        return {name: _asked(target, name, meant[name], ports) for name in meant if name.slice == target.name}

    answers = ask_all([workspace.inventory.slice(name) for name in slices], ask, limits)
    for name in meant:
        answer = answers[name.slice]
        if isinstance(answer, TfhealError):
            yield Finding("gateway-unasked", "info", name.slice, str(answer), name)
            continue
        passed, held = answer[name]
        for told in certificates.told(held, ports.clock.now()):
            yield Finding(told.cause, told.severity, name.slice, told.detail, name)
        for one in passed:
            well = [
                other for other, health in known.healths.items() if other.app == one.route.app and health == "healthy"
            ]
            if why := passage.fault(one, well):
                yield Finding("gateway-broken", "critical", name.slice, why, name)


def _meant(workspace: Workspace, apps: Collection[str], ports: Ports) -> dict[InstanceName, _Entry]:
    """Return for each gateway that is deployed where people come in, and what it leads to of these apps as far as that is deployed."""
    found: dict[InstanceName, _Entry] = {}
    for app in (app for app, spec in workspace.apps.items() if spec.playbook == GATEWAY):
        there = [item for item in expected((app,), ports) if item.deployed.phase == "deployed"]
        led = [one for one in gateway.routes(workspace, app, ports.templates.render) if {app, one.app} & {*apps}]
        routes = tuple(one for route in led if (one := _deployed(workspace, route, ports)).servers) if there else ()
        for item in there if routes else ():
            address = workspace.inventory.slices[item.release.slice].address
            front, hosts = gateway.way_in(workspace, app, address), gateway.led(workspace, app)
            found[item.release.instance] = _Entry(front, routes, hosts)
    return found


def _deployed(workspace: Workspace, route: Route, ports: Ports) -> Route:
    """Return a route with those of its servers that are there."""
    routed = workspace.folder(route.app).playbook.routed
    there = {
        item.release.slice
        for item in expected((route.app,), ports)
        if item.release.component == routed and item.deployed.phase == "deployed"
    }
    return replace(route, servers=tuple(server for server in route.servers if server.name in there))


def _asked(
    target: Slice, name: InstanceName, entry: _Entry, ports: Ports
) -> tuple[tuple[Passage, ...], tuple[Certificate, ...]]:
    """Return what was answered for each route, and what its certificates are, in one trip."""
    marker = ports.marker()
    script = passage.script(entry.front, entry.routes, marker, certificates.asked(name))
    reply = ports.transport.run(target, Exec(script, timeout=passage.LONGEST, cap=passage.CAP, beats=False)).stdout
    held = certificates.certificates(reply, name, entry.hosts, marker)
    return passage.passages(reply, entry.routes, marker), held
