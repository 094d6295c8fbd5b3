"""Which components come first: a component after everything that it needs, those without an order between them together."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter


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
