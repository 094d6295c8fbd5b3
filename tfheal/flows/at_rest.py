"""What changes an app waits until nothing is done with its backups: half of each would be neither. Who is waited for is said."""

from typing import Final

from tfheal.base.errors import Refused
from tfheal.base.moments import rfc3339
from tfheal.flows.repository import lease_of
from tfheal.model.ports import Ports

_PATIENCE: Final = (
    900.0  # seconds; most backups, drills and prunes are over by then, and a first backup may take a night
)
_LOOKS: Final = 0.5  # seconds between two looks


def await_backups(app: str, ports: Ports) -> None:
    """Given an app, wait until nobody works on its backups; raise Refused with who does, where that does not end."""
    until, said = ports.clock.monotonic() + _PATIENCE, ""
    while holder := ports.leases.holder(lease_of(app)):
        who = f"`{holder.what}` of {holder.user}@{holder.host}, process {holder.pid}, since {rfc3339(holder.since)}"
        if ports.clock.monotonic() > until:
            raise Refused(
                "its backups are worked on",
                where=app,
                why=who,
                hint=f"wait until that ends, or end process {holder.pid} on {holder.host}: no good backup is lost by it",
            )
        if who != said:
            ports.reporter.say(f"{app}: waiting until {who}, is done with its backups")
            said = who
        ports.clock.sleep(_LOOKS)
