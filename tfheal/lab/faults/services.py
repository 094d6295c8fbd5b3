"""Faults of a service: somebody stops it, disables it, masks it, or spoils its unit file."""

from typing import Final

from tfheal.lab.faults.fault import Fault, Scripts, of_scripts
from tfheal.model.lab import FaultKind

STATE: Final = '$(systemctl show -P ActiveState "$unit") ($(systemctl show -P Result "$unit"))'
_ENABLED: Final = '"$(systemctl show -P UnitFileState "$unit")"'
_FOLDER: Final = "/etc/systemd/system"
_FILE: Final = f'"{_FOLDER}/$unit"'
# A start whose processes were killed never ends where systemd has no time-out for it.
START: Final = """systemctl reset-failed "$unit" 2>/dev/null || true
now() { systemctl show -P "$1" -- "$unit"; }
[ "$(now ActiveState) $(now MainPID) $(now ControlPID)" != 'activating 0 0' ] || systemctl stop "$unit"
systemctl start "$unit"
"""

STOP_SERVICE: Final = of_scripts(
    FaultKind(
        "stop-service",
        "service",
        does="stops the service as a careless administrator would",
        proven="its unit is `inactive`",
        mended="the unit is started",
        needs="unit",
    ),
    Scripts(
        put='systemctl stop "$unit"',
        seen=f'[ "$(systemctl show -P ActiveState "$unit")" = inactive ] && echo "$unit is {STATE}"',
        mend=START,
    ),
)

DISABLE_SERVICE: Final = of_scripts(
    FaultKind(
        "disable-service",
        "service",
        does="disables the service: it runs on, and will not come back when the slice boots",
        proven="its unit is `disabled`",
        mended="the unit is enabled",
        needs="unit file",
    ),
    Scripts(
        put=f"""[ {_ENABLED} = enabled ] || {{ echo "$unit is not enabled" >&2; exit 1; }}
systemctl --quiet disable "$unit"
""",
        seen=f'[ {_ENABLED} = disabled ] && echo "$unit is disabled, and {STATE}"',
        mend=f'[ {_ENABLED} != disabled ] || systemctl --quiet enable "$unit"',
    ),
)

# The unit of a container is made by systemd's generators from a file elsewhere, which is then what is spoiled.
_FIND: Final = f"""file={_FILE}
[ -e "$file" ] || [ -L "$file" ] || file=/etc/containers/systemd/${{unit%.service}}.container
"""
_SAVE_UNIT: Final = f"""{_FIND}[ -f "$file" ] || {{ echo "no unit file {_FOLDER}/$unit" >&2; exit 1; }}
tar -C / -cf - "${{file#/}}"
"""
_PUT_UNIT_BACK: Final = """rm -f "$file"
tar -C / -xpf -
systemctl daemon-reload
"""

# `systemctl mask` spares a unit file of /etc; whoever wants such a service gone lays the link over it.
MASK_SERVICE: Final = of_scripts(
    FaultKind(
        "mask-service",
        "service",
        does="stops the service, and lays a link to /dev/null over its unit file: nobody can start it",
        proven="its unit is `masked`",
        mended="the unit file is put back as it was, and the service is started",
        needs="unit file",
    ),
    Scripts(
        save=_SAVE_UNIT,
        put=f"""systemctl stop "$unit"
ln -sf /dev/null {_FILE}
systemctl daemon-reload
""",
        seen=f'[ "$(systemctl show -P LoadState "$unit")" = masked ] && echo "$unit is masked, and {STATE}"',
        mend=f"""{_FIND}[ "$(readlink "$file")" = /dev/null ] || exit 0
{_PUT_UNIT_BACK}{START}""",
    ),
)

_GARBAGE: Final = "garbled by a fault of the lab"
CORRUPT_UNIT: Final = of_scripts(
    FaultKind(
        "corrupt-unit",
        "service",
        does="overwrites the unit file of the service with garbage, has systemd read it, and kills the service",
        proven="the garbage is in the file, and the service does not run",
        mended="the unit file is put back as it was, and the service is started",
        needs="unit file",
    ),
    Scripts(
        save=_SAVE_UNIT,
        put=f"""{_FIND}systemctl kill --signal=KILL "$unit" 2>/dev/null || true
printf '[Service]\nExecStart={_GARBAGE}\n' > "$file"
systemctl daemon-reload
systemctl stop "$unit" 2>/dev/null || true
""",
        seen=f"""{_FIND}grep -qsF '{_GARBAGE}' "$file" && [ "$(systemctl show -P SubState "$unit")" != running ] &&
echo "$unit is $(systemctl show -P LoadState "$unit"), and {STATE}"
""",
        mend=f"""{_FIND}grep -qsF '{_GARBAGE}' "$file" || exit 0
{_PUT_UNIT_BACK}{START}""",
    ),
)

DELETE_UNIT: Final = of_scripts(
    FaultKind(
        "delete-unit",
        "service",
        does="stops the service, and deletes its unit file",
        proven="systemd finds no such unit",
        mended="the unit file is put back as it was, and the service is started",
        needs="unit file",
    ),
    Scripts(
        save=_SAVE_UNIT,
        put=f"""{_FIND}systemctl stop "$unit"
rm -f "$file"
systemctl daemon-reload
""",
        seen=f"""{_FIND}[ ! -e "$file" ] && [ "$(systemctl show -P LoadState "$unit")" = not-found ] && echo "$unit is not found"
""",
        mend=f"""{_FIND}[ ! -e "$file" ] || exit 0
{_PUT_UNIT_BACK}{START}""",
    ),
)

FAULTS: Final[tuple[Fault, ...]] = (STOP_SERVICE, DISABLE_SERVICE, MASK_SERVICE, CORRUPT_UNIT, DELETE_UNIT)
