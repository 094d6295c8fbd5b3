"""Certificates at gateways: shown, renewed now, and got by what has to be published in DNS, which we alone can publish."""

from collections.abc import Iterator, Mapping
from contextlib import suppress

from tfheal.base.errors import Refused, TfhealError, UsageError
from tfheal.base.exits import winning
from tfheal.core import certificates as core
from tfheal.core.gateway import led
from tfheal.flows.fleet import Limits, ask_all
from tfheal.flows.pauses import check
from tfheal.flows.releases import expected
from tfheal.model.certificate import Certificate, Renewal
from tfheal.model.inventory import Slice
from tfheal.model.ports import Exec, Ports
from tfheal.model.record import ActionRecord
from tfheal.model.release import InstanceName
from tfheal.model.route import GATEWAY
from tfheal.model.workspace import Workspace

_ASKED = 30.0  # seconds
Seen = Mapping[InstanceName, tuple[Certificate, ...] | TfhealError]


def seen(workspace: Workspace, ports: Ports, limits: Limits) -> Seen:
    """Return the certificates of each gateway that is deployed, or why it cannot be asked."""
    there = gateways(workspace, ports)

    def ask(target: Slice) -> dict[InstanceName, tuple[Certificate, ...]]:
        return {name: _told(workspace, name, ports) for name in there if name.slice == target.name}

    slices = dict.fromkeys(name.slice for name in there)
    answers = ask_all([workspace.inventory.slice(name) for name in slices], ask, limits)
    found: dict[InstanceName, tuple[Certificate, ...] | TfhealError] = {}
    for name in there:
        answer = answers[name.slice]
        found[name] = answer if isinstance(answer, TfhealError) else answer[name]
    return found


def root(workspace: Workspace, app: str, ports: Ports) -> str:
    """Given a gateway with an authority of its own, return that one's certificate, which clients have to know; raise Refused if it has none."""
    names = [name for name in gateways(workspace, ports) if name.app == app]
    if not names:
        raise UsageError(f"{app} is no gateway that is deployed", hint="tfheal gateway status shows them")
    marker = ports.marker()
    return core.root(_trip(workspace, names[0], core.rooted(names[0], marker), _ASKED, ports), names[0], marker)


def renew(workspace: Workspace, found: Seen, ports: Ports) -> tuple[Renewal, ...]:
    """Given the certificates of gateways, get those that are due, whatever their back-off says; return what became of each."""
    due = {
        name: hosts
        for name, held in found.items()
        if not isinstance(held, TfhealError) and (hosts := [one.host for one in held if one.due])
    }
    if not due:
        return ()
    run = ports.journal.begin_run("certificates", ports.clock.now()).id
    done: list[Renewal] = []
    for name, hosts in due.items():
        try:
            done += _recorded(workspace, name, hosts, run, ports)
        except TfhealError as error:  # a gateway that is paused or busy keeps no other from its certificates
            done += [_failed(name, host, error) for host in hosts]
    ports.journal.end_run(run, int(winning(one.exit for one in done)), ports.clock.now())
    return tuple(done)


def due(workspace: Workspace, ports: Ports) -> bool:
    """Return whether there is a gateway whose slice cannot renew by itself: its authority wants to see names in DNS."""
    return any(_by_dns(workspace, name) for name in gateways(workspace, ports))


def renewed_by_dns(workspace: Workspace, ports: Ports, limits: Limits) -> tuple[Renewal, ...]:
    """Renew what is due at these gateways, unless it failed just now."""
    now = ports.clock.now().timestamp()
    found = {
        name: tuple(one for one in held if one.again <= now)
        for name, held in seen(workspace, ports, limits).items()
        if not isinstance(held, TfhealError) and _by_dns(workspace, name)
    }
    return renew(workspace, found, ports)


def gateways(workspace: Workspace, ports: Ports) -> list[InstanceName]:
    """Return the gateways that are deployed."""
    apps = [app for app, spec in workspace.apps.items() if spec.playbook == GATEWAY]
    return [item.release.instance for item in expected(apps, ports) if item.deployed.phase == "deployed"]


