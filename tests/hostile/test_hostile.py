"""Slices that do what they like harm nobody but themselves: the good one is reported right, in time, and nothing leaks."""

import re
from dataclasses import dataclass

import pytest
from cases import CASES, DRIFTS, IS_HEALED, TRICKLES, Case
from pair import GOOD, HOSTILE, ROUND, Pair, Ran, at_once, front, strings, wild

from tfheal.core import lease

pytestmark = pytest.mark.lab
ASKS = 3
# Before it acts on an app, heal asks the app's other slices for a lock: by name until one is had, then the others at once.
# One that garbles its word is done without after 15 s; the two apps here are on the same slices.
LOCKS = 2 * 2 * 15.0
# What such a lock is held by: the good slice is asked for it too when `shared` is healed on another. All of it is ours.
_WHO = re.escape(b"'WHO IT IS'"), rb"'Test provider on [\w.-]+, heal of shared, run RANDOM"
_LOCK = re.compile(re.escape(lease.vigil("shared", "WHO IT IS", "RANDOM").encode()).replace(*_WHO) + rb"\n*")
_LOCK_TIME = b" tfheal 86400.000 3.333\n"
OURS = 15.0  # seconds of our own around a round: start and end; more where good slices alone take longer than that
ACT, GRACE = 10.0, 10.0  # seconds that an act may take here, and that a slice then has to end it and say so
MEMORY = 160 << 20  # bytes; a round of good slices takes 66 MiB


@dataclass(frozen=True, slots=True)
class Usual:
    """What the good slice is sent while the others are good too, and how long the longest command takes then."""

    sent: list[bytes]
    seconds: float


@pytest.fixture(scope="session")
def usual(both: Pair) -> Usual:
    """Ask and heal while all are good."""
    both.sent()
    ran = both.run()
    assert [one.code for one in ran.values()] == [0, 0, 0, 0], ran
    return Usual(both.sent(), max(one.seconds for one in ran.values()))


GROUPS = [CASES[start : start + len(HOSTILE)] for start in range(0, len(CASES), len(HOSTILE))]


@pytest.mark.parametrize("cases", GROUPS, ids=lambda cases: ", ".join(case.name for case in cases))
def test_hostile_slices(cases: tuple[Case, ...], pair: Pair, usual: Usual) -> None:
    """Whatever some slices do, the round ends, the good one is told right, and nothing gets where it does not belong."""
    before = pair.files()
    by_slice = dict(zip(HOSTILE, cases, strict=False))
    at_once(by_slice, lambda name: pair.inside(name, f"set -e\n{front(by_slice[name].front)}\n{by_slice[name].before}"))

    ran = pair.run()

    _is_in_time(ran, max(OURS, 3 * usual.seconds), max(case.seconds for case in cases))
    _is_right(ran, by_slice)
    _is_clean(ran, pair)
    assert pair.files() == before
    assert [one for one in pair.sent() if not _is_of_lock(one)] == usual.sent
    at_once(by_slice, lambda name: pair.inside(name, by_slice[name].after))


def test_an_act_that_trickles_ends_in_its_time(pair: Pair) -> None:
    """Signs of life for ever hold up nobody longer than `act_timeout`, a human is called, and another slice is healed beside."""
    trickles, honest = HOSTILE[:2]
    pair.inside(trickles, f"{front(TRICKLES)}\n{DRIFTS}")
    pair.inside(honest, DRIFTS)

    with pair.settings(act_timeout=f'"{ACT:g}s"', budget="1", asks="1", round_timeout='"60s"'):
        healed = pair.run("heal evil")["heal evil"]

    assert healed.code == 7, healed
    taken = {one["slice"]: one["actions"] for one in healed.document["incidents"]}
    assert [(one["rung"], one["outcome"]) for one in taken[honest]] == [("redeploy", "done")]
    assert [(one["rung"], one["outcome"]) for one in taken[trickles]] == [("redeploy", "unknown"), ("page", "done")]
    (seconds,) = (one["seconds"] for one in taken[trickles] if one["rung"] == "redeploy")
    assert ACT <= seconds < ACT + GRACE + OURS, taken
    pair.inside(honest, IS_HEALED)


def _is_of_lock(sent: bytes) -> bool:
    return bool(_LOCK.fullmatch(sent)) or sent.endswith(_LOCK_TIME)


def _is_in_time(ran: dict[str, Ran], ours: float, more: float) -> None:
    seconds = {name: one.seconds for name, one in ran.items()}
    # Before it gives up a slice or suspects a storm, `heal` asks three times; each time is a round.
    allowed = dict.fromkeys(seconds, ROUND + ours) | {"heal": ASKS * ROUND + LOCKS + ours + more}
    late = [name for name, took in seconds.items() if took > allowed[name]]
    assert late == [], seconds
    memory = {name: one.memory >> 20 for name, one in ran.items()}
    assert max(memory.values()) < MEMORY >> 20, memory


def _is_right(ran: dict[str, Ran], cases: dict[str, Case]) -> None:
    status = ran["status"].document
    assert "slices" in status, status
    slices = {one["slice"]: one for one in status["slices"]}
    apps = {one["app"]: one["health"] for one in status["apps"]}
    health = {(app["app"], one["slice"]): one["health"] for app in status["apps"] for one in app["instances"]}
    assert apps["good"] == health["shared", GOOD] == "healthy", status
    assert isinstance(slices[GOOD]["facts"]["cpus"], int)
    assert f"says {GOOD}" in ran["logs"].stdout, ran["logs"]
    assert ran["status"].code in {3, 4}, ran["status"]
    assert ran["heal"].code in {3, 4, 5, 7}, ran["heal"]
    assert ran["logs"].code in {0, 4}, ran["logs"]
    assert ran["plan"].code in {0, 3, 4, 6}, ran["plan"]
    assert re.search(rf"shared/web@{GOOD}\W.*unchanged", ran["plan"].stdout), ran["plan"]
    for name, case in cases.items():
        assert case.reachable in {None, slices[name]["reachable"]}, (case.name, slices[name])
        assert slices[name]["reachable"] or health["evil", name] == "unknown", (case.name, health)


def _is_clean(ran: dict[str, Ran], pair: Pair) -> None:
    pages = pair.ground / "pages"
    told = {
        "status": "\n".join(strings(ran["status"].document)),
        "journal": pair.journal(),
        "pages": pages.read_text() if pages.exists() else "",
        **{f"{name} {kind}": getattr(one, kind) for name, one in ran.items() for kind in ("stdout", "stderr")},
    }
    odd = {name: wild(text, terminal=name == "plan stdout") for name, text in told.items()}
    assert {name: found for name, found in odd.items() if found} == {}
    assert [name for name, text in told.items() if any(secret in text for secret in pair.secrets)] == []
    assert [name for name, text in told.items() if "the provider's own key" in text] == []
