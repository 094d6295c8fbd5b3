"""Certificates of gateways in words and as scripts read them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tfheal.base.amounts import span
from tfheal.base.errors import TfhealError
from tfheal.base.exits import Exit, winning
from tfheal.base.moments import rfc3339
from tfheal.core.certificates import told
from tfheal.model.certificate import Certificate, Renewal
from tfheal.model.release import InstanceName
from tfheal.render.words import NARROW

Seen = Mapping[InstanceName, tuple[Certificate, ...] | TfhealError]


def certificates_words(seen: Seen, done: Sequence[Renewal], now: datetime, width: int) -> RenderableType:
    """Given the certificates of gateways, what became of renewals and the time, return it as a table, or where that is too narrow as lines."""
    errors = [Text(f"{name}  {found}") for name, found in seen.items() if isinstance(found, TfhealError)]
    held = [(name, one) for name, found in seen.items() if not isinstance(found, TfhealError) for one in found]
    failed = [Text(f"{one.gateway}  {one.host}: {one.detail}") for one in done if one.detail]
    if not held and not errors:
        return Text("no gateway ends TLS: `settings: {tls: acme}` in the spec of one has it do so")
    rows = [(str(name), *_row(one, now), _wrong(one, now)) for name, one in held]
    return Group(*([_table(rows)] if width >= NARROW else _entries(rows)) if rows else (), *errors, *failed)


def _table(rows: Sequence[tuple[str, ...]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for head in ("gateway", "name", "by", "holds for", "what is wrong"):
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _entries(rows: Sequence[tuple[str, ...]]) -> list[Text]:
    lines: list[Text] = []
    before = ""
    for gateway, host, source, held, wrong in rows:
        lines += [Text(gateway)] if gateway != before else []
        lines += [Text(f"  {host}  by {source}, {held if held == 'expired' else f'holds for {held}'}")]
        lines += [Text(f"    {wrong}")] if wrong else []
        before = gateway
    return lines


def _wrong(one: Certificate, now: datetime) -> str:
    return "; ".join(each.detail for each in told((one,), now)) or one.why


def certificates_document(seen: Seen, done: Sequence[Renewal]) -> dict[str, object]:
    """Given the certificates of gateways and what became of renewals, return it as scripts read it."""
    return {
        "gateways": [
            {
                "gateway": str(name),
                "certificates": {"unknown": str(found)}
                if isinstance(found, TfhealError)
                else [_certificate(one) for one in found],
            }
            for name, found in seen.items()
        ],
        "renewals": [{"gateway": str(one.gateway), "host": one.host, "failed": one.detail} for one in done],
    }


def code_of(seen: Seen, done: Sequence[Renewal], now: datetime) -> Exit:
    """Return the exit code: what failed, what is wrong with a certificate, what could not be asked."""
    codes = [one.exit for one in done]
    for found in seen.values():
        if isinstance(found, TfhealError):
            codes.append(Exit.UNKNOWN)
        elif any(True for _ in told(found, now)):
            codes.append(Exit.FINDINGS)
    return winning(codes)


def _row(one: Certificate, now: datetime) -> tuple[str, str, str]:
    left = one.ends - now.timestamp()
    held = span(left) if left > 0 else "expired"
    return one.host if one.source != "given" else "all", one.source, held


def _certificate(one: Certificate) -> dict[str, object]:
    return {
        "host": one.host,
        "by": one.source,
        "from": rfc3339(datetime.fromtimestamp(one.begins, UTC)),
        "until": rfc3339(datetime.fromtimestamp(one.ends, UTC)),
        "due": one.due,
        "failed": one.why,
        **({"again": rfc3339(datetime.fromtimestamp(one.again, UTC))} if one.again else {}),
    }
