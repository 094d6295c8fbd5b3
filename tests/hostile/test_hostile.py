"""Slices that do what they like harm nobody but themselves: the good one is reported right, in time, and nothing leaks."""

import pytest
from cases import CASES, Case
from pair import GOOD, HOSTILE, ROUND, Pair, Ran, strings, wild

pytestmark = pytest.mark.lab
OURS = 15.0  # seconds of our own around a round: start, end, and a machine that is busy with much else
MEMORY = 160 << 20  # bytes; a round of good slices takes 66 MiB


@pytest.fixture(scope="session")
def usual(both: Pair) -> list[bytes]:
    """Return what the good slice is sent while the others are good too."""
    both.sent()
    ran = both.run()
    assert [one.code for one in ran.values()] == [0, 0, 0], ran
    return both.sent()


GROUPS = [CASES[start : start + len(HOSTILE)] for start in range(0, len(CASES), len(HOSTILE))]


@pytest.mark.parametrize("cases", GROUPS, ids=lambda cases: ", ".join(case.name for case in cases))
def test_hostile_slices(cases: tuple[Case, ...], pair: Pair, usual: list[bytes]) -> None:
    """Whatever some slices do, the round ends, the good one is told right, and nothing gets where it does not belong."""
    before = pair.files()
    for name, case in zip(HOSTILE, cases, strict=False):
        pair.inside(name, f"set -e\n{case.before}")
        pair.front(name, case.front)

    ran = pair.run()

    _is_in_time(ran, max(case.seconds for case in cases))
    _is_right(ran, dict(zip(HOSTILE, cases, strict=False)))
    _is_clean(ran, pair)
    assert pair.files() == before
    assert pair.sent() == usual
    for name, case in zip(HOSTILE, cases, strict=False):
        pair.inside(name, case.after)


def _is_in_time(ran: dict[str, Ran], more: float) -> None:
    seconds = {name: one.seconds for name, one in ran.items()}
    assert seconds["status"] < ROUND + OURS, seconds
    assert seconds["logs"] < ROUND + OURS, seconds
    assert seconds["heal"] < ROUND + OURS + more, seconds
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
    assert {name: wild(text) for name, text in told.items() if wild(text)} == {}
    secrets = [pair.password(app) for app in ("evil", "good", "shared")]
    assert [name for name, text in told.items() if any(secret in text for secret in secrets)] == []
    assert [name for name, text in told.items() if "the provider's own key" in text] == []
