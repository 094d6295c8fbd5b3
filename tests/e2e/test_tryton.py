"""The example of two tiers: what is written on one web server is read on the other, and a dead database blocks both.

Two tests stand for all of it in every run: deployed from nothing, used, broken, healed; and what was lost comes back. The
others are long.
"""

import re
import shutil
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from documents import actions, document, findings
from running_lab import RunningLab, name_of_ours
from tryton_user import TrytonUser

pytestmark = pytest.mark.lab
EXAMPLE = Path(__file__).parents[2] / "examples/tryton"
DATABASE, WEB, STORE = "s1", ("s2", "s3"), "s4"
SENT = "[ -z \"$(cd /var/spool/tfheal/crm-db && find . -mindepth 3 -name '0*' -newer .sent)\" ]"
PROVIDER = """\
name = "Test provider"
[page]
command = ["/bin/true"]
[ssh]
patience = "2s"
connect_timeout = "2s"
banner_timeout = "4s"
login_timeout = "4s"
[heal]
ask_every = "300ms"
backoff = "500ms"
budget = 5
chronic = 1000
"""


@pytest.fixture(scope="module")
def crm(lab_ground: Path) -> Iterator[RunningLab]:
    """Deploy the example, as its first lines say, on slices of its own."""
    folder = lab_ground / "crm"
    shutil.copytree(EXAMPLE, folder)
    (folder / "tfheal.toml").write_text(PROVIDER)
    spec = folder / "apps/crm.yaml"
    spec.write_text(f"{spec.read_text()}heal: {{reflex: off}}\n")  # what is broken waits for our own heal
    running = RunningLab(name_of_ours("crm"), folder, ("env", f"TFHEAL_AGE_KEY_FILE={lab_ground / 'crm.key'}"))
    try:
        running.run("lab", "up", "--slices", "4", "--name", running.name, "--yes")
        running.run("deploy", "crm", timeout=2400)
        yield running
    finally:
        running.run("lab", "down", "--name", running.name)


def states(seen: dict[str, object]) -> dict[str, str]:
    """Given what status said, return the health of each instance."""
    apps = seen["apps"]
    assert isinstance(apps, list)
    return {f"{one['component']}@{one['slice']}": one["health"] for app in apps for one in app["instances"]}


def test_the_example_is_deployed_used_broken_and_healed(crm: RunningLab) -> None:
    """What one web server takes the other shows; without the database both are blocked, and only it is restarted."""
    here, there = (TrytonUser.admin(crm, name) for name in WEB)
    (party,) = here.call("model.party.party.create", [{"name": "Ada Ltd"}])
    company, currency = _company(here, party)
    fields = {"description": "A hundred engines", "party": party, "company": company, "currency": currency}
    (opportunity,) = _patiently(here, "model.sale.opportunity.create", [fields])

    def is_shown() -> bool:
        (read,) = there.call("model.sale.opportunity.read", [opportunity], ["description", "party.rec_name", "state"])
        return (read["description"], read["party."]["rec_name"], read["state"]) == (
            "A hundred engines",
            "Ada Ltd",
            "lead",
        )

    assert is_shown()
    _blocks_both(crm, "db-down", "unit-stopped")
    assert is_shown()


def _blocks_both(crm: RunningLab, fault: str, finding: str) -> None:
    """Break the database, and see that the web servers are not sick and not touched, and that heal has no more to do."""
    started = "systemctl show -p ActiveEnterTimestampMonotonic --value tfheal-crm-web"
    before = [crm.on(name, started) for name in WEB]
    assert "postgresql@17-main.service" in crm.do("break", DATABASE, fault, "--app", "crm/db")["detail"]
    seen = document(crm, "status", check=3)
    assert states(seen) == {"db@s1": "down", "web@s2": "blocked", "web@s3": "blocked"}
    assert findings(seen) == {finding, "blocked"}
    assert actions(document(crm, "heal", "--auto")) == [("restart", "done")]
    crm.do("mend", DATABASE)
    assert document(crm, "status")["health"] == "healthy"
    assert [crm.on(name, started) for name in WEB] == before
    assert actions(document(crm, "heal", "--auto")) == []


