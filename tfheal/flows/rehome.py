"""The rung `rehome`: what ran on a lost slice moves to a spare; the slice is retired, and fenced when it comes back."""

from tfheal.flows.place import last_move, move
from tfheal.flows.recreate import intended, unreadable
from tfheal.flows.redeploy import Because
from tfheal.flows.releases import expected
from tfheal.flows.rungs import HealRun
from tfheal.model.plan import Action
from tfheal.model.record import Outcome
from tfheal.model.release import InstanceName
from tfheal.model.results import Taken


def rehome(run: HealRun, action: Action) -> Taken:
    """Given a run and the action for a lost slice, move each app on it to its spare, and return how it ended."""
    journal, clock = run.ports.journal, run.ports.clock
    begun, moves = clock.now(), action.moves
    here = tuple(item for item in expected(run.apps, run.ports) if item.release.slice == action.slice)
    records = intended(run, action, here)
    if stays := unreadable(run, here):
        for record in records:
            journal.conclude(record.id, stays.outcome, stays.detail, clock.now())
        return Taken(action, stays.outcome, stays.detail, (clock.now() - begun).total_seconds())
    failed: dict[InstanceName, str] = {}
    for app in dict.fromkeys(item.release.app for item in here):
        spec = run.workspace.apps[app]
        place = {
            component: tuple(moves[app] if name == action.slice else name for name in names)
            for component, names in spec.place.items()
        }
        run.ports.reporter.say(f"{app}  rehome from {action.slice} to {moves[app]}: {action.why}")
        known = last_move(run.workspace, app, journal)
        pinned = known.pinned if known else frozenset()
        undone = move(run, app, place, pinned, Because(f"rehome: {action.why}", action.incident))
        # A gateway that did not follow is a finding of its own, and no reason to move the app once more.
        failed |= {name: why for name, why in undone.items() if name.app == app}
    where = ", ".join(f"{app} to {moves[app]}" for app in sorted({item.release.app for item in here}))
    detail = f"moved {where}" + "".join(f"; {name}: {why}" for name, why in failed.items())
    outcome: Outcome = "failed" if failed else "done"
    for record in records:
        journal.conclude(record.id, outcome, detail, clock.now())
    return Taken(action, outcome, detail, (clock.now() - begun).total_seconds())
