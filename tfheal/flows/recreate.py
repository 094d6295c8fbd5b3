"""The rung `recreate`: a slice is made anew by its provisioner, its new host key pinned, and what was there put back.

Before the command runs, everything on the slice is noted as being deployed there anew; so a run that is killed on the
way is finished by the next one, onto whatever machine it finds.
"""

from dataclasses import dataclass, replace
from typing import Final

from tfheal.base import untrusted
from tfheal.base.errors import ActionFailed, HostKeyMismatch, Refused, TfhealError, Unreachable
from tfheal.core import provision
from tfheal.core.heal.rescue import holds_data
from tfheal.flows.pauses import check
from tfheal.flows.read_back import read_on_store
from tfheal.flows.redeploy import Because, redeploy
from tfheal.flows.releases import expected
from tfheal.flows.rungs import HealRun
from tfheal.model.inventory import Provisioner
from tfheal.model.plan import Action
from tfheal.model.ports import Said
from tfheal.model.record import ActionRecord, Expected, Outcome, Phase
from tfheal.model.results import Taken
from tfheal.model.ssh import fingerprint

_ASK_EVERY: Final = 3.0
_KEPT: Final = 1_500
_STATE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Made:
    """How making a slice anew ended, and what its provisioner said."""

    outcome: Outcome
    detail: str


def recreate(run: HealRun, action: Action) -> Taken:
    """Given a run and the action for a lost slice, have it made anew, deploy what was there, and return how it ended."""
    journal, clock = run.ports.journal, run.ports.clock
    here = tuple(item for item in expected(run.apps, run.ports) if item.release.slice == action.slice)
    for app in {item.release.app for item in here}:
        run.ports.leases.check(app, run.run)
        check(app, action.slice, run.ports)
    run.ports.reporter.say(f"{action.slice}  recreate: {action.why}")
    begun = clock.now()
    records = intended(run, action, here)
    made = unreadable(run, here) or _replaced(run, action.slice, here)
    for record in records:
        journal.conclude(record.id, made.outcome, made.detail, clock.now())
    detail = made.detail
    if made.outcome == "done":
        anew = tuple(item for item in expected(run.apps, run.ports) if item.release.slice == action.slice)
        failed = redeploy(run, anew, Because(f"recreate: {action.why}", action.incident))
        if failed:
            name, why = next(iter(failed.items()))
            made, detail = replace(made, outcome="failed"), f"made anew, but {name}: {why}"
    return Taken(action, made.outcome, detail, (clock.now() - begun).total_seconds())


def unreadable(run: HealRun, here: tuple[Expected, ...]) -> _Made | None:
    """Given what is on a slice, read on its store what is to come back; return why it would not, if so: then nothing is given up."""
    try:
        for item in here:
            if holds_data(item.release):
                read_on_store(run, item.release.instance)
    except Refused as refusal:
        return _Made("refused", str(refusal))
    except TfhealError as error:
        return _Made("failed", f"nothing was given up, as its backup cannot be read: {error}")
    return None


def _replaced(run: HealRun, name: str, here: tuple[Expected, ...]) -> _Made:
    """Note everything on a slice as being deployed there anew, that with data as waiting for it, and have it made anew."""
    now = run.ports.clock.now()
    phases: dict[bool, Phase] = {True: "remaking", False: "deploying"}
    run.ports.journal.set_deployed(
        *(replace(one.deployed, phase=phases[holds_data(one.release)], at=now) for one in here)
    )
    return _made_anew(run, name)


def contract(run: HealRun, name: str) -> str:
    """Given a slice, ask its provisioner's `state` command, and return why nothing may be made anew now; empty: it may."""
    try:
        said = _state(run, name)
    except TfhealError as error:
        return f"its state command did not answer: {error}"
    return provision.obstacle(said.text, said.status) if said else ""


def is_destroyed(run: HealRun, name: str) -> bool:
    """Given a slice, ask its provisioner's `state` command, and return whether its machine is there no more, for certain."""
    try:
        said = _state(run, name)
    except TfhealError:
        return False
    return said is not None and provision.is_destroyed(said.text, said.status)


def _state(run: HealRun, name: str) -> Said | None:
    entry = run.workspace.inventory.slices[name]
    if entry.provisioner is None or entry.provisioner.state is None:
        return None
    return run.ports.provisioners.run(provision.command(entry.provisioner.state, name, entry), _STATE_SECONDS)


def intended(run: HealRun, action: Action, here: tuple[Expected, ...]) -> list[ActionRecord]:
    """Given an action for a lost slice and what is on it, record for each instance what is about to happen to it."""
    now = run.ports.clock.now()
    records = []
    for item in here:
        record = ActionRecord(
            id=run.ports.journal.new_id(),
            run=run.run,
            verb=action.rung,
            app=item.release.app,
            instance=item.release.instance,
            slice=action.slice,
            incident=action.incident,
            why=action.why,
            release=item.release.id,
            started=now,
        )
        run.ports.journal.intend(record)
        records.append(record)
    return records


def _made_anew(run: HealRun, name: str) -> _Made:
    """Run the provisioner's command, learn the new host key, and pin it."""
    entry = run.workspace.inventory.slices[name]
    provisioner = entry.provisioner
    if provisioner is None:
        return _Made("refused", "inventory.toml names no provisioner for it")
    end = run.ports.clock.monotonic() + provisioner.timeout
    try:
        said = run.ports.provisioners.run(provision.command(provisioner.recreate, name, entry), provisioner.timeout)
        kept = untrusted.line(said.text[-_KEPT:], _KEPT)
        if said.status != 0:
            return _Made("failed", f"its provisioner ended with status {said.status}: {kept}")
        key = _new_key(run, name, provisioner, said.text, end)
    except TfhealError as error:
        return _Made("failed", str(error))
    run.ports.keys.pin(name, (key,))
    return _Made("done", f"made anew, host key {fingerprint(key)}; its provisioner said: {kept}")


def _new_key(run: HealRun, name: str, provisioner: Provisioner, said: str, end: float) -> str:
    """Return the host key of the machine that was just made; raise one of ours if nobody vouches for it."""
    told = provision.fingerprints(said)
    if provisioner.host_key == "output" and not told:
        hint = "let it print the new key, or its fingerprint (SHA256:…)"
        raise ActionFailed("its provisioner printed no host key", where=name, hint=hint)
    if provisioner.host_key == "first-contact":
        end = min(end, run.ports.clock.monotonic() + provision.FIRST_CONTACT)
        return _offered(run, name, end)[0]
    shown = _offered(run, name, end)
    for keys in (shown, run.ports.scan.offered(run.workspace.inventory.slice(name), every=True)):
        for key in keys:
            if fingerprint(key) in told:
                return key
    why = f"it shows {fingerprint(shown[0])}, its provisioner printed {', '.join(sorted(told))}"
    raise HostKeyMismatch("it does not show the host key that its provisioner printed", where=name, why=why)


def _offered(run: HealRun, name: str, end: float) -> tuple[str, ...]:
    """Return the host key that a new machine shows, as soon as it does; raise Unreachable at the end of the time."""
    target = run.workspace.inventory.slice(name)
    while True:
        try:
            return run.ports.scan.offered(target)
        except Unreachable:
            if run.ports.clock.monotonic() >= end:
                raise
            run.ports.clock.sleep(_ASK_EVERY)
