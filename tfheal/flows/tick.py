"""`tfheal tick`: what is due is done, one thing after the other, and a dead-man switch hears how it went.

No two ticks of a workspace overlap. A ping that fails is told and changes nothing else.
"""

from collections.abc import Callable, Mapping

from tfheal.base.errors import Bug, Refused, TfhealError
from tfheal.base.exits import Exit, winning
from tfheal.flows import backup as backups
from tfheal.flows import cadence, certificates, patch_cadence, replay
from tfheal.flows import drill as drills
from tfheal.flows import prune as pruning
from tfheal.flows import verify as verification
from tfheal.flows.fleet import Limits
from tfheal.flows.heal import HealOptions, heal
from tfheal.model.facts import Observation, SliceFacts
from tfheal.model.ports import Pinger, Ports
from tfheal.model.results import Healing
from tfheal.model.tick import Part, Signal, Tick
from tfheal.model.workspace import Workspace

LEASE = "the tick"  # no app has this name


def due(workspace: Workspace, ports: Ports, limits: Limits) -> dict[str, Callable[[], Part]]:
    """Return what is due now, by name, in the order in which it is done. Whatever else is to run by itself joins here."""
    seen: dict[str, Observation] = {}  # by healing, for what goes by it
    jobs = {"heal": lambda: _healed(workspace, ports, limits, seen)}
    if backups.due(workspace, ports):
        jobs["backup"] = lambda: _backed_up(workspace, ports, limits)
    if replay.to_send(workspace, ports):
        jobs["changes"] = lambda: _sent(workspace, ports)
    if drills.due(workspace, ports):
        jobs["drill"] = lambda: _drilled(workspace, ports, limits)
    if pruning.due(workspace, ports):
        jobs["prune"] = lambda: _pruned(workspace, ports)
    if verification.due(workspace, ports):
        jobs["verify"] = lambda: _verified(workspace, ports)
    if patch_cadence.declared(workspace):
        jobs["patch"] = lambda: _patched(workspace, seen, ports, limits)
    if certificates.due(workspace, ports):
        jobs["certificates"] = lambda: _certified(workspace, ports, limits)
    cadence.note(workspace, ports)
    if versions := cadence.due(workspace, ports):
        jobs["upgrade"] = lambda: _upgraded(workspace, versions, ports, limits)
    return jobs


def tick(
    jobs: Mapping[str, Callable[[], Part]], ports: Ports, pinger: Pinger, reported: Callable[[Exception], Bug]
) -> Tick:
    """Given what is due, do it, and ping before and after; the error of one thing is told and stops no other.

    So is a mistake of our own, of which a report is written (`reported`): the others begin from what is known, as they do
    after a run that was killed.
    """
    unsent: list[str] = []
    run = ports.journal.begin_run("tick", ports.clock.now()).id
    try:
        with ports.leases.hold(LEASE, "tick", run):
            _ping(pinger, "start", "", unsent)
            done = Tick({name: _part(job, reported) for name, job in jobs.items()})
    except Refused as refusal:
        done = Tick({}, locked=str(refusal))
    except BaseException as error:
        _ping(pinger, "fail", f"it did not come to its end: {type(error).__name__}", unsent)
        raise
    _ping(pinger, done.signal, done.summary, unsent)
    ports.journal.end_run(run, int(done.exit), ports.clock.now())
    return Tick(done.parts, done.locked, "; ".join(dict.fromkeys(unsent)))


def _part(job: Callable[[], Part], reported: Callable[[Exception], Bug]) -> Part:
    try:
        return job()
    except TfhealError as error:
        return Part(error.exit, str(error), acted=True)
    except BrokenPipeError:  # nobody reads us any more
        raise
    except Exception as error:  # noqa: BLE001 (what is not ours is our own mistake, and is told as one)
        bug = reported(error)
        # Without its words, which may quote a slice: this goes to the dead-man switch too.
        return Part(bug.exit, f"{bug.what}: {bug.where} ({bug.hint})", acted=True)


def _ping(pinger: Pinger, signal: Signal, summary: str, unsent: list[str]) -> None:
    try:
        pinger.ping(signal, summary)
    except TfhealError as error:
        unsent.append(str(error))


def _healed(workspace: Workspace, ports: Ports, limits: Limits, seen: dict[str, Observation]) -> Part:
    options = HealOptions(plan_only=False, agree=lambda _plan: True)
    healing = heal(workspace, tuple(workspace.apps), ports, limits, options)
    seen.update(healing.seen)
    asked = any(isinstance(facts, SliceFacts) for facts in healing.seen.values())
    return Part(
        exit=healing.exit,
        summary=_summary(healing),
        acted=bool(healing.taken),
        idle=bool(healing.locked) or (bool(healing.seen) and not asked),
        healing=healing,
    )


