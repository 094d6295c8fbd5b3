"""`tfheal status`: one question to each slice, and a judgement; nothing is changed, there or in the plan of things."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tfheal.core.backup.ages import with_changes
from tfheal.core.diagnose import dated
from tfheal.core.stores import keeper
from tfheal.flows import cadence, copying, names, passage, patch_cadence, public_names, store_gone, upgrade_checks
from tfheal.flows import verify as verification
from tfheal.flows.backup import ages_of, begins_anew, lateness
from tfheal.flows.drill import findings as drill_findings
from tfheal.flows.drill import practised
from tfheal.flows.fleet import Limits
from tfheal.flows.look import Look, Scope, judged, look
from tfheal.flows.pauses import standing
from tfheal.flows.place import listed
from tfheal.flows.reflex import note_reflex
from tfheal.flows.releases import wanted
from tfheal.flows.standing import ANEW, held, note
from tfheal.flows.versions import unfinished
from tfheal.flows.windows import waiting
from tfheal.model.backup import Ages
from tfheal.model.facts import Known, SliceFacts, Unknown
from tfheal.model.findings import Diagnosis, Finding
from tfheal.model.ports import Ports
from tfheal.model.release import InstanceName
from tfheal.model.results import Placed, Status
from tfheal.model.window import Waiting
from tfheal.model.workspace import Workspace


def status(workspace: Workspace, apps: tuple[str, ...], slices: Iterable[str], ports: Ports, limits: Limits) -> Status:
    """Given names of apps and of the slices to look at, return their status."""
    visits = public_names.begun(workspace, apps, ports)
    found = look(workspace, Scope(apps, frozenset(slices)), ports, limits)
    note_reflex(found.meant, found.seen, ports)
    diagnosis = judged(workspace, apps, found, ports)
    now = ports.clock.now()
    ports.journal.note_health(diagnosis.instances, now)
    note(workspace, found, diagnosis, ports)
    since = ports.journal.health_since()
    findings = diagnosis.findings + _not_deployed(workspace, apps, found, ports)
    findings += tuple(finding for app in apps for finding in _moved(listed(workspace, app, ports)))
    backups = {
        app: _with_changes(found_ages, app, found, ports, based=not begins_anew(workspace, app, ports))
        for app in apps
        if (found_ages := ages_of(workspace, app, ports))
    }
    findings += tuple(finding for app in backups if (finding := _late(workspace, app, ports)))
    findings += tuple(finding for app in backups if (finding := copying.late(workspace, app, ports)))
    drills = {app: practice for app in apps if (practice := practised(workspace, app, ports))}
    findings += tuple(finding for app in drills for finding in drill_findings(workspace, app, ports))
    proofs = {app: found_proof for app in apps if (found_proof := verification.proof_of(workspace, app, ports))}
    findings += tuple(finding for app in backups for finding in verification.findings(workspace, app, ports))
    findings += tuple(one for app in backups for one in store_gone.findings(workspace, app, diagnosis.findings, ports))
    findings += tuple(finding for app in apps for finding in names.findings(workspace, app, ports))
    known = _known(found, diagnosis)
    findings += (passed := tuple(passage.findings(workspace, apps, known, ports, limits)))
    blamed = {one.instance.app for one in passed if one.instance and one.cause == "gateway-broken"}
    findings += tuple(public_names.findings(workspace, visits, known, blamed))
    waits = (*waiting(workspace, ports), *patch_cadence.waiting(workspace, found.seen, ports))
    findings += tuple(_waiting(workspace, one) for one in waits if one.app in apps)
    findings += tuple(one for app in apps for one in upgrade_checks.findings(app, ports))
    findings += tuple(one for app in apps for one in cadence.findings(workspace, app, ports))
    findings += tuple(_exploited(found, ports))
    diagnosis = replace(diagnosis, findings=dated(findings, ports.journal.incidents(open_only=True), since))
    healed = {
        action.instance: action.started for action in ports.journal.actions() if action.instance and action.healed
    }
    pauses = standing(found.seen, ports)
    return Status(now, apps, found.meant, found.seen, diagnosis, since, healed, pauses, backups, drills, proofs)


def _with_changes(found_ages: Ages, app: str, found: Look, ports: Ports, *, based: bool) -> Ages:
    """Return the ages of an app's backups with how far the changes of its databases are stored, by what its slices say."""
    asked = []
    for release in (item.release for item in found.meant if item.release.app == app):
        seen = found.seen.get(release.slice)
        facts = seen.instances.get(release.instance.on_slice) if isinstance(seen, SliceFacts) else None
        asked.append((release, facts))
    return with_changes(found_ages, asked, ports.clock.now(), based=based)


