"""Installing updates on a slice, rebooting it: the scripts that do it and take it back, and their report.

What changes packages runs as a unit of its own, so that no broken connection and no killed tfheal ends dpkg in the middle;
the trip only follows it. It holds the locks of the apps on the slice, notes what ran before it changes anything, secures the
installed versions, and starts again what the update stopped. `unfinished` stays until the apps were found well after it.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from tfheal.base import sh, untrusted
from tfheal.core import pauses
from tfheal.core.apply import RECORD
from tfheal.core.probe.script import PRELUDE, called_once
from tfheal.core.resources.packages import LISTS_LOST
from tfheal.model import paths
from tfheal.model.patches import NEVER_BACK, Patch, PatchReport

UNIT: Final = "tfheal-patch.service"
_BUSY: Final = 75  # exit status of `flock` where another has the lock of an app
_MOST: Final = 100  # lines of one kind that are believed
_LIBRARY: Final = f"""\
export DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none NEEDRESTART_SUSPEND=1
cd {paths.PATCH} || exit 1
exec >log 2>&1 </dev/null
told() {{ printf '%s\\n' "$*" >>report; }}
fail() {{ told "failed $(printf '%s\\n%s' "$1" "$(tail -n 8 log)" | base64 -w 0)"; exit 1; }}
apt() {{
  apt-get -y -q -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \\
    -o APT::Keep-Downloaded-Packages=true --no-remove "$@"
}}
units() {{
  systemctl list-units --type=service,socket,timer,path --state=running,exited,listening,waiting --plain --no-legend --no-pager |
  while read -r unit _; do
    case " $ours $(systemctl show -P UnitFileState -- "$unit")" in
      *" $unit "*|*" enabled"|*" enabled-runtime"|*" generated") echo "$unit";;
    esac
  done
}}
mend() {{
  systemctl daemon-reload
  while read -r unit; do
    [ "$(systemctl is-active -- "$unit")" = inactive ] || systemctl is-failed --quiet -- "$unit" || continue
    systemctl reset-failed -- "$unit"
    if systemctl start -- "$unit"; then told "started $unit"; else told "stopped $unit"; fi
  done <running
  for unit in $ours; do
    group=$(systemctl show -P ControlGroup -- "$unit")
    [ -n "$group" ] || continue
    while read -r pid; do
      if grep -qE '/(lib|lib64|bin|sbin)/.*[(]deleted[)]$' "/proc/$pid/maps"; then
        systemctl restart -- "$unit" && told "restarted $unit"
        break
      fi
    done <"/sys/fs/cgroup$group/cgroup.procs"
  done
}}
finished() {{
  find /etc -xdev '(' -name '*.dpkg-dist' -o -name '*.ucf-dist' ')' -cnewer running | while read -r file; do told "conffile $file"; done
  [ ! -e /run/reboot-required ] || told reboot
  told ended
}}
"""
_SECURE: Final = """\
secure() {
  while read -r package version; do
    name=${package%%:*}_$(echo "$version" | sed 's/:/%3a/')
    cp /var/cache/apt/archives/"$name"_*.deb secured/ || ( cd secured && apt-get -q download "$package=$version" ) ||
      ( cd secured && command -v dpkg-repack && dpkg-repack "$package" ) && continue
    case " $again " in *" $package "*) fail "the installed version of $package could not be secured";; esac
  done <upgrading
}
"""
# A server of PostgreSQL is down from before its package is unpacked until all that is installed with it is configured: so
# it is installed by itself, once what was under way has ended, and after a checkpoint, which makes the stop and the start short.
_DATABASES: Final = r"""
calm() {
  port=$(sed -n 's/^port *= *\([0-9]*\).*/\1/p' "/etc/postgresql/$1/postgresql.conf" | tail -n 1)
  (cd / && setpriv --reuid=postgres --regid=postgres --init-groups env PGCONNECT_TIMEOUT=5 \
    timeout 60 "/usr/lib/postgresql/${1%/*}/bin/psql" -XqAt -h /var/run/postgresql -p "${port:-5432}" -d postgres -f -) <<END
CHECKPOINT;
DO \$\$ DECLARE now timestamptz := clock_timestamp(); BEGIN
  FOR moment IN 1 .. 100 LOOP
    PERFORM pg_stat_clear_snapshot();
    EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity
      WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND xact_start < now);
    PERFORM pg_sleep(0.1);
  END LOOP;