def _by_dns(workspace: Workspace, name: InstanceName) -> bool:
    settings = workspace.apps[name.app].settings
    return settings.get("tls") == "acme" and settings.get("challenge") == "dns-01"


def _recorded(workspace: Workspace, name: InstanceName, hosts: list[str], run: str, ports: Ports) -> list[Renewal]:
    """Get the certificates of a gateway with the intent in the journal before it and the outcome after it."""
    check(name.app, name.slice, ports)
    with ports.leases.hold(name.app, "certificates", run):
        why, now = f"certificates of {', '.join(hosts)} are due", ports.clock.now()
        record = ActionRecord(
            ports.journal.new_id(), run, "certify", name.app, name, name.slice, None, why[:500], None, now
        )
        ports.journal.intend(record)
        try:
            done = list(_renewed(workspace, name, hosts, ports))
        except TfhealError as error:
            done = [_failed(name, host, error) for host in hosts]
        failed = "; ".join(f"{one.host}: {one.detail}" for one in done if one.detail)
        ports.journal.conclude(record.id, "failed" if failed else "done", failed[:500], ports.clock.now())
    return done


def _failed(name: InstanceName, host: str, error: TfhealError) -> Renewal:
    return Renewal(name, host, str(error), refused=isinstance(error, Refused))


def _renewed(workspace: Workspace, name: InstanceName, hosts: list[str], ports: Ports) -> Iterator[Renewal]:
    if _by_dns(workspace, name):
        for host in hosts:
            try:
                _published(workspace, name, host, ports)
                yield Renewal(name, host)
            except TfhealError as error:
                yield _failed(name, host, error)
        return
    ports.reporter.step(str(name), f"gets {len(hosts)} certificates")
    marker = ports.marker()
    reply = _trip(workspace, name, core.renewed(name, marker), core.LONGEST, ports)
    still = {
        one.host: one.why or "it is due still"
        for one in core.certificates(reply, name, led(workspace, name.app), marker)
        if one.due
    }
    yield from (Renewal(name, host, still.get(host, "")) for host in hosts)


def _published(workspace: Workspace, name: InstanceName, host: str, ports: Ports) -> None:
    """Get a certificate by what is published for it, and withdraw that whatever becomes of it."""
    spec = led(workspace, name.app).get(host)
    if spec is None:
        raise Refused("nothing is published for it", where=host, why=f"it does not lead through {name.app}")
    if (way := spec.names) is None:
        hint = "names: NAME in its app spec, or challenge: http-01 in the settings of its gateway"
        raise Refused("there is no way to publish what an authority asks for", where=host, hint=hint)
    publisher = ports.names(way)
    ports.reporter.step(str(name), f"asks for a certificate of {host}")
    marker = ports.marker()
    reply = _trip(workspace, name, core.started(name, host, marker), core.CHALLENGED, ports)
    if (value := core.challenge(reply, name, marker)) is None:
        return
    try:
        publisher.prove(host, value)
        marker = ports.marker()
        reply = _trip(workspace, name, core.finished(name, host, marker), core.CHALLENGED, ports)
        core.ended(reply, name, marker)
    finally:
        with suppress(TfhealError):  # what is left is replaced by the next one, and is of no use to anybody
            publisher.prove(host, None)


def _told(workspace: Workspace, name: InstanceName, ports: Ports) -> tuple[Certificate, ...]:
    marker = ports.marker()
    reply = _trip(workspace, name, core.question(name, marker), _ASKED, ports)
    return core.certificates(reply, name, led(workspace, name.app), marker)


def _trip(workspace: Workspace, name: InstanceName, script: str, longest: float, ports: Ports) -> bytes:
    order = Exec(script, timeout=longest, cap=core.CAP, beats=False)
    return ports.transport.run(workspace.inventory.slice(name.slice), order).stdout
