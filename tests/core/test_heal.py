"""Findings and history in, plan out: one case a file, the laws, and runs of a fleet that nothing helps."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest
from fleets import FULL, NOW, Fleet, case_of, cases, fleet
from hypothesis import given
from hypothesis import strategies as st

from tfheal.core.diagnose import diagnosed
from tfheal.core.heal import only, planned
from tfheal.core.heal.ladder import HELPS, ONLY
from tfheal.core.heal.rescue import lost
from tfheal.core.heal.storm import told
from tfheal.model.app import AppHeal
from tfheal.model.facts import SliceFacts
from tfheal.model.findings import Cause, Diagnosis
from tfheal.model.plan import Action, Plan
from tfheal.model.playbook import SHIPPED_LADDER
from tfheal.model.record import ActionRecord
from tfheal.model.results import Healing
from tfheal.model.workspace import HealPolicy

ROUNDS = 600


def planned_of(made: Fleet, confirmed: list[str] | None = None) -> tuple[Diagnosis, Plan]:
    """Return the judgement over a fleet and the plan that follows; `confirmed` are places that every ask found ill."""
    diagnosis = diagnosed(made.expected, made.placed, made.seen, FULL, made.pauses)
    diagnosis = lost(diagnosis, made.silences, made.situation.policy.gone_after, NOW)
    if confirmed is not None:
        keys = [("/".join(words.split()[:1]), words.split()[1]) for words in confirmed]
        diagnosis = only(diagnosis, keys)
    diagnosis = told(diagnosis, made.situation.storm)
    asked = [name for name, facts in made.seen.items() if isinstance(facts, SliceFacts)]
    return diagnosis, planned(diagnosis, asked, made.situation)


def told_of(action: Action) -> str:
    """Return an action in words; one that moves apps says where to."""
    moves = "".join(f" {app} to {spare}" for app, spare in action.moves.items())
    return f"{action.rung} {action.instance or action.slice}{moves}"


@pytest.mark.parametrize("path", cases("heal"), ids=lambda path: path.stem)
def test_plans_are_as_the_case_says(path: Path) -> None:
    """Actions, what waits and why, what becomes of the incidents, and the exit code of heal --plan."""
    case = case_of(path)
    expect = case.pop("expect")
    confirmed = case.pop("confirmed", None)
    diagnosis, plan = planned_of(fleet(case), confirmed)
    assert [told_of(action) for action in plan.actions] == expect.pop("actions", [])
    whys = {action.rung: action.why for action in plan.actions}
    assert [words for rung, words in expect.pop("why", {}).items() if words not in whys[rung]] == [], whys
    places = {incident.id: str(incident.instance or incident.slice) for incident in plan.incidents}
    waits = [f"{waiting.rung} {places[waiting.incident]}: {waiting.why}" for waiting in plan.waiting]
    assert len(waits) == len(expect.get("waiting", [])), waits
    assert [words for words in expect.pop("waiting", []) if not any(wait.startswith(words) for wait in waits)] == [], (
        waits
    )
    incidents = [f"{one.state} {one.cause} {places[one.id]} at {one.rung}" for one in plan.incidents]
    assert sorted(incidents) == sorted(expect.pop("incidents", incidents))
    result = Healing(NOW, plan.incidents, plan, (), {}, diagnosis, {}, agreed=False)
    assert int(result.exit) == expect.pop("exit")
    assert not expect


def after(made: Fleet, plan: Plan, outcome: str, seconds: float) -> Fleet:
    """Return the fleet some time later: each action was taken, ended so, and changed nothing."""
    now = made.situation.now + timedelta(seconds=seconds)
    taken = [
        ActionRecord(
            id=f"{now.isoformat()}-{number}",
            run="r",
            verb=action.rung,
            app=action.app,
            instance=action.instance,
            slice=action.slice,
            incident=action.incident,
            why="",
            release=None,
            started=now,
            ended=now,
            outcome="done" if action.rung == "page" else outcome,  # type: ignore[arg-type]
        )
        for number, action in enumerate(plan.actions)
    ]
    paged = {action.incident for action in plan.actions if action.rung == "page"}
    incidents = {one.id: one for one in (*made.situation.incidents, *plan.incidents)}
    kept = tuple(replace(one, paged=now) if one.id in paged else one for one in incidents.values())
    return replace(
        made, situation=replace(made.situation, incidents=kept, actions=(*made.situation.actions, *taken), now=now)
    )


def taken_while_nothing_helps(case: dict[str, object], outcome: str, every: float) -> list[str]:
    """Return every action of many runs of healing, so many seconds apart, of which none helps."""
    made = fleet(case)
    taken: list[str] = []
    for _ in range(ROUNDS):
        _, plan = planned_of(made)
        taken += [f"{action.rung} {action.instance}" for action in plan.actions]
        made = after(made, plan, outcome, every)
    return taken


@pytest.mark.parametrize("every", [2.0, 10.0, 60.0, 600.0, 3_600.0])
def test_what_does_not_help_ends_with_one_call(every: float) -> None:
    """However often healing runs, it takes so many tries of each rung and one call: no storm, no loop."""
    case: dict[str, object] = {"seen": {"shop/db@s1": {"unit": "failed/failed"}}, "policy": {"budget_window": "9d"}}
    rungs = ["restart", "restart", "redeploy", "redeploy", "page"]
    assert taken_while_nothing_helps(case, "done", every) == [f"{rung} shop/db@s1" for rung in rungs]


def test_what_fails_hard_ends_with_one_call() -> None:
    """A rung that fails is not tried twice."""
    case: dict[str, object] = {"seen": {"shop/db@s1": {"unit": "failed/failed"}}}
    assert taken_while_nothing_helps(case, "failed", 60.0) == [
        "restart shop/db@s1",
        "redeploy shop/db@s1",
        "page shop/db@s1",
    ]


def test_refusals_do_not_storm() -> None:
    """What is always refused is asked for now and then, and never climbs the ladder."""
    case: dict[str, object] = {"seen": {"shop/db@s1": {"unit": "failed/failed"}}, "policy": {"backoff": "5m"}}
    taken = taken_while_nothing_helps(case, "refused", 10.0)
    assert set(taken) == {"restart shop/db@s1"}
    assert len(taken) <= ROUNDS * 10 / (300 * 0.75) + 1


def test_one_instance_of_a_component_at_a_time() -> None:
    """With every instance ill, each run acts on one of a component, and in the end each was acted on."""
    everywhere = [f"s{number}" for number in range(1, 6)]
    seen = {f"shop/web@{one}": {"unit": "failed/failed"} for one in everywhere}
    made = fleet({"place": {"shop": {"web": everywhere}}, "needs": {}, "seen": seen})
    touched: set[str] = set()
    for _ in range(40):
        _, plan = planned_of(made)
        on = [action for action in plan.actions if action.rung != "page"]
        assert len(on) <= 1
        touched |= {action.slice for action in on}
        made = after(made, plan, "done", 5.0)
    assert touched == set(everywhere)


def test_a_call_that_never_gets_out_is_not_given_up() -> None:
    """After thousands of failed calls the wait is still the longest one of the policy, and no arithmetic breaks."""
    made = fleet(
        {
            "seen": {"shop/db@s1": {"ready": "fail"}},
            "incidents": [{"at": "shop/db@s1", "cause": "not-ready", "rung": "page", "opened": "30d"}],
            "history": [{"ago": "1m", "at": "shop/db@s1", "verb": "page", "outcome": "failed"}] * 5_000,
        }
    )
    _, plan = planned_of(made)
    assert plan.waiting[0].until is not None
    assert plan.waiting[0].until - NOW < timedelta(seconds=300 * 1.25)


@pytest.mark.parametrize("tries", [1, 2, 3, 4, 5])
def test_the_wait_doubles_with_jitter(tries: int) -> None:
    """10, 20, 40 seconds and so on up to the limit, each a quarter more or less, and not the same for two incidents."""
    waits = []
    for number in range(20):
        incident = {"at": "shop/db@s1", "cause": "unit-failed", "opened": "1h", "id": f"i-{number}"}
        history = [{"ago": "0s", "at": "shop/db@s1", "verb": "restart", "incident": f"i-{number}"}] * tries
        words = {"seen": {"shop/db@s1": {"unit": "failed/failed"}}, "policy": {"budget": 20, "backoff_limit": "100s"}}
        _, plan = planned_of(fleet(words | {"incidents": [incident], "history": history}))
        assert plan.waiting[0].until is not None
        waits.append((plan.waiting[0].until - NOW).total_seconds())
    wanted = min(10 * 2 ** (tries - 1), 100)
    assert all(0.75 * wanted <= wait <= 1.25 * wanted for wait in waits)
    assert len(set(waits)) > 15


def test_the_shipped_defaults() -> None:
    """The numbers are those of the systems that they were taken from, and all of them are in the manual."""
    policy = HealPolicy()
    assert (policy.asks, policy.budget, policy.budget_window) == (3, 2, 1_800)
    assert (policy.backoff, policy.backoff_limit) == (10, 300)
    assert (policy.min_healthy_period, policy.chronic) == (3_600, 5)
    assert policy.gone_after == 300
    assert (
        *("restart", "free-disk", "redeploy", "rollback", "rebuild", "recreate", "restore", "rehome", "page"),
    ) == SHIPPED_LADDER
    assert set(SHIPPED_LADDER) - set(AppHeal().allow) == {"recreate", "restore", "rehome"}, (
        "what gives something up is asked for"
    )


@given(
    outcomes=st.lists(st.sampled_from(["done", "failed", "unknown", "refused", None]), max_size=8),
    rung=st.sampled_from(SHIPPED_LADDER),
    state=st.sampled_from(["open", "watching", "resolved"]),
)
def test_a_rung_never_moves_back(outcomes: list[str | None], rung: str, state: str) -> None:
    """Within an incident the ladder is climbed upwards only, and of one rung no more is done than its budget."""
    incident = {"at": "shop/db@s1", "cause": "unit-failed", "rung": rung, "state": state, "opened": "20m"}
    if state == "resolved":
        incident["closed"] = "10m"
    history = [
        {"ago": f"{20 - number}m", "at": "shop/db@s1", "verb": "restart", "outcome": outcome}
        for number, outcome in enumerate(outcomes)
    ]
    made = fleet({"seen": {"shop/db@s1": {"unit": "failed/failed"}}, "incidents": [incident], "history": history})
    _, plan = planned_of(made)
    (now,) = [one for one in plan.incidents if one.cause == "unit-failed"]
    assert now.id == "i-1"
    assert now.rung is not None
    assert SHIPPED_LADDER.index(now.rung) >= SHIPPED_LADDER.index(rung)
    tried = [outcome for outcome in outcomes if outcome != "refused"]
    if len(tried) >= 2:
        assert "restart" not in {action.rung for action in plan.actions}


def test_the_size_of_a_backup_restores_nothing() -> None:
    """One that shrank is `suspect` and a human hears of it: no finding is of that, and only lost or wrong data asks for `restore`."""
    asks = {cause for cause, rung in ONLY.items() if rung == "restore"}
    assert asks == {"data-missing", "inconsistent", "data-damaged"}
    assert not HELPS["restore"]
    assert not any("suspect" in cause or "shrank" in cause for cause in get_args(Cause))
