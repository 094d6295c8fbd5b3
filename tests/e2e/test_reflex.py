"""With the provider away: the slice heals itself, and the next round reads what it did, once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from customer import Customer
from documents import actions, document, findings
from running_lab import RunningLab

pytestmark = pytest.mark.lab
OFF = "heal: {reflex: off}\n"
UNIT = "tfheal-files-web.service"
SERVED = "curl -q -gs -m 1 -o /dev/null http://127.0.0.1:3923/"
RECORD = "/var/lib/tfheal/files/web/reflex.jsonl"
LOOP = "ls -d /etc/tfheal/reflex* /etc/systemd/system/tfheal-reflex* 2>/dev/null || :"


@pytest.fixture
def spec(shop: RunningLab) -> Iterator[Path]:
    """Return the app's spec, whose reflex is on now as it is if nobody says otherwise, and put it back after the test."""
    path = shop.workspace / "apps" / "files.yaml"
    before = path.read_text()
    path.write_text(before.replace(OFF, ""))
    yield path
    path.write_text(before)
    shop.run("deploy", "files")
    shop.on("s1", f"rm -f {RECORD}")


def deeds(shop: RunningLab) -> list[str]:
    """Return what the slice did by itself, by the history."""
    lines = document(shop, "history", "files")["actions"]
    return [one["why"].partition(":")[0] for one in lines if one["what"] == "reflex"]


def test_the_slice_heals_itself_while_nobody_looks(shop: RunningLab, customer: Customer, spec: Path) -> None:
    """A service that systemd gave up serves again; status tells it, history has it once, heal finds nothing to do."""
    shop.run("deploy", "files")
    before = deeds(shop)
    shop.do("break", "s1", "kill-service", "--app", "files")
    shop.on("s1", f"for i in $(seq 120); do ! {SERVED} || exit 0; sleep 0.5; done; exit 1")
    assert customer.get("kept.txt") == b"what the customer keeps\n" * 1000

    for _ in range(2):
        seen = document(shop, "status", check=0)
        assert (seen["health"], findings(seen)) == ("healthy", {"healed-locally"})
    assert actions(document(shop, "heal", "--auto", check=0)) == []
    assert deeds(shop) == [*before, "restarted"]

    spec.write_text(spec.read_text() + OFF)
    shop.run("deploy", "files")
    assert shop.on("s1", f"systemctl show -P Restart {UNIT}; {LOOP}") == "no\n"
