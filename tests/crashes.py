"""A stage on which tfheal is killed again and again: its slices and its journal are put back by copy before every scene."""

import hashlib
import io
import json
import re
import shutil
import sqlite3
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

from documents import document
from loaded import Loaded, LoadedLab
from running_lab import RunningLab

from tfheal.lab import host, machine, places

PLAYBOOK = Path(__file__).parent / "e2e/twins"
KEPT = "/srv/tfheal/twins/store/kept"
KILLED = -9
ALL = "restart, free-disk, redeploy, rollback, rebuild, recreate, rehome, page"
SPEC = """\
app: twins
owner: lab
playbook: twins
version: "{version}"
place: {{store: [{stage.store}], front: [{stage.front}]}}
spares: [{stage.spare}]
settings: {{software: "{software}", hash: {hash}}}
heal: {{allow: [{allow}], reflex: off}}
"""
PROVIDER = """\
[page]
command = ["true"]
[ssh]
patience = "2s"
connect_timeout = "2s"
[heal]
asks = 1
backoff = "20ms"
budget = 20
budget_window = "60s"
healthy_for = "0s"
chronic = 1000
gone_after = "1s"
"""
# Takes away what the app leaves on a slice, the owner's data too, and ends what still acts there.
CLEARED = """
systemctl stop 'tfheal-twins-*' 2>/dev/null
rm -rf /etc/systemd/system/tfheal-twins-* /etc/systemd/system/*.wants/tfheal-twins-* /opt/tfheal/twins /srv/tfheal/twins \
    /var/lib/tfheal /etc/tfheal /var/log/tfheal /run/twins.* /run/tfheal/twins.* /var/cache/apt/archives/filler.deb
"""
STATE = """etc/passwd etc/shadow etc/group etc/gshadow etc/systemd/system opt/tfheal srv/tfheal var/lib/tfheal etc/tfheal \
var/log/tfheal"""
FILLED = """
filler=/var/cache/apt/archives/filler.deb
mkdir -p "${filler%/*}"
fallocate -l "$(df --output=avail -B1 / | tail -n 1)" $filler 2>/dev/null
dd if=/dev/zero of=$filler bs=1M oflag=append conv=notrunc 2>/dev/null
dd if=/dev/zero of=$filler bs=4k oflag=append conv=notrunc 2>/dev/null
true
"""
# The same size and the same times: no manifest tells.
DAMAGED = """
serve=/opt/tfheal/twins/front/current/serve
touch -r $serve /run/twins.times
sed -i s,/bin/sleep,/bin/false, $serve && touch -r /run/twins.times $serve
systemctl restart tfheal-twins-front
until systemctl is-failed -q tfheal-twins-front; do sleep 0.1; done
"""
STRANGE = """
cd /etc/ssh && rm -f ssh_host_*
ssh-keygen -q -t ed25519 -N '' -f ssh_host_ed25519_key && systemctl restart ssh
"""
SERVE = b'#!/bin/sh\n[ "$1" = 1 ] && exec /bin/sleep infinity\nexit 1\n'


