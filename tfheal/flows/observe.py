"""Observing: one script, one round trip for each slice; what a slice does not answer is unknown, with the reason."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from tfheal.base.errors import (
    BadReply,
    HostKeyMismatch,
    LoginFailed,
    NotChecked,
    Refused,
    RemoteTimeout,
    TfhealError,
    Unreachable,
)
from tfheal.core.probe import instance, machine
from tfheal.core.probe.script import Question, answers, composed
from tfheal.core.resources import steps
from tfheal.core.resources.step import Step
from tfheal.flows.fleet import Limits, ask_all
from tfheal.flows.hidden import hushed
from tfheal.flows.releases import by_slice, secret_values
from tfheal.model.facts import Observation, SliceFacts, Unasked
from tfheal.model.inventory import Slice
from tfheal.model.ports import Exec, Ports
from tfheal.model.release import Release

QUESTIONS_BUDGET = 40.0  # seconds for all questions of a slice; what is cut at its end is unknown
_SLACK = 10.0
REPLY_CAP = 4 << 20
_CAUSES: tuple[
    tuple[
        type[TfhealError],
        Literal["unreachable", "host-key-changed", "login-refused", "no-pin", "bad-reply", "deadline", "not-checked"],
    ],
    ...,
] = (
    (HostKeyMismatch, "host-key-changed"),
    (LoginFailed, "login-refused"),
    (NotChecked, "not-checked"),
    (Unreachable, "unreachable"),
    (Refused, "no-pin"),
    (BadReply, "bad-reply"),
    (RemoteTimeout, "deadline"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One instance to ask about: its release, the steps of it, and the secrets that these need."""

    release: Release
    steps: tuple[Step, ...]
    secrets: Mapping[tuple[str, int], str]


def asked(releases: Iterable[Release], ports: Ports, *, planning: bool = False) -> dict[str, tuple[Asked, ...]]:
    """Given releases, return what to ask of each slice."""
    result = {}
    for name, ours in by_slice(releases).items():
        items = []
        for release in ours:
            secrets = secret_values(release, ports, planning=planning)
            items.append(Asked(release, steps(release, secrets), secrets))
        result[name] = tuple(items)
    return result


def observed(
    slices: Iterable[Slice], questions: Mapping[str, tuple[Asked, ...]], ports: Ports, limits: Limits
) -> dict[str, Observation]:
    """Given slices and what to ask of each about its instances, return what was seen, in the order of the slices."""
    targets = tuple(slices)
    hidden = ports.hidden([target.name for target in targets])

    def ask(target: Slice) -> SliceFacts:
        return _ask(target, questions.get(target.name, ()), hidden[target.name], ports)

    return {
        name: _unasked(name, hushed(reply, hidden[name])) if isinstance(reply, TfhealError) else reply
        for name, reply in ask_all(targets, ask, limits).items()
    }


def _ask(target: Slice, items: tuple[Asked, ...], hidden: tuple[str, ...], ports: Ports) -> SliceFacts:
    questions: tuple[Question, ...] = (machine.QUESTION,)
    for item in items:
        questions += instance.questions(item.release, item.steps, item.secrets)
    questions += (machine.UPDATES,)
    marker = ports.marker()
    script = composed(questions, marker, QUESTIONS_BUDGET)
    sent = ports.clock.now()
    reply = ports.transport.run(target, Exec(script, timeout=QUESTIONS_BUDGET + _SLACK, cap=REPLY_CAP))
    received = ports.clock.now()
    told = answers(reply.stdout, questions, marker, hidden)
    return SliceFacts(
        slice=target.name,
        at=received.isoformat(),
        machine=machine.machine(
            told["machine"], told["updates"], sent.timestamp(), received.timestamp(), target.name, hidden
        ),
        instances={
            item.release.instance.on_slice: instance.facts(item.release, item.steps, hidden, told) for item in items
        },
        sent=sent.isoformat(),
    )


def _unasked(name: str, error: TfhealError) -> Unasked:
    cause = next((cause for kind, cause in _CAUSES if isinstance(error, kind)), None)
    if cause is None:
        raise error
    tripped = isinstance(error, (BadReply, RemoteTimeout))
    reason = f"{error.what}: {error.why}" if error.why else error.what
    return Unasked(name, reason, cause, error.hint, round_trips=1 if tripped else 0)
