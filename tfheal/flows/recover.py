"""After a crash: what was begun and never told its end is closed, once the slices have been looked at again."""

from tfheal.model.ports import Ports


def close_unfinished(app: str, ports: Ports) -> int:
    """Given an app whose lease we hold and that was observed since, close its unfinished actions; return how many."""
    open_actions = [action for action in ports.journal.unfinished() if action.app == app]
    for action in open_actions:
        detail = "its run ended before it told how it went; the slice was looked at again"
        ports.journal.conclude(action.id, "unknown", detail, ports.clock.now())
    return len(open_actions)
