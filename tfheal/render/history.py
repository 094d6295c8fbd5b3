"""What was done to the apps: a table for people, a document for scripts."""

from collections.abc import Collection, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tfheal.base.untrusted import brief
from tfheal.model.record import ActionRecord

WIDE: Final = 110
_STYLES: Final = {"done": "green", "failed": "red", "refused": "yellow", "undone": "yellow", "unknown": "yellow"}
_UNDER_WAY: Final = "under way"
_UNTOLD: Final = "never told"


def history_table(actions: Sequence[ActionRecord], abandoned: Collection[str], width: int) -> RenderableType:
    """Given actions, oldest first, return them as a table, or where that is too narrow as entries of a few lines."""
    if not actions:
        return Text("nothing was done yet")
    return _table(actions, abandoned) if width >= WIDE else _entries(actions, abandoned)


def history_document(actions: Sequence[ActionRecord], abandoned: Collection[str]) -> dict[str, object]:
    """Given actions, return them as scripts read them."""
    return {"actions": [_document(action, abandoned) for action in actions]}


def _table(actions: Sequence[ActionRecord], abandoned: Collection[str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for head in ("time", "run", "app"):
        table.add_column(head, no_wrap=True)
    for head in ("instance", "what", "why", "outcome"):
        table.add_column(head, overflow="fold")
    table.add_column("seconds", justify="right", no_wrap=True)
    for action in actions:
        table.add_row(
            Text(_time(action)),
            Text(action.run),
            Text(action.app),
            Text(_place(action) or "-"),
            Text(action.verb),
            Text(action.why),
            _outcome(action, abandoned).append(
                f": {brief(_reason(action))}" if _reason(action) else "", style="default"
            ),
            Text(_seconds(action)),
        )
    return table


def _entries(actions: Sequence[ActionRecord], abandoned: Collection[str]) -> Group:
    return Group(*(part for action in actions for part in _entry(action, abandoned)))


def _entry(action: ActionRecord, abandoned: Collection[str]) -> tuple[RenderableType, ...]:
    head = Text.assemble(_time(action), "  ", (action.verb, "bold"), "  ", _outcome(action, abandoned))
    if action.ended is not None:
        head.append(f"  {_seconds(action)} s")
    where = " ".join(word for word in (action.app, _place(action), f"(run {action.run})") if word)
    lines = (line for line in (where, action.why, _reason(action)) if line)
    return head, *(Padding(Text(line), (0, 0, 0, 2), expand=False) for line in lines)


def _outcome(action: ActionRecord, abandoned: Collection[str]) -> Text:
    outcome = action.outcome or (_UNTOLD if action.id in abandoned else _UNDER_WAY)
    return Text(outcome, style=_STYLES.get(outcome, "yellow"))


def _reason(action: ActionRecord) -> str:
    """Return what there is to say about an outcome that was not wished for."""
    return "" if action.outcome == "done" else action.detail


def _time(action: ActionRecord) -> str:
    return f"{action.started:%Y-%m-%d %H:%M:%S}Z"


def _place(action: ActionRecord) -> str:
    if action.instance is None:
        return f"@{action.slice}" if action.slice else ""
    return f"{action.instance.component}@{action.instance.slice}"


def _seconds(action: ActionRecord) -> str:
    return "" if action.ended is None else f"{(action.ended - action.started).total_seconds():.1f}"


def _document(action: ActionRecord, abandoned: Collection[str]) -> dict[str, object]:
    open_because = {"unknown": _UNTOLD if action.id in abandoned else _UNDER_WAY}
    ended = action.ended
    return {
        "id": action.id,
        "time": action.started.isoformat().replace("+00:00", "Z"),
        "run": action.run,
        "app": action.app,
        "instance": None if action.instance is None else str(action.instance),
        "slice": action.slice,
        "incident": action.incident,
        "release": action.release,
        "what": action.verb,
        "why": action.why,
        "outcome": action.outcome or open_because,
        "detail": action.detail,
        "ended": open_because if ended is None else ended.isoformat().replace("+00:00", "Z"),
        "seconds": open_because if ended is None else round((ended - action.started).total_seconds(), 3),
    }
