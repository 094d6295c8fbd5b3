"""An instance: its state file, its unit, its resources and its checks, asked as questions and read back as facts."""

import re
from collections.abc import Collection, Mapping
from typing import Final

from tfheal.base import sh, untrusted
from tfheal.core.probe import checks, reflex
from tfheal.core.probe.script import Answer, Question
from tfheal.core.resources.step import Step
from tfheal.model import paths
from tfheal.model.facts import Fact, InstanceFacts, Known, ReflexEvent, ResourceFact, SliceState, UnitFact, Unknown
from tfheal.model.release import Release

_UNIT_PROPERTIES: Final = (
    "ActiveState,SubState,Result,UnitFileState,NRestarts,ActiveEnterTimestampMonotonic,MainPID,ControlPID"
)
_STATE_CAP: Final = 16_384
_RESOURCES_CAP: Final = 262_144
_ROOM: Final = (
    150_000  # bytes of all that checks say, before base64: what exceeds it is cut, so that the end still comes
)
_SAID_CAP: Final = 98_304
_CUT_SAID_CAP: Final = 500
_RESOURCE: Final = re.compile(rb"resource (\d{1,4}) (\d{1,3}) ([A-Za-z0-9+/=]*)")
_MOST: Final = 999_999_999  # restarts of a unit, and placements of an app
_RELEASE: Final = re.compile(r"[0-9a-f]{16}")
_DIFFERS: Final = 1
_MOST_HELD: Final = 20


def questions(
    release: Release, steps: tuple[Step, ...], secrets: Mapping[tuple[str, int], str]
) -> tuple[Question, ...]:
    """Given a release, its steps and its secrets, return everything to ask about the instance."""
    prefix = release.instance.on_slice
    seconds = sum(min(step.check_timeout, 10.0) for step in steps)
    return (
        Question(f"{prefix} state", _state_script(release), timeout=5, cap=_STATE_CAP),
        Question(f"{prefix} resources", _resources_script(steps), timeout=min(30.0, 5 + seconds), cap=_RESOURCES_CAP),
        *(checks.question(f"{prefix} check {index}", check, secrets) for index, check in enumerate(release.checks)),
    )


def facts(
    release: Release,
    steps: tuple[Step, ...],
    hidden: Collection[str],
    answers: Mapping[str, Answer | None],
) -> InstanceFacts:
    """Given the same release and steps, what is not to be shown, and the answers, return the facts of the instance."""
    prefix = release.instance.on_slice
    state, unit, did = _state(answers[f"{prefix} state"], release, hidden)
    return InstanceFacts(
        state=state,
        unit=unit,
        resources=_resources(steps, hidden, answers[f"{prefix} resources"]),
        checks=tuple(
            checks.fact(check, hidden, answers[f"{prefix} check {index}"]) for index, check in enumerate(release.checks)
        ),
        reflex=did,
    )


def _state_script(release: Release) -> str:
    file = f"{paths.state(release.app, release.component)}/state"
    held = f"{paths.state(release.app, release.component)}/held"
    lines = [
        f"if [ -r {file} ]; then sed 's/^/state /' {file}; else echo absent; fi",
        f"[ ! -r {held} ] || tail -n {_MOST_HELD} {held} | sed 's/^/held /'",
        'read -r up _ </proc/uptime; echo "up $up"',
    ]
    if release.unit:
        lines.append(f"systemctl show -p {_UNIT_PROPERTIES} -- {sh.quote(release.unit)}")
        lines.append(reflex.script(release))
    return "\n".join(lines)


def _resources_script(steps: tuple[Step, ...]) -> str:
    # A step that is as wanted costs one subshell and one line; only what differs is encoded.
    lines = [
        f"room={_ROOM}",
        "tell() {",
        f'  if [ "${{#said}}" -gt {_SAID_CAP} ] || [ "${{#said}}" -gt "$room" ]; then',
        f'    said=$(printf %.{_CUT_SAID_CAP}s "${{said%%current:*}}")',
        "  fi",
        "  room=$((room - ${#said}))",
        '  printf \'resource %s %s %s\\n\' "$1" "$2" "$(printf %s "$said" | base64 -w 0)"',
        "}",
    ]
    for index, step in enumerate(steps):
        lines += [
            f"said=$( ( {step.check}\n) 2>&1 </dev/null ); status=$?",
            f"if [ $status -eq 0 ]; then echo 'resource {index} 0 '; else tell {index} $status; fi",
        ]
    return "\n".join([*lines, "echo complete"])


