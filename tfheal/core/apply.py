"""The apply trip: steps become one script that guards, applies and verifies each, and whose report is read back.

On the slice it holds the app's lock (inherited by whatever it starts, so that a successor sees work that still runs),
refuses what the owner or a newer placement forbids, and leaves a line before and after in the owner's journal.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from tfheal.base import sh, untrusted
from tfheal.base.errors import BadReply
from tfheal.core import lease, pauses
from tfheal.core.probe import checks
from tfheal.core.probe.script import ANSWER, PRELUDE, answer_of, called_once, duration, whole
from tfheal.core.resources.step import Step
from tfheal.model import paths
from tfheal.model.facts import CheckFact
from tfheal.model.playbook import Check
from tfheal.model.release import Release

StepOutcome = Literal["ok", "changed", "failed", "skipped"]
Secrets = Mapping[tuple[str, int], str]

# Seconds between signs of life, on stderr, where they come between no frames: who acts is silent only when it is gone.
PULSE: Final = 2
# record JSON: adds a line to the owner's journal, with the hash of the line before it, after what $entry says.
RECORD: Final = """\
record() {
  (
    flock -w 5 8
    [ -z "$(tail -c 1 "$journal" 2>/dev/null)" ] || echo >>"$journal"
    printf '{"prev":"%s","at":"%s",%s,%s}\\n' "$(tail -n 1 "$journal" 2>/dev/null | sha256sum | cut -c 1-64)" \\
      "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$entry" "$1" >>"$journal"
  ) 8>>"$journal.lock" 2>/dev/null
}
"""
# What a part leaves behind with its output open is waited for until its time-out and a little longer, not for ever.
_LIBRARY: Final = """\
say() { printf '%s %s\\n' "$marker" "$*"; }
packed() { printf %s "$1" | base64 -w 0; }
part() {
  said=$({ printf %s "$2" | timeout -k 5 "$1" sh 2>&1; printf '\\n%s' "$?"; } |
    timeout -k 1 "$((${1%.*} + 10))" cat | tail -c 8000)
  status=${said##*"$newline"}; said=${said%"$newline"*}
}
step() {
  [ -z "$stopped" ] || { say "step $1 skipped -"; return; }
  if [ -n "$2" ]; then part "$4" "$2"; [ "$status" -ne 0 ] || { say "step $1 ok -"; return; }; fi
  say "step $1 begun -"
  if [ "$6" != nothing ] && ! said=$(touch "$state/$6-needed" 2>&1); then
    stopped=$1; say "step $1 failed $(packed "$said")"; return
  fi
  part "$5" "$3"
  if [ "$status" -ne 0 ]; then stopped=$1; say "step $1 failed $(packed "$said")"; return; fi
  if [ -n "$2" ]; then
    part "$4" "$2"
    [ "$status" -eq 0 ] || { stopped=$1; say "step $1 failed $(packed "applied, but still: $said")"; return; }
  fi
  changed=1
  say "step $1 changed -"
}
ask() {
  read -r begun _ </proc/uptime
  part "$2" "$3"
  read -r ended _ </proc/uptime
  say "check $1 $(packed "$said") $status $begun $ended"
}
throb() { while sleep "$pulse" 3>&- && kill -0 $$; do printf . >&3; done 3>&2 2>/dev/null; }
remember() {
  printf '%s\\nphase %s\\nat %s\\n' "$facts" "$1" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >"$state/state.new" &&
    sync "$state/state.new" && mv -T "$state/state.new" "$state/state"
}
"""
_STEP: Final = re.compile(rb"step (\d{1,4}) (ok|changed|failed|skipped|begun) ([A-Za-z0-9+/=-]*)")
_REFUSED: Final = re.compile(rb"refused (paused|stopped|busy|late|older|wiped) ([A-Za-z0-9+/=]*)")


@dataclass(frozen=True, slots=True)
class Order:
    """What the slice is told about who acts, and why; `remembers` says that the state file follows this action.

    An `identity` is given to a machine that has none; without one to give, a machine that lost its own is not touched.
    `good` is the software that stays there as a way back, release by release; `holds` is a release that is held from now
    on. A release that is deployed is no longer held.
    """

    verb: str
    writer: str
    run: str
    why: str
    generation: int
    remembers: bool
    identity: str | None = None
    good: tuple[tuple[str, ...], ...] = ()
    holds: str | None = None


@dataclass(frozen=True, slots=True)
class StepReport:
    """How one step ended."""

    step: str
    outcome: StepOutcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What an apply trip did: refused as a whole, or step by step, and the checks asked at its end.

    `late` says that it was refused because another was at work until just now: things have to be looked at again.
    """

    steps: tuple[StepReport, ...]
    checks: tuple[CheckFact, ...]
    refused: str = ""
    late: bool = False
    complete: bool = True
    failures: tuple[StepReport, ...] = field(default=())

    @property
    def changed(self) -> bool:
        """Return whether anything was changed."""
        return any(step.outcome == "changed" for step in self.steps)

    @property
    def dead(self) -> tuple[CheckFact, ...]:
        """Return the `alive` checks that failed, or else those that could not be asked."""
        alive = [check for check in self.checks if check.kind == "alive"]
        failed = tuple(check for check in alive if check.verdict == "fail")
        return failed or tuple(check for check in alive if check.verdict == "unknown")


def alive_script(release: Release, secrets: Secrets) -> str:
    """Given a release, return sh that exits 0 when its unit is active and its `alive` checks pass."""
    lines = []
    if release.unit:
        lines.append(
            f"systemctl is-active --quiet -- {sh.quote(release.unit)} || {{ echo 'the unit is not active'; exit 1; }}"
        )
    lines += [
        f"said=$( ( {checks.script(check, secrets)}\n) 2>&1 ) || {{ printf '%s: %s\\n' {check.name} \"$said\"; exit 1; }}"
        for check in release.checks
        if check.kind == "alive"
    ]
    return "\n".join([*lines, "exit 0"])


def wait_script(release: Release, secrets: Secrets) -> str:
    """Given a release, return sh that waits until it is alive, at most its start time-out, and exits 1 if it is not.

    It does not wait for a unit that systemd has given up.
    """
    patience = round(release.start_timeout)
    given_up = f"! systemctl is-failed --quiet -- {sh.quote(release.unit)}" if release.unit else ":"
    return "\n".join(
        [
            "read -r now _ </proc/uptime",
            f"until=$((${{now%.*}} + {patience}))",
            f"while ! said=$( ( {alive_script(release, secrets)}\n) 2>&1 ); do",
            f'  {given_up} || {{ echo "not alive, and systemd has given it up: $said"; exit 1; }}',
            "  read -r now _ </proc/uptime",
            f'  [ ${{now%.*}} -lt $until ] || {{ echo "not alive after {patience} s: $said"; exit 1; }}',
            "  sleep 0.3",
            "done",
        ]
    )


def composed(release: Release, steps: tuple[Step, ...], order: Order, secrets: Secrets, marker: str) -> str:
    """Given a release, the steps of an action, who orders it and a random marker, return the script of the apply trip."""
    state = paths.state(release.app, release.component)
    calls = "".join(
        f"step {index} {sh.quote(whole(step.check) if step.check else '')} {sh.quote(whole(step.apply))} "
        f"{duration(step.check_timeout)} {duration(step.timeout)} {step.effect}\n"
        for index, step in enumerate(steps)
    )
    asks = "".join(
        f"ask {index} {duration(check.timeout)} {sh.quote(whole(checks.script(check, secrets)))}\n"
        for index, check in enumerate(asked_checks(release, order))
    )
    body = (
        PRELUDE
        + f"marker={marker}\nnewline='\n'\nstopped=\nchanged=\nknown=\npulse={PULSE}\nstate={state}\njournal={paths.SLICE_JOURNAL}\n"
        + f"entry={sh.quote(_entry(release, order))}\nfacts={sh.quote(_facts(release, order))}\n"
        + RECORD
        + _LIBRARY
        + _guard(release, order)
        + _standings(release, order)
        + ("remember applying\n" if order.remembers else "")
        # By exec, as dash keeps a copy of what it redirects for a function: the lock would outlive who holds it.
        + "( exec </dev/null >/dev/null 9>&-; throb ) & throbbing=$!\n"
        + 'record \'"event":"begin"\'\n'
        + calls
        + asks
        + ('[ -n "$stopped" ] || remember applied\n' if order.remembers else "")
        + 'if [ -n "$stopped" ]; then outcome=failed; elif [ -n "$changed" ]; then outcome=changed; else outcome=ok; fi\n'
        + 'record "\\"event\\":\\"end\\",\\"outcome\\":\\"$outcome\\""\n'
        + 'say end\nkill "$throbbing" 2>/dev/null\n'
    )
    return called_once(body, marker)


def asked_checks(release: Release, order: Order) -> tuple[Check, ...]:
    """Return the checks that an apply trip asks at its end: all of them, none when an instance is removed."""
    return () if order.verb == "remove" else release.checks


def timeout(release: Release, steps: tuple[Step, ...]) -> float:
    """Return the seconds that an apply trip may take at most."""
    return (
        30
        + sum(step.timeout + 2 * step.check_timeout for step in steps)
        + sum(check.timeout for check in release.checks)
    )


def _guard(release: Release, order: Order) -> str:
    who = f"{order.writer}, {order.verb} of {release.app}/{release.component}, run {order.run}"
    return (
        f"if [ -e {paths.HANDS_OFF} ]; then\n"
        f'  say "refused paused $(packed "since $(date -u -r {paths.HANDS_OFF} +%Y-%m-%dT%H:%M:%SZ)")"; return\nfi\n'
        f"mkdir -p {paths.RUN} {paths.OWNER}\n"
        + lease.taken(release.app, who)
        + pauses.guard(release.app)
        + f'mkdir -p {paths.STATE} && chmod 0700 {paths.STATE} && mkdir -p "$state" "${{journal%/*}}"\n'
        'while read -r key value; do [ "$key" != generation ] || known=$value; done 2>/dev/null <"$state/state"\n'
        "case $known in *[!0-9]*|????????????*) known=;; esac\n"  # garbage is nobody's generation
        f'if [ "${{known:-0}}" -gt {order.generation} ]; then say "refused older $(packed "$known")"; return; fi\n'
        + _identified(order)
    )


def _standings(release: Release, order: Order) -> str:
    """Return sh that notes which software stays and which releases are held; with a removal all of it goes."""
    if order.verb == "remove":
        return ""
    good = sh.quote("\n".join(" ".join(names) for names in order.good))
    noted = f'printf "%s\\n" {good} >"$state/good.new" && mv -T "$state/good.new" "$state/good"\n' if order.good else ""
    lifted = f'[ ! -e "$state/held" ] || sed -i "/^{release.id}\\$/d" "$state/held"\n' if order.remembers else ""
    held = f'printf "%s\\n" {sh.quote(order.holds)} >>"$state/held"\n' if order.holds else ""
    # Who deploys says what is to be there: what waited for its data waits no longer.
    waits = f'rm -f "$state/{paths.AWAITS}"\n' if order.verb == "deploy" else ""
    return noted + lifted + held + waits


def _identified(order: Order) -> str:
    if order.identity:
        return f"[ -e {paths.IDENTITY} ] || printf '%s\\n' {sh.quote(order.identity)} >{paths.IDENTITY}\n"
    if order.verb == "remove":  # of a machine that was wiped, what is left to remove is the record of it
        return ""
    return f"if [ ! -e {paths.IDENTITY} ]; then say 'refused wiped '; return; fi\n"


def _entry(release: Release, order: Order) -> str:
    words = {
        "writer": order.writer,
        "run": order.run,
        "verb": order.verb,
        "app": release.app,
        "component": release.component,
        "release": release.id,
        "version": release.version,
        "generation": order.generation,
        "why": order.why,
    }
    return json.dumps(words, separators=(",", ":"))[1:-1]


def _facts(release: Release, order: Order) -> str:
    known = {"release": release.id, "version": release.version, "generation": order.generation}
    unit = {"unit": untrusted.line(release.unit, 200)} if release.unit else {}
    said = known | unit | {"writer": untrusted.line(order.writer, 200)}
    return "\n".join(f"{key} {value}" for key, value in said.items())


def progress(line: bytes, steps: tuple[Step, ...], hidden: Collection[str], marker: str) -> StepReport | str | None:
    """Given one line of a running apply, return the report of a step, the id of a step that begins, or None for noise."""
    head = f"{marker} ".encode()
    match = _STEP.fullmatch(line[len(head) :]) if line.startswith(head) else None
    if match is None or int(match[1]) >= len(steps):
        return None
    step = steps[int(match[1])]
    if match[2] == b"begun":
        return step.id
    detail = untrusted.text(sh.unencoded(match[3]) or b"", 4_000, hidden)
    outcomes: dict[bytes, StepOutcome] = {
        b"ok": "ok",
        b"changed": "changed",
        b"failed": "failed",
        b"skipped": "skipped",
    }
    return StepReport(step.id, outcomes[match[2]], detail)


def report(
    reply: bytes, release: Release, steps: tuple[Step, ...], order: Order, hidden: Collection[str], marker: str
) -> Report:
    """Given the reply of an apply trip, return its report, without what is hidden; raise BadReply if it is not one."""
    head = f"{marker} ".encode()
    told: dict[str, StepReport] = {}
    facts: list[CheckFact] = []
    ended = False
    asked = asked_checks(release, order)
    for line in reply.split(b"\n"):
        if not line.startswith(head):
            continue
        rest = line[len(head) :]
        if refusal := _REFUSED.fullmatch(rest):
            return Report((), (), refused=_refusal(refusal, release.slice, hidden), late=refusal[1] == b"late")
        if match := re.fullmatch(rb"check (.*)", rest):
            facts.append(_check(match[1], asked, len(facts), hidden))
        elif isinstance(step := progress(line, steps, hidden, marker), StepReport):
            told[step.step] = step
        ended = ended or rest == b"end"
    reports = tuple(told.get(step.id, StepReport(step.id, "skipped", "not reached")) for step in steps)
    if ended and len(facts) != len(asked):
        raise BadReply("the report is not whole", why=f"{len(facts)} of {len(asked)} checks came")
    failures = tuple(step for step in reports if step.outcome == "failed")
    return Report(reports, tuple(facts), complete=ended, failures=failures)


def _check(line: bytes, asked: tuple[Check, ...], position: int, hidden: Collection[str]) -> CheckFact:
    match = ANSWER.fullmatch(line)
    if match is None or int(match[1]) != position or position >= len(asked):
        raise BadReply("the report does not parse", why="a check that was not asked, or out of its order")
    return checks.fact(asked[position], hidden, answer_of(match))


def _refusal(match: re.Match[bytes], slice_name: str, hidden: Collection[str]) -> str:
    said = sh.unencoded(match[2]) or b""
    if match[1] == b"stopped":
        return pauses.refusal(said, slice_name, hidden)
    detail = untrusted.line(said, 300, hidden)
    return {
        b"paused": f"paused by the owner {detail} (they lift it by removing {paths.HANDS_OFF})",
        b"busy": f"another run is at work on the slice: {detail}",
        b"late": f"another run was at work on the slice until just now: {detail}",
        b"older": f"the slice knows a newer placement (generation {detail})",
        b"wiped": "the marker of identity is gone: this is not the machine that was deployed to",
    }[match[1]]
