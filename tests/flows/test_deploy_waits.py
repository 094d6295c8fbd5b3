"""A deploy goes on with what it can reach: who waits for a component that could not be asked, and who does not."""

import pytest

from tfheal.flows.deploy import _waiting
from tfheal.model.plan import InstancePlan
from tfheal.model.release import InstanceName
from tfheal.model.results import InstanceOutcome, InstanceResult

NEEDS: dict[str, tuple[str, ...]] = {"db": (), "mail": (), "api": ("db",), "web": ("api", "mail")}


def named(words: str) -> InstanceName:
    """Given `component@slice`, return the name."""
    component, _, slice_name = words.partition("@")
    return InstanceName("shop", component, slice_name)


def planned(name: InstanceName) -> InstancePlan:
    """Return a plan that acts."""
    return InstancePlan(name, "f" * 16, "1", "new")


@pytest.mark.parametrize(
    ("before", "due", "waits"),
    [
        ({}, ["db@s1"], {}),
        ({"db@s1": "changed"}, ["api@s2"], {}),
        ({"db@s1": "unchanged"}, ["api@s2"], {}),
        ({"db@s1": "unasked"}, ["api@s2"], {"api@s2": "waits for db, which could not be asked"}),
        ({"db@s1": "unasked", "db@s2": "changed"}, ["api@s3"], {}),
        ({"db@s1": "unasked", "mail@s1": "changed"}, ["mail@s2"], {}),
        (
            {"api@s1": "unasked", "mail@s2": "unasked"},
            ["web@s3"],
            {"web@s3": "waits for api, which could not be asked"},
        ),
    ],
)
def test_what_needs_a_silent_component_waits(
    before: dict[str, InstanceOutcome], due: list[str], waits: dict[str, str]
) -> None:
    """With none of its instances reached it is missing, and so is, in turn, what waits for it; others go on."""
    results = {named(words): InstanceResult(planned(named(words)), outcome) for words, outcome in before.items()}
    names = [named(words) for words in due]
    found = _waiting({name: planned(name) for name in names}, names, NEEDS, results)
    assert {f"{name.component}@{name.slice}": result.detail for name, result in found.items()} == waits
    assert {result.outcome for result in found.values()} <= {"unasked"}
