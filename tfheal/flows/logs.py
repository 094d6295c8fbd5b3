"""`tfheal logs`: the newest journal lines of an app's services, from every slice at once."""

import difflib
from dataclasses import dataclass

from tfheal.base import sh, untrusted
from tfheal.base.errors import TfhealError, UsageError
from tfheal.base.exits import Exit
from tfheal.core.probe.script import Question, answers, composed
from tfheal.flows.fleet import Limits, ask_all
from tfheal.flows.hidden import hushed
from tfheal.flows.releases import expected
from tfheal.model.inventory import Slice
from tfheal.model.ports import Exec, Ports
from tfheal.model.record import Expected
from tfheal.model.results import LogLines
from tfheal.model.workspace import Workspace

CAP = 4 << 20


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What to read on one slice."""

    items: tuple[Expected, ...]
    lines: int
    hidden: tuple[str, ...]


def logs(workspace: Workspace, target: str, lines: int, ports: Ports, limits: Limits) -> tuple[LogLines, ...]:
    """Given `app` or `app/component`, return the newest lines of each instance; raise UsageError if none is deployed."""
    app, _, component = target.partition("/")
    if app not in workspace.apps and not ports.journal.deployed(app):
        near = difflib.get_close_matches(app, list(workspace.apps), n=1)
        raise UsageError(
            f"there is no app {app}", hint=f"did you mean {near[0]}?" if near else "tfheal status lists the apps"
        )
    items = tuple(item for item in expected((app,), ports) if component in {"", item.release.component})
    if not items:
        raise UsageError(f"nothing of {target} is deployed", hint=f"tfheal deploy {app}")
    here = {
        name: ours
        for name in workspace.inventory.slices
        if (ours := tuple(item for item in items if item.release.slice == name and item.release.unit))
    }
    slices = [workspace.inventory.slice(name) for name in here]
    hidden = ports.hidden(here)
    found = ask_all(slices, lambda one: _read(one, _Wanted(here[one.name], lines, hidden[one.name]), ports), limits)
    asked = {item.release.instance for ours in here.values() for item in ours}
    result = [_silent(item, workspace) for item in items if item.release.instance not in asked]
    for name, read in found.items():
        if isinstance(read, TfhealError):
            result += [
                LogLines(str(item.release.instance), "", str(hushed(read, hidden[name])), Exit.UNKNOWN)
                for item in here[name]
            ]
        else:
            result += read
    return tuple(result)


def _silent(item: Expected, workspace: Workspace) -> LogLines:
    if item.release.slice not in workspace.inventory.slices:
        return LogLines(str(item.release.instance), "", "its slice is not in the inventory", Exit.UNKNOWN)
    return LogLines(str(item.release.instance), "", "it runs no service", Exit.OK)


def _read(target: Slice, wanted: _Wanted, ports: Ports) -> tuple[LogLines, ...]:
    questions = tuple(
        Question(
            str(item.release.instance),
            f"journalctl -u {sh.quote(item.release.unit or '')} -n {wanted.lines} --no-pager -o short-iso",
            timeout=15,
            cap=CAP // 2,
        )
        for item in wanted.items
    )
    marker = ports.marker()
    reply = ports.transport.run(target, Exec(composed(questions, marker, 30), timeout=60, cap=2 * CAP))
    told = answers(reply.stdout, questions, marker, wanted.hidden)
    entries = []
    for item in wanted.items:
        answer = told[str(item.release.instance)]
        text = untrusted.text(answer.output, CAP, wanted.hidden) if answer else ""
        entries.append(LogLines(str(item.release.instance), text, "", Exit.OK))
    return tuple(entries)
