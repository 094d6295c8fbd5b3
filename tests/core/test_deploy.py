"""The reply of a check trip read as a plan: why an instance is applied or not, what will change, and the generation."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from fleets import NOW, an_instance, fleet, release_of

from tfheal.core.deploy import generation, liveness, planned, state_of
from tfheal.core.resources.step import Step
from tfheal.model.facts import Known, ResourceFact, SliceFacts, SliceState, Unasked
from tfheal.model.plan import Change, InstancePlan
from tfheal.model.record import Deployed
from tfheal.model.release import InstanceName

DB = an_instance("shop/db@s1")
WANTED = "a = 1\nb = 2\n"
STEPS = (
    Step("directory:/srv/data", "", "", None, 5.0),
    Step("file:/etc/shop.conf", "", "", None, 5.0, effect="restart", diff=("/etc/shop.conf", WANTED)),
    Step("unit:shop-db.service", "", "", None, 5.0),
)


def plan_of(
    seen: Mapping[str, object],
    *,
    generation: int = 3,
    known: bool = True,
    reached: bool = True,
    phase: str = "deployed",
) -> InstancePlan:
    """Return the plan for the database, given what was seen."""
    made = fleet({"place": {"shop": {"db": ["s1"]}}, "seen": seen})
    deployed = replace(made.expected[0].deployed, phase=phase)  # type: ignore[arg-type]
    release = made.expected[0].release
    return planned(release, STEPS, made.seen["s1"], deployed if known else None, generation, reached=reached and known)


@pytest.mark.parametrize(
    ("seen", "changes", "reason"),
    [
        ({}, {}, "unchanged"),
        ({"shop/db@s1": {"state": "gone"}}, {"known": False}, "new"),
        ({"shop/db@s1": {"state": "gone"}}, {}, "interrupted"),
        ({"shop/db@s1": {"state": {"phase": "applying"}}}, {}, "interrupted"),
        ({}, {"phase": "deploying"}, "interrupted"),
        ({}, {"phase": "removing"}, "interrupted"),
        ({"shop/db@s1": {"state": {"release": "f" * 16}}}, {}, "changed"),
        ({"shop/db@s1": {"drift": ["file:/etc/shop.conf: missing"]}}, {}, "changed"),
        ({}, {"generation": 4}, "changed"),
        ({}, {"known": False}, "unchanged"),
        ({"shop/db@s1": {"resources": "unknown"}}, {}, "changed"),
        ({"shop/db@s1": {"state": "garbled"}}, {}, "interrupted"),
        ({"s1": "unreachable"}, {}, "unasked"),
        ({"s1": {"wiped": True}, "shop/db@s1": {"state": "gone"}}, {}, "wiped"),
        ({"s1": {"wiped": True}, "shop/db@s1": {"state": "gone"}}, {"known": False}, "new"),
        (
            {"s1": {"wiped": True}, "shop/db@s1": {"state": "gone"}},
            {"reached": False, "phase": "deploying"},
            "interrupted",
        ),
        ({"s1": {"silent": True}}, {}, "unchanged"),
    ],
)
def test_why_an_instance_is_applied(seen: Mapping[str, object], changes: dict[str, object], reason: str) -> None:
    """New, changed, interrupted, or left alone: unchanged, unasked, wiped."""
    plan = plan_of(seen, **changes)  # type: ignore[arg-type]
    assert plan.reason == reason
    assert plan.acts == (reason in {"new", "changed", "interrupted"})


def changes_of(*facts: ResourceFact) -> list[tuple[str, str, str]]:
    """Return the changes that follow from what the resources say, the diffs apart."""
    return [(change.resource, change.certainty, change.detail) for change in _changes(facts)]


def _changes(facts: tuple[ResourceFact, ...]) -> tuple[Change, ...]:
    made = fleet({"place": {"shop": {"db": ["s1"]}}})
    seen = made.seen["s1"]
    assert isinstance(seen, SliceFacts)
    instance = replace(seen.instances[DB.on_slice], resources=Known(facts))
    release = made.expected[0].release
    changed = replace(seen, instances={DB.on_slice: instance})
    return planned(release, STEPS, changed, None, 3, reached=False).changes


OK = tuple(ResourceFact(step.id, "ok") for step in STEPS)


def test_what_will_might_and_cannot_be_known_to_change() -> None:
    """A file that differs will change, the unit behind it might restart, what could not be asked is unknown."""
    assert changes_of(*OK) == []
    differs = ResourceFact(STEPS[1].id, "differs", "content differs", "a = 1\n")
    assert changes_of(OK[0], differs, OK[2]) == [
        ("file:/etc/shop.conf", "will", "content differs"),
        ("unit:shop-db.service", "might", "restarts after the changes above"),
    ]
    unknown = ResourceFact(STEPS[0].id, "unknown", "cannot be read")
    assert changes_of(unknown, OK[1], OK[2]) == [("directory:/srv/data", "unknown", "cannot be read")]


@pytest.mark.parametrize(
    ("fact", "diff"),
    [
        (ResourceFact("", "differs", "content differs", "a = 1\n"), "+b = 2"),
        (ResourceFact("", "differs", "missing"), "+a = 1\n+b = 2"),
        (ResourceFact("", "differs", "content differs mode is 600, wanted 644", "a = 1\n"), "+b = 2"),
        (ResourceFact("", "differs", "mode is 600, wanted 644"), ""),
        (ResourceFact("", "differs", "content differs"), ""),
        (ResourceFact("", "differs", "content differs", ""), "+a = 1\n+b = 2"),
        (ResourceFact("", "unknown", "cannot be read"), ""),
    ],
)
def test_a_diff_shows_what_is_known(fact: ResourceFact, diff: str) -> None:
    """Not a word of what is there is made up: where it was not shown, or did not change, there is no diff."""
    change = _changes((OK[0], replace(fact, resource=STEPS[1].id), OK[2]))[0]
    shown = [line for line in change.diff.splitlines() if line[:1] in "+-" and line[:3] not in {"+++", "---"}]
    assert "\n".join(shown) == diff


def test_resources_that_could_not_be_asked_might_all_change() -> None:
    """Each is told as unknown, with the reason."""
    plan = plan_of({"shop/db@s1": {"resources": "unknown"}})
    assert {change.certainty for change in plan.changes} == {"unknown"}
    assert {change.detail for change in plan.changes} == {"no time was left to ask"}


def deployed_on(*slices: str, number: int = 3) -> list[Deployed]:
    """Return the record that the web tier is deployed on these slices."""
    at = NOW - timedelta(days=1)
    return [Deployed(InstanceName("shop", "web", one), "f" * 16, "1", number, "deployed", at) for one in slices]


@pytest.mark.parametrize(
    ("wanted", "before", "told", "asked", "expected"),
    [
        ("s1", "", [], "s1", 1),
        ("s1", "s1", [], "s1", 3),
        ("s1 s2", "s1", [], "s1 s2", 4),
        ("s1", "s1", [7], "s1", 7),
        ("s1 s2", "s1", [7], "s1 s2", 8),
        ("s1 s2", "s1 s2", [], "s1", 3),
        ("s1 s2", "s1", [], "s1", 3),
        ("s1", "", [5], "s1", 5),
    ],
    ids=[
        *(
            "first",
            "same",
            "one more",
            "a slice knows more",
            "both",
            "one silent",
            "a new one silent",
            "only slices know",
        ),
    ],
)
def test_the_generation_of_a_placement(wanted: str, before: str, told: list[int], asked: str, expected: int) -> None:
    """It grows with the placement, is never below what a slice has seen, and a silent slice does not move it."""
    releases = [release_of(InstanceName("shop", "web", one)) for one in wanted.split()]
    states = [replace(_a_state(), generation=number) for number in told]
    assert generation(releases, deployed_on(*before.split()), states, asked.split()) == expected


def _a_state() -> SliceState:
    made = fleet({"place": {"shop": {"db": ["s1"]}}})
    state = state_of(made.seen["s1"], made.expected[0].release)
    assert state
    return state


def test_what_is_written_on_a_slice() -> None:
    """Its state if it told one, nothing if it was not asked or has none."""
    release = release_of(DB)
    assert _a_state().generation == 3
    assert state_of(None, release) is None
    assert state_of(Unasked("s1", "gone", "unreachable"), release) is None
    for words in ("gone", "garbled"):
        seen = fleet({"place": {"shop": {"db": ["s1"]}}, "seen": {"shop/db@s1": {"state": words}}}).seen["s1"]
        assert state_of(seen, release) is None


def test_what_runs_nothing_is_not_waited_for() -> None:
    """Without a unit and without an `alive` check there is nothing to wait for; else there is one step for it."""
    assert liveness(release_of(DB, unit=None, checks=[]), {}) == ()
    (step,) = liveness(release_of(DB, start_timeout=7.0), {})
    assert "journalctl -u shop-db.service" in step.apply
    assert step.timeout > 7.0
