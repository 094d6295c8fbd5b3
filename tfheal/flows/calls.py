"""Calling a human about backups, which are no incident of an instance: each says by itself when it was told before."""

from tfheal.base.errors import TfhealError
from tfheal.base.moments import rfc3339
from tfheal.model.ports import Ports


def call(app: str, slice_name: str, cause: str, detail: str, why: str, ports: Ports) -> bool:
    """Given what ails the backups of an app, call a human; return whether the call got out."""
    now = rfc3339(ports.clock.now())
    message = {
        "schema": "tfheal/page/1",
        "at": now,
        "incident": None,
        "app": app,
        "instance": None,
        "slice": slice_name,
        "cause": cause,
        "detail": detail,
        "why": why,
        "opened": now,
    }
    try:
        ports.notifier.page(message)
    except TfhealError as error:
        ports.reporter.say(f"{app}: nobody could be called: {error}")
        return False
    return True