@dataclass(frozen=True, slots=True)
class Stage:
    """One app on slices of its own, with a workspace and a folder for what is put back."""

    lab: LoadedLab
    store: str
    front: str
    spare: str
    software: str
    kept: Path

    @property
    def slices(self) -> tuple[str, ...]:
        """Return the names of its slices."""
        return self.store, self.front, self.spare

    def on(self, name: str, script: str) -> str:
        """Run sh in a slice from this machine, whatever became of its network; demand success."""
        done = machine.enter(self.lab.name, name, script)
        assert done.status == 0, (name, done)
        return done.stdout.decode()

    def cut(self, name: str, state: str) -> None:
        """Take the network of a slice away (`down`) or give it back (`up`)."""
        subprocess.run(["ip", "link", "set", places.link(self.lab.name, name), state], check=True)

    def writes(self, version: str = "1", allow: str = ALL) -> None:
        """Write the app's spec."""
        values = {"version": version, "allow": allow, "software": self.software, "hash": program()[1]}
        (self.lab.workspace / "apps").mkdir(exist_ok=True)
        (self.lab.workspace / "apps/twins.yaml").write_text(SPEC.format(stage=self, **values))

    def provides(self, recreate: str) -> None:
        """Write by which command the front's slice is made anew, with no back-off between two of them."""
        path, front = self.lab.workspace / "inventory.toml", f"[slices.{self.front}.provisioner]"
        before, mark, after = path.read_text().partition(front)
        after = re.sub(
            'recreate = ".*"(\nbackoff = ".*")?', f'recreate = "{recreate}"\nbackoff = "20ms"', after, count=1
        )
        path.write_text(before + mark + after)

    def clear(self) -> None:
        """Make everything as it was before the app was ever deployed."""
        for name in self.slices:
            self.on(name, f"{CLEARED}systemctl daemon-reload")
        self._forget()

    def keep(self, what: str) -> None:
        """Copy what is on the slices and in the journal, under a name."""
        (self.kept / what).mkdir()
        for name in self.slices:
            self._save(name, STATE, self.kept / what / name)
        with sqlite3.connect(self._journal) as journal:
            journal.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        journal.close()
        shutil.copy(self._journal, self.kept / what / "journal")

    def put_back(self, what: str) -> None:
        """Make everything as it was when it was kept under that name."""
        script = f"""{CLEARED}
tar -C / -xf - && systemctl daemon-reload || exit 1
systemctl reset-failed tfheal-twins-store tfheal-twins-front 2>/dev/null
set -- /etc/systemd/system/multi-user.target.wants/tfheal-twins-*
[ ! -e "$1" ] || systemctl start --no-block "${{1##*/}}"
"""

        def there(name: str) -> host.Result:
            return machine.enter(self.lab.name, name, script, files=host.Files(source=self.kept / what / name))

        with ThreadPoolExecutor() as pool:
            assert [done for done in pool.map(there, self.slices) if done.status] == []
        self._forget()
        shutil.copy(self.kept / what / "journal", self._journal)

    def keep_of_others(self) -> None:
        """Copy what other apps and their workspaces know a slice by: its marker of identity, their states, its journal."""
        for name in self.slices:
            self._save(name, "var/lib/tfheal etc/tfheal var/log/tfheal", self.kept / f"others-{name}")

    def put_back_of_others(self) -> None:
        """Make that as it was."""
        for name in self.slices:
            files = host.Files(source=self.kept / f"others-{name}")
            assert machine.enter(self.lab.name, name, "tar -C / -xf -", files=files).status == 0

    def _save(self, name: str, what: str, path: Path) -> None:
        saved = f"cd / && tar -c --ignore-failed-read -f - {what} 2>/dev/null; true"
        assert machine.enter(self.lab.name, name, saved, files=host.Files(output=path)).status == 0

    @property
    def _journal(self) -> Path:
        return self.lab.workspace / ".tfheal/journal.db"

    def _forget(self) -> None:
        for path in self._journal.parent.glob("journal.db*"):
            path.unlink()


@dataclass(frozen=True, slots=True)
class Scene:
    """What is killed: the state that is put back, the damage, the command and what it may do, and what mends afterwards.

    `mended` is what only a person can put right, before the next heal; `back` what comes back after it.
    """

    command: tuple[str, ...] = ("heal", "--auto")
    state: str = "well"
    damage: Callable[[Stage], None] = lambda _: None
    allow: str = ALL
    provisioner: str = ""  # where the lab is not to make the front's slice anew: what is run instead
    mended: Callable[[Stage], None] = lambda _: None
    back: Callable[[Stage], None] = lambda _: None
    gone: bool = False


def _script(of: Callable[[Stage], str], script: str) -> Callable[[Stage], None]:
    def run(stage: Stage) -> None:
        stage.on(of(stage), script)

    return run


