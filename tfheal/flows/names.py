"""Host names follow the placement of their apps: what is meant, what is published, what is to be withdrawn.

What is to be published is in the journal before it is, so that a run that was killed leaves nothing that nobody withdraws.
"""

from collections.abc import Collection, Iterator

from tfheal.base.errors import Refused, TfhealError
from tfheal.core import naming
from tfheal.core.gateway import led
from tfheal.flows.releases import expected
from tfheal.model.findings import Finding
from tfheal.model.ports import Ports
from tfheal.model.publication import Publication
from tfheal.model.record import Expected
from tfheal.model.workspace import Workspace


def settle(workspace: Workspace, apps: Collection[str], ports: Ports) -> tuple[str, ...]:
    """Given apps whose leases are held, bring their public names to where they run, and those that lead through one of them; return what did not come to be, and why.

    Where a name is to lead stands in the journal, so that two runs at once bring it to the same place.
    """
    through = (spec.app for app in apps for spec in led(workspace, app).values())
    return tuple(why for app in dict.fromkeys([*apps, *through]) for why in _settled(workspace, app, ports))


def _settled(workspace: Workspace, app: str, ports: Ports) -> list[str]:
    try:
        pairs = _pairs(workspace, app, ports)
    except TfhealError as error:
        return [str(error)]
    failed = []
    for known, meant in pairs:
        try:
            _brought(workspace, known, meant, ports)
        except TfhealError as error:
            failed.append(f"{meant.host} is not published as it should be: {error}")
            ports.reporter.say(f"{app}: {failed[-1]}")
    return failed


def findings(workspace: Workspace, app: str, ports: Ports) -> Iterator[Finding]:
    """Yield which names of an app are not published as they should be, or cannot be asked for."""
    here = next((item.release.instance for item in expected((app,), ports) if item.release.url), None)
    slice_name = here.slice if here else ""
    try:
        for known, meant in _pairs(workspace, app, ports):
            if not (known.addresses or meant.addresses):
                continue
            asked = ports.names(meant.way).published(meant.host)
            now = known.addresses if asked is None else asked
            if (now != meant.addresses or not (known.done or asked is not None)) and (
                meant.addresses or set(now) & set(known.addresses)
            ):
                detail = f"{meant.host} is {_told(now)} by {meant.way}, and should be {_told(meant.addresses)}"
                yield Finding("name-drift", "warning", slice_name, f"{detail} (tfheal heal)", here)
    except TfhealError as error:
        yield Finding("name-unasked", "info", slice_name, str(error), here)


def _pairs(workspace: Workspace, app: str, ports: Ports) -> list[tuple[Publication, Publication]]:
    """Return for each name that is or is to be published what is known of it, and what is meant."""
    spec = workspace.apps.get(app)
    known = {(one.way, one.host): one for one in ports.publications.of(app)}
    meant: dict[tuple[str, str], Publication] = {}
    if spec and spec.names and spec.hostname:
        there = _there(app, ports)
        if there and spec.route:
            there = _there(spec.route.gateway, ports)
        found = naming.addresses((item.release for item in there), workspace.inventory.slices)
        meant[spec.names, spec.hostname] = Publication(app, spec.names, spec.hostname, found)
    return [
        (known.get(key) or Publication(app, *key, ()), meant.get(key) or Publication(app, *key, ()))
        for key in {**known, **meant}
    ]


def _there(app: str, ports: Ports) -> list[Expected]:
    return [item for item in expected((app,), ports) if item.deployed.phase != "removing"]


def _brought(workspace: Workspace, known: Publication, meant: Publication, ports: Ports) -> None:
    if not (known.addresses or meant.addresses):
        return
    publisher, host = ports.names(meant.way), meant.host
    asked = publisher.published(host)
    now = known.addresses if asked is None else asked
    after = meant.addresses or tuple(each for each in now if each not in known.addresses)
    if now != after or not (known.done or asked is not None):
        if meant.addresses and not (known.done and known.addresses):
            _ours(workspace, host, now)
        union = tuple(sorted({*known.addresses, *meant.addresses}))
        ports.publications.put(Publication(meant.app, meant.way, host, union, done=False))
        publisher.change(host, now, after)
        ports.reporter.say(f"{meant.app}: {host} is {_told(after)} by {meant.way}")
    ports.publications.put(meant)


def _ours(workspace: Workspace, host: str, now: tuple[str, ...]) -> None:
    """Raise Refused if a name that we never published leads to a machine that is none of our slices."""
    if strangers := naming.strangers(now, workspace.inventory.slices):
        why = f"it leads to {_told(strangers)}, which is no slice of ours"
        raise Refused(f"{host} is somebody else's", why=why, hint="delete that record, then tfheal heal publishes ours")


def _told(addresses: tuple[str, ...]) -> str:
    return ", ".join(addresses) or "not published"
