"""The machine itself: one question for its figures, one for its updates, and the parser that believes neither blindly."""

import re
from collections.abc import Callable, Collection
from functools import partial
from typing import Final, TypeVar

from tfheal.base import sh, untrusted
from tfheal.core import pauses
from tfheal.core.probe import patches
from tfheal.core.probe.script import Answer, Question
from tfheal.model import paths
from tfheal.model.facts import Fact, Known, Machine, Unknown
from tfheal.model.pause import Pause

T = TypeVar("T")

# In a container /proc shows the host's load and memory: there, only what its own cgroup says counts. The age is that of
# PID 1, which is right in both. What decides whether we may act comes first, so that nothing can push it over the cap.
_SCRIPT: Final = f"""\
date '+now %s.%N'
if [ -e {paths.HANDS_OFF} ]; then echo "hands-off $(date -u -r {paths.HANDS_OFF} +%Y-%m-%dT%H:%M:%SZ)"; else echo "hands-off no"; fi
if [ -e {paths.IDENTITY} ]; then read -r identity <{paths.IDENTITY}; echo "identity $identity"; else echo "identity no"; fi
{pauses.question()}echo "cpus $(nproc)"
container=$(systemd-detect-virt --container) || container=none
if [ "$container" = none ]; then
  read -r one _ </proc/loadavg; echo "load $one"
  while read -r name value _; do
    case $name in MemTotal:) total=$value;; MemAvailable:) free=$value;; esac
  done </proc/meminfo
  echo "memory $((total * 1024)) $(((total - free) * 1024))"
else
  for group in /sys/fs/cgroup /sys/fs/cgroup/memory; do
    if [ -r $group/memory.current ]; then read -r used <$group/memory.current; read -r most <$group/memory.max
    elif [ -r $group/memory.usage_in_bytes ]; then read -r used <$group/memory.usage_in_bytes; read -r most <$group/memory.limit_in_bytes
    else continue; fi
    [ "${{#most}}" -lt 16 ] && [ "$most" != max ] && echo "memory $most $used" && accounted=yes; break
  done
  # Without accounting of its own, a container's memory is what its processes share of it, each page counted once.
  [ -n "${{accounted-}}" ] || cat /proc/[0-9]*/smaps_rollup 2>/dev/null | {{
    sum=0; while read -r name kib _; do [ "$name" != Pss: ] || sum=$((sum + kib)); done; echo "used $((sum * 1024))"; }}
fi
df -B1 --output=used,avail {paths.DISKS} 2>/dev/null | while read -r used free; do echo "disk $used $free"; done
df --output=iused,iavail {paths.DISKS} 2>/dev/null | while read -r used free; do echo "inodes $used $free"; done
lslocks -n -r -o PID,PATH 2>/dev/null | while read -r pid path; do
  [ "$path" != /var/lib/dpkg/lock-frontend ] || echo "packages $pid $(ps -o etimes=,comm= -p "$pid")"
done
read -r up _ </proc/uptime
read -r stat </proc/1/stat; set -- ${{stat##*) }}; shift 19
echo "age $((${{up%.*}} - $1 / $(getconf CLK_TCK)))"
read -r boot </proc/sys/kernel/random/boot_id; echo "boot $boot"
if units=$(systemctl list-units --state=failed --plain --no-legend --no-pager); then
  echo "failed begin"
  echo "$units" | head -n 100 | while read -r unit _; do [ -z "$unit" ] || echo "failed $unit"; done
fi
"""
QUESTION: Final = Question("machine", _SCRIPT, timeout=15.0, cap=32_768)
# It comes last, so that it takes nobody's time.
UPDATES: Final = Question("updates", patches.COUNT, timeout=25.0, cap=16_384)
_AGE: Final = partial(untrusted.whole, most=untrusted.CENTURY)
# By the clock of a machine it is not 2106 yet: how far it is off is reckoned with, and a wrong clock is a finding.
_CLOCK: Final = partial(untrusted.decimal, most=1 << 32)
_UNIT: Final = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}")
_BOOT: Final = re.compile(r"[0-9a-f-]{36}")
_LOCKED: Final = re.compile(r"([0-9]{1,10}) +([0-9]{1,10}) +(.{1,40})")
_CVE: Final = re.compile(r"CVE-[0-9]{4}-[0-9]{4,7}")
_NOT_SAID: Final = Unknown("the slice did not say")
_NO_TIME: Final = Unknown("no time was left to ask")


