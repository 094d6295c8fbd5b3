"""What a deploy would change on each instance: the reply of the check trip, read as a plan."""

import difflib
from collections.abc import Collection, Iterable
from typing import Final

from tfheal.core.apply import Secrets, alive_script, wait_script
from tfheal.core.resources.step import Step
from tfheal.model.facts import InstanceFacts, Known, Observation, ResourceFact, SliceState, Unasked
from tfheal.model.plan import Certainty, Change, InstancePlan, Reason
from tfheal.model.record import Deployed
from tfheal.model.release import Release

_MISSING: Final = "missing"


def generation(
    wanted: Iterable[Release], deployed: Collection[Deployed], told: Iterable[SliceState], asked: Collection[str]
) -> int:
    """Given the wanted releases, what is deployed, what slices told and which were asked, return the placement's generation.

    It grows when the placement differs from the deployed one, and is never below what a slice has seen. What is on a
    slice that could not be asked has no part in it: it will differ when that slice is there.
    """
    known = [item.generation for item in deployed] + [state.generation for state in told]
    if not known:
        return 1
    before = {item.instance for item in deployed if item.instance.slice in asked}
    after = {release.instance for release in wanted if release.slice in asked}
    return max(known) + (1 if before and before != after else 0)


def state_of(seen: Observation | None, release: Release) -> SliceState | None:
    """Given what was seen of its slice, return what is written there about the instance, if anything."""
    if seen is None or isinstance(seen, Unasked):
        return None
    facts = seen.instances.get(release.instance.on_slice)
    return facts.state.value if facts and isinstance(facts.state, Known) else None


def planned(
    release: Release,
    steps: tuple[Step, ...],
    seen: Observation | None,
    deployed: Deployed | None,
    number: int,
    *,
    reached: bool,
) -> InstancePlan:
    """Given a release and its steps, what was seen, what the journal has and the generation, return the plan.

    A slice that was `reached` before and has lost its marker of identity was wiped since.
    """
    instance = release.instance
    if seen is None or isinstance(seen, Unasked):
        why = seen.reason if isinstance(seen, Unasked) else "not asked"
        return InstancePlan(instance, release.id, release.version, "unasked", detail=why)
    if reached and isinstance(seen.machine.identity, Known) and seen.machine.identity.value is None:
        why = "deployed here before, but the machine has lost its marker of identity"
        return InstancePlan(instance, release.id, release.version, "wiped", detail=why)
    facts = seen.instances[instance.on_slice]
    changes = _changes(steps, facts)
    return InstancePlan(
        instance, release.id, release.version, _reason(release, facts, deployed, number, changes), changes
    )


def liveness(release: Release, secrets: Secrets) -> tuple[Step, ...]:
    """Given a release, return the step that waits until it is alive and tells its last log lines if it is not."""
    if release.unit is None and not any(check.kind == "alive" for check in release.checks):
        return ()
    tail = f"journalctl -u {release.unit} -n 15 --no-pager -o cat" if release.unit else ":"
    return (
        Step(
            id="alive",
            check=alive_script(release, secrets),
            apply=f"( {wait_script(release, secrets)}\n) || {{ {tail}; exit 1; }}",
            remove=None,
            timeout=release.start_timeout + 30,
            check_timeout=20.0,
        ),
    )


def _reason(
    release: Release, facts: InstanceFacts, deployed: Deployed | None, number: int, changes: tuple[Change, ...]
) -> Reason:
    state = facts.state.value if isinstance(facts.state, Known) else None
    if state is None:
        return "interrupted" if deployed else "new"
    if state.phase != "applied" or (deployed and deployed.phase != "deployed"):
        return "interrupted"
    same = state.release == release.id and state.generation == number
    return "unchanged" if same and not changes else "changed"


def _changes(steps: tuple[Step, ...], facts: InstanceFacts) -> tuple[Change, ...]:
    if not isinstance(facts.resources, Known):
        return tuple(Change(step.id, "unknown", facts.resources.reason) for step in steps)
    restarts = False
    found = []
    for step, fact in zip(steps, facts.resources.value, strict=True):
        if fact.state == "ok":
            if restarts and step.id.startswith("unit:"):
                found.append(Change(step.id, "might", "restarts after the changes above"))
            continue
        restarts = restarts or step.effect != "nothing"
        certainty: Certainty = "will" if fact.state == "differs" else "unknown"
        found.append(Change(step.id, certainty, fact.detail, _diff(step, fact)))
    return tuple(found)


def _diff(step: Step, fact: ResourceFact) -> str:
    if step.diff is None or fact.state != "differs":
        return ""
    if fact.current is None and fact.detail != _MISSING:
        return ""  # its mode or owner differs, or it is too large to show
    path, text = step.diff
    before = (fact.current or "").splitlines()
    lines = difflib.unified_diff(before, text.splitlines(), f"{path} (on the slice)", f"{path} (wanted)", lineterm="")
    return "\n".join(lines)
