"""Closing what is over: actions that a crash left open, and incidents that a person's own deploy or remove ended."""

from dataclasses import replace

from tfheal.model.ports import Ports
from tfheal.model.release import InstanceName


def close_unfinished(app: str, ports: Ports) -> int:
    """Given an app whose lease we hold and that was observed since, close its unfinished actions; return how many."""
    open_actions = [action for action in ports.journal.unfinished() if action.app == app]
    for action in open_actions:
        detail = "its run ended before it told how it went; the slice was looked at again"
        ports.journal.conclude(action.id, "unknown", detail, ports.clock.now())
    return len(open_actions)


def close_incidents(instance: InstanceName, ports: Ports) -> None:
    """Given an instance that an operator deployed or removed, close its incidents: what comes next begins anew."""
    now = ports.clock.now()
    for incident in ports.journal.incidents(open_only=True):
        if incident.instance == instance:
            ended = replace(incident, state="resolved", closed=now, rung=None, paged=None)
            ports.journal.put_incident(ended)
            ports.journal.ack(incident.id, "", None)
