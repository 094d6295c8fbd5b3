"""Faults of processes: they die, hang, die again and again, or others take the memory and the processes that they need."""

import time
from dataclasses import replace
from typing import Final

from tfheal.base.errors import ActionFailed
from tfheal.lab import groups, machine, record
from tfheal.lab.faults.fault import Fault, Scripts, Target, of_scripts
from tfheal.lab.faults.services import START, STATE
from tfheal.model.lab import FaultKind

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
        "process",
        does="kills the service with SIGKILL, again and again until systemd gives it up",
        proven="its unit is `failed`",
        mended="the unit is reset and started",
        needs="unit",
    ),
    Scripts(
        put=_KILL,
        seen=f'[ "$(systemctl show -P ActiveState "$unit")" = failed ] && echo "$unit is {STATE}"',
        mend=START,
    ),
)

_MAIN: Final = 'main=$(systemctl show -P MainPID "$unit")\n'
_RUNS: Final = f'{_MAIN}[ "$main" -gt 0 ] || {{ echo "$unit does not run" >&2; exit 1; }}\n'

# Which process it was is noted where a boot forgets it, as it forgets the process.
_KILLED: Final = '"/run/tfheal-lab/killed-$unit"'
KILL_PROCESS: Final = of_scripts(
    FaultKind(
        "kill-process",
        "process",
        does="kills the service with SIGKILL, once; where systemd is told to, it starts it again",
        proven="its main process is another one than before, or none",
        mended="the service is started, if nobody did",
        needs="unit",
    ),
    Scripts(
        put=f'{_RUNS}mkdir -p /run/tfheal-lab\necho "$main" > {_KILLED}\nsystemctl kill --signal=KILL "$unit"\n',
        seen=f"""{_MAIN}read -r was < {_KILLED} && [ "$main" != "$was" ] &&
echo "process $was of $unit is dead, $unit is {STATE}"
""",
        mend=f"rm -f {_KILLED}\n{START}",
    ),
)

HANG_SERVICE: Final = of_scripts(
    FaultKind(
        "hang-service",
        "process",
        does="stops all processes of the service with SIGSTOP: it is there, its port is open, and nothing answers",
        proven="its main process is stopped, and has not ended",
        mended="they go on",
        needs="unit",
    ),
    Scripts(
        put=f'{_RUNS}systemctl kill --signal=STOP "$unit"\n',
        seen=f"""{_MAIN}[ "$main" -gt 0 ] && [ "$(ps -o state= -p "$main")" = T ] &&
echo "process $main of $unit is stopped, $unit is {STATE}"
""",
        mend='systemctl kill --signal=CONT "$unit" 2>/dev/null || true',
    ),
)

_KILLER: Final = "killer=killer-of-$unit\n"
CRASH_LOOP: Final = of_scripts(
    FaultKind(
        "crash-loop",
        "process",
        does="has a stranger's process kill the service every second, however often it is started",
        proven="the stranger runs, and the service was killed",
        mended="the stranger ends, and the service is started",
        needs="unit",
    ),
    Scripts(
        put=f"""{_RUNS}{_KILLER}systemd-run --quiet --collect --expand-environment=no --unit="$killer" sh -c '
while :; do systemctl kill --signal=KILL "$0" 2>/dev/null; sleep 1; done' "$unit"
""",
        seen=f"""{_KILLER}systemctl is-active --quiet "$killer" && [ "$(systemctl show -P Result "$unit")" = signal ] &&
echo "$unit is {STATE}, started $(systemctl show -P NRestarts "$unit") times by systemd"
""",
        mend=f"""{_KILLER}systemctl is-active --quiet "$killer" || exit 0
systemctl stop "$killer"
{START}""",
    ),
)


def _enforced(target: Target, what: groups.Limited) -> int:
    """Return the limit of a slice that holds for all its processes; raise ActionFailed where the kernel enforces none."""
    limit = groups.limit(target.lab, target.slice, what)
    if limit is None:
        why = f"no limit of {what} is enforced for it: the fault would be one of this whole machine"
        hint = f"the lab needs a control group of {what} on this machine"
        raise ActionFailed("the fault is refused", where=target.slice, why=why, hint=hint)
    return limit


