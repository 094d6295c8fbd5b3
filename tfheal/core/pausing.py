"""The trip that writes or removes the file of a pause: one script, and what the slice says of it.

What it changes stands in the owner's journal like everything else that we do there.
"""

import json
import re
from collections.abc import Collection, Iterable
from typing import Final, Literal

from tfheal.base import sh, untrusted
from tfheal.base.errors import BadReply
from tfheal.base.moments import rfc3339
from tfheal.core.apply import RECORD
from tfheal.core.pauses import OVER, file_of, text_of
from tfheal.core.probe.script import PRELUDE, called_once, framed
from tfheal.model import paths
from tfheal.model.pause import Pause

Told = Literal["done", "idle", "owner", "failed"]
WAIT: Final = 5  # seconds for what began before a pause; what takes longer is named, and goes on to its end
TIMEOUT: Final = 60.0
CAP: Final = 8_192
_TOLD: Final = re.compile(rb"(done|idle|owner|failed) ([A-Za-z0-9+/=]*)")


def composed(body: str, apps: Iterable[str], marker: str) -> str:
    """Given what to do with files of pauses, the apps to wait for and a random marker, return the script of the trip.

    The owner's stop forbids this too. What begins after the file is there sees it, so only what began before is waited for.
    """
    return called_once(
        PRELUDE
        + f"marker={marker}\njournal={paths.SLICE_JOURNAL}\n"
        + RECORD
        + 'tell() { printf \'%s %s %s\\n\' "$marker" "$1" "$(printf %s "$2" | base64 -w 0)"; }\n'
        + f'if [ -e {paths.HANDS_OFF} ]; then tell owner ""; return; fi\n'
        + f'said=$( ( {body}\n) 2>&1 )\ncase $? in 0) ;; 3) tell idle ""; return ;; *) tell failed "$said"; return ;; esac\n'
        + f'tell done "$( ( {_waited(apps)}:\n) 2>&1 )"\n',
        marker,
    )


def told(reply: bytes, marker: str, hidden: Collection[str] = ()) -> tuple[Told, str]:
    """Given the reply of the trip, return how it went and what was said; raise BadReply if it does not parse."""
    for rest in framed(reply, marker):
        if match := _TOLD.fullmatch(rest):
            words: dict[bytes, Told] = {b"done": "done", b"idle": "idle", b"owner": "owner", b"failed": "failed"}
            return words[match[1]], untrusted.line(sh.unencoded(match[2]) or b"", 300, hidden)
    raise BadReply("the reply is not whole", why="the slice did not say how it went")


def kept(pauses: Iterable[Pause], marker: str) -> str:
    """Given pauses and a random marker, return sh that writes their files, each in one step."""
    lines = [f"mkdir -p {paths.STATE} && chmod 0700 {paths.STATE} && mkdir -p {paths.PAUSES} || exit 1"]
    for pause in pauses:
        new = f"{paths.PAUSES}/.{marker}"
        lines.append(
            f"printf %s {sh.quote(text_of(pause))} >{new} && sync {new} && "
            f"mv -T {new} {paths.PAUSES}/{file_of(pause)} || exit 1\n{_recorded('pause', pause, pause.who, pause.why)}"
        )
    return "\n".join(lines) + "\n"


def swept(ended: Iterable[Pause]) -> str:
    """Given pauses that were lifted, return sh that removes their files and those of all pauses that are over.

    A file that another pause took over since stays.
    """
    lines = [
        f"if grep -qxF {sh.quote(f'id {one.id}')} {paths.PAUSES}/{file_of(one)} 2>/dev/null; then\n"
        f"  rm -f {paths.PAUSES}/{file_of(one)}\n{_ended(one)}fi\n"
        for one in ended
    ]
    past = f'{OVER}for kept in {paths.PAUSES}/*; do [ ! -f "$kept" ] || ! over "$kept" || rm -f "$kept"; done\n'
    return "".join(lines) + past + _no_empty_folder()


def lifted(over: Pause) -> str:
    """Given a pause that is over and who says so, return sh that removes its file, whoever wrote it; it exits 3 if there is none."""
    file = f"{paths.PAUSES}/{file_of(over)}"
    return f"[ -e {file} ] || exit 3\nrm -f {file} || exit 1\n{_recorded('resume', over, over.who, '')}{_no_empty_folder()}"


def _ended(one: Pause) -> str:
    """Return sh that records the end of a pause where it was lifted while the slice was out of reach."""
    return _recorded("resume", one, "", "it was lifted before, out of reach of this slice") if one.lifted else ":\n"


def _recorded(event: str, pause: Pause, who: str, why: str) -> str:
    words = {"writer": untrusted.line(who, 200), pause.kind: pause.name, "why": untrusted.line(why, 500)}
    until = {"until": rfc3339(pause.until)} if pause.until and event == "pause" else {}
    entry = json.dumps(words | until, separators=(",", ":"))[1:-1]
    # A journal that cannot be written to stops no pause: the disk may be what it is about.
    record = f"record {sh.quote(json.dumps({'event': event}, separators=(',', ':'))[1:-1])}"
    return f"mkdir -p {paths.SLICE_JOURNAL.rpartition('/')[0]} 2>/dev/null; entry={sh.quote(entry)}; {record} || :\n"


def _waited(apps: Iterable[str]) -> str:
    return "".join(
        f"if [ -e {paths.RUN}/{app}.lock ] && ! flock -w {WAIT} {paths.RUN}/{app}.lock true; then\n"
        f"  head -c 300 {paths.RUN}/{app}.holder\nfi\n"
        for app in apps
    )


def _no_empty_folder() -> str:
    return f"rmdir {paths.PAUSES} 2>/dev/null\n:\n"
