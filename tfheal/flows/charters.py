"""What the owners permit, read from their slices."""

from collections.abc import Iterable, Mapping

from tfheal.base.errors import Refused, TfhealError
from tfheal.core.charter import forbids
from tfheal.core.probe import charter
from tfheal.core.probe.script import answers, composed
from tfheal.flows.fleet import Limits, ask_all
from tfheal.model.facts import Fact, Unknown
from tfheal.model.inventory import Slice
from tfheal.model.ports import Exec, Ports
from tfheal.model.workspace import Workspace

_BUDGET = 10.0  # seconds that a slice has to show its charter


def charters(workspace: Workspace, names: Mapping[str, None], ports: Ports, limits: Limits) -> Mapping[str, Fact[str]]:
    """Given names of slices, return the text of each one's charter, empty if it has none."""

    def ask(target: Slice) -> Fact[str]:
        marker = ports.marker()
        script = composed((charter.QUESTION,), marker, _BUDGET)
        reply = ports.transport.run(target, Exec(script, timeout=2 * _BUDGET, cap=1 << 16))
        return charter.charter(answers(reply.stdout, (charter.QUESTION,), marker)[charter.QUESTION.key])

    replies = ask_all([workspace.inventory.slice(name) for name in names], ask, limits)
    return {name: Unknown(str(one)) if isinstance(one, TfhealError) else one for name, one in replies.items()}


def heeded(workspace: Workspace, names: Iterable[str], word: str, ports: Ports, limits: Limits) -> None:
    """Given names of slices and a word for an action, raise Refused where an owner forbids it, or cannot be asked."""
    for name, found in charters(workspace, dict.fromkeys(names), ports, limits).items():
        if why := found.reason if isinstance(found, Unknown) else forbids(found.value, word):
            raise Refused(f"its owner has to permit {word}", where=name, why=why)
