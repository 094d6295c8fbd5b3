"""What is lost with a slice, and how long it takes to come back: both examples, each with a customer who writes all the time.

The slice with the data is wiped under a writer; heal makes it anew and brings the data back from the store. What is lost is the
time from the last write that came back to the wipe; a write counts once the app said that it is there.
"""

import json
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from customer import Customer
from figures import markdown
from running_lab import RunningLab, new_workspace
from tryton_user import TrytonUser

_LAB: Final = "recovery"
_EXAMPLES: Final = Path(__file__).parents[2] / "examples"
_WRITTEN: Final = 240.0  # seconds of writing: twice what it takes at most until a change is on the store
_PATIENCE: Final = 600.0  # seconds until an app has to answer again
_ALLOW: Final = "heal: {reflex: off, allow: [restart, redeploy, recreate, restore, page]}\n"
_PLACES: Final = {
    "files": ("copyparty", "place: {web: [s1]}\n", "s1"),
    "crm": ("tryton", "place: {db: [s2], web: [s3]}\n", "s2"),
}


@dataclass(slots=True)
class Writer:
    """A customer who writes the time, once a second, until told to stop; `last` is the last that was acknowledged."""

    write: Callable[[str], None]
    last: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def begin(self) -> None:
        """Write from now on."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Write no more."""
        self._over.set()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(1.0):
            now = time.monotonic()
            with suppress(OSError, AssertionError):
                self.write(f"{now:.3f}")
                self.last = now


def measured(folder: Path) -> list[dict[str, Any]]:
    """Given a folder, deploy both examples on a lab there, lose the slice of each, and return what that came to."""
    lab = RunningLab(_LAB, folder / "recovery", ("env", f"TFHEAL_AGE_KEY_FILE={folder / 'recovery.key'}"))
    try:
        _prepared(lab)
        return [_lost(lab, "files", _files(lab)), _lost(lab, "crm", _crm(lab))]
    finally:
        lab.run("lab", "down", "--name", _LAB)


def _prepared(lab: RunningLab) -> None:
    shutil.rmtree(lab.workspace, ignore_errors=True)
    workspace = new_workspace(lab.workspace)
    lab.run("lab", "down", "--name", _LAB)  # what a run that was killed left behind
    lab.run("lab", "up", "--slices", "4", "--name", _LAB, "--yes")
    (workspace / "apps").mkdir(exist_ok=True)
    for app, (example, place, _) in _PLACES.items():
        spec = (_EXAMPLES / example / f"apps/{app}.yaml").read_text()
        kept = [line for line in spec.splitlines(keepends=True) if not line.startswith("place:")]
        (workspace / f"apps/{app}.yaml").write_text("".join([*kept, place, "backup: {to: s4}\n", _ALLOW]))
    lab.run("deploy", *_PLACES, timeout=2_400)
    for app in _PLACES:
        lab.run("backup", "run", app, timeout=900)
        lab.run("backup", "drill", app, timeout=900)


def _files(lab: RunningLab) -> tuple[Callable[[str], None], Callable[[], float]]:
    """Return what writes into the first example, and what reads the last that is there."""
    customer = Customer.of(lab, "s1")

    def read() -> float:
        return float(customer.get("written"))

    return lambda text: customer.put("written", text.encode()), read


def _crm(lab: RunningLab) -> tuple[Callable[[str], None], Callable[[], float]]:
    """Return what writes into the second example, and what reads the last that is there."""
    user = TrytonUser.admin(lab, "s3")
    create, search = "model.party.party.create", "model.party.party.search_read"

    def read() -> float:
        again = TrytonUser.admin(lab, "s3")
        found = again.call(search, [["name", "like", "written %"]], 0, 1, [["id", "DESC"]], ["name"])
        return float(found[0]["name"].split()[1])

    return lambda text: user.call(create, [{"name": f"written {text}"}]), read


def _lost(lab: RunningLab, app: str, hands: tuple[Callable[[str], None], Callable[[], float]]) -> dict[str, Any]:
    """Wipe the slice that has the data of an app while somebody writes, heal it, and return what is lost and how long it took."""
    write, read = hands
    write(f"{time.monotonic():.3f}")
    lab.run("backup", "run", app, timeout=900)
    writer = Writer(write)
    writer.begin()
    time.sleep(_WRITTEN)
    ages = _ages(lab, app)
    lab.do("break", _PLACES[app][2], "wipe-slice")
    writer.end()
    begun = time.monotonic()
    back = None
    while back is None and time.monotonic() - begun < _PATIENCE:
        lab.run("heal", "--auto", check=None, timeout=900)
        with suppress(OSError, AssertionError, ValueError, IndexError):
            back = read()
    assert back is not None, f"{app} did not come back"
    return {
        "app": app,
        "said": ages["rpo"],
        "lost": max(0.0, writer.last - back),
        "drill": ages["rto"],
        "back": time.monotonic() - begun,
    }


def _ages(lab: RunningLab, app: str) -> Mapping[str, Any]:
    seen = json.loads(lab.run("status", app, "--json", check=None).stdout)
    return dict(seen["apps"][0]["backup"])


def written(rows: list[dict[str, Any]]) -> str:
    """Given what was measured, return it in words and a table."""
    head = [
        "app",
        "rpo, as `status` said",
        "writes lost, seconds of them",
        "rto of the drill",
        "slice wiped until it answers again",
    ]
    table = [
        [
            f"`{one['app']}`",
            f"{one['said']:.0f} s",
            f"{one['lost']:.0f} s",
            f"{one['drill']:.0f} s",
            f"{one['back']:.0f} s",
        ]
        for one in rows
    ]
    return (
        f"A customer writes once a second for {_WRITTEN:.0f} s after a backup; then the slice with the data is wiped, and\n"
        "`heal --auto` makes it anew.\n\n" + markdown(head, table)
    )