def _state(
    answer: Answer | None, release: Release, hidden: Collection[str]
) -> tuple[Fact[SliceState | None], Fact[UnitFact], tuple[ReflexEvent, ...]]:
    if answer is None or answer.timed_out:
        silent = Unknown("no time was left to ask" if answer is None else "the slice did not answer in time")
        return silent, silent, ()
    said = {}
    state = {}
    did = []
    held = []
    absent = False
    for line in untrusted.text(answer.output, _STATE_CAP).split("\n"):
        absent = absent or line == "absent"
        word, _, rest = line.partition(" ")
        if word == "state":
            key, _, value = rest.partition(" ")
            state[key] = value
        elif word == "held":
            held.append(rest)
        elif word == "up":
            said["up"] = rest
        elif word == "reflex":
            did.append(rest)
        else:
            key, _, value = line.partition("=")
            said[key] = value
    return (Known(None) if absent else _slice_state(state, held)), _unit(said, release), reflex.events(did, hidden)


def _slice_state(state: dict[str, str], held: list[str]) -> Fact[SliceState | None]:
    generation = untrusted.whole(state.get("generation"), _MOST)
    if generation is None or not _RELEASE.fullmatch(state.get("release", "")):
        return Unknown("the state file on the slice does not parse")
    return Known(
        SliceState(
            release=state["release"],
            version=state.get("version", "")[:50],
            generation=generation,
            writer=state.get("writer", "")[:200],
            at=state.get("at", "")[:40],
            phase=state.get("phase", "")[:20],
            held=tuple(one for one in held if _RELEASE.fullmatch(one)),
        )
    )


def _unit(said: dict[str, str], release: Release) -> Fact[UnitFact]:
    if release.unit is None:
        return Unknown("the component runs no service")
    if "ActiveState" not in said:
        return Unknown("systemd did not answer")
    entered = untrusted.whole(said.get("ActiveEnterTimestampMonotonic"))
    up = untrusted.decimal(said.get("up"), untrusted.CENTURY)
    active_for = None
    if said["ActiveState"] == "active" and entered is not None and up is not None:
        active_for = max(0.0, up - entered / 1e6)
    return Known(
        UnitFact(
            active=said["ActiveState"][:30],
            sub=said.get("SubState", "")[:30],
            result=said.get("Result", "")[:30],
            enabled=said.get("UnitFileState", "")[:30],
            restarts=untrusted.whole(said.get("NRestarts"), _MOST) or 0,
            active_for=active_for,
            idle=said.get("MainPID") == "0" == said.get("ControlPID"),
        )
    )


def _resources(
    steps: tuple[Step, ...], hidden: Collection[str], answer: Answer | None
) -> Fact[tuple[ResourceFact, ...]]:
    if answer is None:
        return Unknown("no time was left to ask")
    if answer.timed_out or not answer.output.rstrip().endswith(b"complete"):
        return Unknown("the checks of the resources did not come to an end")
    found: dict[int, ResourceFact] = {}
    for line in answer.output.split(b"\n"):
        if match := _RESOURCE.fullmatch(line):
            index = int(match[1])
            if index < len(steps):
                said = sh.unencoded(match[3]) or b""
                found[index] = _resource_fact(steps[index], int(match[2]), said, hidden)
    if len(found) != len(steps):
        return Unknown("the slice did not answer for every resource")
    return Known(tuple(found[index] for index in range(len(steps))))


def _resource_fact(step: Step, status: int, said: bytes, hidden: Collection[str]) -> ResourceFact:
    """Given a step, the exit status of its check and what it printed, return the fact; `current` is a file's content."""
    if status == 0:
        return ResourceFact(step.id, "ok")
    current: str | None = None
    kept = []
    for line in said.split(b"\n"):
        if not line.startswith(b"current:"):
            kept.append(line)
        elif step.diff and (content := sh.unencoded(line[8:])) is not None:
            current = untrusted.text(content, 65_536, hidden)
    detail = untrusted.line(b" ".join(kept), 500, hidden)
    if status == _DIFFERS:
        return ResourceFact(step.id, "differs", detail or "not as wanted", current)
    return ResourceFact(step.id, "unknown", detail or f"the check ended with {status}")
