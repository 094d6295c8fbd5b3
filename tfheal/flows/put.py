"""Putting a whole release onto its slice, and what its instance is from then on: deployed, or waiting for its data."""

from dataclasses import replace

from tfheal.core import awaiting
from tfheal.flows.act import Done, Work, act
from tfheal.model.inventory import Slice
from tfheal.model.ports import Ports
from tfheal.model.record import Deployed, Expected


def put(work: Work, item: Expected, target: Slice, ports: Ports) -> Done:
    """Given work that puts the whole release of an item onto its slice, do it, record what that makes of it, and return how it ended.

    Where its data is to come back, its service is held back until then. If a machine that was to be made anew turns out to
    be the old one, its data stays; what lies on a spare is of another time, and nothing is done there.
    """
    if item.deployed.phase == "remaking":
        steps = awaiting.held_back(work.release, work.steps)
        done = act(replace(work, steps=steps, held_back=True), target, ports)
        if not (_has_data(done) and _was_its_own(item, ports)):
            return _noted(done, replace(item.deployed, phase="restoring"), ports)
        ports.reporter.say(f"{work.release.instance}  its data is still there, and stays as it is")
    if item.deployed.phase == "deployed":
        return act(work, target, ports)
    return _noted(act(work, target, ports), replace(item.deployed, phase="deployed"), ports)


def _was_its_own(item: Expected, ports: Ports) -> bool:
    """Return whether an instance is on its own slice made anew, and not on one that it moved to."""
    ours = (one.verb for one in ports.journal.actions(item.release.app) if one.instance == item.release.instance)
    return [verb for verb in ours if verb in {"recreate", "rehome"}][-1:] == ["recreate"]


def _has_data(done: Done) -> bool:
    failures = done.report.failures if done.report else ()
    return any(failure.step == awaiting.THERE for failure in failures)


def _noted(done: Done, deployed: Deployed, ports: Ports) -> Done:
    if done.outcome == "done":
        ports.journal.set_deployed(replace(deployed, at=ports.clock.now()))
    return done
