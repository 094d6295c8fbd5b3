"""Whether public names lead to their apps, asked from this machine while the slices are asked; only what has a name is."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from tfheal.base.errors import TfhealError
from tfheal.core import naming
from tfheal.core.passage import PublicName, visited
from tfheal.flows.passage import Known
from tfheal.flows.releases import expected
from tfheal.model.findings import Finding
from tfheal.model.ports import Ports
from tfheal.model.record import Expected
from tfheal.model.release import InstanceName
from tfheal.model.visit import Visit
from tfheal.model.workspace import Workspace

_TOLD = frozenset({"rfc2136", "command"})  # ways by which we say to the world where a name leads


@dataclass(frozen=True, slots=True)
class Visits:
    """The public names that are asked for, by the instance of which it is told what was met, and what waits for the answers."""

    asked: Mapping[InstanceName, PublicName]
    answers: Callable[[], Mapping[str, Visit]]


def begun(workspace: Workspace, apps: Collection[str], ports: Ports) -> Visits:
    """Given apps, begin to ask for the public names of those that are deployed and have one."""
    asked = dict(found for app in apps if (found := _public(workspace, app, ports)))
    return Visits(asked, ports.visitor.visited({public.host: public.urls for public in asked.values()}))


def findings(workspace: Workspace, visits: Visits, known: Known, blamed: Collection[str]) -> Iterator[Finding]:
    """Given what was asked, what the slices told and the gateways that are to blame already, yield which names do not lead to apps that are well."""
    answers = visits.answers() if visits.asked else {}
    near = {entry.address for name, entry in workspace.inventory.slices.items() if name not in known.silent}
    for name, public in visits.asked.items():
        gateway = workspace.apps[name.app].route
        if gateway and (gateway.gateway in blamed or _slices(workspace, gateway.gateway) & {*known.silent}):
            continue
        well = any(other.app == name.app and health == "healthy" for other, health in known.healths.items())
        if told := visited(public, answers[public.host], well=well, near=near):
            yield Finding(told[0], "info" if told[0] == "name-unasked" else "warning", name.slice, told[1], name)


def _slices(workspace: Workspace, app: str) -> set[str]:
    return {name for placed in workspace.apps[app].place.values() for name in placed}


def _public(workspace: Workspace, app: str, ports: Ports) -> tuple[InstanceName, PublicName] | None:
    """Return where an app is met by its name, with the instance that stands for it; None if it has no name, or is not there."""
    spec, there = workspace.apps.get(app), _deployed(app, ports)
    here = next((item.release for item in there if item.release.url), None)
    if spec is None or spec.hostname is None or here is None:
        return None
    playbook = workspace.folder(app).playbook
    route = playbook.components[playbook.routed].route if playbook.routed else None
    own, path = urlsplit(here.url or ""), route.health if route else "/"
    mine = own._replace(path=path).geturl() if route else here.url or ""
    urls = [mine] if own.hostname == spec.hostname else []
    if not _is_told(workspace, spec.names):  # whoever leads the name here may end TLS, and come in by another port
        urls += [f"{scheme}://{spec.hostname}{path}" for scheme in ("https", "http")]
        return here.instance, PublicName(app, spec.hostname, tuple(dict.fromkeys(urls)), (), exact=route is not None)
    led = _deployed(spec.route.gateway, ports) if spec.route else there
    try:
        addresses = naming.addresses((item.release for item in led), workspace.inventory.slices)
    except TfhealError:  # a slice without an address, of which tells who publishes it
        return None
    return here.instance, PublicName(app, spec.hostname, tuple(urls), addresses, exact=route is not None)


def _is_told(workspace: Workspace, way: str | None) -> bool:
    found = workspace.provider.names.get(way or "")
    return found is not None and found.via in _TOLD


def _deployed(app: str, ports: Ports) -> list[Expected]:
    return [item for item in expected((app,), ports) if item.deployed.phase == "deployed"]