def machine(
    answer: Answer | None,
    updates: Answer | None,
    sent: float,
    received: float,
    slice_name: str = "",
    hidden: Collection[str] = (),
) -> Machine:
    """Given the answers, our own clock (Unix seconds) before and after the round trip and whose they are, return facts."""
    if answer is None:
        return unknown(_NO_TIME.reason)
    if answer.timed_out:
        return unknown("the machine did not answer in time")
    said = _by_word(answer.output)
    sizes = [pair for words in said.get("disk", []) if (pair := _pair(words)) and sum(pair)]
    nodes = [pair for words in said.get("inodes", []) if (pair := _pair(words)) and sum(pair)]
    fullest = min(sizes, key=_free_share, default=None)
    memory = _pair(said["memory"][0]) if "memory" in said else None
    no_memory = Unknown("a container without memory accounting of its own")
    return Machine(
        cpus=_one(said, "cpus", untrusted.whole),
        load=_one(said, "load", untrusted.decimal) if "load" in said else Unknown("a container shows its host's load"),
        memory_total=Known(memory[0]) if memory else no_memory,
        memory_used=Known(memory[1]) if memory else _one(said, "used", untrusted.whole),
        disk_total=Known(sum(fullest)) if fullest else _NOT_SAID,
        disk_free=Known(fullest[1]) if fullest else _NOT_SAID,
        inodes_free_share=Known(min(map(_free_share, nodes))) if nodes else _NOT_SAID,
        age=_one(said, "age", _AGE),
        boot_id=_one(said, "boot", _boot),
        failed_units=_failed_units(said),
        security_updates=_updates(updates),
        clock_offset=_offset(said, sent, received),
        hands_off_since=_hands_off(said),
        identity=_or_none(said, "identity"),
        pauses=Known(_pauses(said, slice_name, hidden)),
        package_lock=Known(_package_lock(said)),
        security_age=_security_age(updates),
        reboot=_is_told(updates, "reboot"),
        patch_unfinished=_is_told(updates, "unfinished"),
        security_cves=_security_cves(updates),
    )


def _pauses(said: dict[str, list[str]], slice_name: str, hidden: Collection[str]) -> tuple[Pause, ...]:
    found = []
    for words in said.get("pause", []):
        file, _, content = words.partition(" ")
        told = sh.unencoded(content.encode("ascii", "replace"))
        if told is not None and (pause := pauses.parsed(file, told, slice_name, hidden)):
            found.append(pause)
    return tuple(found)


def _package_lock(said: dict[str, list[str]]) -> str | None:
    """Return who holds the lock of dpkg, and for how long; None if nobody is known to."""
    match = _LOCKED.fullmatch(said.get("packages", [""])[0])
    return f"{untrusted.line(match[3], 40)} (process {match[1]}, for {match[2]} s)" if match else None


def unknown(reason: str) -> Machine:
    """Given a reason, return a machine of which nothing is known."""
    nothing = Unknown(reason)
    return Machine(*(nothing for _ in Machine.__dataclass_fields__))


def _by_word(output: bytes) -> dict[str, list[str]]:
    said: dict[str, list[str]] = {}
    for line in untrusted.text(output, 32_768).split("\n"):
        word, _, rest = line.partition(" ")
        said.setdefault(word, []).append(rest)
    return said


def _one(said: dict[str, list[str]], word: str, read: Callable[[str], T | None]) -> Fact[T]:
    values = said.get(word, [])
    found = read(values[0]) if len(values) == 1 else None
    return _NOT_SAID if found is None else Known(found)


def _boot(said: str) -> str | None:
    return said if _BOOT.fullmatch(said) else None


def _pair(words: str) -> tuple[int, int] | None:
    first, second = map(untrusted.whole, words.split(" ")) if words.count(" ") == 1 else (None, None)
    return None if first is None or second is None else (first, second)


def _free_share(pair: tuple[int, int]) -> float:
    used, free = pair
    return free / (used + free)


def _is_told(answer: Answer | None, word: str) -> Fact[bool]:
    return _NO_TIME if answer is None or answer.timed_out else Known(word in _by_word(answer.output))


def _updates(answer: Answer | None) -> Fact[int]:
    if answer is None or answer.timed_out:
        return _NO_TIME
    said = _by_word(answer.output)
    return _one(said, "security", untrusted.whole) if "security" in said else Unknown("no package lists")


def _security_age(answer: Answer | None) -> Fact[int]:
    """Return since how many seconds the oldest security update is pending."""
    if answer is None or answer.timed_out:
        return _NO_TIME
    said = _by_word(answer.output)
    return _one(said, "oldest", _AGE) if "oldest" in said else Unknown("none is known to be pending")


def _security_cves(answer: Answer | None) -> Fact[tuple[str, ...]]:
    """Return the vulnerabilities that debsecan found in packages with a security update."""
    said = {} if answer is None or answer.timed_out else _by_word(answer.output)
    if "debsecan" not in said:
        return Unknown("there is no data of debsecan")
    return Known(tuple(word for word in said.get("cve", []) if _CVE.fullmatch(word)))


def _failed_units(said: dict[str, list[str]]) -> Fact[tuple[str, ...]]:
    words = said.get("failed", [])
    if not words or words[0] != "begin":
        return _NOT_SAID
    return Known(tuple(word for word in words[1:101] if _UNIT.fullmatch(word)))


def _or_none(said: dict[str, list[str]], word: str) -> Fact[str | None]:
    values = said.get(word, [])
    if len(values) != 1:
        return _NOT_SAID
    return Known(None if values[0] == "no" else untrusted.line(values[0], 200))


def _hands_off(said: dict[str, list[str]]) -> Fact[str | None]:
    """Return since when the owner says stop, None if they do not; a stop without a time is a stop all the same."""
    since = _or_none(said, "hands-off")
    return since if isinstance(since, Unknown) or since.value is None or untrusted.moment(since.value) else Known("")


def _offset(said: dict[str, list[str]], sent: float, received: float) -> Fact[float]:
    told = _one(said, "now", _CLOCK)
    if isinstance(told, Unknown):
        return told
    # The slice read its clock somewhere between: what the round trip itself explains is no offset.
    early, late = told.value - sent, told.value - received
    return Known(0.0 if late <= 0 <= early else round(early if abs(early) < abs(late) else late, 3))
