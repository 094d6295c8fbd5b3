"""Stores for tests of flows: real journal, catalogue, vault and leases of a workspace, and slices that answer as a test says."""

import base64
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from journals import NOW
from workspaces import write_workspace

from tfheal.edge.catalogue import JournalCatalogue
from tfheal.edge.files import WorkspaceFiles
from tfheal.edge.journal import SqliteJournal
from tfheal.edge.lease import JournalLeases
from tfheal.edge.templates import JinjaTemplates
from tfheal.edge.vault import AgeVault
from tfheal.flows.releases import make_secrets, wanted
from tfheal.model.backup import Backup, Part, State
from tfheal.model.inventory import Slice
from tfheal.model.ports import Exec, Ports, Reply
from tfheal.model.record import Deployed
from tfheal.model.workspace import Workspace

MARKER = "0123456789abcdef"
Answers = Mapping[int, tuple[int, str]]  # by the number of a task: its status, and what it said; all others did well
Answerer = Callable[[str, str], Answers]  # given the name of a slice and the script of a job


@dataclass
class Slices:
    """A transport that answers jobs: as `answer` says, or with its error; `asked` are the scripts, by the slice."""

    answer: Answerer
    asked: list[tuple[str, str]] = field(default_factory=list)

    def run(self, target: Slice, order: Exec) -> Reply:
        """Answer a job."""
        script = order.script + "".join(
            base64.b64decode(blob).decode()
            for blob in re.findall(r"printf %s ([A-Za-z0-9+/=]{8,}) \| base64 -d", order.script)
        )
        self.asked.append((target.name, script))
        said = self.answer(target.name, script)
        count = len(re.findall(r"^task_\d+\(\) \{$", script, re.MULTILINE))
        lines = []
        for index in range(count):
            status, out = said.get(index, (0, ""))
            failed = base64.b64encode(b"it failed" if status else b"").decode()
            lines.append(f"{MARKER} task {index} {status} {base64.b64encode(out.encode()).decode()} {failed}\n")
        return Reply("".join([*lines, f"{MARKER} end\n"]).encode(), b"", 0, 0.1)


@dataclass
class Watch:
    """A clock that a test sets, and what is said to whoever watches."""

    at: datetime = NOW
    said: list[str] = field(default_factory=list)

    def now(self) -> datetime:
        """Return the time now."""
        return self.at

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return (self.at - NOW).total_seconds()

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.at += timedelta(seconds=seconds)

    def say(self, message: str) -> None:
        """Keep what is said."""
        self.said.append(message)

    def step(self, *_: object) -> None:
        """Show nothing."""


@dataclass(frozen=True)
class Fleet:
    """A workspace whose app is deployed, and the hands that reach its slices."""

    workspace: Workspace
    ports: Ports
    journal: SqliteJournal
    slices: Slices
    watch: Watch

    def took(
        self, number: str, *on: str, state: State = "good", ago: float = 0.0, what: tuple[str, ...] = ("folders",)
    ) -> Backup:
        """Record a backup that was made some seconds ago, with a part on each of some slices, and return it."""
        (app,) = {one.instance.app for one in self.journal.deployed()}
        at, spec = self.watch.at - timedelta(seconds=ago), self.workspace.apps[app].backup
        parts = tuple(
            Part(one, each, state, number * 64 if state == "good" else "", 10, 1, paths=("/srv/x",))
            for one in on
            for each in what
        )
        made = Backup(f"b{number}", app, spec.to if spec else "", at, state, parts, at)
        self.ports.catalogue.put(made)
        return made


@contextmanager
def deployed(folder: Path, spec: str, answer: Answerer, files: dict[str, str] | None = None) -> Iterator[Fleet]:
    """Give a workspace with an app, all of it deployed."""
    name = spec.split()[1]
    root = write_workspace(folder / "w", {f"apps/{name}.yaml": spec, **(files or {})})
    workspace = WorkspaceFiles(root).load()
    watch, slices = Watch(), Slices(answer)
    with closing(SqliteJournal(root / ".tfheal" / "journal.db")) as journal:
        pair = SimpleNamespace(private="private", public="ssh-ed25519 AAAA")
        ports = cast(
            "Ports",
            SimpleNamespace(
                transport=slices,
                journal=journal,
                leases=JournalLeases(journal),
                pauses=SimpleNamespace(known=lambda _: ()),
                catalogue=JournalCatalogue(journal),
                vault=AgeVault(root, folder / "age.key"),
                templates=JinjaTemplates(),
                clock=watch,
                keys=SimpleNamespace(pinned=lambda _: ("ssh-ed25519 AAAA",)),
                reporter=watch,
                hidden=_hidden,
                marker=lambda: MARKER,
                key_pair=lambda: pair,
                writer="us@here",
            ),
        )
        make_secrets(workspace, name, ports)
        for release in wanted(workspace, name, ports):
            journal.save_release(release, NOW)
            journal.set_deployed(Deployed(release.instance, release.id, release.version, 1, "deployed", NOW))
        yield Fleet(workspace, ports, journal, slices, watch)


def moved(fleet: Fleet, app: str, old: str, new: str) -> Fleet:
    """Have an app leave a slice for another one, and take that out of the inventory; return the fleet as it is then."""
    workspace = fleet.workspace
    spec = workspace.apps[app]
    place = {key: tuple(new if one == old else one for one in names) for key, names in spec.place.items()}
    inventory = workspace.inventory
    left = {new if name == old else name: entry for name, entry in inventory.slices.items()}
    after = replace(
        workspace,
        apps={**workspace.apps, app: spec.model_copy(update={"place": place})},
        inventory=inventory.model_copy(update={"slices": left}),
    )
    for one in fleet.journal.deployed(app):
        fleet.journal.drop_deployed(one.instance)
    make_secrets(after, app, fleet.ports)
    for release in wanted(after, app, fleet.ports):
        fleet.journal.save_release(release, NOW)
        fleet.journal.set_deployed(Deployed(release.instance, release.id, release.version, 1, "deployed", NOW))
    return replace(fleet, workspace=after)


def _hidden(names: Collection[str]) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(names, ())
