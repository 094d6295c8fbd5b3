"""Which releases are known good, and which is gone back to: one case a file."""

from datetime import timedelta
from pathlib import Path

import pytest
from fleets import NOW, an_instance, case_of, cases, release_of

from tfheal.core.standing import kept_software, known_good, observed, way_back
from tfheal.model.names import seconds
from tfheal.model.playbook import Playbook
from tfheal.model.record import Deployed, Standing
from tfheal.model.release import Release, secret_token

HERE = an_instance("shop/db@s1")
TWO = {"old": {"version": "1.0"}, "new": {"version": "2.0"}}


def a_release(words: dict[str, object]) -> Release:
    """Return a release of some version, and with some version of a secret."""
    content = secret_token("word", int(str(words.get("secret", 1))))
    file = {"kind": "file", "path": "/etc/word", "content": content}
    return release_of(HERE, version=words.get("version", "1.0"), resources=[file])


def a_playbook(upgrade: dict[str, object]) -> Playbook:
    """Return a playbook with these rules."""
    lean = {"playbook": "shop", "title": "Shop", "versions": {"1.0": "1", "2.0": "2"}, "components": {"db": {}}}
    return Playbook.model_validate(lean | {"upgrade": upgrade})


def standings_of(case: dict[str, object]) -> list[Standing]:
    """Return how releases stand after what was observed of them."""
    stood: dict[str, Standing] = {}
    for look in case.pop("observed"):  # type: ignore[attr-defined]
        before = stood.get(look["release"], Standing(HERE, look["release"], 3))
        up = seconds(look["up"]) if "up" in look else None
        now = NOW - timedelta(seconds=seconds(look["ago"]))
        stood[look["release"]] = observed(before, look["health"], up, 600.0, now)
    held = case.pop("held", [])
    return [
        Standing(one.instance, one.release, one.generation, good=one.good, held=NOW if one.release in held else None)  # type: ignore[operator]
        for one in stood.values()
    ]


@pytest.mark.parametrize("path", cases("standing"), ids=lambda path: path.stem)
def test_releases_stand_as_the_case_says(path: Path) -> None:
    """Known good, the newest first, and the way back or why there is none."""
    case = case_of(path)
    expect = case.pop("expect")
    playbook = a_playbook(case.pop("upgrade", {"rollback": "safe"}))
    releases = {name: a_release(words) for name, words in case.pop("releases", TWO).items()}
    deployed = Deployed(HERE, "new", "2.0", case.pop("generation", 3), case.pop("phase", "deployed"), NOW)
    standings = standings_of(case)
    assert not case
    assert [one.release for one in known_good(standings)] == expect["good"]
    back = way_back(deployed, releases["new"], standings, releases, playbook)
    assert (back.release or back.why) == expect["back"]


def test_the_software_of_two_stays() -> None:
    """Of three that are known good, that of the newest two; of one whose release is not kept, nothing is known."""
    releases = {
        word: release_of(HERE, resources=[{"kind": "venv", "home": "/opt/shop", "lock": word}]) for word in "abc"
    }
    standings = [
        Standing(HERE, word, 3, good=NOW - timedelta(days=age)) for age, word in enumerate(["c", "a", "b"], start=1)
    ]
    kept = kept_software(standings, releases)
    assert len(kept) == 2
    assert kept == kept_software(standings[:2], releases)
    assert kept_software(standings, {}) == ()
