"""The changes of a PostgreSQL server, stored as they come: a spool on its slice, and a timer that sends what is new.

The server hands over each segment of its write-ahead log when it is full or a minute old; a script of ours writes it into
the spool, to the disk, before it says yes. Segments lie in folders of an hour or 64 of them, and what is sent is a folder:
so a restore reads one snapshot an hour. The folder that is written to stays; the others go once they are stored, and so does
that of a server which was written to no more since its hour was over, as one has that an upgrade left. What the
timer needs to get at the store is sealed for this machine by the last backup (`systemd-creds`), and is on no disk in plain.
Where a slice has no way of its own to its store, nothing is sealed and no timer runs: a job of ours sends what waits.
"""

import re
from datetime import datetime, timedelta
from typing import Final

from tfheal.base import untrusted
from tfheal.core.probe.script import PRELUDE
from tfheal.core.reach import FAR
from tfheal.model import paths
from tfheal.model.playbook import Check, Component
from tfheal.model.release import Release
from tfheal.model.resources import Directory, File, Postgres, Resource, Unit

EVERY: Final = 60  # seconds between two looks at the spool
TAG: Final = "wal"  # WAL=FOLDER: which folder of the spool a snapshot is of
_TIMED: Final = "tfheal-{{ app }}-{{ component }}.wal"
SEALED: Final = ("password", "key", "known_hosts")
_SENT: Final = "all is stored that was handed over until "
_PATIENCE: Final = 10  # minutes that a change may take to the store before somebody has to know
_OVER: Final = 70  # minutes after which a folder is of an hour that is over
_FOLDER: Final = 64  # segments of 16 MiB in a folder of the spool
# As the server's user, in its data folder: $1 is the segment, $2 its name. Yes means that it is on the disk.
_ARCHIVE: Final = f"""\
#!/bin/sh
# by tfheal: what archive_command runs
set -eu
PATH=/usr/bin:/bin
system=$(od -An -tu8 -N8 global/pg_control)
spool={{{{ spool }}}}/${{system##* }}
mkdir -p -- "$spool"
for there in "$spool"/*/"$2"; do
  [ -e "$there" ] || continue
  cmp -s -- "$1" "$there" && exit 0
  echo "$2 is in the spool with other content" >&2
  exit 1
done
now=$(date -u +%Y%m%dT%H%M%S)
current=
[ ! -r "$spool/current" ] || read -r current <"$spool/current"
if [ "${{current%????}}" != "${{now%????}}" ] || [ "$(ls -- "$spool/$current" | wc -l)" -ge {_FOLDER} ]; then
  mkdir -p -- "$spool/$now"
  echo "$now" >"$spool/.current"
  sync -- "$spool/.current"
  mv -T -- "$spool/.current" "$spool/current"
  current=$now
fi
# A segment that is handed over for its age is mostly zeros, which take no room here: else it was 16 MiB a minute.
cp --sparse=always -- "$1" "$spool/.new-$2"
sync -- "$spool/.new-$2"
mv -T -- "$spool/.new-$2" "$spool/$current/$2"
sync -- "$spool/$current" "$spool"
"""
# What is written to is read before what is there is counted: a folder that is not written to any more has all of it.
# A folder goes by a rename first, so that no half of one is ever stored over the whole.
PUSH: Final = f"""\
push() {{
  exec 7>>"$spool/.lock"
  flock -w 300 7 || {{ echo 'another is at the spool' >&2; return 1; }}
  : >"$spool/.begun"
  reached=
  for folder in "$spool"/*/*/; do
    folder=${{folder%/}} current=
    [ -d "$folder" ] || continue
    read -r current 2>/dev/null <"${{folder%/*}}/current"
    count=$(find "$folder" -type f | wc -l) pushed=0
    read -r pushed 2>/dev/null <"$folder.pushed"
    if [ "$count" -ne "${{pushed:-0}}" ]; then
      [ -n "$reached" ] || reach || return
      reached=yes
      r backup --quiet --tag "app=$app" --tag "{TAG}=${{folder##*/}}" --host "$host" --retry-lock 2m "$folder" >/dev/null || return
      echo "$count" >"$folder.pushed"
    fi
    if [ "${{folder##*/}}" = "$current" ]; then
      [ -n "$(find "$folder" -maxdepth 0 -mmin +{_OVER})" ] || continue
      rm -f -- "${{folder%/*}}/current"
    fi
    mv -T -- "$folder" "${{folder%/*}}/.gone-${{folder##*/}}" && rm -rf -- "${{folder%/*}}/.gone-${{folder##*/}}" "$folder.pushed"
  done
  mv -T -- "$spool/.begun" "$spool/.sent"
}}
"""
# Asked for at each look. What is newer than the last time that all was sent waits; so does what the server could not hand over.
_LOOK: Final = f"""\
spool={{{{ spool }}}}
[ -e {{{{ begun }}}} ] || exit 0
since=$(find "$spool" -mindepth 3 -type f -newer "$spool/.sent" -mmin +{_PATIENCE} 2>/dev/null | wc -l)
[ "$since" -eq 0 ] || {{ echo "$since segments wait for more than {_PATIENCE} minutes to be sent: {{{{ hint }}}}"; exit 1; }}
home=$(sed -n "s/^data_directory *= *'\\([^']*\\)'.*/\\1/p" /etc/postgresql/{{{{ cluster }}}}/postgresql.conf | tail -n 1)
late=$(find "$home/pg_wal/archive_status" -name '*.ready' -mmin +{_PATIENCE} 2>/dev/null | wc -l)
[ "$late" -eq 0 ] || {{ echo "the server could not hand over $late segments for more than {_PATIENCE} minutes: see its log"; exit 1; }}
waits=
[ ! -e "$spool/.sent" ] || waits="-newer $spool/.sent"
set -- $({{ find "$spool" -mindepth 3 -type f $waits -printf '%k\n'; du -sk -- "$home/pg_wal"; }} 2>/dev/null | awk '{{ sum += $1 }} END {{ print sum + 0 }}') $(df --output=avail -k "$spool" | tail -n 1)
[ "$1" -lt "$2" ] || {{ echo "what waits to be sent takes $1 KiB, and $2 are free: the disk will be full"; exit 1; }}
[ ! -e "$spool/.sent" ] || date -u -r "$spool/.sent" +'{_SENT}%Y-%m-%dT%H:%M:%SZ'
"""
_SERVICE: Final = """\
[Unit]
Description=What changed in the databases of {{ app }} is sent to its store
ConditionPathExists=SEALED/way
ConditionPathExists=!HANDS_OFF

[Service]
Type=oneshot
ExecStart=/bin/sh {{ home }}/wal/push
Nice=15
IOSchedulingClass=idle
TimeoutStartSec=30min
LogLevelMax=notice
CREDENTIALS
"""
_TIMER: Final = f"""\
[Unit]
Description=What changed in the databases of {{{{ app }}}} is sent to its store

[Timer]
OnActiveSec=5
OnUnitInactiveSec={EVERY}
AccuracySec=5

[Install]
WantedBy=timers.target
"""


