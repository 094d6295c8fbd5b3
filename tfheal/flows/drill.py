"""`tfheal backup drill`: the newest good backup is restored for practice on its own slices, started, asked and thrown away.

It holds the lease of backups, never the app's: nothing live is touched, so healing may act meanwhile.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from tfheal.base.errors import Refused, TfhealError
from tfheal.base.exits import winning
from tfheal.core.backup import drill as core
from tfheal.core.backup import practice
from tfheal.core.backup.drill import Rehearsal
from tfheal.core.backup.job import Job, TaskReply
from tfheal.core.backup.recovery import base_of, is_base, rehearsed
from tfheal.core.backup.restore import folders_of
from tfheal.core.stores import keeper
from tfheal.core.windows import waits
from tfheal.flows.act import act_everywhere
from tfheal.flows.drill_lab import lab_slice
from tfheal.flows.fleet import Limits
from tfheal.flows.lent import lent
from tfheal.flows.releases import expected, in_use, secret_values
from tfheal.flows.replay import recovery_of
from tfheal.flows.repository import lease_of, run, stored
from tfheal.flows.restore import Wish, planned
from tfheal.flows.rungs import HealRun
from tfheal.model.backup import STORE, Backup, Planned
from tfheal.model.drill import Drill, DrillState, DrillStep, Practice
from tfheal.model.findings import Finding
from tfheal.model.inventory import Slice
from tfheal.model.lab import LAB_OWNER
from tfheal.model.ports import Ports
from tfheal.model.window import Waiting
from tfheal.model.workspace import Workspace

_LONGEST: Final = 6 * 3_600.0
_WORST_FIRST: Final[tuple[DrillState, ...]] = ("damaged", "failed", "refused", "passed")


def drill(
    workspace: Workspace, apps: tuple[str, ...], ports: Ports, limits: Limits, *, lab: bool = False
) -> tuple[Drill, ...]:
    """Given apps that want backups, drill the newest good backup of each, in a `lab` if so wished, and return how each ended."""
    record = ports.journal.begin_run("backup drill " + " ".join(apps), ports.clock.now()).id
    results = []
    for app in apps:
        heal = HealRun(workspace, (app,), ports, limits, record)
        begun = Drill(ports.journal.new_id(), app, "", ports.clock.now(), "refused")
        try:
            with ports.leases.hold(lease_of(app), "backup drill", record):
                results.append(_one(heal, begun, lab=lab))
        except Refused as refusal:
            results.append(replace(begun, detail=str(refusal)))
        except TfhealError as error:  # noted as tried, and the others are not to wait for it
            results.append(replace(begun, state="failed", detail=str(error)))
            ports.catalogue.put_drill(results[-1])
    ports.journal.end_run(record, int(winning(result.exit for result in results)), ports.clock.now())
    return tuple(results)


def _one(heal: HealRun, begun: Drill, *, lab: bool) -> Drill:
    """Drill the newest good backup of an app in a lab, or where its spec says; raise Refused where that cannot be."""
    workspace, ports, spec = heal.workspace, heal.ports, heal.workspace.apps[begun.app].backup
    backup = newest_good(workspace, begun.app, ports)
    to = lab_slice(workspace, backup, ports, heal.limits) if lab else spec.drill_on if spec else None
    if to is None:
        return _drilled(_Way(workspace, ports, replays=True), begun, backup, heal.limits)
    plan = planned(workspace, begun.app, Wish(backup.id, to=to), ports)
    started = ports.clock.monotonic()
    with lent(heal, plan, LAB_OWNER if lab else "") as there:
        took = DrillStep(to, "software", round(ports.clock.monotonic() - started, 2), passed=True)
        way = _Way(workspace, ports, there.source, {to: there.rehearsal}, (took,))
        return _drilled(way, begun, backup, heal.limits)


def drill_of(workspace: Workspace, plan: Planned, ports: Ports, limits: Limits, *, only: str) -> Drill:
    """Given what is to be restored, drill what of it is for `only` one slice, by a run that holds the lease of backups."""
    backup = plan.backup
    parts = tuple(part for part in backup.parts if part.slice == only)
    begun = Drill(ports.journal.new_id(), backup.app, backup.id, ports.clock.now(), "refused")
    way = _Way(workspace, ports, plan.sources.get(only, ""))
    return _drilled(way, begun, replace(backup, parts=parts), limits)


def due(workspace: Workspace, ports: Ports) -> tuple[str, ...]:
    """Return the apps of which a drill is to be made now."""
    return tuple(app for app, until in _due(workspace, ports) if until is None)


def waiting(workspace: Workspace, ports: Ports) -> tuple[Waiting, ...]:
    """Return the drills that are due and wait for a window, for half their period at most."""
    return tuple(Waiting(app, "drill", until) for app, until in _due(workspace, ports) if until)


def _due(workspace: Workspace, ports: Ports) -> Iterator[tuple[str, datetime | None]]:
    """Yield each app of which a drill is due, and till when it waits."""
    now = ports.clock.now()
    for app, spec in workspace.apps.items():
        if spec.backup is None or not in_use(ports.journal.deployed(app)):
            continue
        drills, backups, every = ports.catalogue.drills(app), stored(workspace, app, ports), spec.backup.drill
        if practice.is_due(drills, backups, every, now):
            latest = practice.due_since(drills, backups, every) + timedelta(seconds=every / 2)
            yield app, waits(workspace.window(app), now, latest, practice.takes(drills))


def practised(workspace: Workspace, app: str, ports: Ports) -> Practice | None:
    """Given an app, return what its drills amount to, None if it wants no backups or was never deployed."""
    spec = workspace.apps[app]
    if spec.backup is None or not in_use(ports.journal.deployed(app)):
        return None
    level = workspace.provider.levels[spec.service_level]
    return practice.practice(ports.catalogue.drills(app), level, ports.clock.now())


def findings(workspace: Workspace, app: str, ports: Ports) -> tuple[Finding, ...]:
    """Given an app, return what is wrong with its drills."""
    found, spec = practised(workspace, app, ports), workspace.apps[app].backup
    if found is None or spec is None:
        return ()
    since = min(item.at for item in in_use(ports.journal.deployed(app)))
    name = keeper(workspace, app)
    return tuple(
        Finding(cause, "critical" if cause == "drill-failed" else "warning", name.slice, words, name)
        for cause, words in practice.wrong(found, since, ports.clock.now())
    )


def newest_good(workspace: Workspace, app: str, ports: Ports) -> Backup:
    """Given an app, return its newest good backup; raise Refused if there is none."""
    good = [backup for backup in stored(workspace, app, ports) if backup.state == "good"]
    if not good:
        raise Refused("it has no good backup", where=app, hint=f"first: tfheal backup run {app}")
    return max(good, key=lambda backup: backup.received or backup.started)


@dataclass(frozen=True, slots=True)
class _Way:
    """The hands of a drill: whose repository it reads if that is another's, what is drilled if known, whether changes are replayed."""

    workspace: Workspace
    ports: Ports
    source: str = ""
    rehearsals: Mapping[str, Rehearsal] | None = None
    before: tuple[DrillStep, ...] = ()
    replays: bool = False