END \$\$;
CHECKPOINT;
END
}
databases() {
  for each in "$@"; do
    version=${each%%=*} version=${version#postgresql-}
    case $version in [1-9][0-9]) ;; *) continue ;; esac
    grep -q "^postgresql-$version " upgrading || continue
    apt -d --only-upgrade install "$each" || continue
    for cluster in /etc/postgresql/"$version"/*/; do
      cluster=${cluster%/} cluster=$version/${cluster##*/}
      ! systemctl is-active --quiet "postgresql@$version-${cluster#*/}.service" || calm "$cluster"
    done
    apt --only-upgrade install "$each" || failed=yes
  done
}
"""
_UPGRADE: Final = """\
told begun
[ -e unfinished ] || { units >running.new && mv running.new running && rm -rf secured; } || fail 'what runs could not be noted'
mkdir -p secured && touch unfinished || fail 'nothing can be written'
# Of what was cut off dpkg keeps a note, with which apt does nothing, also where no package shows it; and what was to come with
# a package may be what that lacks now.
[ -z "$(dpkg --audit; ls /var/lib/dpkg/updates)" ] ||
  { { dpkg --force-confdef --force-confold --configure -a || apt --fix-broken install; } && told repaired; }
if [ $# -gt 0 ]; then
  apt -s -o Debug::NoLocking=1 --only-upgrade install "$@" >planned || { cat planned; fail 'apt will not'; }
  sed -n -E 's/^Inst ([^ ]+) \\[([^] ]+)\\] .*/\\1 \\2/p' planned >upgrading
  secure
  sync planned secured secured/* # what would be gone back to has to be there also if the machine goes down now
  automatic=$(apt-mark showauto $(cut -d ' ' -f 1 upgrading))
  told changing
  databases "$@"
  apt --only-upgrade install "$@" || failed=yes
  [ -z "$automatic" ] || apt-mark auto $automatic
fi
mend
[ -z "${failed-}" ] || fail 'the packages could not be installed'
finished
"""
_TAKE_BACK: Final = """\
told begun
sed -n -E 's/^Inst ([^ ]+) \\[[^]]*\\] \\(([^ ]+) .*/\\1 \\2/p' planned >>taken-back
set --
for file in secured/*.deb; do
  [ -e "$file" ] || continue
  package=$(dpkg-deb -f "$file" Package)
  if echo "$package" | grep -qxE "$never"; then told "kept $package"; else set -- "$@" "./$file"; fi
done
[ $# -gt 0 ] || fail 'nothing of it can be taken back'
told changing
apt --allow-downgrades install "$@" || dpkg --force-confdef --force-confold -i "$@" || failed=yes
mend
[ -z "${failed-}" ] || fail 'the packages could not be taken back'
finished
"""
# Its age is that of PID 1, which tells of every reboot, whoever ordered it. It ends with the machine, or it failed. What
# was installed before it stayed well, and is not taken back for what the reboot brings.
_REBOOT: Final = """\
told begun
read -r up _ </proc/uptime
read -r stat </proc/1/stat; set -- ${stat##*) }; shift 19
up=$((${up%.*} - $1 / $(getconf CLK_TCK)))
[ "$up" -ge "$every" ] || fail "it booted $up s ago"
[ -e unfinished ] || { units >running.new && mv running.new running; } || fail 'what runs could not be noted'
rm -rf secured planned && touch unfinished && sync || fail 'nothing can be written'
told changing
sleep 1
systemctl reboot || fail 'systemd does not reboot it'
sleep 180
fail 'it does not go down'
"""
_STOPPED: Final = f"""\
if [ -e {paths.HANDS_OFF} ]; then say "refused paused $(packed "since $(date -u -r {paths.HANDS_OFF} +%Y-%m-%dT%H:%M:%SZ)")"; return; fi
"""
_FETCH: Final = f"""\
export DEBIAN_FRONTEND=noninteractive
{LISTS_LOST}
if words=$(timeout 240 apt-get -q -o DPkg::Lock::Timeout=60 -o APT::Update::Error-Mode=any update 2>&1 </dev/null); then
  touch /var/lib/apt/lists  # they are of now, also where there was nothing new
  say 'told ended'
else
  say "told failed $(printf '%s\n' "$words" | tail -n 4 | base64 -w 0)"
fi
"""
_FOLLOW: Final = f"""\
sent=0
while :; do
  active=$(systemctl is-active {UNIT})
  lines=$(wc -l <{paths.PATCH}/report) || lines=0
  if [ "$lines" -gt "$sent" ]; then
    sed -n "$((sent + 1)),${{lines}}p" {paths.PATCH}/report | while read -r line; do say "told $line"; done
    sent=$lines
  fi
  printf . >&2
  case $active in active|activating|deactivating|reloading) sleep 0.5;; *) break;; esac
done
say end
"""
_TOLD: Final = re.compile(
    r"told (begun|changing|ended|repaired|reboot|boot|failed|conffile|started|stopped|restarted|kept)(?: (.{1,8000}))?"
)
_BOOT: Final = re.compile(r"[0-9a-f-]{36}")
_REFUSED: Final = re.compile(rb"refused (paused|stopped|busy) ?([A-Za-z0-9+/=]*)")


@dataclass(frozen=True, slots=True)
class PatchOrder:
    """Who orders a patch in which run, the updates, and the apps on the slice with the units that are theirs."""

    writer: str
    run: str
    patches: tuple[Patch, ...]
    apps: tuple[str, ...]
    units: tuple[str, ...]


def upgrade(order: PatchOrder, marker: str) -> str:
    """Given an order and a random marker, return the script that installs its updates and tells how that goes."""
    names = sh.join(*(f"{one.package}={one.offered}" for one in order.patches))
    again = sh.quote(" ".join(one.package for one in order.patches if one.secured))
    return _begun(order, f"again={again}\n{_SECURE}{_DATABASES}set -- {names}\n{_UPGRADE}", "patch", marker)


def take_back(order: PatchOrder, marker: str) -> str:
    """Given the order of a patch that broke something, return the script that takes it back, and notes it as such."""
    return _begun(order, f"never={sh.quote(NEVER_BACK)}\n{_TAKE_BACK}", "take back the patch", marker)


def fetch(marker: str) -> str:
    """Return the script that fetches the package lists, unless the owner or a pause is against it."""
    return called_once(f"{_said(marker)}{_STOPPED}{pauses.guard(pauses.WHOLE_SLICE)}{_FETCH}say end\n", marker)


def reboot(order: PatchOrder, every: float, marker: str) -> str:
    """Given an order and for how long the machine has to have been up, return the script that reboots it."""
    return _begun(order, f"every={every:.0f}\n{_REBOOT}", "reboot", marker)


def booted(marker: str) -> str:
    """Return the script that says of which boot a slice is."""
    return called_once(f'{_said(marker)}say "told boot $(cat /proc/sys/kernel/random/boot_id)"\nsay end\n', marker)


def follow(marker: str) -> str:
    """Return the script that tells of what is under way, or came to its end, from the start."""
    return called_once(f"{_said(marker)}{_FOLLOW}", marker)


def over(order: PatchOrder, marker: str) -> str:
    """Return the script that notes that the apps were looked at after a patch, and that it is over."""
    return called_once(f"{_said(marker)}rm -f {paths.PATCH}/unfinished\n{_closed(order)}say end\n", marker)


def report(reply: bytes, marker: str, hidden: Collection[str] = ()) -> PatchReport:
    """Given what a slice said, as far as it came, return the report."""
    said: dict[str, list[str]] = {}
    head, refused = f"{marker} ".encode(), ""
    for line in (each[len(head) :] for each in reply.split(b"\n") if each.startswith(head)):
        if match := _REFUSED.fullmatch(line):
            refused = _refusal(match, hidden)
        elif told := _TOLD.fullmatch(line.decode("utf-8", "replace")):
            said.setdefault(told[1], []).append(told[2] or "")
    lists = {word: tuple(untrusted.line(one, 200, hidden) for one in said.get(word, ())[:_MOST]) for word in _LISTS}
    failure = [untrusted.text(sh.unencoded(one.encode()) or b"", 2_000, hidden) for one in said.get("failed", ())]
    flags = {word: word in said for word in ("begun", "changing", "ended", "repaired", "reboot")}
    return PatchReport(
        **flags,
        refused=refused,
        boot=next((one for one in said.get("boot", ()) if _BOOT.fullmatch(one)), ""),
        failure=(failure[0] or "it did not say why") if failure else "",
        conffiles=lists["conffile"],
        started=lists["started"],
        stopped=lists["stopped"],
        restarted=lists["restarted"],
        kept=lists["kept"],
    )


_LISTS: Final = ("conffile", "started", "stopped", "restarted", "kept")


def progress(line: bytes, marker: str) -> str:
    """Given one line of a running patch, return it as words; nothing for noise."""
    head = f"{marker} ".encode()
    told = _TOLD.fullmatch(line[len(head) :].decode("utf-8", "replace")) if line.startswith(head) else None
    return f"{told[1]} {untrusted.line(told[2] or '', 200)}".strip() if told and told[1] != "failed" else ""


def _refusal(match: re.Match[bytes], hidden: Collection[str]) -> str:
    said = sh.unencoded(match[2]) or b""
    if match[1] == b"stopped":
        return pauses.refusal(said, "", hidden)
    detail = untrusted.line(said, 300, hidden)
    return {
        b"paused": f"paused by the owner {detail} (they lift it by removing {paths.HANDS_OFF})",
        b"busy": f"another patch is under way there {detail}",
    }[match[1]]


def _said(marker: str) -> str:
    return (
        f"{PRELUDE}marker={marker}\n"
        'say() { printf \'%s %s\\n\' "$marker" "$*"; }\n'
        'packed() { printf %s "$1" | base64 -w 0; }\n'
    )


def _begun(order: PatchOrder, body: str, verb: str, marker: str) -> str:
    """Return the script that has a unit do the work, unless the owner, a pause or another one is against it."""
    who = sh.quote(untrusted.line(f"{order.writer}, {verb}, run {order.run}", 300))
    held = "".join(f"printf '%s\\n' {who} >{paths.RUN}/{app}.holder\n" for app in order.apps)
    work = f"{PRELUDE}{held}ours={sh.quote(' '.join(order.units))}\n{_LIBRARY}{body}"
    locks = " ".join(f"flock -o -w 30 -E {_BUSY} {paths.RUN}/{app}.lock" for app in order.apps)
    entry = {"writer": order.writer, "run": order.run, "verb": verb, "why": "tfheal patch"}
    packages = [f"{one.package}={one.offered}" for one in order.patches[:_MOST]]
    written = json.dumps(entry | {"packages": packages}, separators=(",", ":"))[1:-1]
    return called_once(
        _said(marker)
        + _STOPPED
        + "".join(pauses.guard(app) for app in order.apps or (pauses.WHOLE_SLICE,))
        + f"if systemctl is-active --quiet {UNIT}; then say 'refused busy '; return; fi\n"
        + f"journal={paths.SLICE_JOURNAL}\nentry={sh.quote(written)}\n{RECORD}"
        + f'mkdir -p {paths.RUN} {paths.PATCH} "${{journal%/*}}" && chmod 0700 {paths.PATCH}\n'
        + f": >{paths.PATCH}/report\n{sh.decoded(work.encode())} >{paths.PATCH}/work\n"
        + 'record \'"event":"begin"\'\n'
        + f"systemd-run --quiet --collect --unit={UNIT} {locks} sh {paths.PATCH}/work\n"
        + _FOLLOW
        + 'record \'"event":"end"\'\n',
        marker,
    )


def _closed(order: PatchOrder) -> str:
    """Return sh that notes in the owner's journal that all was found well."""
    entry = {"writer": order.writer, "run": order.run, "verb": "patch", "why": "the apps were found well after it"}
    written = json.dumps(entry, separators=(",", ":"))[1:-1]
    return f'journal={paths.SLICE_JOURNAL}\nentry={sh.quote(written)}\n{RECORD}record \'"event":"checked"\'\n'
