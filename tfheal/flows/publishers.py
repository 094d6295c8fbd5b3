"""The ways of publishing a name that need no library: a file on slices, a program of this machine, and none."""

from collections.abc import Callable

from tfheal.base.errors import ActionFailed, Refused, TfhealError
from tfheal.core import naming
from tfheal.flows.fleet import ask_all
from tfheal.model.inventory import Inventory, Slice
from tfheal.model.ports import Exec, Ports, Provisioners
from tfheal.model.publication import NamesWay

_PATIENCE = 30.0  # seconds for one slice, or one run of the program
_CAP = 65_536


class NoNames:
    """Names that somebody else publishes."""

    def published(self, host: str) -> tuple[str, ...] | None:
        """Return None: nobody is asked."""

    def change(self, host: str, before: tuple[str, ...], after: tuple[str, ...]) -> None:
        """Change nothing."""

    def prove(self, host: str, value: str | None) -> None:  # noqa: ARG002 (nobody publishes it)
        """Raise Refused: what an authority asks for is not published."""
        raise _cannot(host)


class CommandNames:
    """Names that a program publishes: whatever speaks to the registry of the provider or the owner."""

    def __init__(self, way: NamesWay, provisioners: Provisioners) -> None:
        """Remember both."""
        self._way, self._provisioners = way, provisioners

    def published(self, host: str) -> tuple[str, ...] | None:
        """Return None: it cannot be asked."""

    def change(self, host: str, before: tuple[str, ...], after: tuple[str, ...]) -> None:
        """Add what is new first, and then remove what is not to be there; raise ActionFailed if the program says so."""
        steps = [("add", each) for each in after] + [("remove", each) for each in before if each not in after]
        for action, address in steps:
            said = self._provisioners.run(naming.words(self._way, action, host, address), _PATIENCE)
            if said.status:
                raise ActionFailed(f"{action} {address} failed", where=host, why=f"{said.status}: {said.text[-300:]}")

    def prove(self, host: str, value: str | None) -> None:
        """Add a TXT record, or remove it: the program is told `*` for whatever is there; raise ActionFailed if it says so."""
        name, action = naming.challenged(host), "remove" if value is None else "add"
        said = self._provisioners.run(naming.words(self._way, action, name, value or "*", "TXT"), _PATIENCE)
        if said.status:
            raise ActionFailed(f"{action} TXT failed", where=name, why=f"{said.status}: {said.text[-300:]}")


class HostsNames:
    """Names in `/etc/hosts` of some slices."""

    def __init__(self, way: NamesWay, inventory: Inventory, ports: Ports) -> None:
        """Remember which slices; raise Refused if one is not there."""
        if unknown := [name for name in way.slices if name not in inventory.slices]:
            raise Refused("names are to be written there", where=unknown[0], why="there is no slice of that name")
        self._targets = [inventory.slice(name) for name in way.slices]
        self._ports = ports

    def published(self, host: str) -> tuple[str, ...] | None:
        """Return the addresses that all slices have for a name; raise the error of one that cannot be asked."""
        marker = self._ports.marker()

        def ask(target: Slice) -> tuple[str, ...]:
            found = naming.told(self._run(target, naming.asked(host, marker)), marker)
            if found is None:
                raise ActionFailed("it did not tell what its file of names has", where=target.name)
            return found

        found = self._everywhere(ask)
        return found[0] if len(set(found)) == 1 else ()

    def change(self, host: str, before: tuple[str, ...], after: tuple[str, ...]) -> None:  # noqa: ARG002 (the file has the last word)
        """Write them on every slice; raise the first error once all that can be written is."""
        marker = self._ports.marker()

        def write(target: Slice) -> tuple[str, ...]:
            if naming.told(self._run(target, naming.written(host, after, marker)), marker) is None:
                raise ActionFailed("its file of names was not written, or its owner said stop", where=target.name)
            return after

        self._everywhere(write)

    def prove(self, host: str, value: str | None) -> None:  # noqa: ARG002 (a file of names has addresses alone)
        """Raise Refused: no authority reads the file of a slice."""
        raise _cannot(host)

    def _run(self, target: Slice, script: str) -> bytes:
        return self._ports.transport.run(target, Exec(script, timeout=_PATIENCE, cap=_CAP)).stdout

    def _everywhere(self, question: Callable[[Slice], tuple[str, ...]]) -> list[tuple[str, ...]]:
        replies = ask_all(self._targets, question).values()
        if error := next((reply for reply in replies if isinstance(reply, TfhealError)), None):
            raise error
        return [reply for reply in replies if not isinstance(reply, TfhealError)]


def _cannot(host: str) -> Refused:
    hint = "challenge: http-01 in the settings of its gateway, or names by rfc2136 or a command"
    return Refused("its way of names publishes nothing that an authority could read", where=host, hint=hint)