def _store(stage: Stage) -> str:
    return stage.store


def _front(stage: Stage) -> str:
    return stage.front


SCENES = {
    "recreate": Scene(damage=_script(_front, STRANGE)),
    "rehome": Scene(
        state="lost",
        provisioner="false",
        damage=lambda stage: stage.cut(stage.front, "down"),
        back=lambda stage: stage.cut(stage.front, "up"),
    ),
    "rollback": Scene(state="bad"),
    "rebuild": Scene(damage=_script(_front, DAMAGED), allow="rebuild"),
    "deploy": Scene(("deploy", "twins"), state="nothing"),
    "remove": Scene(("remove", "twins"), gone=True),
    "redeploy": Scene(damage=_script(_front, "rm /opt/tfheal/twins/front/config/front.conf")),
    "free-disk": Scene(damage=_script(_store, FILLED)),
    "page": Scene(
        damage=_script(_front, "touch /run/twins.unready"), mended=_script(_front, "rm -f /run/twins.unready")
    ),
    "restart": Scene(damage=_script(_store, "systemctl stop tfheal-twins-store")),
}


def program() -> tuple[bytes, str]:
    """Return the archive that the front runs, the same bytes every time, and its hash."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        entry = tarfile.TarInfo("serve")
        entry.size, entry.mode = len(SERVE), 0o755
        archive.addfile(entry, io.BytesIO(SERVE))
    return packed.getvalue(), hashlib.sha256(packed.getvalue()).hexdigest()


@contextmanager
def served(lab: str) -> Iterator[str]:
    """Serve the archive on this machine's own address in a lab; yield its URL."""

    class Shelf(BaseHTTPRequestHandler):
        """Gives the archive to whoever asks."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(program()[0])

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        """Listens on IPv6."""

        address_family = 10

    with Server((places.gateway6(lab), 0), Shelf) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://[{places.gateway6(lab)}]:{server.server_port}/twins.tar"
        server.shutdown()
        thread.join()


@contextmanager
def staged(lab: RunningLab, names: tuple[str, str, str], folder: Path, software: str) -> Iterator[Stage]:
    """Have a stage on three slices of a lab, with the states that its scenes begin with kept."""
    shutil.copytree(lab.workspace, folder / "workspace", ignore=shutil.ignore_patterns("*.lock", "journal.db*", "apps"))
    shutil.copytree(PLAYBOOK, folder / "workspace/playbooks/twins")
    loaded = Loaded(folder)
    running = LoadedLab(lab.name, folder / "workspace", lab.around, loaded)
    stage = Stage(running, *names, software, folder / "kept")
    stage.kept.mkdir()
    stage.keep_of_others()
    try:
        _prepare(stage)
        yield stage
    finally:
        stage.clear()
        stage.put_back_of_others()
        loaded.close()


def _prepare(stage: Stage) -> None:
    (stage.lab.workspace / "tfheal.toml").write_text(PROVIDER)
    stage.clear()
    stage.writes()
    stage.lab.run("status", check=None)
    stage.keep("nothing")
    stage.lab.run("deploy", "twins")
    stage.on(stage.store, f"echo precious >{KEPT}")
    until_good(stage)
    stage.keep("well")
    stage.cut(stage.front, "down")
    stage.lab.run("status", check=None)
    stage.cut(stage.front, "up")
    stage.keep("lost")
    stage.put_back("well")
    stage.writes("2")
    stage.lab.run("deploy", "twins", "--in-place", check=5)
    stage.keep("bad")


def until_good(stage: Stage) -> None:
    """Look until the release is known good."""
    for _ in range(20):
        stage.lab.run("status", check=0)
        with sqlite3.connect(stage.lab.workspace / ".tfheal/journal.db") as journal:
            if journal.execute("SELECT count(*) FROM standing WHERE good IS NOT NULL").fetchone() == (2,):
                return
        journal.close()
    raise AssertionError("never known good")


def set_up(scene: Scene, stage: Stage) -> None:
    """Put back what a scene begins with, and do its damage."""
    stage.writes("2" if scene.state == "bad" else "1", scene.allow)
    stage.provides(scene.provisioner or f"tfheal lab recreate {stage.front} --name {stage.lab.name}")
    stage.put_back(scene.state)
    scene.damage(stage)


def killed(scene: Scene, stage: Stage, at: int) -> str:
    """Kill the command of a scene at a count, and return where that was; nothing if it came to its end before."""
    ran = replace(stage.lab, failpoint=at).run(*scene.command, check=None)
    if ran.returncode != KILLED:
        assert ran.returncode in {0, 3, 7}, ran
        return ""
    return ran.stderr.rpartition("failpoint: ")[2].strip()


def is_well(scene: Scene, stage: Stage) -> None:
    """Demand that one `heal --auto` puts all in order: the next one finds nothing ill and has nothing to do."""
    stage.writes("2" if scene.state == "bad" else "1")
    scene.mended(stage)
    healed = document(stage.lab, "heal", "--auto", check=None)
    scene.back(stage)
    again = document(stage.lab, "heal", "--auto", check=None)
    assert again["exit"] == 0, (healed, again)
    assert [one for incident in again["incidents"] for one in incident["actions"]] == [], (healed, again)
    nothing_is_held(stage.lab)
    on_slices(scene, stage)


def on_slices(scene: Scene, stage: Stage) -> None:
    """Demand that the app runs where it is meant to and nowhere else, its data is there, no lock is held, the journal reads."""
    asked = f"""
