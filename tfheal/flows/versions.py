"""An app at one of its versions: the releases that its spec asks for there, those that are deployed, and how one follows another."""

from dataclasses import dataclass, replace

from tfheal.base.errors import Refused
from tfheal.core import awaiting
from tfheal.core.deploy import liveness
from tfheal.core.resources import Step, steps
from tfheal.flows import standing
from tfheal.flows.act import Done, Work, act
from tfheal.flows.releases import expected, secret_values, wanted
from tfheal.model.backup import STORE
from tfheal.model.ports import Ports
from tfheal.model.record import Deployed, Expected, Verb
from tfheal.model.release import Release
from tfheal.model.upgrade import UNDER_WAY, WAITING, Upgrade
from tfheal.model.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Switch:
    """A release that is to follow another of its instance: what is tried `first`, whether it `lives` then, what it `holds`.

    Its data was `migrated` already, by another instance; or it `rests`: it is put there and not started, until another switch.
    """

    item: Expected
    release: Release
    verb: Verb
    why: str
    first: tuple[Step, ...] = ()
    lives: bool = True
    holds: str | None = None
    migrated: bool = False
    rests: bool = False


def at_version(workspace: Workspace, app: str, version: str) -> Workspace:
    """Return a workspace in which the spec of an app asks for another version; raise Refused if its playbook does not list that."""
    if version not in workspace.folder(app).playbook.versions:
        why = "without the lock of that version nothing can be put there, or back there"
        hint = "write it into versions of the playbook, with the lock that it had"
        raise Refused(f"its playbook lists version {version} no more", where=app, why=why, hint=hint)
    spec = workspace.apps[app].model_copy(update={"version": version})
    written = workspace.as_written
    changed = {**written, app: written[app].model_copy(update={"version": version})} if written else written
    return replace(workspace, apps={**workspace.apps, app: spec}, as_written=changed)


def releases_of(workspace: Workspace, app: str, ports: Ports) -> tuple[Release, ...]:
    """Return the releases that an app asks for, without those of its stores."""
    return tuple(release for release in wanted(workspace, app, ports) if release.component != STORE)


def unfinished(app: str, ports: Ports) -> Upgrade | None:
    """Return the upgrade of an app that did not come to its end: it is under way, was cut off, or waits for a human."""
    last = ports.upgrades.last(app)
    return last if last is not None and last.state in UNDER_WAY | WAITING else None


def ways_on(begun: Upgrade) -> str:
    """Given an upgrade that did not come to its end, return the commands that bring it there."""
    on = f"tfheal upgrade {begun.app} --to {begun.new} {'--go-on ' if begun.state == 'undecided' else ''}goes on"
    if begun.state in {"returning", "taking-back"}:  # which is on its way back in any case
        return on
    return f"{on}, tfheal rollback {begun.app} takes it back"


def deployed_of(app: str, ports: Ports) -> list[Expected]:
    """Return what is deployed of an app, without its stores."""
    return [item for item in expected((app,), ports) if item.release.component != STORE]


def switched(workspace: Workspace, switch: Switch, run: str, ports: Ports) -> Done:
    """Put a release beside the one that is there and switch to it; what is meant is written down before."""
    release, before = switch.release, switch.item.deployed
    ports.journal.save_release(release, ports.clock.now())
    there = Deployed(release.instance, release.id, release.version, before.generation, "deploying", ports.clock.now())
    ports.journal.set_deployed(there)
    secrets = secret_values(release, ports)
    own = steps(awaiting.quiet(release) if switch.rests else release, secrets, migrated=switch.migrated)
    work = Work(
        verb=switch.verb,
        release=release,
        steps=switch.first + own + (liveness(release, secrets) if switch.lives else ()),
        secrets=secrets,
        why=switch.why,
        run=run,
        generation=before.generation,
        holds=switch.holds,
        held_back=switch.rests,
    )
    done = act(work, workspace.inventory.slice(release.slice), ports)
    if done.outcome == "done" and not switch.rests:
        ports.journal.set_deployed(replace(there, phase="deployed", at=ports.clock.now()))
    return done


def stores_follow(workspace: Workspace, app: str, run: str, ports: Ports) -> str:
    """Bring the stores of an app to the version that a workspace asks for, and return what that failed with, if it did.

    They hold its backups and serve nobody: of their release nothing but the version changes.
    """
    items = {item.release.instance: item for item in expected((app,), ports)}
    failed = []
    for release in wanted(workspace, app, ports):
        item = items.get(release.instance)
        if release.component != STORE or item is None:
            continue
        if (item.release.id, item.deployed.phase) != (release.id, "deployed"):
            why = f"the app is at {release.version}"
            done = switched(workspace, Switch(item, release, "deploy", why), run, ports)
            if done.outcome == "done":
                standing.lift(release.instance, release.id, ports)
            else:
                failed.append(f"{release.instance}: {done.detail}")
    return "; ".join(failed)
