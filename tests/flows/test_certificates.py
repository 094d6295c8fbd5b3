"""What a lying slice gets of us: a gateway's own names are published for it, and never one of somebody else's."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from journals import NOW, a_release
from workspaces import write_workspace

from tfheal.base.exits import Exit
from tfheal.edge.files import WorkspaceFiles
from tfheal.edge.journal import SqliteJournal
from tfheal.edge.lease import JournalLeases
from tfheal.edge.pauses import JournalPauses
from tfheal.flows import certificates as flow
from tfheal.flows.fleet import Limits
from tfheal.model.certificate import Certificate
from tfheal.model.inventory import Slice
from tfheal.model.pause import Pause
from tfheal.model.ports import Exec, Ports, Reply
from tfheal.model.record import Deployed
from tfheal.model.release import InstanceName
from tfheal.model.workspace import Workspace

M = "0123456789abcdef0123456789abcdef"
EDGE = InstanceName("edge", "gateway", "a3")
VALUE = "abcdefghijklmnopqrstuvwxyzABCDEF0123456789_"
ROUTED = {
    "tfheal.toml": '[names.zone]\nvia = "rfc2136"\nserver = "192.0.2.53"\nzone = "example"\nkey = "tfheal"\n',
    "apps/edge.yaml": "app: edge\nowner: acme\nplaybook: gateway\nversion: debian\nplace: {gateway: [a3]}\nsettings: {tls: acme, challenge: dns-01}\n",
    "apps/mine.yaml": 'app: mine\nowner: acme\nplaybook: website\nversion: "2.11.7"\nplace: {web: [a1]}\nhostname: mine.example\nnames: zone\nroute: {gateway: edge}\n',
    "apps/beside.yaml": 'app: beside\nowner: acme\nplaybook: website\nversion: "2.11.7"\nplace: {web: [a2]}\nhostname: beside.example\nnames: zone\n',
    "apps/theirs.yaml": 'app: theirs\nowner: bob\nplaybook: website\nversion: "2.11.7"\nplace: {web: [b1]}\nhostname: theirs.example\nnames: zone\n',
}


class Liar:
    """A slice that says that every name of the provider's is due at its gateway, and asks for whatever it is asked about."""

    def run(self, target: Slice, order: Exec) -> Reply:
        """Answer each question with all lies at once."""
        assert target.name == EDGE.slice
        names = ("mine.example", "beside.example", "theirs.example", "given")
        lies = "".join(f"{M} certificate {name} acme 1 2 yes 0\n" for name in names)
        asked = f"{M} challenge {VALUE}\n" if "publish" in order.script else ""
        return Reply(f"{asked}{M} done\n{lies}{M} end\n".encode(), b"", 0, 0.1)


class Zone:
    """A name server that keeps what is published there for an authority."""

    def __init__(self) -> None:
        """Begin without a record."""
        self.proved: list[tuple[str, str | None]] = []

    def prove(self, host: str, value: str | None) -> None:
        """Keep it."""
        self.proved.append((host, value))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a workspace in which one of three apps is led through a gateway, of two owners."""
    return WorkspaceFiles(write_workspace(tmp_path / "workspace", ROUTED)).load()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    """Return a journal in which the gateway is deployed."""
    with closing(SqliteJournal(tmp_path / "journal.db")) as journal:
        release = a_release(app="edge", component="gateway", slice="a3", playbook="gateway", resources=())
        journal.save_release(release, NOW)
        journal.set_deployed(Deployed(EDGE, release.id, "debian", 1, "deployed", NOW))
        yield journal


def ports(journal: SqliteJournal, zone: Zone) -> Ports:
    """Return what these flows see."""
    quiet = SimpleNamespace(say=lambda _: None, step=lambda *_: None)
    kept = {"journal": journal, "leases": JournalLeases(journal), "pauses": JournalPauses(journal)}
    clock = SimpleNamespace(now=lambda: NOW)
    hands = {"transport": Liar(), "names": lambda _: zone, "reporter": quiet, "clock": clock, "marker": lambda: M}
    return cast("Ports", SimpleNamespace(**kept, **hands))


def test_only_names_of_its_own_are_shown_and_published(workspace: Workspace, journal: SqliteJournal) -> None:
    """Asked by a tick, the slice tells of all names; its own is published and withdrawn, no other ever is."""
    zone = Zone()
    hands = ports(journal, zone)
    seen = flow.seen(workspace, hands, Limits())
    assert [one.host for held in seen.values() if isinstance(held, tuple) for one in held] == ["mine.example"]
    (done,) = flow.renewed_by_dns(workspace, hands, Limits())
    assert (done.host, done.detail) == ("mine.example", "")
    assert zone.proved == [("mine.example", VALUE), ("mine.example", None)]


@pytest.mark.parametrize("host", ["theirs.example", "beside.example", "given"])
def test_nothing_is_published_for_a_name_that_leads_elsewhere(
    workspace: Workspace, journal: SqliteJournal, host: str
) -> None:
    """Also where it was asked for all the same: of another owner, or of this one by another way."""
    zone = Zone()
    found = {EDGE: (Certificate(host, "none", 1, 2, due=True),)}
    (done,) = flow.renew(workspace, found, ports(journal, zone))
    assert "does not lead through edge" in done.detail
    assert zone.proved == []


@pytest.mark.parametrize("how", ["paused", "busy"])
def test_a_gateway_that_may_not_be_touched_keeps_no_other_from_its_certificates(
    workspace: Workspace, journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """It is told of each of its names, the others are renewed, and the run is ended in the journal."""
    zone, other = Zone(), InstanceName("door", "gateway", "a2")
    hands = ports(journal, zone)
    held: AbstractContextManager[None] = nullcontext()
    if how == "busy":
        held = hands.leases.hold("door", "upgrade", journal.begin_run("upgrade", NOW).id)
    else:
        pause = Pause("0123abcd", "app", "door", NOW, NOW + timedelta(hours=1), "ada", "moving house")
        JournalPauses(journal).keep(pause, NOW)
    ended: list[int] = []
    monkeypatch.setattr(journal, "end_run", lambda _run, code, _now: ended.append(code))
    due = {name: (Certificate("mine.example", "none", 1, 2, due=True),) for name in (other, EDGE)}
    with held:
        refused, done = flow.renew(workspace, due, hands)
    assert (refused.gateway, refused.exit, done.gateway, done.exit) == (other, Exit.REFUSED, EDGE, Exit.OK)
    assert {"paused": "moving house", "busy": "upgrade"}[how] in refused.detail
    assert zone.proved == [("mine.example", VALUE), ("mine.example", None)]
    assert ended == [Exit.REFUSED]