ls -d /opt/tfheal/twins /etc/systemd/system/tfheal-twins* 2>/dev/null | wc -l
systemctl is-active 'tfheal-twins-*' | grep -c active
cat {KEPT} 2>/dev/null || echo none
[ ! -e /run/tfheal/twins.lock ] || flock -n /run/tfheal/twins.lock true || echo held
cat /var/log/tfheal/journal.jsonl 2>/dev/null
true
"""
    told = {name: stage.on(name, asked).splitlines() for name in stage.slices}
    for name, (_, _, _, *record) in told.items():
        assert all(json.loads(line)["event"] in {"begin", "end"} for line in record), (name, record)
    store, *others = ((int(have) > 0, running == "1") for have, running, *_ in (told[name] for name in stage.slices))
    assert store in {(True, True), (False, False)}, told
    assert store[0] or scene.gone or scene.state == "nothing", told
    assert sorted(others) == [(False, False), store], told
    assert told[stage.store][2] == ("none" if scene.state == "nothing" else "precious"), told


def nothing_is_held(lab: RunningLab) -> None:
    """Demand that no lease is held, that no fence is forgotten, that every action has its end, and that the journal is whole."""
    assert [one for one in document(lab, "history", "--limit", "1000")["actions"] if not one["outcome"]] == []
    with sqlite3.connect(lab.workspace / ".tfheal/journal.db") as journal:
        assert journal.execute("SELECT count(*) FROM lease").fetchone() == (0,)
        assert journal.execute("SELECT count(*) FROM deployed WHERE phase = 'retired'").fetchone() == (0,)
        assert journal.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    journal.close()


def kill_points(name: str, stage: Stage) -> Iterator[tuple[str, str]]:
    """Kill at each count in turn until the command gets through; yield where that was, and what was not well afterwards."""
    scene = SCENES[name]
    for at in count(1):
        set_up(scene, stage)
        where, wrong = killed(scene, stage, at), ""
        try:
            is_well(scene, stage)
        except AssertionError as error:
            wrong = f"{name} killed at {at}, {where or 'its end'}: {error}"
            scene.mended(stage)
            scene.back(stage)
        if where or wrong:
            yield where, wrong
        if not where:
            return
