"""A job of restic on a slice: a transient unit there that goes on when we are gone, and the trip that starts and follows it.

Password and key travel in the script, which is on stdin; they lie in the slice's memory for the moment in which systemd
takes them over as credentials of the unit, and are in no argument, environment or log, and on no disk. The folder in /run
holds what the tasks said, so that whoever comes next can still read how a job ended whose controller was killed.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from tfheal.base import sh, untrusted
from tfheal.base.errors import BadReply, Refused
from tfheal.core.probe.script import PRELUDE, called_once, framed
from tfheal.core.reach import FAR
from tfheal.model import paths
from tfheal.model.backup import Repository
from tfheal.model.lease import SILENCE

REPLY_CAP: Final = 8 << 20
_CREDENTIALS: Final = ("password", "owner", "key", "known_hosts", "variables")
LONGEST: Final = 12 * 3_600.0  # seconds; what takes longer does not fit into a night
_CLEANED: Final = 900.0  # seconds for what runs after a job: many small files take long to delete
_ERRORS: Final = 4_000  # bytes of a task's stderr
_TASK: Final = re.compile(rb"task (\d{1,4}) (\d{1,3}|-) ([A-Za-z0-9+/=]*) ([A-Za-z0-9+/=]*)")
_PROGRESS: Final = re.compile(rb"progress (\d{1,4}) ([A-Za-z0-9+/=]*)")
_REFUSED: Final = re.compile(rb"refused (paused|wiped|restic|busy|gone|failed) ([A-Za-z0-9+/=]*)")
# On the store root works on the files of another user: by its group that user can read what root adds, also where the job
# or the machine is killed. A lock on the open folder outlives no process of the job.
_NEAR: Final = """\
[ ! -d "$repository" ] || exec 9<"$repository"
find "$repository" -mindepth 1 -type d ! -perm -2000 -exec chmod g+s {} + 2>/dev/null
r() { restic -r "$repository" --no-cache --json "$@"; }
reach() { [ -d "$repository" ] || { printf '%s\\n' "$repository is not there" >&2; return 1; }; }
owned() { chown -Rh --reference="$repository" "$repository/$1"; }
"""
# What was killed leaves its lock behind, which would stop the next backup for half an hour.
_TIDY: Final = """\
[ -n "$(find "$repository" -user root -print -quit 2>/dev/null)" ] || exit 0
HOME=/nonexistent restic -r "$repository" --no-cache -p "$CREDENTIALS_DIRECTORY/password" unlock
chown -Rh --reference="$repository" "$repository"
"""
# A dead address is tried by restic for a quarter of an hour, in silence. Below a path that is no disk of its own nothing is
# made: it would go onto the very disk that the data is on, where a disk is not mounted.
_AWAY: Final = """\
way="-F /dev/null -i $CREDENTIALS_DIRECTORY/key -o UserKnownHostsFile=$CREDENTIALS_DIRECTORY/known_hosts"
way="$way -o HostKeyAlias=store -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o BatchMode=yes -o LogLevel=ERROR"
way="$way -o ServerAliveInterval=15 -o ServerAliveCountMax=4 -o ConnectTimeout=3"
case $repository in sftp:*) ;; *) way= ;; esac
while IFS= read -r variable; do export "$variable"; done <"$CREDENTIALS_DIRECTORY/variables"
r() { restic -r "$repository" ${way:+-o "sftp.args=$way"} --json "$@"; }
disk() {
  [ -d "$base" ] && [ "$(stat -c %d "$base")" != "$(stat -c %d /)" ] && return
  printf '%s\n' "$base is no disk of its own: it is not there, or not mounted" >&2
  return 1
}
reach() {
  case $repository in /*) disk; return ;; esac
  said=$(timeout 20 restic -r "$repository" ${way:+-o "sftp.args=$way"} --json --no-lock cat config 2>&1 >/dev/null)
  case $? in 0 | 10 | 11 | 12) return 0 ;; 124) said="it does not answer within 20 s" ;; esac
  printf '%s\n' "$said" >&2
  return 1
}
owned() { :; }
"""
# `unlock` removes a lock of a dead process of this machine, or one older than half an hour, and no other. A job that was cut
# leaves one, which would stop a prune: whoever comes next knows by a file that the last one did not end well.
_WORK: Final = """\
export RESTIC_PASSWORD_FILE="$CREDENTIALS_DIRECTORY/password" RESTIC_PROGRESS_FPS=1 HOME=/nonexistent
unclean=no bad=no mark=$RESTIC_CACHE_DIR/unclean
[ ! -e "$mark" ] || unclean=yes
mkdir -p "$RESTIC_CACHE_DIR" && : >"$mark"
trap '[ "$bad" = yes ] || rm -f "$mark"' EXIT
open() {
  [ "$unclean" = no ] || r unlock >/dev/null 2>&1
  r cat config >/dev/null
  status=$?
  [ "$status" -eq 11 ] || return "$status"
  r unlock >/dev/null 2>&1
  r cat config >/dev/null
}
# To reach and to open a repository takes as long as many a job. So where the last one ended well what is to be done does both by
# itself; only where that could not the tasks that come `later` are run, and then it is done again.
opening=
later() { if [ "$unclean" = yes ]; then run "$1" needed; else opening="$opening $1"; echo 0 >"$folder/status.$1"; fi; }
unopened() { grep -Eqs '"message_type":"exit_error","code":(1[012],|1,"message":"Fatal: unable to open repository at rclone:)' "$folder/err.$1"; }
does() {
  echo "$1" >"$folder/now"
  ( "task_$1" ) >"$folder/out.$1" 2>"$folder/err.$1" </dev/null
  status=$?
}
run() {
  does "$1"
  if [ "$status" -ne 0 ] && [ -n "$opening" ] && unopened "$1"; then
    set -- "$1" "$2" "$opening"
    opening=
    for before in $3; do run "$before" needed; done
    does "$1"
  fi
  opening=
  echo "$status" >"$folder/status.$1"
  [ "$status" -eq 0 ] || bad=yes
  [ "$2" = goes-on ] || [ "$status" -eq 0 ] || exit 0
}
"""
_TRIP: Final = """\
say() { printf '%s %s\\n' "$marker" "$*"; }
packed() { base64 -w 0; }
alive() { case $(systemctl is-active "$unit") in active | activating | reloading | deactivating) ;; *) return 1 ;; esac; }
refuse() { say "refused $1 $(printf %s "$2" | packed)"; }
# Looked at twice a second, and at once when it is over: what still runs then ends by itself.
follow() {
  shown=
  main=$(systemctl show -p MainPID --value "$unit")
  while alive; do
    for _ in 1 2 3 4 5 6 7 8; do
      sleep 0.05
      [ -d "/proc/$main" ] || break
    done
    printf . >&2
    read -r now 2>/dev/null <"$folder/now" || continue
    line=$(tail -c 3000 "$folder/out.$now" 2>/dev/null | grep '"message_type":"status"' | tail -n 1)
    [ -z "$line" ] || [ "$line" = "$shown" ] || { shown=$line; say "progress $now $(printf %s "$line" | packed)"; }
  done
}
told() {
  read -r status 2>/dev/null <"$folder/status.$1" || status=-
  say "task $1 $status $(tail -c "$2" "$folder/out.$1" 2>/dev/null | packed) $(tail -c "$3" "$folder/err.$1" 2>/dev/null | packed)"
}
"""
# A job whose way leads through us ends when our words do: restic would try a dead way for a quarter of an hour. The slice
# does that itself, so it is true of a controller that was killed too. What then still tries to take its lock away is killed;
# what cleans up after a job has its time, and so has the next job. A store that is full is tried for as long.
_BOUND: Final = """\
which() { systemctl show -p InvocationID --value "$unit"; }
ours=$(which)
end() {
  [ "$(which)" = "$ours" ] || return
  systemctl kill --signal=TERM "$unit"
  sleep 5
  [ "$(which)" = "$ours" ] || return
  case $(systemctl show -p SubState --value "$unit") in running | stop-sigterm) systemctl kill --signal=KILL "$unit" ;; esac
}
( while timeout SILENCE sh -c 'read -r beat'; do ! grep -qsF '(507)' "$folder"/err.* || break; done <&7; end ) >/dev/null 2>&1 &
bound=$!
trap 'kill "$bound" 2>/dev/null' EXIT
"""
_START: Final = """\
mkdir -p "${folder%/*}" && rm -rf "$folder" && mkdir -m 0700 "$folder" || { refuse failed "no folder in /run"; return; }
"""


@dataclass(frozen=True, slots=True)
class Task:
    """One thing that a job does: sh in which `r` is restic on the repository, and how much of its end is wanted.

    When a task that is `needed` fails, what would come next is not tried. Those that come `later` reach and open the repository
    for the next one, and run only where that could not.
    """

    name: str
    script: str
    wanted: int = 8_000
    needed: bool = False
    later: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """Tasks for one repository, in order; who asks for them, and their longest time in seconds.

    `after` is sh that runs when all is over, however that came; then nothing stays of the tasks but what they said.
    """

    id: str
    app: str
    who: str
    tasks: tuple[Task, ...]
    longest: float = LONGEST
    after: str = ""


@dataclass(frozen=True, slots=True)
class TaskReply:
    """How a task ended; no status: it was cut, or never begun."""

    status: int | None
    out: str
    err: str


REACH: Final = Task("reach", "reach", needed=True)
OPEN: Final = Task("open", "open", needed=True)
REACH_LATER: Final = replace(REACH, later=True)
OPEN_LATER: Final = replace(OPEN, later=True)


def started(job: Job, repository: Repository, marker: str) -> str:
    """Given a job, its repository and a random marker, return the script that starts it and follows it to its end."""
    files = {
        "password": repository.password,
        "owner": repository.owner,
        "key": repository.key,
        "known_hosts": "".join(f"store {key}\n" for key in repository.host_keys),
        "variables": "".join(f"{name}={value}\n" for name, value in repository.variables),
        "work": _work(job, repository),
        "id": f"{job.id}\n",
        "who": f"{untrusted.line(job.who, 200)}\n",
    }
    if after := _after(job, repository):
        files["after"] = after
    puts = "".join(f'{sh.decoded(text.encode())} >"$folder/{name}"\n' for name, text in files.items())
    secret = " ".join(f'"$folder/{name}"' for name in _CREDENTIALS)
    start = (
        f'if alive; then refuse busy "$(head -c 300 "$folder/who")"; return; fi\n{_START}umask 077\n{puts}'
        f"said=$({_systemd_run(job, ends=bool(after))} 2>&1)\nstatus=$?\nrm -f {secret}\n"
        '[ "$status" -eq 0 ] || { refuse failed "$said"; return; }\n'
        + (_BOUND.replace("SILENCE", f"{SILENCE:g}") if repository.bound else "")
    )
    return _trip(job, marker, _guard() + start)


def followed(job: Job, marker: str) -> str:
    """Given a job that another run started, return the script that follows it to its end, or says that it is gone."""
    here = f'[ "$(cat "$folder/id" 2>/dev/null)" = {sh.quote(job.id)} ] || {{ refuse gone ""; return; }}\n'
    return _trip(job, marker, here)


def replies(reply: bytes, job: Job, marker: str, hidden: Collection[str]) -> Mapping[str, TaskReply]:
    """Given the reply of a trip, return how each task ended; raise Refused with the slice's reason, or BadReply."""
    found: dict[str, TaskReply] = {}
    ended = False
    for rest in framed(reply, marker):
        if refusal := _REFUSED.fullmatch(rest):
            raise _refusal(refusal[1], untrusted.line(sh.unencoded(refusal[2]) or b"", 300, hidden))
        if (match := _TASK.fullmatch(rest)) and int(match[1]) < len(job.tasks):
            task = job.tasks[int(match[1])]
            out = untrusted.text(sh.unencoded(match[3]) or b"", task.wanted, hidden)
            err = untrusted.text(sh.unencoded(match[4]) or b"", _ERRORS, hidden)
            found[task.name] = TaskReply(None if match[2] == b"-" else int(match[2]), out, err)
        ended = ended or rest == b"end"
    if not ended or len(found) != len(job.tasks):
        raise BadReply("the reply is not whole", why=f"{len(found)} of {len(job.tasks)} tasks were told of")
    return found


def progress(line: bytes, job: Job, marker: str) -> tuple[Task, bytes] | None:
    """Given one line of a running trip, return the task that is under way and restic's word on it, None for noise."""
    head = f"{marker} ".encode()
    match = _PROGRESS.fullmatch(line[len(head) :]) if line.startswith(head) else None
    if match is None or int(match[1]) >= len(job.tasks):
        return None
    return job.tasks[int(match[1])], sh.unencoded(match[2]) or b""


def _trip(job: Job, marker: str, opening: str) -> str:
    told = "".join(f"told {index} {task.wanted} {_ERRORS}\n" for index, task in enumerate(job.tasks))
    body = (
        PRELUDE
        + f"marker={marker}\nfolder={_folder(job.app)}\nunit={_unit(job.app)}\n"
        + _TRIP
        + opening
        + f"follow\n{told}say end\n"
    )
    return called_once(body, marker)


def _guard() -> str:
    since = f"since $(date -u -r {paths.HANDS_OFF} +%Y-%m-%dT%H:%M:%SZ)"
    return (
        f'if [ -e {paths.HANDS_OFF} ]; then refuse paused "{since}"; return; fi\n'
        f'if [ ! -e {paths.IDENTITY} ]; then refuse wiped ""; return; fi\n'
        'version=$(restic version 2>&1)\ncase $version in "restic 0."[0-9].* | "restic 0.1"[0-7].*) refuse restic "$version"; return ;;'
        ' "restic "*) ;; *) refuse restic "$version"; return ;; esac\n'
    )


def _work(job: Job, repository: Repository) -> str:
    functions = "".join(f"task_{index}() {{\n{task.script}\n}}\n" for index, task in enumerate(job.tasks))
    far = not (repository.url or repository.folder)
    runs = "".join(f"{_how(task, index, far=far)}\n" for index, task in enumerate(job.tasks))
    login = f"{repository.user}@{repository.address}"
    values = f"folder={_folder(job.app)} port={repository.port} login={sh.quote(login)}\n"
    values += f"repository={sh.quote(repository.url or repository.folder)} base={sh.quote(repository.folder)}\n"
    values += f"source={sh.quote(repository.source)}\n" if repository.source else ""
    cache = f"export RESTIC_CACHE_DIR=/var/cache/tfheal/{job.app}\n"
    way = _AWAY if repository.url else _NEAR if repository.folder else FAR
    return PRELUDE + values + cache + way + _WORK + functions + runs


def _how(task: Task, index: int, *, far: bool) -> str:
    # A disk may be absent, and an address is tried for long: that is seen to before anything is done there.
    if task.later and (far or task.name != REACH.name):
        return f"later {index}"
    return f"run {index} {'needed' if task.needed else 'goes-on'}"


def _after(job: Job, repository: Repository) -> str:
    """Return what runs when all is over, however that came: what the job asks for, and on the store that all is tidy."""
    if repository.folder and not repository.url:
        return f"repository={sh.quote(repository.folder)}\n{_TIDY}"
    return f"cd {_folder(job.app)} || exit\n{job.after}rm -f work check databases after\n" if job.after else ""


def _systemd_run(job: Job, *, ends: bool) -> str:
    properties = (
        "Type=exec",
        "Nice=15",
        "IOSchedulingClass=idle",
        f"RuntimeMaxSec={job.longest:g}",
        *(f"LoadCredential={name}:{_folder(job.app)}/{name}" for name in _CREDENTIALS),
    )
    after = (f"ExecStopPost=/bin/sh {_folder(job.app)}/after", f"TimeoutStopSec={_CLEANED:g}") if ends else ()
    words: Iterable[str] = (f"--property={one}" for one in (*properties, *after))
    return f'systemd-run --quiet --collect --unit="$unit" {sh.join(*words)} sh {_folder(job.app)}/work </dev/null'


def _folder(app: str) -> str:
    return f"{paths.RUN}/backup/{app}"


def _unit(app: str) -> str:
    return f"tfheal-backup-{app}.service"


def _refusal(word: bytes, said: str) -> Refused:
    told = {
        b"paused": Refused(f"paused by the owner {said}", hint=f"they lift it by removing {paths.HANDS_OFF}"),
        b"wiped": Refused("the marker of identity is gone", why="this is not the machine that was deployed to"),
        b"restic": Refused("restic 0.18 or newer is needed", why=said, hint="Debian 13 has it; a deploy installs it"),
        b"busy": Refused("another run is at work on the slice", why=said),
        b"gone": Refused("nothing is known of it on the slice", why="it was restarted since, or another job began"),
    }
    return told.get(word) or Refused("the job could not be started", why=said)
