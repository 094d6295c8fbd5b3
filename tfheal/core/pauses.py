"""Pauses, pure: their files on a slice and the shell around them, which of them stand, and what they do to a judgement."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from tfheal.base import untrusted
from tfheal.base.moments import rfc3339
from tfheal.model import paths
from tfheal.model.facts import Known, Observation, SliceFacts
from tfheal.model.findings import Finding, Health
from tfheal.model.names import NAME_PATTERN
from tfheal.model.pause import Pause
from tfheal.model.release import InstanceName

WHOLE_SLICE: Final = "_slice"  # no app has this name
_MOST: Final = 16  # files of one slice that are read
_CAP: Final = 700  # bytes of one file
_ID: Final = re.compile(r"[0-9a-z]{1,40}")
_NOT_ASKED: Final = frozenset({"slice-unreachable", "unasked", "not-checked"})
# A first line that is no time is a pause all the same: whoever made it meant one, and only its end is not known.
OVER: Final = """\
over() {
  read -r until <"$1" || :
  case $until in
    [0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]Z)
      expr "$until" '<=' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >/dev/null ;;
    *) return 1 ;;
  esac
}
"""


def file_of(pause: Pause) -> str:
    """Return the name of the file of a pause in `pause.d`."""
    return pause.name if pause.kind == "app" else WHOLE_SLICE


def text_of(pause: Pause) -> str:
    """Return the text of the file of a pause: its end on the first line, then its id, since when, by whom and why."""
    end, since = (rfc3339(moment) if moment else "unknown" for moment in (pause.until, pause.since))
    return f"{end}\nid {pause.id}\nsince {since}\nby {_line(pause.who)}\nwhy {_line(pause.why)}\n"


def parsed(file: str, content: bytes, slice_name: str, hidden: Collection[str] = ()) -> Pause | None:
    """Given the name and content of a file of `pause.d` and the slice it is on, return the pause; None for no such name."""
    if file != WHOLE_SLICE and not re.fullmatch(NAME_PATTERN, file):
        return None
    first, *rest = untrusted.text(content, _CAP, hidden).split("\n")
    said = {key: value for key, _, value in (line.partition(" ") for line in reversed(rest))}
    return Pause(
        id=said["id"] if _ID.fullmatch(said.get("id", "")) else "",
        kind="slice" if file == WHOLE_SLICE else "app",
        name=slice_name if file == WHOLE_SLICE else file,
        since=untrusted.moment(said.get("since", "")),
        until=untrusted.moment(first),
        who=said.get("by", "")[:200],
        why=said.get("why", "")[:500],
        on=slice_name,
    )


def question() -> str:
    """Return sh that prints a line `pause FILE BASE64` for each pause that is kept on a slice."""
    return (
        f"for kept in {paths.PAUSES}/*; do\n"
        f'  if [ -f "$kept" ]; then echo "pause ${{kept##*/}} $(head -c {_CAP} "$kept" | base64 -w 0)"; fi\n'
        f"done | head -n {_MOST}\n"
    )


def guard(app: str) -> str:
    """Given an app, return sh that says `refused stopped` and returns while it or the slice is paused; past ones go."""
    return (
        f"{OVER}for kept in {paths.PAUSES}/{app} {paths.PAUSES}/{WHOLE_SLICE}; do\n"
        '  [ -f "$kept" ] || continue\n'
        '  if over "$kept"; then rm -f "$kept"; continue; fi\n'
        f'  say "refused stopped $(packed "${{kept##*/}} $(head -c {_CAP} "$kept")")"; return\n'
        "done\n"
    )


def refusal(said: bytes, slice_name: str, hidden: Collection[str] = ()) -> str:
    """Given what the guard said, return the words for it."""
    file, _, content = said.partition(b" ")
    pause = parsed(file.decode("ascii", "replace"), content, slice_name, hidden)
    return pause.words if pause else "paused"


def standing(known: Iterable[Pause], seen: Mapping[str, Observation], now: datetime) -> tuple[Pause, ...]:
    """Given the journal's pauses and what was seen, return those that hold now: ours, and others that slices tell of."""
    ours = {pause.id: pause for pause in known}
    told = [pause for pause in told_of(seen) if pause.id not in ours]
    return tuple(pause for pause in (*ours.values(), *told) if pause.holds(now))


def told_of(seen: Mapping[str, Observation]) -> list[Pause]:
    """Return the pauses whose files were seen on slices, also those that are over."""
    facts = [one.machine.pauses for one in seen.values() if isinstance(one, SliceFacts)]
    return [pause for fact in facts if isinstance(fact, Known) for pause in fact.value]


def quieted(
    findings: Iterable[Finding], healths: Mapping[InstanceName, Health], pauses: Iterable[Pause]
) -> tuple[list[Finding], dict[InstanceName, Health]]:
    """Given findings, healths and the pauses that hold, return both as a pause leaves them.

    What is paused is still judged, but asks for nothing: no remedy, no human, no exit code. What could not be asked
    stays unknown.
    """
    standing_ones = tuple(pauses)
    told = [_finding(pause, name) for pause in standing_ones for name in _places(pause, healths)]
    quiet = [_quiet(finding) if _concerned(finding, standing_ones) else finding for finding in findings]
    paused = {
        name: "paused" if health not in {"unknown", "absent"} and _of(standing_ones, name) else health
        for name, health in healths.items()
    }
    return [*quiet, *told], paused


def _places(pause: Pause, healths: Mapping[InstanceName, Health]) -> list[InstanceName | None]:
    return [None] if pause.kind == "slice" else [name for name in healths if pause.concerns(name.app, name.slice)]


def _finding(pause: Pause, name: InstanceName | None) -> Finding:
    since = rfc3339(pause.since) if pause.since else None
    return Finding("paused", "info", name.slice if name else pause.name, pause.terms, name, since=since, paused=True)


def _quiet(finding: Finding) -> Finding:
    # That something could not be asked is true of a paused slice too, and has its own exit code.
    severity = finding.severity if finding.cause in _NOT_ASKED else "info"
    return replace(finding, severity=severity, entry=None, paused=True)


def _concerned(finding: Finding, pauses: Iterable[Pause]) -> bool:
    app = finding.instance.app if finding.instance else ""
    return any(pause.concerns(app, finding.slice) for pause in pauses)


def _of(pauses: Iterable[Pause], name: InstanceName) -> bool:
    return any(pause.concerns(name.app, name.slice) for pause in pauses)


def _line(text: str) -> str:
    return untrusted.line(text, 500)