def _summary(healing: Healing) -> str:
    """Return what was found and done, without the details that slices told: it goes to a service of others."""
    lines = [f"{app} is {health}" for app, health in healing.diagnosis.apps.items()]
    lines += [f"{app} is locked" for app in healing.locked]
    lines += [
        f"{taken.action.instance or taken.action.slice}: {taken.action.rung} {taken.outcome}" for taken in healing.taken
    ]
    lines += [
        f"{incident.instance or incident.slice}: {incident.cause} is {incident.state} ({incident.id})"
        for incident in healing.incidents
    ]
    return "\n".join(lines) or "nothing is deployed"


def _backed_up(workspace: Workspace, ports: Ports, limits: Limits) -> Part:
    made = backups.backup(workspace, backups.due(workspace, ports), ports, limits)
    told = [f"{one.app}: backup {one.backup.id} is {one.backup.state}" for one in made if one.backup]
    told += [f"{one.app}: no backup was made" for one in made if one.backup is None]
    told += [f"{one.app}: not all was copied to the second store" for one in made if one.uncopied]
    return Part(winning(one.exit for one in made), "\n".join(told), acted=True)


def _sent(workspace: Workspace, ports: Ports) -> Part:
    failed = replay.send(workspace, replay.to_send(workspace, ports), ports.journal.new_id(), ports)
    told = [f"{name}: what changed was not sent" for name in failed]
    for name, why in failed.items():
        ports.reporter.say(f"{name}: what changed was not sent: {why}")
    return Part(Exit.FAILED if failed else Exit.OK, "\n".join(told), acted=bool(failed))


def _drilled(workspace: Workspace, ports: Ports, limits: Limits) -> Part:
    done = drills.drill(workspace, drills.due(workspace, ports), ports, limits)
    told = [f"{one.app}: drill of backup {one.backup or '(none)'} {one.state}" for one in done]
    return Part(winning(one.exit for one in done), "\n".join(told), acted=True)


def _pruned(workspace: Workspace, ports: Ports) -> Part:
    done = pruning.prune(workspace, pruning.due(workspace, ports), ports)
    told = [
        f"{one.app}: prune {one.pruning.state if one.pruning else 'refused' if one.refused else 'idle'}" for one in done
    ]
    return Part(winning(one.exit for one in done), "\n".join(told), acted=True)


def _verified(workspace: Workspace, ports: Ports) -> Part:
    done = verification.verify(workspace, verification.due(workspace, ports), ports, only_due=True)
    told = [
        f"{one.app}: what is stored of {one.slice} is {'sound' if one.verification.sound else 'damaged'}"
        for one in done
        if one.verification
    ]
    told += [f"{one.app}: what is stored was not read" for one in done if one.verification is None]
    return Part(winning(one.exit for one in done), "\n".join(told), acted=True)


def _patched(workspace: Workspace, seen: Mapping[str, Observation], ports: Ports, limits: Limits) -> Part:
    """Install security updates; what stands in the way of what nobody asked for now is no failure, and is told."""
    unfetched = patch_cadence.fetch(workspace, seen, ports, limits)
    done = patch_cadence.patched(workspace, seen, ports, limits)
    told = [f"{name}: its package lists were not fetched" for name in unfetched]
    late = Exit.FAILED if unfetched else Exit.OK
    if done is None:
        return Part(late, "\n".join(told) or "no security update waits", acted=bool(unfetched))
    refused = {one.slice: one.detail for one in done.slices if one.outcome == "refused"}
    refused |= {one.slice: f"not rebooted: {one.not_rebooted}" for one in done.slices if one.not_rebooted}
    told += [f"{one.slice}: patch {one.outcome}" for one in done.slices if one.outcome != "idle"]
    told += [f"{one.slice}: left out, as taken back before: {len(one.left_out)}" for one in done.slices if one.left_out]
    acted = any(one.outcome not in {"idle", "refused", "skipped"} for one in done.slices)
    return Part(
        winning((late, done.exit_by_itself)),
        "\n".join(told),
        acted=acted or bool(unfetched),
        patched=done,
        refused=refused,
    )


def _certified(workspace: Workspace, ports: Ports, limits: Limits) -> Part:
    """Renew the certificates for which something has to be published; why one failed is told here, and in status."""
    done = certificates.renewed_by_dns(workspace, ports, limits)
    for one in done:
        if one.detail:
            ports.reporter.say(f"{one.gateway}  {one.host}: {one.detail}")
    told = [f"{one.host}: certificate {'was not renewed' if one.detail else 'renewed'}" for one in done]
    acted = any(not one.refused for one in done)
    return Part(winning(one.exit for one in done), "\n".join(told), acted=acted)


def _upgraded(workspace: Workspace, due: tuple[cadence.Due, ...], ports: Ports, limits: Limits) -> Part:
    """Upgrade one app; that something stands in the way of what nobody asked for now is no failure, and is told."""
    done, refused, worst = cadence.upgraded(workspace, due, ports, limits)
    told = [f"{app}: not upgraded" for app in refused]
    if done is None:
        return Part(worst, "\n".join(told), refused=refused)
    one = done.upgrade
    told.append(f"{one.app}: upgrade from {one.old} to {one.new} {one.state}")
    return Part(winning((worst, done.exit)), "\n".join(told), acted=True, upgraded=done, refused=refused)
