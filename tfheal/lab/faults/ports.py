"""Faults of the port that a service listens on: a stranger has it, or connections to it are refused."""

from typing import Final

from tfheal.lab.faults.fault import Fault, Scripts, of_scripts
from tfheal.lab.faults.services import START, STATE
from tfheal.model.lab import FaultKind

# Of the TCP sockets that listen, the ports of those that a process among the given ones holds.
_PORTS: Final = r"""
stranger=stranger-of-$unit
ports() { for process; do ss -Hltnp | awk -v held="pid=$process," 'index($0, held) { sub(/.*:/, "", $4); print $4 }'; done | sort -un; }
taken() { ports "$(systemctl show -P MainPID "$stranger")"; }
"""

_WANTED: Final = r"""
group=$(systemctl show -P ControlGroup "$unit")
[ -n "$group" ] || { echo "$unit does not run" >&2; exit 1; }
wanted=$(ports $(find "/sys/fs/cgroup$group" -name cgroup.procs -exec cat {} +))
[ -n "$wanted" ] || { echo "$unit listens on no TCP port" >&2; exit 1; }
"""

PORT_TAKEN: Final = of_scripts(
    FaultKind(
        "port-taken",
        "port",
        does="stops the service, has a stranger's process take the ports it listens on, and starts it until it is given up",
        proven="a stranger listens on the service's port",
        mended="the stranger ends, and the service is started",
        needs="port",
    ),
    Scripts(
        put=rf"""{_PORTS}{_WANTED}systemctl stop "$unit"
systemd-run --quiet --collect --unit="$stranger" systemd-socket-activate --accept     $(printf ' --listen=%s' $wanted) /bin/false
for attempt in $(seq 50); do [ "$(taken)" != "$wanted" ] || break; sleep 0.1; done
for attempt in $(seq 10); do
    [ "$(systemctl show -P ActiveState "$unit")" != failed ] || break
    timeout 15 systemctl start "$unit" 2>/dev/null || true
    sleep 0.2
done
""",
        seen=f'{_PORTS} held=$(taken) && [ -n "$held" ] && echo "a stranger listens on port" $held", $unit is {STATE}"',
        mend=f"""{_PORTS}
[ -n "$(taken)" ] || exit 0
systemctl stop "$stranger"
{START}""",
    ),
)

# As an administrator would who mistook the port: nobody gets in any more, the slice itself neither.
_TABLE: Final = "inet tfheal-lab-refused"
REFUSE_PORT: Final = of_scripts(
    FaultKind(
        "refuse-port",
        "port",
        does="has the slice's own firewall refuse every connection to the ports that the service listens on; it runs on",
        proven="a connection to the port is refused",
        mended="the rule is gone",
        needs="port",
    ),
    Scripts(
        put=rf"""{_PORTS}{_WANTED}
nft -f - <<END
table {_TABLE} {{
    chain input {{ type filter hook input priority -200; tcp dport {{ $(echo $wanted | tr ' ' ,) }} reject with tcp reset; }}
}}
END
""",
        seen=f"""port=$(nft list table {_TABLE} 2>/dev/null | sed -n 's/.*tcp dport [^0-9]*\\([0-9]*\\).* reject.*/\\1/p')
[ -n "$port" ] && ! curl -q -s -m 2 -o /dev/null "telnet://localhost:$port" </dev/null && [ $? -ne 28 ] &&
echo "connections to port $port are refused, $unit is {STATE}"
""",
        mend=f"nft delete table {_TABLE} 2>/dev/null || true",
    ),
)

FAULTS: Final[tuple[Fault, ...]] = (PORT_TAKEN, REFUSE_PORT)