@pytest.mark.long
def test_both_web_servers_serve_the_client(crm: RunningLab) -> None:
    """The page for the browser, and every part that it names, are there on each."""
    for name in WEB:
        url = f"http://[{crm.slices()[name]['address']}]:8000/"
        page = _page(url).decode()
        parts = {part for part in re.findall(r'(?:src|href)="([^"#:]+)"', page) if not part.startswith("custom.")}
        assert len(parts) > 15
        assert all(_page(url + part) for part in parts)


def _page(url: str) -> bytes:
    """Return what a browser gets; an answer that is none fails."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=20) as answer:
        return bytes(answer.read())


def _patiently(user: TrytonUser, method: str, *words: object) -> list[int]:
    """Call a method until it works: the other workers hear a moment later for which company the user works."""
    for _ in range(20):
        with suppress(AssertionError):
            return list(user.call(method, *words))
        time.sleep(0.5)
    return list(user.call(method, *words))


def _company(user: TrytonUser, party: int) -> tuple[int, int]:
    """Make the company whose opportunities these are, and have the user work for it; return it and its currency."""
    currency = {"name": "Euro", "code": "EUR", "symbol": "€"}
    (euro,) = user.call("model.currency.currency.create", [currency])
    (company,) = user.call("model.company.company.create", [{"party": party, "currency": euro}])
    (me,) = user.call("model.res.user.search", [["login", "=", "admin"]], 0, 1, None)
    work = {"companies": [["add", [company]]], "company": company}
    user.call("model.res.user.write", [me], work)
    return company, euro


@pytest.mark.long
def test_a_second_deploy_changes_nothing(crm: RunningLab) -> None:
    """Three slices, one round trip each."""
    again = document(crm, "deploy", "crm")
    assert again["round_trips"] == 3
    assert [item["outcome"] for item in again["apps"][0]["instances"]] == ["unchanged"] * 3


@pytest.mark.long
def test_the_database_is_reached_by_the_web_servers_alone(crm: RunningLab) -> None:
    """Another machine gets no connection; and the servers' connections are all under TLS."""
    address = crm.slices()[DATABASE]["address"]
    with pytest.raises(OSError, match="timed out"):
        socket.create_connection((address, 5432), timeout=2)
    asked = "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL"
    TrytonUser.admin(crm, WEB[0])
    assert crm.on(DATABASE, f"cd /; runuser -u postgres -- psql -XAtc '{asked}'") == "t\n"


