"""Which components come first: a component after everything that it needs, those without an order between them together."""

from collections.abc import Collection, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from tfheal.model.findings import Health
from tfheal.model.release import InstanceName


def stages(needs: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """Given what each component needs, return the components in stages, each after all that it needs.

    Needs that are not among the components are left out; a cycle raises ValueError that names it.
    """
    sorter = TopologicalSorter({name: [need for need in wanted if need in needs] for name, wanted in needs.items()})
    try:
        sorter.prepare()
    except CycleError as error:
        # The library tells the circle from what is needed to what needs it.
        raise ValueError(" needs ".join(reversed(error.args[1]))) from error
    result = []
    while sorter.is_active():
        ready = tuple(sorted(sorter.get_ready()))
        result.append(ready)
        sorter.done(*ready)
    return result


def waiting_for(
    needs: Mapping[InstanceName, tuple[str, ...]],
    services: Mapping[InstanceName, Health],
    in_vain: Collection[InstanceName],
) -> dict[InstanceName, tuple[Health, str]]:
    """Given the components that instances need, how their services are, and which run in vain, return those that wait.

    All wait for a need that is dead, or not known, and those that run in vain for one that does not serve. Each with
    what becomes of it if it is ill, and the words for that; the first that is dead is named along the chain.
    """
    found: dict[InstanceName, tuple[Health, str]] = {}
    for app in sorted({name.app for name in needs}):
        ours = {name: wanted for name, wanted in needs.items() if name.app == app}
        of_components = {name.component: wanted for name, wanted in ours.items()}
        missing: dict[str, tuple[Health, str]] = {}
        faint: set[str] = set()
        for component in (component for stage in stages(of_components) for component in stage):
            here = [name for name in ours if name.component == component]
            waits = [missing[need] for need in of_components[component] if need in missing]
            health, cause = next((one for one in waits if one[0] == "blocked"), waits[0] if waits else ("healthy", ""))
            if cause:
                found |= dict.fromkeys(here, (health, cause))
            elif weak := [need for need in of_components[component] if need in faint]:
                why = f"waits for {weak[0]}, which does not serve"
                found |= dict.fromkeys((name for name in here if name in in_vain), ("blocked", why))
            states = {services[name] for name in here}
            if own := _missing(component, states):
                missing[component] = (health, cause) if cause else own
            elif states == {"degraded"}:
                faint.add(component)
    return found


def _missing(component: str, services: set[Health]) -> tuple[Health, str] | None:
    """Return what becomes of those that need a component in none of whose instances anything works, and the words."""
    if services & {"healthy", "degraded"}:
        return None
    return (
        ("unknown", f"waits for {component}, which could not be asked")
        if "unknown" in services
        else ("blocked", f"waits for {component}")
    )