def _drilled(way: _Way, begun: Drill, backup: Backup, limits: Limits) -> Drill:
    """Drill on every slice at the same time, and keep what came of it, unless it was a part of the backup."""
    ports, rehearsals = way.ports, way.rehearsals or _rehearsals(backup, way.ports)
    if way.replays:
        rehearsals = {name: _with_replays(way, begun, backup, one) for name, one in rehearsals.items()}
    targets = [way.workspace.inventory.slice(name) for name in rehearsals]
    started = ports.clock.monotonic()

    def there(target: Slice) -> Mapping[str, TaskReply]:
        rehearsal = rehearsals[target.name]
        job = Job(
            begun.id,
            begun.app,
            ports.writer,
            core.tasks(rehearsal),
            longest=_LONGEST,
            after=core.after(rehearsal),
        )
        return run(way.workspace, job, target, ports, way.source)

    answers = act_everywhere(targets, there, limits)
    took = ports.clock.monotonic() - started + sum(step.seconds for step in way.before)
    done = _judged(replace(begun, backup=backup.id, seconds=round(took, 2), steps=way.before), rehearsals, answers)
    whole = next(one for one in ports.catalogue.backups(begun.app) if one.id == backup.id).parts == backup.parts
    if whole:
        ports.catalogue.put_drill(done)
    return done


def _rehearsals(backup: Backup, ports: Ports) -> dict[str, Rehearsal]:
    """Return what is drilled on each slice that has a part of the backup and is still deployed to."""
    found = {}
    here = [item.release for item in expected((backup.app,), ports) if item.release.component != STORE]
    for name in dict.fromkeys(part.slice for part in backup.parts if part.snapshot):
        parts = tuple(part for part in backup.parts if part.slice == name and part.snapshot and not is_base(part.what))
        ours = tuple(
            release
            for release in here
            if release.slice == name
            and any(folders_of(release, part) or part.what.startswith(f"{release.component}/") for part in parts)
        )
        if not ours:
            raise Refused(f"backup {backup.id} is of {name}, where its app is not", where=backup.app)
        secrets = {key: value for release in ours for key, value in secret_values(release, ports).items()}
        found[name] = Rehearsal(backup.app, name, parts, ours, secrets)
    return found


def _with_replays(way: _Way, begun: Drill, backup: Backup, rehearsal: Rehearsal) -> Rehearsal:
    """Return what is drilled on a slice with a replay of what changed on its servers since the backup."""
    scripts = []
    for release in rehearsal.releases:
        what = base_of(release)
        for part in (
            one for one in backup.parts if what and one.snapshot and (one.slice, one.what) == (release.slice, what)
        ):
            found = recovery_of(way.workspace, release, (part, backup.started), None, way.ports, way.source)
            scripts.append((release.component, rehearsed(release, found, begun.id)))
    return replace(rehearsal, replays=tuple(scripts))


def _judged(
    begun: Drill, rehearsals: Mapping[str, Rehearsal], answers: Mapping[str, Mapping[str, TaskReply] | TfhealError]
) -> Drill:
    """Return the drill as it ended on all slices together: as badly as on the worst of them."""
    done = begun
    ends: list[tuple[DrillState, str]] = []
    for name, answer in answers.items():
        if isinstance(answer, TfhealError):
            ends.append(("refused" if isinstance(answer, Refused) else "failed", str(answer)))
            continue
        steps, state, why = core.told(rehearsals[name], answer)
        done = replace(done, steps=(*done.steps, *steps))
        ends.append((state, why))
    state, why = min(ends, key=lambda end: _WORST_FIRST.index(end[0]))
    return replace(done, state=state, detail=why)