@pytest.mark.long
def test_no_password_is_on_an_argv_or_open_to_others(crm: RunningLab) -> None:
    """No process shows one, and no file that others may read holds one."""
    words = [_secret(crm, name) for name in ("admin_password", "database_password", "health_password")]
    for name in (DATABASE, *WEB):
        seen = crm.on(name, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; cat /var/log/tfheal/journal.jsonl")
        others = crm.on(
            name, "find /opt/tfheal /etc -type f -perm /004 -size -64k -exec cat {} + | tr -cd '[:print:]\\n'"
        )
        assert not [word for word in words if word in seen + others]


def _secret(crm: RunningLab, name: str) -> str:
    return str(document(crm, "secret", "show", "crm", name)["value"])


@pytest.mark.long
def test_a_database_that_was_killed_is_restarted_alone(crm: RunningLab) -> None:
    """The web servers are blocked, and well again by themselves."""
    _blocks_both(crm, "kill-service", "unit-failed")


@dataclass(frozen=True, slots=True)
class Cycle:
    """What a fault of one slice is called, with which code status and heal end, and the rungs that heal takes."""

    fault: str
    finding: str
    code: int
    rungs: tuple[str, ...] = ()


OF_A_WEB_SERVER = (
    Cycle("kill-service", "unit-failed", 3, ("restart",)),
    Cycle("stop-service", "unit-stopped", 3, ("restart",)),
    Cycle("disable-service", "drift", 3, ("redeploy",)),
    Cycle("mask-service", "drift", 3, ("redeploy",)),
    Cycle("corrupt-config", "drift", 3, ("redeploy",)),
)
SILENT = ("drop-ssh", "sshd-hangs", "freeze")


@pytest.mark.long
@pytest.mark.parametrize("cycle", OF_A_WEB_SERVER, ids=lambda cycle: cycle.fault)
def test_one_web_server_is_healed_while_the_other_serves(crm: RunningLab, cycle: Cycle) -> None:
    """The cause is named, just that rung is taken on just that slice, then nothing more."""
    assert crm.do("break", WEB[0], cycle.fault)["instance"] == "crm/web"
    seen = document(crm, "status", check=cycle.code)
    assert cycle.finding in findings(seen)
    assert states(seen)[f"web@{WEB[1]}"] == "healthy"
    TrytonUser.admin(crm, WEB[1])
    assert actions(document(crm, "heal", "--auto")) == [(rung, "done") for rung in cycle.rungs]
    crm.do("mend", WEB[0])
    assert document(crm, "status")["health"] == "healthy"
    TrytonUser.admin(crm, WEB[0])
    assert actions(document(crm, "heal", "--auto")) == []


@pytest.mark.long
@pytest.mark.parametrize("fault", SILENT)
@pytest.mark.parametrize("slice_name", [DATABASE, WEB[0]])
def test_a_slice_that_says_nothing_is_unknown_and_left_alone(crm: RunningLab, fault: str, slice_name: str) -> None:
    """Nobody is called sick for it, web servers serve on where they can, and afterwards all is well."""
    crm.do("break", slice_name, fault)
    seen = document(crm, "status", check=4)
    assert "slice-unreachable" in findings(seen)
    told = states(seen)
    assert [name for name, health in told.items() if health == "unknown" and name.endswith(slice_name)] != []
    assert told[f"web@{WEB[1]}"] in (
        {"unknown", "blocked"} if (slice_name, fault) == (DATABASE, "freeze") else {"healthy"}
    )
    assert actions(document(crm, "heal", "--auto", check=4)) == []
    if (slice_name, fault) != (DATABASE, "freeze"):
        TrytonUser.admin(crm, WEB[1])
    crm.do("mend", slice_name)
    assert document(crm, "status")["health"] == "healthy"
    assert actions(document(crm, "heal", "--auto")) == []


@pytest.mark.long
@pytest.mark.parametrize(("slice_name", "instance"), [(WEB[0], "web"), (DATABASE, "db")])
def test_what_a_taken_port_needs_is_a_human(crm: RunningLab, slice_name: str, instance: str) -> None:
    """No rung helps while a stranger listens there; a human is called, and once he has left all is well."""
    crm.do("break", slice_name, "port-taken", "--app", f"crm/{instance}")
    taken: list[tuple[str, str]] = []
    for _ in range(20):  # a run ends while systemd itself tries again, or to wait for a back-off
        healed = document(crm, "heal", "--auto", check=None)
        taken += actions(healed)
        assert healed["exit"] in {3, 5, 7}
        if healed["exit"] == 7:
            break
        time.sleep(1)
    assert taken[-1] == ("page", "done")
    assert {outcome for rung, outcome in taken if rung != "page"} == {"failed"}
    crm.do("mend", slice_name)
    document(crm, "heal", "--auto", check=None)
    assert document(crm, "status")["health"] == "healthy"
    assert actions(document(crm, "heal", "--auto")) == []


@pytest.mark.long
@pytest.mark.parametrize("fault", ["mask-service", "disable-service", "corrupt-config", "delete-release"])
def test_what_a_database_of_debians_has_not_cannot_be_broken(crm: RunningLab, fault: str) -> None:
    """Its unit file, its configuration and its software are not tfheal's: the fault says so, and nothing happened."""
    assert crm.do("break", DATABASE, fault, "--app", "crm/db", check=5)["error"]["why"]
    crm.do("mend", DATABASE)
    assert document(crm, "status")["health"] == "healthy"


@pytest.mark.long
def test_marketing_comes_when_it_is_switched_on(crm: RunningLab) -> None:
    """Its modules are in the database and both web servers know them; a second deploy changes nothing."""
    spec = crm.workspace / "apps/crm.yaml"
    spec.write_text(spec.read_text() + "settings: {marketing: true}\n")
    crm.run("deploy", "crm", timeout=2400)
    here, there = (TrytonUser.admin(crm, name) for name in WEB)
    (made,) = here.call("model.marketing.email.list.create", [{"name": "Friends"}])
    (read,) = there.call("model.marketing.email.list.read", [made], ["name"])
    assert read["name"] == "Friends"
    assert document(crm, "deploy", "crm")["round_trips"] == 3


def parties(crm: RunningLab) -> set[tuple[int, str]]:
    """Return the parties that a user of the first web server sees."""
    user = TrytonUser.admin(crm, WEB[0])
    found = user.call("model.party.party.search_read", [], 0, None, None, ["name"])
    return {(each["id"], each["name"]) for each in found}


def test_what_was_in_the_database_comes_back(crm: RunningLab) -> None:
    """Of a dropped table all is there that was written until a moment; of a wiped slice all that was stored."""
    spec = crm.workspace / "apps/crm.yaml"
    before = spec.read_text()
    allow = "allow: [restart, redeploy, recreate, restore, page]"
    spec.write_text(before.replace("heal: {", f"backup: {{to: {STORE}}}\nheal: {{{allow}, "))
    try:
        crm.run("deploy", "crm")
        user = TrytonUser.admin(crm, WEB[0])
        (made,) = user.call("model.party.party.create", [{"name": "Kept by a backup"}])
        (backup,) = document(crm, "backup", "run", "crm")["backups"]
        assert (backup["state"], [part["what"] for part in backup["parts"]]) == ("good", ["db/database", "db/17-main"])
        (later,) = user.call("model.party.party.create", [{"name": "Kept by a change"}])
        moment = crm.on(DATABASE, "date -u +%Y-%m-%dT%H:%M:%S.%6NZ").strip()
        user.call("model.party.party.create", [{"name": "Begun after it"}])
        crm.on(DATABASE, "cd /; runuser -u postgres -- psql -Xqd crm -c 'DROP TABLE party_party CASCADE'")
        gone = [
            one["detail"]
            for one in document(crm, "status", "crm", check=None)["findings"]
            if one["finding"] == "inconsistent"
        ]
        assert "the table party_party is gone" in str(gone)
        restored = document(crm, "restore", "crm", "--at", moment, "--yes")
        assert [one["outcome"] for one in restored["outcomes"]] == ["done"]
        assert parties(crm) >= {(made, "Kept by a backup"), (later, "Kept by a change")}
        assert "Begun after it" not in {name for _, name in parties(crm)}
        document(crm, "backup", "run", "crm")
        (last,) = TrytonUser.admin(crm, WEB[0]).call("model.party.party.create", [{"name": "Kept to the last"}])
        crm.on(DATABASE, "cd /; echo 'SELECT pg_switch_wal()' | runuser -u postgres -- psql -XqAt")
        crm.on(DATABASE, f"sleep 1; until {SENT}; do sleep 1; systemctl start tfheal-crm-db.wal.service; done")
        crm.do("break", DATABASE, "wipe-slice")
        healed = document(crm, "heal", "--auto", check=None)
        assert actions(healed)[:2] == [("recreate", "done"), ("restore", "done")], healed
        assert document(crm, "heal", "--auto")["exit"] == 0
        assert (last, "Kept to the last") in parties(crm)
    finally:
        crm.run("remove", f"crm/store@{STORE}", "--backups", "--yes", check=None)
        spec.write_text(before)
        crm.run("deploy", "crm")


@pytest.mark.long
def test_remove_with_data_leaves_nothing(crm: RunningLab) -> None:
    """The database and its role are gone, and nobody is let in any more."""
    crm.run("remove", "crm", "--data", "--yes")
    left = "SELECT datname FROM pg_database UNION SELECT rolname FROM pg_roles WHERE rolname = 'crm' ORDER BY 1"
    said = crm.on(DATABASE, f'cd /; runuser -u postgres -- psql -XAtc "{left}"; ls -d /opt/tfheal 2>/dev/null; exit 0')
    assert said.split() == ["postgres", "template0", "template1"]
    for name in WEB:
        assert crm.on(name, "ls -d /opt/tfheal/crm /var/lib/tfheal/crm 2>/dev/null; exit 0") == ""
