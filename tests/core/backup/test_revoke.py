"""The guide by which the provider loses the backups: a former repository goes only after all of it was copied and read."""

import subprocess
from dataclasses import replace
from datetime import UTC, datetime

from tfheal.core.backup import revoke
from tfheal.core.backup.sheet import Chest, Facts
from tfheal.model.backup import Backup, Part
from tfheal.model.inventory import Slice

AT = datetime(2026, 3, 4, 12, tzinfo=UTC)
CHESTS = tuple(Chest(name, f"/srv/tfheal/crm/store/{name}", "", ()) for name in ("a1", "a2"))
FACTS = Facts("crm", "acme", "me", AT, Slice("s", "acme", "2001:db8::2", 2222), ("ssh-ed25519 AAAA",), CHESTS)
DONE = Backup("b1", "crm", "s", AT, "good", (Part("a1", "folders", "good", "a" * 64),), AT)


def test_nothing_is_deleted_before_all_of_it_was_read() -> None:
    """Copy, check and exchange are one chain of commands for each repository: what fails ends it."""
    commands = [line[4:] for line in revoke.guide([FACTS], []).splitlines() if line.startswith("    ")]
    for number, name in enumerate(("a1", "a2")):
        chain = commands[2 + 5 * number :][:5]
        assert all(line.endswith("&&") for line in chain[:-1])
        assert "check --read-data" in chain[-2]
        assert f"rm -rf /srv/tfheal/crm/store/{name} && mv /srv/tfheal/crm/store/{name}.new " in chain[-1]
    assert subprocess.run(["sh", "-n"], input="\n".join(commands), text=True, check=True).returncode == 0


def test_what_we_knew_is_found_by_the_former_id() -> None:
    """Each snapshot that was received stands there with our own time; one that was not is none."""
    guide = revoke.guide([FACTS], [DONE, replace(DONE, id="b2", received=None, parts=())])
    assert f"{'a' * 64}  2026-03-04T12:00:00Z  good  folders@a1\n" in guide
    assert guide.count("folders@") == 1
