"""Acting on one instance: intent into the journal, one apply trip, outcome into the journal."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from tfheal.base.errors import Refused, TfhealError, Unreachable
from tfheal.core import apply
from tfheal.core.apply import Order, Report, Secrets, StepReport
from tfheal.core.resources.step import Step
from tfheal.flows.fleet import Limits, ask_all
from tfheal.flows.hidden import hushed
from tfheal.flows.pauses import check
from tfheal.flows.standing import kept
from tfheal.model.inventory import Slice
from tfheal.model.ports import Exec, Ports
from tfheal.model.record import ActionRecord, Outcome, Verb
from tfheal.model.release import Release

T = TypeVar("T")

REPORT_CAP = 1 << 20
_MOST_TRIES = 3  # of what an operator ordered, while others are at work until just before
_VERIFIED_ALIVE = frozenset(
    {"deploy", "restart", "redeploy", "rollback", "rebuild", "restore"}
)  # the others have done their part when their steps say so


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done to an instance, and why; of `limit` seconds it may take no more, even if its steps might."""

    verb: Verb
    release: Release
    steps: tuple[Step, ...]
    secrets: Secrets
    why: str
    run: str
    generation: int
    incident: str | None = None
    identity: str | None = None
    holds: str | None = None
    limit: float = math.inf
    held_back: bool = False  # its service is stopped at the end, until its data is back

    @property
    def remembers(self) -> bool:
        """Return whether the state on the slice follows: it does where a whole release is put there."""
        return self.verb in {"deploy", "redeploy", "rollback", "rebuild"}


@dataclass(frozen=True, slots=True)
class Done:
    """How an action ended: its outcome, the words for it, and the report if the slice gave one."""

    action: str
    outcome: Outcome
    detail: str
    seconds: float
    report: Report | None = None


def act(work: Work, target: Slice, ports: Ports) -> Done:
    """Given work and its slice, do it and return how it ended; an error of the slice is an outcome, not an exception.

    What began and never told its end is `unknown`: the next observation decides. What met another's work there is
    `undone`: healing looks again first, and what an operator ordered is tried again, as its steps look for themselves.
    """
    done = _tried(work, target, ports)
    for _ in range(_MOST_TRIES - 1):
        if done.outcome != "undone" or work.incident is not None:
            break
        done = _tried(work, target, ports)
    return done


def _tried(work: Work, target: Slice, ports: Ports) -> Done:
    journal, clock = ports.journal, ports.clock
    action = journal.new_id()
    started = clock.now()
    instance = work.release.instance
    ports.leases.check(instance.app, work.run)  # a lease lost while this machine slept is not acted on
    journal.intend(
        ActionRecord(
            id=action,
            run=work.run,
            verb=work.verb,
            app=instance.app,
            instance=instance,
            slice=target.name,
            incident=work.incident,
            why=work.why,
            release=work.release.id,
            started=started,
        )
    )
    outcome, detail, report = _trip(work, target, ports)
    ended = clock.now()
    journal.conclude(action, outcome, detail, ended)
    return Done(action, outcome, detail, (ended - started).total_seconds(), report)


def act_everywhere(
    targets: Sequence[Slice], action: Callable[[Slice], T], limits: Limits
) -> dict[str, T | TfhealError]:
    """Given slices and an action, do it on each; unlike a question, what was begun is waited for without a deadline."""
    return ask_all(targets, action, replace(limits, deadline=None, until=None))


def _trip(work: Work, target: Slice, ports: Ports) -> tuple[Outcome, str, Report | None]:
    marker, hidden = ports.marker(), ports.hidden([target.name])[target.name]
    order = Order(
        verb=work.verb,
        writer=ports.writer,
        run=work.run,
        why=work.why,
        generation=work.generation,
        remembers=work.remembers,
        identity=work.identity,
        good=kept(work.release.instance, ports),
        holds=work.holds,
    )
    script = apply.composed(work.release, work.steps, order, work.secrets, marker)
    try:
        check(work.release.app, target.name, ports)  # a pause that came while this run was under way
        if late := ports.leases.lead(work.release.app):
            return "undone", f"another run was at work on the app until just now: {late}", None
        reply = ports.transport.run(
            target,
            Exec(
                script,
                timeout=min(apply.timeout(work.release, work.steps), work.limit),
                cap=REPORT_CAP,
                on_line=_teller(work, marker, hidden, ports),
                beats=True,
            ),
        )
        report = apply.report(reply.stdout, work.release, work.steps, order, hidden, marker)
    except Refused as refusal:
        return "refused", str(refusal), None
    except Unreachable as error:
        return "unknown", str(hushed(error, hidden)), None
    except TfhealError as error:
        return "failed", str(hushed(error, hidden)), None
    return (*_judged(report, work), report)


def _judged(report: Report, work: Work) -> tuple[Outcome, str]:
    if report.refused:
        return "undone" if report.late else "refused", report.refused
    if report.failures:
        first = report.failures[0]
        return "failed", f"{first.step}: {first.detail}"
    if not report.complete:
        return "unknown", "the slice did not say how it ended"
    if report.dead and work.verb in _VERIFIED_ALIVE and not work.held_back:
        dead = report.dead[0]
        outcome: Outcome = "failed" if dead.verdict == "fail" else "unknown"
        return outcome, f"{dead.check}: {dead.detail}"
    return "done", "changed" if report.changed else "nothing to do"


def _teller(work: Work, marker: str, hidden: tuple[str, ...], ports: Ports) -> Callable[[bytes], None]:
    where = str(work.release.instance)
    total = len(work.steps)
    done = 0

    def tell(line: bytes) -> None:
        nonlocal done
        told = apply.progress(line, work.steps, hidden, marker)
        if isinstance(told, str):
            ports.reporter.step(where, told, done, total)
        elif isinstance(told, StepReport):
            done += 1
            ports.reporter.step(where, f"{told.outcome} {told.step}", done, total)
            if told.outcome in {"changed", "failed"}:
                ports.reporter.say(f"{where}  {told.outcome}  {told.step}")

    return tell
