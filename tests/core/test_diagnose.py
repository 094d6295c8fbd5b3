"""Facts in, judgement out: one case a file, and the laws that hold for any facts."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fleets import FULL, NOW, an_instance, case_of, cases, fleet
from hypothesis import given, settings
from hypothesis import strategies as st

from tfheal.core.diagnose import dated, diagnosed
from tfheal.core.heal import planned
from tfheal.model.facts import SliceFacts
from tfheal.model.findings import Diagnosis, Finding
from tfheal.model.record import HealthSince
from tfheal.model.results import Status


def words_of(finding: Finding) -> str:
    """Return a finding as a case writes it: its cause, its place, and the rung that it asks for."""
    place = f"{finding.instance or finding.slice}"
    return f"{finding.cause} {place}" + (f" -> {finding.entry}" if finding.entry else "")


def judged(case: dict[str, object]) -> tuple[Diagnosis, int]:
    """Return the judgement over a case, and the code that status ends with."""
    made = fleet(case)
    diagnosis = diagnosed(made.expected, made.placed, made.seen, FULL, made.pauses)
    return diagnosis, int(Status(NOW, (), made.expected, made.seen, diagnosis, {}, {}).exit)


@pytest.mark.parametrize("path", cases("diagnose"), ids=lambda path: path.stem)
def test_facts_are_judged_as_the_case_says(path: Path) -> None:
    """Findings with the rung they ask for, the health of instances and apps, and the exit code of status."""
    case = case_of(path)
    expect = case.pop("expect")
    diagnosis, code = judged(case)
    assert sorted(words_of(finding) for finding in diagnosis.findings) == sorted(expect.pop("findings", []))
    healths = {str(name): health for name, health in diagnosis.instances.items()} | diagnosis.apps
    assert healths == dict.fromkeys(healths, "healthy") | expect.pop("health", {})
    assert code == expect.pop("status")
    details = "\n".join(finding.detail for finding in diagnosis.findings)
    assert [words for words in expect.pop("says", []) if words not in details] == [], details
    assert not expect


INSTANCE = st.fixed_dictionaries(
    {},
    optional={
        "unit": st.sampled_from(
            ["failed/failed", "inactive/dead", "activating/start", "activating/auto-restart", "unknown"]
        ),
        "alive": st.sampled_from(["fail", "unknown"]),
        "ready": st.sampled_from(["fail", "unknown"]),
        "consistent": st.sampled_from(["fail", "unknown"]),
        "stored": st.sampled_from(["fail", "unknown"]),
        "drift": st.sampled_from([["file:/etc/shop.conf: content differs"], ["directory:/srv/data: missing"]]),
        "resources": st.just("unknown"),
        "state": st.sampled_from(["gone", "garbled", {"generation": 9}, {"release": "f" * 16}, {"phase": "applying"}]),
        "restarts": st.integers(0, 9),
        "asked": st.booleans(),
    },
)
SLICE = st.one_of(
    st.sampled_from(["unreachable", "host-key-changed", "bad-reply"]),
    st.fixed_dictionaries(
        {},
        optional={
            "disk": st.sampled_from([0.5, 0.99, "unknown"]),
            "paused": st.just("2026-01-01T00:00:00Z"),
            "wiped": st.booleans(),
            "silent": st.booleans(),
            "clock": st.sampled_from([0.0, 99.0]),
        },
    ),
)
PLACE = {"shop": {"db": ["s1", "s3"], "api": ["s1"], "web": ["s2", "s3"]}, "wiki": {"web": ["s2"]}}
NAMES = [f"{app}/{part}@{one}" for app, parts in PLACE.items() for part, slices in parts.items() for one in slices]
PHASES = st.sampled_from(["deployed", "deployed", "deploying", "removing", "first", "never"])


@st.composite
def ill_fleets(draw: st.DrawFn) -> dict[str, object]:
    """Return cases in which anything may be wrong anywhere."""
    phase = {name: draw(PHASES) for name in draw(st.sets(st.sampled_from(NAMES), max_size=3))}
    seen: dict[str, object] = {
        one: draw(SLICE) for one in draw(st.sets(st.sampled_from(["s1", "s2", "s3"]), max_size=2))
    }
    silent = {one for one, words in seen.items() if isinstance(words, str)}
    for name in draw(st.sets(st.sampled_from(NAMES), max_size=4)):
        if phase.get(name) != "never" and name.partition("@")[2] not in silent:
            seen[name] = draw(INSTANCE)
    return {"place": PLACE, "needs": {"api": ["db"], "web": ["api", "db"]}, "phase": phase, "seen": seen}


@settings(deadline=None)  # a machine that is busy is no mistake
@given(case=ill_fleets())
def test_nothing_is_done_about_what_is_not_known(case: dict[str, object]) -> None:
    """Whatever is wrong, a remedy is asked for only where the slice answered, and nobody said stop."""
    made = fleet(case)
    diagnosis = diagnosed(made.expected, made.placed, made.seen, FULL, made.pauses)
    assert set(diagnosis.instances) == set(made.placed)
    assert set(diagnosis.apps) == set(PLACE)
    for finding in diagnosis.findings:
        if finding.entry in {"restart", "free-disk", "redeploy"}:
            assert finding.instance
            assert isinstance(made.seen[finding.slice], SliceFacts)
            assert diagnosis.instances[finding.instance] != "paused"
            if finding.entry == "restart":
                assert diagnosis.instances[finding.instance] == "down"


@settings(deadline=None)  # a machine that is busy is no mistake
@given(case=ill_fleets())
def test_a_healed_fleet_gives_the_empty_plan(case: dict[str, object]) -> None:
    """Whatever was wrong and is planned for, once all is well there is nothing left to do, to wait for or to find."""
    made = fleet(case)
    ill = planned(
        diagnosed(made.expected, made.placed, made.seen, FULL, made.pauses), ["s1", "s2", "s3"], made.situation
    )
    healed = fleet({"place": PLACE})
    after = replace(healed.situation, incidents=ill.incidents)
    diagnosis = diagnosed(healed.expected, healed.placed, healed.seen, FULL)
    plan = planned(diagnosis, ["s1", "s2", "s3"], after)
    assert (diagnosis.findings, plan.actions, plan.waiting) == ((), (), ())
    assert {incident.state for incident in plan.incidents} <= {"watching", "resolved"}
    assert set(diagnosis.apps.values()) == {"healthy"}


def test_findings_say_since_when() -> None:
    """From the open incident of the same trouble, else from the health that they explain, else not at all."""
    names = [an_instance(words) for words in ("shop/db@s1", "shop/web@s2", "wiki/web@s3")]
    since = {
        name: HealthSince(name, health, NOW - timedelta(hours=1))
        for name, health in zip(names, ("down", "healthy", "unknown"), strict=True)
    }
    incident = fleet({"incidents": [{"at": "shop/db@s1", "cause": "unit-failed", "opened": "2h"}]}).situation.incidents
    found = (
        Finding("not-alive", "critical", "s1", "", names[0], "restart"),
        Finding("drift", "critical", "s2", "", names[1], "redeploy"),
        Finding("not-ready", "critical", "s2", "", names[1], "page"),
        Finding("slice-unreachable", "warning", "s3", ""),
        Finding("paused-by-owner", "info", "s1", "", since="2026-01-01T00:00:00Z"),
        Finding("clock-off", "warning", "s1", ""),
    )
    assert [one.since for one in dated(found, incident, since)] == [
        *("2026-01-02T10:00:00Z", None, None),
        *("2026-01-02T11:00:00Z", "2026-01-01T00:00:00Z", None),
    ]
    assert dated(found[:1], (), since)[0].since == "2026-01-02T11:00:00Z"
