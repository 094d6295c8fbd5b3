"""Calling a human about backups, which are no incident of an instance: each says by itself when it was told before."""

from collections.abc import Sequence

from tfheal.base.errors import TfhealError
from tfheal.base.moments import rfc3339
from tfheal.model.ports import Ports


def call(app: str, cause: str, detail: str, why: str, ports: Ports, touched: Sequence[str] = ()) -> bool:
    """Given what ails the backups of an app, call a human; return whether the call got out."""
    message = {
        "schema": "tfheal/page/1",
        "at": rfc3339(ports.clock.now()),
        "app": app,
        "cause": cause,
        "detail": detail,
        "why": why,
        "touched": list(touched),
    }
    try:
        ports.notifier.page(message)
    except TfhealError as error:
        ports.reporter.say(f"{app}: nobody could be called: {error}")
        return False
    return True
