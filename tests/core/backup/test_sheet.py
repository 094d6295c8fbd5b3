"""The recovery sheet: its indented lines are commands, and none of them is broken by what it is about."""

import subprocess
from dataclasses import replace
from datetime import UTC, datetime

from tfheal.core.backup.capture import Source
from tfheal.core.backup.sheet import Chest, Facts, location, sheet
from tfheal.model.inventory import Slice

STORE = Slice("acme-2", "acme", "2001:db8::2", 2222)
SOURCES = (
    Source("folders", ("/srv/a b", "/srv/c")),
    Source("db/all", command="if true; then\n    pg_dump --all\nfi"),
)
FACTS = Facts(
    "crm",
    "acme",
    "Provider on host",
    datetime(2026, 3, 4, 12, tzinfo=UTC),
    STORE,
    ("ssh-ed25519 AAAA", "ecdsa-sha2-nistp256 BBBB"),
    (Chest("acme-1", "/srv/tfheal/crm/store/acme-1", "hunter2", SOURCES),),
)


def commands(text: str) -> list[str]:
    """Return the commands of a sheet."""
    return [line[4:] for line in text.splitlines() if line.startswith("    ")]


def test_everything_is_restored_by_its_paths() -> None:
    """Each data set has its restore: the folders together, a dump by the file that it became, with what wrote it."""
    text = sheet(FACTS)
    restores = [line for line in commands(text) if "restore latest" in line]
    assert [line.partition("latest ")[2] for line in restores] == [
        "--path '/srv/a b' --path /srv/c --target restored/acme-1",
        "--path /db-all.dump --target restored/acme-1",
    ]
    assert "/db-all.dump is what this wrote:\n| if true; then\n|     pg_dump --all\n| fi\n" in text
    assert subprocess.run(["sh", "-n"], input="\n".join(commands(text)), text=True, check=True).returncode == 0


def test_the_store_is_known_by_its_pins() -> None:
    """Every pinned host key is on the sheet, and a store is named as restic names it, with brackets and port."""
    assert "'store ssh-ed25519 AAAA' 'store ecdsa-sha2-nistp256 BBBB' >known_hosts" in sheet(FACTS)
    assert location(STORE, "/srv/x") == "sftp://root@[2001:db8::2]:2222//srv/x"
    assert (
        location(replace(STORE, address="store.example", port=None), "/srv/x") == "sftp://root@store.example:22//srv/x"
    )


def test_an_address_is_taken_as_it_is() -> None:
    """What is no slice is named as its owner wrote it, with what restic needs to be told, and without folders."""
    there = Chest("acme-1", "s3:keeps.example/bucket/crm/acme-1", "hunter2", SOURCES)
    away = replace(FACTS, pins=(), chests=(there,), address="s3:keeps.example/bucket", needs=("AWS_ACCESS_KEY_ID",))
    text = sheet(away)
    assert "RESTIC_REPOSITORY=s3:keeps.example/bucket/crm/acme-1\n" in text
    assert "by `export`: AWS_ACCESS_KEY_ID." in text
    assert "2001:db8" not in text
    assert subprocess.run(["sh", "-n"], input="\n".join(commands(text)), text=True, check=True).returncode == 0


def test_a_password_is_in_no_argument() -> None:
    """It is written by a builtin of the shell into a file that only the owner reads."""
    (line,) = (line for line in commands(sheet(FACTS)) if "hunter2" in line)
    assert line == "printf '%s\\n' hunter2 >password-acme-1"
    assert commands(sheet(FACTS)).index("umask 077") < commands(sheet(FACTS)).index(line)


def test_a_database_is_put_back_in_words() -> None:
    """A dump of ours is told by what it is and how it gets back, and none of our scripts is on the sheet."""
    told = Source("db/rows", command="pg() { long; }", put_back="the database rows: `pg_restore` brings it back")
    chest = Chest("acme-1", "/srv/tfheal/crm/store/acme-1", "hunter2", (told,))
    text = sheet(replace(FACTS, chests=(chest,)))
    assert "/db-rows.dump is the database rows: `pg_restore` brings it back.\n" in text
    assert "long" not in text
