"""What is expected of each fault, as data (expected.yaml), and the judgement over what became of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import yaml

_FILE: Final = Path(__file__).with_name("expected.yaml")
Ends = Literal["healed", "left", "paged", "any"]
_LADDER: Final = 400.0  # seconds that it may take until every rung has failed and a human is called


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is to become of a fault: one of these causes is named (none: nothing need be), only these rungs are taken, and so it ends.

    `healed`: well again, and idle. `left`: seen, named, and nothing done about it, because nothing is known or somebody
    said so. `paged`: a human is called, so many `calls`. `any`: one of these; what is wrong there is only a wrong action. `served` says that the client notices nothing, None that it may or may not; `stays` that the fault itself
    is still there after (what is healed is what it did). `absent` says why the fault cannot be put in there;
    for `lease` seconds another run holds the lease of the app.
    """

    causes: frozenset[str] = frozenset()
    rungs: frozenset[str] = frozenset()
    ends: Ends = "healed"
    served: bool | None = False
    stays: bool = False
    calls: int = 1
    within: float = 0.0
    absent: str = ""
    lease: float = 0.0
    nearby: frozenset[str] = frozenset()


def expected(fault: str, target: str) -> Expectation | None:
    """Given a fault and `app/component`, return what is expected there; nothing if nobody has said."""
    said = _written()["faults"].get(fault)
    if said is None:
        return None
    return _of({**said, **said.get("instances", {}).get(target, {})})


def every_fault() -> list[str]:
    """Return the names of the faults that something is expected of."""
    return list(_written()["faults"])


def doubles() -> dict[str, dict[str, Any]]:
    """Return the double faults by name: what is broken where, and what is expected, as `expectation`."""
    return {name: {**said, "expectation": _of(said)} for name, said in _written()["doubles"].items()}


def for_peers() -> dict[str, str]:
    """Return the faults of copyparty's processes, service and files that its customer notices, and their class."""
    return {name: said["class"] for name, said in _written()["faults"].items() if said.get("class")}


def judged(row: Any, expectation: Expectation) -> list[str]:  # noqa: ANN401 (rows know expectations)
    """Given a row and what was expected of it, return what is otherwise, each as a sentence; nothing where all is right."""
    if not row.landed or any("did not land" in note for note in row.notes):
        return ["it did not land"]
    told = []
    if expectation.ends not in {row.ended, "any"}:
        told.append(f"it ended as {row.ended}, not as {expectation.ends}")
    if expectation.causes and not expectation.causes & {*row.detected}:
        told.append(f"detected as {', '.join(row.detected) or 'nothing'}")
    told += [f"wrong action: {action}" for action in row.wrong]
    if row.pages != (expectation.calls if row.ended == "paged" else 0):
        told.append(f"{row.pages} calls for a human")
    if not row.idle:
        told.append("a second run was not idle")
    if row.lost != 0:
        told.append(f"{row.lost if row.lost is not None else 'nobody knows how many'} acknowledged writes lost")
    if row.ended == "healed" and row.still_there and not expectation.stays:
        told.append(f"{', '.join(row.still_there)} is still there")
    if expectation.served and row.failed:
        told.append(f"{row.failed} requests failed")
    if expectation.served is False and not row.failed and expectation.ends == "healed":
        told.append("the client noticed nothing")
    return told


def _of(said: dict[str, Any]) -> Expectation:
    causes, rungs = frozenset(said.get("causes", ())), frozenset(said.get("rungs", ()))
    return Expectation(
        causes=causes | ({"healed-locally"} if causes and "reflex" in rungs else frozenset()),
        rungs=rungs,
        ends=said.get("ends", "healed"),
        served=said.get("served", False),
        stays=said.get("stays", False),
        calls=said.get("calls", 1),
        within=_LADDER if said.get("ends") in {"paged", "any"} else 0.0,
        absent=said.get("absent", ""),
        nearby=frozenset(said.get("nearby", ())),
        lease=float(said.get("lease", 0.0)),
    )


def _written() -> dict[str, Any]:
    return dict(yaml.safe_load(_FILE.read_text()))
