"""What is damaged in a repository is taken out of it, and put in again from its copy, or from what is live.

restic names everything by its content: whatever brings the same bytes again makes every snapshot whole that needs them. The
damaged packs stay beside the repository until all that is stored was read again and is sound.
"""

from typing import Final

from tfheal.core.backup import verify
from tfheal.core.backup.job import OPEN, REACH, Task
from tfheal.core.backup.prune import shut_task
from tfheal.model.verification import WHOLE

SALVAGED: Final = "salvage"
MARKED: Final = "mark"
FETCHED: Final = "fetch"
CLEARED: Final = "clear"
_TAG: Final = "tfheal-repair"  # what bears it is on its way: restic copies no snapshot that looks as one that is there
# What is readable in a damaged pack is kept by restic. Of a pack that is gone the index is told first.
_SALVAGE: Final = """\
packs=$(tail -n 1 "$folder/said" | grep -o '"broken_packs":[[][^]]*' | grep -oE '[0-9a-f]{64}')
mkdir -p -m 0700 "$repository.damaged" && cd "$repository.damaged" || return
r unlock >/dev/null 2>&1
r repair index >&2
status=$?
[ $status -ne 0 ] || [ -z "$packs" ] || r repair packs $packs >&2
status=$?
owned .
return $status
"""
_MARK: Final = f"r tag --add {_TAG} >&2\nstatus=$?\nowned . && return $status"
_UNMARK: Final = f"r tag --tag {_TAG} --remove {_TAG} >&2\nstatus=$?\nowned . && return $status"
_HERE: Final = 'restic -r "$source" --no-cache --json -p "$CREDENTIALS_DIRECTORY/password"'
_FETCH: Final = f"""\
{_HERE} copy --from-repo rclone: --from-password-file "$CREDENTIALS_DIRECTORY/password" \\
  -o "rclone.program=$way" -o rclone.timeout=20s --retry-lock 10m --tag {_TAG} >/dev/null
status=$?
came=$({_HERE} --no-lock snapshots --tag {_TAG} | grep -oE '"id":"[0-9a-f]{{64}}"' | cut -d '"' -f 4)
[ -z "$came" ] || {_HERE} forget $came >&2 || status=1
chown -Rh --reference="$source" "$source"
return $status
"""


def salvage_tasks() -> tuple[Task, ...]:
    """Return the tasks that read all that is stored, with the slice's key shut out, and take out what is damaged."""
    reach, *reading = verify.tasks(WHOLE)
    return (reach, shut_task(), *reading, Task(SALVAGED, _SALVAGE, needed=True))


def mark_tasks() -> tuple[Task, ...]:
    """Return the tasks that have every snapshot of a copy be on its way back."""
    return (REACH, OPEN, Task(MARKED, _MARK, needed=True))


def unmark_tasks() -> tuple[Task, ...]:
    """Return the tasks after which no snapshot of a copy is on its way back."""
    return (REACH, OPEN, Task(MARKED, _UNMARK, needed=True))


def fetch_tasks() -> tuple[Task, ...]:
    """Return the tasks that bring what is missing from the copy, and leave no snapshot twice."""
    return (REACH, OPEN, Task(FETCHED, _FETCH, needed=True))


def clear_tasks() -> tuple[Task, ...]:
    """Return the tasks that throw away the damaged packs."""
    return (REACH, Task(CLEARED, 'rm -rf "$repository.damaged"', needed=True))
