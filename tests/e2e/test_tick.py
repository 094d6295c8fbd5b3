"""A tick on a real slice: what is due is done, the switch hears of it, and a deadline ends it in time."""

import pytest
from documents import actions, document
from running_lab import RunningLab
from switch import a_switch

pytestmark = pytest.mark.lab


def test_a_tick_heals_and_tells_the_switch(shop: RunningLab) -> None:
    """Past its deadline nothing was checked and nothing is down; then it heals, and the summary says how."""
    settings = shop.workspace / "tfheal.toml"
    before = settings.read_text()
    shop.do("break", "s1", "stop-service", "--app", "files")
    late = document(shop, "heal", "--auto", "--deadline", "0s", check=4)
    assert (late["not_checked"], late["unknown"], actions(late)) == (["s1"], ["files/web@s1"], [])
    try:
        with a_switch() as (url, heard):
            settings.write_text(f'{before}[ping]\nurl = "{url}"\n')
            done = document(shop, "tick", "--quiet", "--deadline", "5m")
    finally:
        settings.write_text(before)
    assert actions(done["parts"]["heal"]) == [("restart", "done")]
    assert [path for path, _ in heard] == ["/start", ""]
    assert "files/web@s1: restart done" in heard[1][1]
