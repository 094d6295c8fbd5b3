"""Gateways in words and as scripts read them: what each leads to, and what is drained there."""

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tfheal.base.amounts import span
from tfheal.base.errors import TfhealError
from tfheal.model.draining import Backend, Drain
from tfheal.model.release import InstanceName

Seen = Mapping[InstanceName, tuple[Backend, ...] | TfhealError]


def gateways_words(seen: Seen, now: float) -> RenderableType:
    """Given what each gateway leads to and the time in seconds since 1970, return it for a person."""
    if not seen:
        return Text("no gateway is deployed: an app of the playbook gateway is one")
    table = Table(box=None, pad_edge=False)
    for head in ("gateway", "instance", "state", "under way", "requests", "errors", "drained by"):
        number = head in {"under way", "requests", "errors"}
        table.add_column(head, justify="right" if number else "left", overflow="fold")
    errors = []
    for name, found in seen.items():
        if isinstance(found, TfhealError):
            errors.append(Text(f"{name}  {found}"))
            continue
        for one in found:
            numbers = (str(one.sessions), str(one.requests), str(one.errors))
            table.add_row(str(name), str(one.instance), one.state, *numbers, _by(one, now))
    return Group(table, *errors)


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