# Files in memory, made by the slice itself, as what is charged to a group is charged to whoever writes it. The kernel is
# told to begin with the service, and to end with who writes: else it might come to the slice's first process, and all of it.
_HOARD: Final = "/run/tfheal-lab/hoard"
_LET_GO: Final = f"systemctl stop hoarder 2>/dev/null || true\n! mountpoint -q {_HOARD} || umount {_HOARD}\n"
_HOARDER: Final = of_scripts(
    FaultKind(
        "memory-hog",
        "process",
        does="fills the slice's memory to its limit, as a service that leaks does, until the kernel kills for want of it",
        proven="the kernel has killed a process of the slice since",
        mended="the memory is free, and the service is started, if nobody did",
        needs="unit",
    ),
    Scripts(
        put=f"""{_RUNS}for process in $(cat "/sys/fs/cgroup$(systemctl show -P ControlGroup "$unit")/cgroup.procs"); do
    echo 1000 > "/proc/$process/oom_score_adj"
done
mkdir -p {_HOARD}
mountpoint -q {_HOARD} || mount -t tmpfs -o size=100% hoard {_HOARD}
systemd-run --quiet --collect --expand-environment=no --unit=hoarder --property=OOMScoreAdjust=500 sh -c '
number=0
while head -c 4M /dev/zero > {_HOARD}/$number; do number=$((number + 1)); sleep 0.02; done
umount {_HOARD}'
""",
        seen=f'echo "$unit is {STATE}"',
        mend=_LET_GO + START,
    ),
)
_PATIENCE: Final = 60.0


def _take_memory(target: Target) -> None:
    """Take it until the kernel kills, then let go of it, as it would be with whom it kills for a leak."""
    limit = _enforced(target, "memory")
    record.write(target.folder / "killed.json", {"before": groups.killed(target.lab, target.slice)})
    _HOARDER.put(target)
    deadline = time.monotonic() + _PATIENCE
    while not _killed_since(target) and time.monotonic() < deadline:
        time.sleep(0.05)
    machine.enter(target.lab, target.slice, _LET_GO)
    if not _killed_since(target):
        why = f"the kernel killed nothing within {_PATIENCE:.0f} s, at {limit >> 20} MiB"
        raise ActionFailed("the memory does not run out", where=target.slice, why=why)


def _killed_since(target: Target) -> int:
    before = (record.read(target.folder / "killed.json") or {}).get("before")
    return groups.killed(target.lab, target.slice) - before if isinstance(before, int) else 0


def _memory_was_taken(target: Target) -> str:
    killed = _killed_since(target)
    return f"the kernel has killed {killed} of its processes, {_HOARDER.seen(target)}" if killed else ""


def _free_memory(target: Target) -> None:
    _HOARDER.mend(target)
    (target.folder / "killed.json").unlink(missing_ok=True)


MEMORY_HOG: Final = replace(_HOARDER, put=_take_memory, seen=_memory_was_taken, mend=_free_memory)

# It takes the place of every process that ends, in a few hundred bytes of memory each; a shell would need a megabyte.
_FORKING: Final = "$SIG{CHLD} = q(IGNORE); while (1) { my $p = fork; if (!defined $p) { select undef, undef, undef, 0.1 } elsif (!$p) { sleep 1e6; exit } }"
_STORM: Final = of_scripts(
    FaultKind(
        "fork-storm",
        "process",
        does="takes every process that the slice may have, and each one that becomes free: nothing can be started there",
        proven="as many processes as its limit allows are there",
        mended="they end",
    ),
    Scripts(
        put=f"systemd-run --quiet --collect --expand-environment=no --unit=fork-storm --property=TasksMax=infinity perl -e '{_FORKING}'",
        seen="systemctl is-active --quiet fork-storm && echo there",
        mend="systemctl kill --signal=KILL fork-storm 2>/dev/null || true\nsystemctl stop fork-storm 2>/dev/null || true",
    ),
)
_ROOM: Final = 8  # processes that may be free for a moment, until the storm has them


def _fork(target: Target) -> None:
    _enforced(target, "pids")
    _STORM.put(target)


def _is_stormy(target: Target) -> str:
    limit, used = groups.limit(target.lab, target.slice, "pids"), groups.processes_used(target.lab, target.slice)
    if limit is None or used < limit - _ROOM or not _STORM.seen(target):
        return ""
    return f"{used} processes of {limit} that it may have"


# While it is there, sshd has no process to answer with.
FORK_STORM: Final = replace(_STORM, put=_fork, seen=_is_stormy, silences=True, outlives_boot=False)

FAULTS: Final[tuple[Fault, ...]] = (FORK_STORM, MEMORY_HOG, CRASH_LOOP, HANG_SERVICE, KILL_PROCESS, KILL_SERVICE)
