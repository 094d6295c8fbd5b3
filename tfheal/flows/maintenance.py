"""All of an app closed at its gateways, which tell people to come back later, and opened again."""

from tfheal.base.errors import TfhealError
from tfheal.core import maintenance
from tfheal.core.maintenance import Answer
from tfheal.flows.gateway import trip
from tfheal.flows.releases import expected
from tfheal.model.ports import Ports
from tfheal.model.release import InstanceName
from tfheal.model.workspace import Workspace

_PATIENCE = 30.0  # seconds that what is under way has to come to its end
_BRIEF = 20.0


def close(workspace: Workspace, app: str, owner: str, longest: float, ports: Ports) -> bool | None:
    """Given an app, have its gateways answer in its place for so many seconds at most; return whether all did so already.

    None: no gateway leads to it. Raise what one of them fails with; those that were closed by this are open again then.
    """
    there = gateways(workspace, app, ports)
    answers: list[Answer] = []
    for gateway in there:
        ports.reporter.step(app, f"{gateway} answers in its place")
        marker = ports.marker()
        script = maintenance.closed(gateway, app, owner, (longest, _PATIENCE), marker)
        try:
            answers.append(maintenance.answer(trip(workspace, gateway, script, _PATIENCE, ports), gateway, marker))
        except TfhealError:
            for one, answer in zip(there, answers, strict=False):
                if not answer.already:
                    _opened(workspace, one, app, owner, ports)
            raise
    return all(answer.already for answer in answers) if there else None


def is_closed(workspace: Workspace, app: str, owner: str, ports: Ports) -> bool | None:
    """Given an app, return whether all of its gateways answer in its place still, for that owner; None: no gateway leads to it.

    Nothing is changed by that: what follows from it can be written down before it is closed anew.
    """
    there = gateways(workspace, app, ports)
    found = []
    for gateway in there:
        marker = ports.marker()
        reply = trip(workspace, gateway, maintenance.asked(gateway, app, owner, marker), _BRIEF, ports)
        found.append(maintenance.answer(reply, gateway, marker).already)
    return all(found) if there else None


def reopen(workspace: Workspace, app: str, owner: str, ports: Ports) -> int | None:
    """Given an app, have its gateways lead to it again; return how many requests they answered in its place, None without any.

    One that cannot be told is opened by its timer.
    """
    found = [_opened(workspace, gateway, app, owner, ports) for gateway in gateways(workspace, app, ports)]
    return sum(found) if found else None


def _opened(workspace: Workspace, gateway: InstanceName, app: str, owner: str, ports: Ports) -> int:
    marker = ports.marker()
    ports.reporter.step(app, f"{gateway} leads to it again")
    try:
        reply = trip(workspace, gateway, maintenance.opened(gateway, app, owner, marker), _BRIEF, ports)
        return maintenance.answer(reply, gateway, marker).answered
    except TfhealError as error:
        ports.reporter.say(f"{app}  is opened by a timer of its gateway: {error}")
        return 0


def gateways(workspace: Workspace, app: str, ports: Ports) -> tuple[InstanceName, ...]:
    """Return the gateways that lead to an app, and answer in its place where that is asked for."""
    spec = workspace.apps[app]
    there = expected((spec.route.gateway,), ports) if spec.route else ()
    return tuple(item.release.instance for item in there if item.deployed.phase == "deployed")