def _known(found: Look, diagnosis: Diagnosis) -> passage.Known:
    silent = {name for name, seen in found.seen.items() if not isinstance(seen, SliceFacts)}
    return passage.Known(diagnosis.instances, silent)


def _late(workspace: Workspace, app: str, ports: Ports) -> Finding | None:
    """Return the finding that the backups of an app are older than its level allows, if they are."""
    spec = workspace.apps[app].backup
    if spec is None or not (why := lateness(workspace, app, ports)):
        return None
    name = keeper(workspace, app)
    return Finding("backup-late", "warning", name.slice, why, name)


def _exploited(found: Look, ports: Ports) -> Iterator[Finding]:
    """Yield the information that security updates wait which are about vulnerabilities that are known to be exploited."""
    known = ports.exploited()
    for name, seen in found.seen.items() if known else ():
        cves = seen.machine.security_cves if isinstance(seen, SliceFacts) else Unknown("not asked")
        if isinstance(cves, Known) and (there := sorted((known or frozenset()).intersection(cves.value))):
            words = f"{', '.join(there[:10])}{' and more' if len(there) > 10 else ''}"  # noqa: PLR2004
            detail = f"updates wait for {len(there)} vulnerabilities that are known to be exploited: {words}"
            yield Finding("known-exploited", "info", name, detail)


def _waiting(workspace: Workspace, waiting: Waiting) -> Finding:
    """Return what waits as information on an app; only one with data has somebody who keeps its backups."""
    if waiting.what in {"drill", "prune"}:
        name = keeper(workspace, waiting.app)
    else:
        component, slices = next(iter(workspace.apps[waiting.app].place.items()))
        name = InstanceName(waiting.app, component, slices[0])
    return Finding("waiting", "info", name.slice, waiting.words, name)


def _moved(placed: Placed) -> Iterator[Finding]:
    """Yield the information that an app runs elsewhere than its spec says, and what it left behind there."""
    for one in placed.components:
        if one.slices != one.written:
            name = InstanceName(placed.app, one.component, one.slices[0])
            who = "a person" if one.pinned else "healing"
            detail = f"{who} moved it here from {', '.join(one.written)}, where the app spec has it still"
            yield Finding("moved", "info", name.slice, detail, name)
    for name in placed.left:
        detail = f"{name} runs elsewhere now; what is left of it here is stopped as soon as the slice answers"
        yield Finding("retired", "info", name.slice, detail)


def _not_deployed(workspace: Workspace, apps: tuple[str, ...], seen_now: Look, ports: Ports) -> tuple[Finding, ...]:
    """Return the information that a spec asks for something newer than what is deployed, which only a deploy adopts.

    Of an app whose upgrade did not come to its end that is said in other words.
    """
    have, seen = {item.release.instance: item.release.id for item in seen_now.meant}, seen_now.seen
    found = []
    deployed = {name.app for name in have}
    for app in (app for app in apps if app in deployed and not unfinished(app, ports)):
        for release in wanted(workspace, app, ports):
            if have.get(release.instance) != release.id:
                detail = f"the workspace asks for release {release.id}: tfheal deploy {app} --plan shows the difference"
                found.append(Finding("not-deployed", "info", release.slice, detail, release.instance))
                if told := held(release, seen.get(release.slice), ports):
                    found.append(Finding("held", "info", release.slice, f"{told}; {ANEW}", release.instance))
    return tuple(found)
