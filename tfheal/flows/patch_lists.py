"""Fetching the package lists of slices: without it nobody there may ever hear of an update."""

from collections.abc import Iterable, Mapping

from tfheal.base.errors import TfhealError
from tfheal.core import patching
from tfheal.core.charter import forbids
from tfheal.flows.charters import charters
from tfheal.flows.fleet import Limits, ask_all
from tfheal.flows.hidden import hushed
from tfheal.model.facts import Known
from tfheal.model.inventory import Slice
from tfheal.model.ports import Exec, Ports
from tfheal.model.record import ActionRecord
from tfheal.model.workspace import Workspace

_LONGEST = 300.0  # seconds
_CAP = 1 << 16


def fetched(workspace: Workspace, names: Iterable[str], run: str, ports: Ports, limits: Limits) -> Mapping[str, str]:
    """Given names of slices, fetch the package lists there, unless the owner forbids patches; return why not, where it failed."""
    said = charters(workspace, dict.fromkeys(names), ports, limits)
    allowed = [name for name, found in said.items() if isinstance(found, Known) and not forbids(found.value, "patch")]
    hidden = ports.hidden(allowed)

    def here(target: Slice) -> str:
        return _fetched(target, hidden[target.name], run, ports)

    replies = ask_all([workspace.inventory.slice(name) for name in allowed], here, limits)
    ended = {
        name: str(hushed(one, hidden[name])) if isinstance(one, TfhealError) else one for name, one in replies.items()
    }
    for name, why in ended.items():
        if why:
            ports.reporter.say(f"{name}  its package lists were not fetched: {why}")
    return {name: why for name, why in ended.items() if why}


def _fetched(target: Slice, hidden: tuple[str, ...], run: str, ports: Ports) -> str:
    marker, now = ports.marker(), ports.clock.now()
    record = ActionRecord(
        id=ports.journal.new_id(),
        run=run,
        verb="fetch",
        app="",
        instance=None,
        slice=target.name,
        incident=None,
        why="the package lists",
        release=None,
        started=now,
    )
    ports.journal.intend(record)
    try:
        reply = ports.transport.run(target, Exec(patching.fetch(marker), timeout=_LONGEST, cap=_CAP))
    except TfhealError as error:
        ports.journal.conclude(record.id, "unknown", str(hushed(error, hidden)), ports.clock.now())
        raise
    told = patching.report(reply.stdout, marker, hidden)
    why = told.refused or told.failure or ("" if told.ended else "it did not tell how it ended")
    ports.journal.conclude(record.id, "failed" if why else "done", why, ports.clock.now())
    return why
