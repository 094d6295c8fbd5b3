"""Faults of a service: it dies, or somebody stops it, disables it, masks it, takes its port; or its database is gone."""

from typing import Final

from tfheal.lab.faults.fault import Fault, Scripts, of_scripts
from tfheal.model.lab import FaultKind

_STATE: Final = '$(systemctl show -P ActiveState "$unit") ($(systemctl show -P Result "$unit"))'
_ENABLED: Final = '"$(systemctl show -P UnitFileState "$unit")"'
_FOLDER: Final = "/etc/systemd/system"
_FILE: Final = f'"{_FOLDER}/$unit"'
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

DISABLE_SERVICE: Final = of_scripts(
    FaultKind(
        "disable-service",
        does="disables the service: it runs on, and will not come back when the slice boots",
        proven="its unit is `disabled`",
        mended="the unit is enabled",
        of_app=True,
    ),
    Scripts(
        put=f"""[ {_ENABLED} = enabled ] || {{ echo "$unit is not enabled" >&2; exit 1; }}
systemctl --quiet disable "$unit"
""",
        seen=f'[ {_ENABLED} = disabled ] && echo "$unit is disabled, and {_STATE}"',
        mend=f'[ {_ENABLED} != disabled ] || systemctl --quiet enable "$unit"',
    ),
)

# `systemctl mask` spares a unit file of /etc; whoever wants such a service gone lays the link over it.
MASK_SERVICE: Final = of_scripts(
    FaultKind(
        "mask-service",
        does="stops the service, and lays a link to /dev/null over its unit file: nobody can start it",
        proven="its unit is `masked`",
        mended="the unit file is put back as it was, and the service is started",
        of_app=True,
    ),
    Scripts(
        save=f'[ -f {_FILE} ] || {{ echo "no unit file {_FILE}" >&2; exit 1; }}\ntar -C {_FOLDER} -cf - "$unit"',
        put=f"""systemctl stop "$unit"
ln -sf /dev/null {_FILE}
systemctl daemon-reload
""",
        seen=f'[ "$(systemctl show -P LoadState "$unit")" = masked ] && echo "$unit is masked, and {_STATE}"',
        mend=f"""[ "$(readlink {_FILE})" = /dev/null ] || exit 0
rm -f {_FILE}
tar -C {_FOLDER} -xpf -
systemctl daemon-reload
{_START}""",
    ),
)

# Of the TCP sockets that listen, the ports of those that a process among the given ones holds.
_PORTS: Final = r"""
stranger=stranger-of-$unit
ports() { for process; do ss -Hltnp | awk -v held="pid=$process," 'index($0, held) { sub(/.*:/, "", $4); print $4 }'; done | sort -un; }
taken() { ports "$(systemctl show -P MainPID "$stranger")"; }
"""

PORT_TAKEN: Final = of_scripts(
    FaultKind(
        "port-taken",
        does="stops the service, has a stranger's process take the ports it listens on, and starts it until it is given up",
        proven="a stranger listens on the service's port",
        mended="the stranger ends, and the service is started",
        of_app=True,
    ),
    Scripts(
        put=rf"""{_PORTS}
group=$(systemctl show -P ControlGroup "$unit")
[ -n "$group" ] || {{ echo "$unit does not run" >&2; exit 1; }}
wanted=$(ports $(find "/sys/fs/cgroup$group" -name cgroup.procs -exec cat {{}} +))
[ -n "$wanted" ] || {{ echo "$unit listens on no TCP port" >&2; exit 1; }}
systemctl stop "$unit"
systemd-run --quiet --collect --unit="$stranger" systemd-socket-activate --accept     $(printf ' --listen=%s' $wanted) /bin/false
for attempt in $(seq 50); do [ "$(taken)" != "$wanted" ] || break; sleep 0.1; done
for attempt in $(seq 10); do
    [ "$(systemctl show -P ActiveState "$unit")" != failed ] || break
    timeout 15 systemctl start "$unit" 2>/dev/null || true
    sleep 0.2
done
""",
        seen=f'{_PORTS} held=$(taken) && [ -n "$held" ] && echo "a stranger listens on port" $held", $unit is {_STATE}"',
        mend=f"""{_PORTS}
[ -n "$(taken)" ] || exit 0
systemctl stop "$stranger"
{_START}""",
    ),
)

# An orderly stop, after which systemd leaves the server alone. Its unit is Debian's postgresql@VERSION-CLUSTER.service.
_IS_DOWN: Final = """
cluster=${unit#postgresql@} cluster=${cluster%.service}
pg_lsclusters --no-header "${cluster%%-*}" "${cluster#*-}" | grep -qw down"""
DB_DOWN: Final = of_scripts(
    FaultKind(
        "db-down",
        does="stops the PostgreSQL server of the instance: whatever works with its databases has none any more",
        proven="its cluster is `down`",
        mended="the server is started",
        of_app=True,
    ),
    Scripts(
        put="""case $unit in
postgresql@*-*.service) systemctl stop "$unit" ;;
*) echo "$unit is not PostgreSQL: the fault is for the instance whose unit it is" >&2; exit 1 ;;
esac
""",
        seen=f'{_IS_DOWN} && echo "$unit is {_STATE}, its cluster is down"',
        mend=_START,
    ),
)

FAULTS: Final[tuple[Fault, ...]] = (KILL_SERVICE, STOP_SERVICE, DISABLE_SERVICE, MASK_SERVICE, PORT_TAKEN, DB_DOWN)
