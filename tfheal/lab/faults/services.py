"""Faults of a service: it dies, or somebody stops it."""

from typing import Final

from tfheal.lab.faults.fault import Fault, Scripts, of_scripts
from tfheal.model.lab import FaultKind

_STATE: Final = '$(systemctl show -P ActiveState "$unit") ($(systemctl show -P Result "$unit"))'
_START: Final = 'systemctl reset-failed "$unit" 2>/dev/null || true\nsystemctl start "$unit"\n'

# The unit's own Restart= brings it back; each start counts, until its start limit lets it rest as failed.
_KILL: Final = r"""
never() { echo "$unit comes back however often it is killed: it has no start limit" >&2; exit 1; }
[ "$(systemctl show -P StartLimitIntervalUSec "$unit")" != 0 ] || never
for attempt in $(seq 50); do
    [ "$(systemctl show -P ActiveState "$unit")" != failed ] || exit 0
    systemctl kill --signal=KILL "$unit" 2>/dev/null || true
    sleep 0.1
    [ "$(systemctl show -P ActiveState "$unit")" != failed ] || exit 0
    systemctl start --no-block "$unit" 2>/dev/null || true
    sleep 0.1
done
never
"""

KILL_SERVICE: Final = of_scripts(
    FaultKind(
        "kill-service",
        does="kills the service with SIGKILL, again and again until systemd gives it up",
        proven="its unit is `failed`",
        mended="the unit is reset and started",
        of_app=True,
    ),
    Scripts(
        put=_KILL,
        seen=f'[ "$(systemctl show -P ActiveState "$unit")" = failed ] && echo "$unit is {_STATE}"',
        mend=_START,
    ),
)

STOP_SERVICE: Final = of_scripts(
    FaultKind(
        "stop-service",
        does="stops the service as a careless administrator would",
        proven="its unit is `inactive`",
        mended="the unit is started",
        of_app=True,
    ),
    Scripts(
        put='systemctl stop "$unit"',
        seen=f'[ "$(systemctl show -P ActiveState "$unit")" = inactive ] && echo "$unit is {_STATE}"',
        mend=_START,
    ),
)

FAULTS: Final[tuple[Fault, ...]] = (KILL_SERVICE, STOP_SERVICE)