def spool(app: str, component: str) -> str:
    """Return the folder in which the changes of a server wait to be sent."""
    return f"/var/spool/tfheal/{app}-{component}"


def sealed(app: str, component: str) -> str:
    """Return the folder of what the timer needs to get at the store, sealed for this machine."""
    return f"{paths.state(app, component)}/wal"


def archives(component: Component) -> bool:
    """Return whether every change of a database of a component is stored."""
    return any(dump.wal for dump in component.dumps)


def archived(component: Component, *, alone: bool) -> Component:
    """Given a component whose data a store takes, return it with what storing every change needs, if it wants that.

    A slice that gets at its store `alone` sends them by itself.
    """
    if not archives(component):
        return component
    spooled = spool("{{ app }}", "{{ component }}")
    told = {"archive_command": "{{ home }}/wal/archive %p %f"}
    resources = (
        Directory(kind="directory", path=spooled, mode="0700", owner="postgres", group="postgres"),
        _file("archive", _ARCHIVE.replace("{{ spool }}", spooled), "0755"),
        *(one.model_copy(update=told) if isinstance(one, Postgres) else one for one in component.resources),
        *(_sending(spooled) if alone else ()),
    )
    cluster = next((one.cluster for one in component.resources if isinstance(one, Postgres)), "17/main")
    begun = f"{sealed('{{ app }}', '{{ component }}')}/way" if alone else f"{spooled}/.sent"
    hint = f"journalctl -u {_TIMED}.service" if alone else "tfheal tick sends them"
    words = {"spool": spooled, "begun": begun, "hint": hint, "cluster": cluster}
    look = re.sub(r"{{ (spool|begun|hint|cluster) }}", lambda found: words[found[1]], _LOOK)
    checks = (*component.checks, Check(name="changes", kind="stored", command=look))
    return component.model_copy(update={"resources": resources, "checks": checks})


def is_archived(release: Release) -> bool:
    """Return whether the server of a release stores every change."""
    spooled = spool(release.app, release.component)
    return any(isinstance(one, Directory) and one.path == spooled for one in release.resources)


def sends(release: Release) -> bool:
    """Return whether the slice of a release sends every change by itself."""
    timer = f"tfheal-{release.app}-{release.component}.wal.timer"
    return any(isinstance(one, Unit) and one.name == timer for one in release.resources)


def stored_until(detail: str) -> datetime | None:
    """Given what the check `stored` said, return the time until which every change is on the store, None if it said none.

    A change is handed over a minute after it was made, at the latest.
    """
    until = untrusted.moment(detail.removeprefix(_SENT)) if detail.startswith(_SENT) else None
    try:
        return until - timedelta(seconds=EVERY) if until else None
    except OverflowError:  # the very first minute that there is
        return None


def _sending(spooled: str) -> tuple[Resource, ...]:
    """Return what sends the changes from the slice itself."""
    away = sealed("{{ app }}", "{{ component }}")
    credentials = "\n".join(f"LoadCredentialEncrypted={one}:{away}/{one}" for one in SEALED)
    service = _SERVICE.replace("SEALED", away).replace("HANDS_OFF", paths.HANDS_OFF).replace("CREDENTIALS", credentials)
    return (
        _file("push", _pushing(spooled, away), "0755"),
        Unit(kind="unit", name=f"{_TIMED}.service", content=service, enabled=False, running=False),
        Unit(kind="unit", name=f"{_TIMED}.timer", content=_TIMER),
    )


def _file(name: str, content: str, mode: str) -> File:
    path = f"{{{{ home }}}}/wal/{name}"
    return File(kind="file", path=path, content=content, mode=mode, on_change="nothing")


def _pushing(spooled: str, away: str) -> str:
    values = f"app={{{{ app }}}} host={{{{ slice }}}} spool={spooled}\n. {away}/way\n"
    settings = 'export RESTIC_PASSWORD_FILE="$CREDENTIALS_DIRECTORY/password" RESTIC_CACHE_DIR=/var/cache/tfheal/$app HOME=/nonexistent\n'
    return f"#!/bin/sh\n# by tfheal: run by a timer\n{PRELUDE}{values}{settings}{FAR}{PUSH}push\n"
