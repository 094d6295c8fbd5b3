"""Gateways in words and as scripts read them: what each leads to, and what is drained there."""

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tfheal.base.amounts import span
from tfheal.base.errors import TfhealError
from tfheal.model.draining import Backend, Drain
from tfheal.model.release import InstanceName
from tfheal.render.words import NARROW

Seen = Mapping[InstanceName, tuple[Backend, ...] | TfhealError]


def gateways_words(seen: Seen, now: float, width: int) -> RenderableType:
    """Given what each gateway leads to and the time in seconds since 1970, return it as a table, or where that is too narrow as lines."""
    if not seen:
        return Text("no gateway is deployed: an app of the playbook gateway is one")
    errors = [Text(f"{name}  {found}") for name, found in seen.items() if isinstance(found, TfhealError)]
    led = {name: found for name, found in seen.items() if not isinstance(found, TfhealError)}
    leading = {name: found for name, found in led.items() if found}
    nowhere = [
        Text(f"{name}  leads to nothing: route: {{gateway: {name.app}}} in an app spec")
        for name in led
        if name not in leading
    ]
    return Group(
        *([_table(leading, now)] if width >= NARROW else _entries(leading, now)) if leading else (), *nowhere, *errors
    )


def _table(leading: Mapping[InstanceName, tuple[Backend, ...]], now: float) -> Table:
    table = Table(box=None, pad_edge=False)
    for head in ("gateway", "instance", "state", "under way", "requests", "errors", "drained by"):
        number = head in {"under way", "requests", "errors"}
        table.add_column(head, justify="right" if number else "left", overflow="fold")
    for name, found in leading.items():
        for one in found:
            numbers = (str(one.sessions), str(one.requests), str(one.errors))
            table.add_row(str(name), str(one.instance), one.state, *numbers, _by(one, now))
    return table


def _entries(leading: Mapping[InstanceName, tuple[Backend, ...]], now: float) -> list[Text]:
    lines = []
    for name, found in leading.items():
        lines.append(Text(str(name)))
        for one in found:
            lines.append(Text(f"  {one.instance}  {one.state}"))
            lines.append(Text(f"    {one.sessions} under way, {one.requests} requests, {one.errors} errors"))
            lines += [Text(f"    drained by {by}")] if (by := _by(one, now)) else []
    return lines


def gateways_document(seen: Seen) -> dict[str, object]:
    """Given what each gateway leads to, return it as scripts read it."""
    return {
        "gateways": [
            {
                "gateway": str(name),
                "backends": {"unknown": str(found)}
                if isinstance(found, TfhealError)
                else [_backend(one) for one in found],
            }
            for name, found in seen.items()
        ]
    }


def drains_words(instance: str, drains: Sequence[Drain]) -> str:
    """Given how the drains of an instance ended, return it for a person."""
    return "\n".join(f"{instance}  {one.gateway}  {_told(one)}" for one in drains)


def drains_document(instance: str, drains: Sequence[Drain]) -> dict[str, object]:
    """Given how the drains of an instance ended, return it as scripts read it."""
    return {
        "instance": instance,
        "gateways": [
            {"gateway": str(one.gateway), "state": one.state, "cut": one.cut, "detail": one.detail} for one in drains
        ],
    }


def _told(one: Drain) -> str:
    words = {
        "drained": f"drained, {one.cut} sessions were cut" if one.cut else "drained",
        "last": "not drained: no other instance is well",
        "anothers": f"drained by {one.detail}",
        "back": "back: it gets requests again",
        "ill": f"back, and it is {one.detail or 'not well'}",
    }
    return words[one.state]


def _by(one: Backend, now: float) -> str:
    return f"{one.owner} for {span(max(0.0, one.until - now))}" if one.owner else ""


def _backend(one: Backend) -> dict[str, object]:
    return {
        "instance": str(one.instance),
        "state": one.state,
        "sessions": one.sessions,
        "requests": one.requests,
        "errors": one.errors,
        "owner": one.owner,
        "until": one.until,
        "weight": one.weight,
        "failures": one.failures,
    }
