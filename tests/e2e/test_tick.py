"""A tick on a real slice: what is due is done, the switch hears of it, and a deadline ends it in time."""

from dataclasses import replace

import pytest
from documents import actions, document
from package_index import an_index
from running_lab import RunningLab
from switch import a_switch

pytestmark = pytest.mark.lab
FILES = [{"filename": f"copyparty-{version}.tar.gz"} for version in ("1.20.20", "1.20.99", "9.0")]


def test_a_tick_heals_and_tells_the_switch(shop: RunningLab) -> None:
    """Past its deadline nothing was checked and nothing is down; then it heals, and the summary says how.

    The index of packages is asked besides; what it has is information in `status`, until the playbook lists it.
    """
    settings = shop.workspace / "tfheal.toml"
    before = settings.read_text()
    shop.do("break", "s1", "stop-service", "--app", "files")
    late = document(shop, "heal", "--auto", "--deadline", "0s", check=4)
    assert (late["not_checked"], late["unknown"], actions(late)) == (["s1"], ["files/web@s1"], [])
    try:
        with a_switch() as (url, heard), an_index(FILES) as index:
            asks = before.replace("ask_index = false", "ask_index = true")
            settings.write_text(f'{asks}[ping]\nurl = "{url}"\n')
            around = (*shop.around, "env", f"PIP_INDEX_URL={index.url}")
            done = document(replace(shop, around=around), "tick", "--quiet", "--deadline", "5m")
        (newer,) = [one for one in document(shop, "status")["findings"] if one["finding"] == "newer-version"]
    finally:
        settings.write_text(before)
    assert actions(done["parts"]["heal"]) == [("restart", "done")]
    assert [path for path, _ in heard] == ["/start", ""]
    assert "files/web@s1: restart done" in heard[1][1]
    assert [path for path, _ in index.asked] == ["/simple/copyparty/"]
    assert (newer["app"], "the index of packages has 1.20.99 and 9.0, which" in newer["detail"]) == ("files", True)
