"""The secret of an app is on no argv, in nothing that was said or written, and sent to nobody but its own slices to act on."""

import base64
import contextlib
import sqlite3
from collections.abc import Iterator

import pytest
from cases import HONEST
from pair import APPS, GOOD, HOSTILE, RECORDER, Pair, Ran, front
from searched import Argvs, holds, leaks, written

pytestmark = pytest.mark.lab
EVIL = HOSTILE[0]
PLACED = {GOOD: {"good", "shared"}, EVIL: {"evil", "shared"}}
SPOILED = "for app in good evil shared; do rm -f /opt/tfheal/$app/web/config/secret.conf; done"
JOURNAL = "/var/log/tfheal/journal.jsonl"


@pytest.fixture
def recorded(pair: Pair) -> Iterator[Pair]:
    """Have a hostile slice record what it is sent too, and do no more than that."""
    pair.inside(EVIL, f"rm -f /front/sent/*; {front(RECORDER)}")
    yield pair
    pair.inside(EVIL, f"rm -f /front/sent/*; {front(HONEST)}")


def test_secrets_are_seen_nowhere_and_sent_to_their_own_slices_alone(recorded: Pair) -> None:
    """Files that hold them are healed and deployed: all that is sent, run, said and written meanwhile is searched."""
    for name in PLACED:
        recorded.inside(name, SPOILED)
    argvs = Argvs()
    with argvs.watched(), recorded.settings(round_timeout='"60s"'):
        ran = recorded.run("heal") | recorded.run("deploy")

    assert [one.code for one in ran.values()] == [0, 0], ran
    assert leaks(_places(recorded, ran, argvs), recorded.secrets) == set()
    for name, placed in PLACED.items():
        sent = recorded.sent(name)
        acts = b"".join(script for script in sent if b"\nthrob() {" in script)
        others = b"".join(script for script in sent if b"\nthrob() {" not in script)
        assert {app for app, secret in zip(APPS, recorded.secrets, strict=True) if holds(acts, secret)} == placed
        assert leaks({"looked": others}, recorded.secrets) == set()


def test_the_search_finds_a_secret_wherever_it_is(recorded: Pair) -> None:
    """What is planted on an argv, in a script, in either journal, in a report of a bug or in what was said is found there."""
    secret = recorded.secrets[0]
    report = recorded.ground / "tmp" / "tfheal-bug-planted.txt"
    database = recorded.lab.workspace / ".tfheal" / "journal.db"
    argvs = Argvs()
    with argvs.watched():
        recorded.lab.on(EVIL, f"sleep 1; : {secret}")
    report.write_bytes(base64.b64encode(f"KeyError: {secret}".encode()))
    recorded.inside(EVIL, f"cp -p {JOURNAL} /front/journal; echo {secret} >>{JOURNAL}")
    with contextlib.closing(sqlite3.connect(database)) as journal, journal:
        journal.execute("create table planted as select ? as it", (secret,))
    try:
        places = _places(recorded, {"status": Ran(0, secret, secret, 0.0, 0)}, argvs)
        told = {"status stdout", "status stderr", "argv", f"journal of {EVIL}", "journal", str(report)}
        assert leaks(places, recorded.secrets) - {f"{database}-wal", str(database)} == told
        assert leaks({"sent": b"".join(recorded.sent(EVIL))}, recorded.secrets) == {"sent"}
    finally:
        report.unlink()
        recorded.inside(EVIL, f"mv /front/journal {JOURNAL}")
        with contextlib.closing(sqlite3.connect(database)) as journal, journal:
            journal.execute("pragma secure_delete = on")
            journal.execute("drop table planted")
            journal.execute("vacuum")


def _places(pair: Pair, ran: dict[str, Ran], argvs: Argvs) -> dict[str, bytes]:
    """Return everything that is open to somebody, or lies about here, by where it is."""
    said = {f"{name} {kind}": getattr(one, kind).encode() for name, one in ran.items() for kind in ("stdout", "stderr")}
    owners = {f"journal of {name}": pair.inside(name, f"cat {JOURNAL}").encode() for name in PLACED}
    here = written(pair.lab.workspace, pair.home, pair.ground / "tmp")
    pages = pair.ground / "pages"
    told = {"pages": pages.read_bytes() if pages.exists() else b"", "journal": pair.journal().encode()}
    return {"argv": argvs.seen} | said | owners | told | here
