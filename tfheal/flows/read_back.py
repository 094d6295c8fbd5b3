"""Before a slice with data is given up: what is to come back is read on its store, to its end, where no slice can lie about it."""

from tfheal.core.backup import restore as core
from tfheal.core.backup.job import Job
from tfheal.core.stores import keeper
from tfheal.flows.repository import lease_of, replied, run_on_store
from tfheal.flows.restore import Wish, planned
from tfheal.flows.rungs import HealRun
from tfheal.model.release import InstanceName

_LONGEST = 12 * 3_600.0


def read_on_store(run: HealRun, name: InstanceName) -> None:
    """Given an instance, read all that its newest good backup has of it; raise an error of ours if that cannot be read."""
    ports, app = run.ports, name.app
    plan = planned(run.workspace, app, Wish(component=name.component, slice=name.slice), ports)
    parts = [part for part in plan.backup.parts if part.slice == name.slice and part.snapshot]
    ports.reporter.say(f"{name}  reading backup {plan.backup.id} on its store, before anything is given up")
    job = Job(ports.journal.new_id(), app, ports.writer, core.read_tasks(parts), longest=_LONGEST)
    with ports.leases.hold(lease_of(app), "heal", run.run):
        replies = run_on_store(run.workspace, job, name.slice, ports)
    replied(replies, core.READ_BACK, keeper(run.workspace, app).slice)
