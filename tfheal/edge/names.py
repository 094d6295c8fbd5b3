"""Host names at a DNS server by RFC 2136, signed by TSIG, through dnspython: the only module that knows it.

Each change is one UPDATE message with what was seen before as its prerequisites: all of it takes effect, or nothing, and
nothing that somebody else changed meanwhile is overwritten.
"""

from typing import Any, Final

from tfheal.base import untrusted
from tfheal.base.errors import ActionFailed
from tfheal.core.naming import challenged
from tfheal.model.ports import Vault
from tfheal.model.publication import NamesWay, secret_of, server_of

_PATIENCE: Final = 5.0  # seconds for one answer
_SHORT: Final = 10  # seconds that others may keep what is asked for once
_TYPES: Final = ("A", "AAAA")


class DnsNames:
    """The publisher port over a DNS server that takes updates."""

    def __init__(self, name: str, way: NamesWay, vault: Vault) -> None:
        """Remember the way, which has a server, a zone and a key; nothing is asked yet."""
        self._name, self._way, self._vault = name, way, vault
        self._server, self._port = server_of(way.server or "")
        self._zone = f"{(way.zone or '').rstrip('.')}."

    def published(self, host: str) -> tuple[str, ...]:
        """Return the addresses of a name, sorted; raise ActionFailed if the server did not say."""
        from dns import message, rcode, rdatatype

        found: list[str] = []
        for kind in _TYPES:
            asked = message.make_query(self._absolute(host), kind)
            reply = self._sent(asked)
            if reply.rcode() not in {rcode.NOERROR, rcode.NXDOMAIN}:
                raise self._failed(f"it answers {rcode.to_text(reply.rcode())}")
            wanted = rdatatype.from_text(kind)
            found += [item.to_text() for answer in reply.answer if answer.rdtype == wanted for item in answer]
        return tuple(sorted(found))

    def change(self, host: str, before: tuple[str, ...], after: tuple[str, ...]) -> None:
        """Replace the addresses of a name by one signed message; raise ActionFailed if the server did not take it."""
        from dns import rcode, update

        name, order = self._absolute(host), update.UpdateMessage(self._zone)
        for kind in _TYPES:
            old, new = ([each for each in of if (":" in each) == (kind == "AAAA")] for of in (before, after))
            if old:
                order.present(name, kind, *old)
            else:
                order.absent(name, kind)
            order.delete(name, kind)
            if new:
                order.add(name, round(self._way.ttl), kind, *new)
        code = self._sent(order, stream=True).rcode()
        if code in {rcode.NXRRSET, rcode.YXRRSET, rcode.NXDOMAIN, rcode.YXDOMAIN}:
            raise self._failed("somebody else changed the name just now")
        if code != rcode.NOERROR:
            raise self._failed(f"it answers {rcode.to_text(code)} to an update of {self._zone}")

    def prove(self, host: str, value: str | None) -> None:
        """Have one TXT record where an authority looks, or none; raise ActionFailed if the server did not take it."""
        from dns import rcode, update

        name, order = self._absolute(challenged(host)), update.UpdateMessage(self._zone)
        order.delete(name, "TXT")
        if value is not None:
            order.add(name, _SHORT, "TXT", f'"{value}"')
        code = self._sent(order, stream=True).rcode()
        if code != rcode.NOERROR:
            raise self._failed(f"it answers {rcode.to_text(code)} to an update of {self._zone}")

    def _absolute(self, host: str) -> str:
        if not f".{host}.".endswith(f".{self._zone}"):
            raise self._failed(f"{host} is not in the zone {self._zone}")
        return f"{host}."

    def _sent(self, order: Any, *, stream: bool = False) -> Any:  # noqa: ANN401 (messages of dnspython, which is loaded late)
        from dns import exception, query, tsig

        try:
            self._sign(order)
            if stream:
                return query.tcp(order, self._server, timeout=_PATIENCE, port=self._port)
            return query.udp_with_fallback(order, self._server, timeout=_PATIENCE, port=self._port)[0]
        except (tsig.PeerBadKey, tsig.PeerBadSignature) as error:
            raise self._failed(f"it refuses the key {self._way.key}") from error
        except (exception.DNSException, OSError, EOFError, ValueError) as error:
            raise self._failed(untrusted.line(str(error), 200) or type(error).__name__) from error

    def _sign(self, order: Any) -> None:  # noqa: ANN401 (as above)
        from dns import tsig, tsigkeyring

        app, secret = secret_of(self._name)
        version = self._vault.latest(app, secret)
        if not version:
            raise self._failed("its key has no secret", f"tfheal secret set {app} {secret}")
        key = f"{(self._way.key or '').rstrip('.')}."
        try:
            keyring = tsigkeyring.from_text({key: self._vault.get(app, secret, version).reveal()})
        except ValueError:  # nothing of what it says, which is the secret
            keyring = None
        if keyring is None:
            raise self._failed("the secret of its key is not base64", f"tfheal secret set {app} {secret}")
        algorithms = {"hmac-sha256": tsig.HMAC_SHA256, "hmac-sha384": tsig.HMAC_SHA384, "hmac-sha512": tsig.HMAC_SHA512}
        order.use_tsig(keyring, algorithm=algorithms[self._way.algorithm])

    def _failed(self, why: str, hint: str = "") -> ActionFailed:
        where = f"{self._way.server}, names.{self._name}"
        return ActionFailed("the name server did not do it", where=where, why=why, hint=hint)
