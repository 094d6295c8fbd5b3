"""Upgrades on real slices: one instance after the other; a version that fails takes itself back, whoever is killed meanwhile."""

import contextlib
import http.client
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from documents import actions, document
from running_lab import RunningLab

pytestmark = pytest.mark.lab
PLAYBOOK = Path(__file__).parent / "notes"
VISITS = "cat /srv/tfheal/notes/web/visits"
SERVED = "curl -s --noproxy '*' http://127.0.0.1:8090/"
SPEC = """\
app: notes  # the customer's own
owner: lab
playbook: notes
version: "{version}"  # as it was sold
place: {{web: [s2, s3]}}
settings: {{fails: {fails}}}
heal: {{reflex: off}}
"""
UPGRADE = ("upgrade", "notes", "--no-backup", "--soak", "1s")
STARTED = "systemctl show -p ExecMainStartTimestampMonotonic tfheal-notes-web"
RELEASES = "/opt/tfheal/notes/web/releases"
# less room than an upgrade leaves free, with all that is there in it
CROWDED = f"mount -t tmpfs -o size=60m none /mnt && cp -a {RELEASES}/. /mnt/ && mount --bind /mnt {RELEASES}"


@pytest.fixture(scope="module")
def notes(fleet: RunningLab) -> Iterator[RunningLab]:
    """Have version 1.0 of a small server on s2 and s3; taken away after the last test."""
    folder = fleet.workspace / "playbooks" / "notes"
    shutil.copytree(PLAYBOOK, folder)
    template = folder / "server.py.j2"
    fails = "{{ settings.fails }}"
    text = template.read_text().replace(fails, "{{ settings.fails if version != '1.0' else 'never' }}")
    text = text.replace("class Notes", "{% if version == '3.0' %}VISITS.write_text('migrated')\n{% endif %}class Notes")
    template.write_text(text)
    (fleet.workspace / "apps").mkdir(exist_ok=True)
    spec(fleet).write_text(SPEC.format(version="1.0", fails="never"))
    try:
        fleet.run("deploy", "notes")
        yield fleet
    finally:
        fleet.run("remove", "notes", "--data", "--yes", check=None)
        spec(fleet).unlink()
        shutil.rmtree(folder)


def spec(lab: RunningLab) -> Path:
    """Return the spec of the app."""
    return lab.workspace / "apps/notes.yaml"


def served(lab: RunningLab) -> list[str]:
    """Return which version each instance serves."""
    return [lab.on(name, SERVED).strip().split("\n")[0] for name in ("s2", "s3")]


def releases(lab: RunningLab) -> dict[str, str]:
    """Return the release of each instance, and see that all is well."""
    seen = document(lab, "status", "notes")
    assert seen["health"] == "healthy", seen
    return {one["slice"]: one["release"] for one in seen["apps"][0]["instances"]}


def test_an_app_goes_to_another_version_and_back(notes: RunningLab) -> None:
    """First is said what will be; then each instance is switched in its turn, and the spec says so at the end, comments kept."""
    before, visits = releases(notes), notes.on("s2", VISITS)
    plan = document(notes, *UPGRADE, "--to", "2.0", "--plan", check=3)
    assert [one["instance"] for one in plan["instances"]] == ["notes/web@s2", "notes/web@s3"]
    assert "one of 2 at a time" in plan["interruption"]["web"]
    assert releases(notes) == before, "a plan changes nothing"
    refused = document(notes, "upgrade", "notes", "--to", "2.0", "--plan", check=6)
    assert "it holds data, and has no backups" in refused["refused"], "a plan says what stands in its way"
    refused = document(notes, "upgrade", "notes", "--to", "2.0", check=6)
    assert "it holds data, and has no backups" in refused["error"]["what"]
    document(notes, *UPGRADE, "--to", "9.9", check=2)

    done = document(notes, *UPGRADE, "--to", "2.0")
    assert (done["state"], {one["outcome"] for one in done["instances"]}) == ("done", {"done"})
    assert all("version 2.0" in one for one in served(notes))
    assert 'version: "2.0"  # as it was sold\n' in spec(notes).read_text()
    assert "# the customer's own" in spec(notes).read_text()
    assert notes.on("s2", VISITS).startswith(visits.strip()), "the data is the owner's, before and after"
    assert actions(document(notes, "heal", "--auto", "notes")) == []
    assert document(notes, *UPGRADE, "--to", "2.0")["state"] == "unchanged"

    back = document(notes, "rollback", "notes")
    assert back["state"] == "rolled-back"
    assert releases(notes) == before
    assert 'version: "1.0"  # as it was sold\n' in spec(notes).read_text()
    assert "is held" in document(notes, *UPGRADE, "--to", "2.0", check=6)["error"]["what"]


def test_a_slice_without_room_is_told_before_anything_is_changed(notes: RunningLab) -> None:
    """The second slice is too full for another release: the first has not got it either, and the version is not held."""
    before = releases(notes)
    try:
        notes.on("s3", CROWDED)
        refused = document(notes, *UPGRADE, "--to", "2.2", check=6)["error"]
        assert (refused["what"], refused["where"]) == ("it cannot be put beside what is there", "notes/web@s3"), refused
    finally:
        notes.on("s3", f"umount {RELEASES}; umount /mnt")
    assert document(notes, *UPGRADE, "--to", "2.2", "--plan", check=3)["refused"] == ""
    assert releases(notes) == before


@pytest.mark.long
@pytest.mark.parametrize(("version", "says"), [("2.1", "HASHES"), ("2.2", "No matching distribution")])
def test_software_that_cannot_be_had_is_nowhere_put(notes: RunningLab, version: str, says: str) -> None:
    """A wrong hash, a package that is missing: the first slice has its release again, the other ran on; the version is held."""
    before, started = releases(notes), notes.on("s3", STARTED)
    done = document(notes, *UPGRADE, "--to", version, check=5)
    assert (done["state"], says in done["detail"]) == ("rolled-back", True), done
    assert releases(notes) == before
    assert notes.on("s3", STARTED) == started
    assert "is held" in document(notes, *UPGRADE, "--to", version, "--plan", check=6)["refused"]


@pytest.mark.parametrize(
    ("fails", "says"),
    [
        ("at-start", "did not stay up"),
        pytest.param("soon", "", marks=pytest.mark.long),
        pytest.param("to-serve", "not-ready: serves: HTTP 503", marks=pytest.mark.long),
    ],
)
def test_a_version_that_fails_takes_itself_back(notes: RunningLab, fails: str, says: str) -> None:
    """One that does not start, one that dies soon and one that never serves: the second instance never has it."""
    before, text = releases(notes), spec(notes).read_text()
    spec(notes).write_text(text.replace("fails: never", f"fails: {fails}"))
    try:
        done = document(notes, *UPGRADE, "--soak", "5s", "--to", "2.0", "--again", check=5)
    finally:
        spec(notes).write_text(text)
    assert done["state"] == "rolled-back", done
    assert says in done["detail"], done
    assert [one["instance"] for one in done["instances"]] == ["notes/web@s2"], "the first one gates the rest"
    assert releases(notes) == before
    assert 'version: "1.0"' in spec(notes).read_text()
    assert "upgrade from 1.0 to 2.0" in str(document(notes, "history", "notes")), "how it failed is kept"


def test_it_waits_for_its_window_and_needs_a_spec_that_it_can_write(notes: RunningLab) -> None:
    """By hand too: outside its maintenance window it is refused; so it is where the version could not be written at the end."""
    before, text = releases(notes), spec(notes).read_text()
    opens = notes.on("s2", "date -u -d '6 hours' +%H:%M").strip()
    try:
        spec(notes).write_text(f'{text}window: {{start: "{opens}", duration: 1h, timezone: UTC}}\n')
        assert "outside its maintenance window" in document(notes, *UPGRADE, "--to", "2.0", check=6)["error"]["what"]
        spec(notes).write_text(text.replace("version: ", "version:\n  "))
        assert "is not to be found" in document(notes, *UPGRADE, "--to", "2.0", check=6)["error"]["what"]
    finally:
        spec(notes).write_text(text)
    assert releases(notes) == before


@contextlib.contextmanager
def writing(lab: RunningLab) -> Iterator[dict[str, list[str]]]:
    """Write words to both instances one after the other meanwhile; give those that were acknowledged, by slice."""
    kept: dict[str, list[str]] = {"s2": [], "s3": []}
    over = threading.Event()

    def write(name: str) -> None:
        number = 0
        while not over.wait(0.05):
            number += 1
            connection = http.client.HTTPConnection(lab.address(name), 8090, timeout=5)
            with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("POST", f"/word-{number}")
                if connection.getresponse().status == 200:
                    kept[name].append(f"word-{number}")

    threads = [threading.Thread(target=write, args=(name,)) for name in kept]
    for thread in threads:
        thread.start()
    try:
        yield kept
    finally:
        over.set()
        for thread in threads:
            thread.join()


@pytest.mark.long
def test_data_that_a_version_changed_comes_back_with_the_version_before(notes: RunningLab) -> None:
    """It changed the data and never served: the old version runs again, with all that was ever written to it, up to its stop."""
    text = spec(notes).read_text()
    spec(notes).write_text(text + "backup: {to: s1}\n")
    try:
        notes.run("deploy", "notes")
        before, visits = releases(notes), notes.on("s2", VISITS).strip()
        spec(notes).write_text(spec(notes).read_text().replace("fails: never", "fails: to-serve"))
        with writing(notes) as kept:
            done = document(notes, "upgrade", "notes", "--soak", "1s", "--to", "3.0", "--again", check=5)
        assert (done["state"], done["backup"] != "") == ("rolled-back", True), done
        assert (done["closes"], "so that nothing is lost" in done["interruption"]["web"]) == (True, True)
        for name, words in kept.items():
            there = notes.on(name, "cat /srv/tfheal/notes/web/words").split()
            assert (len(words) > 20, set(words) - set(there)) == (True, set()), "what was acknowledged is there"
        assert notes.on("s2", VISITS).startswith(visits), "the data is as it was before"
        assert "migrated" not in notes.on("s3", VISITS)
        spec(notes).write_text(text + "backup: {to: s1}\n")
        assert releases(notes) == before
    finally:
        notes.run("remove", "notes/store@s1", "--backups", "--yes", check=None)
        spec(notes).write_text(text)
        notes.run("deploy", "notes", "--in-place")


@pytest.mark.long
def test_what_is_forbidden_during_its_backup_is_not_begun(notes: RunningLab) -> None:
    """A backup may take hours: what stands in the way by then is asked once more, before anything is changed."""
    text = spec(notes).read_text()
    spec(notes).write_text(text + "backup: {to: s1}\n")
    charter = "/etc/tfheal/charter.toml"
    try:
        notes.run("deploy", "notes")
        before = releases(notes)
        command = notes.command("upgrade", "notes", "--soak", "1s", "--to", "2.0", "--again", "--json")
        with subprocess.Popen(command, cwd=notes.workspace, stdout=subprocess.PIPE, text=True) as process:
            while process.poll() is None and not document(notes, "backup", "list", "notes", check=None)["backups"]:
                time.sleep(0.1)
            notes.on("s3", f"echo 'forbid = [\"upgrade\"]' >{charter}")
            said = json.loads(process.communicate(timeout=120)[0])
        assert (said["exit"], said["error"]["what"]) == (6, "its owner has to permit upgrade"), said
        notes.on("s3", f"rm {charter}")
        assert releases(notes) == before
    finally:
        notes.on("s3", f"rm -f {charter}")
        notes.run("remove", "notes/store@s1", "--backups", "--yes", check=None)
        spec(notes).write_text(text)
        notes.run("deploy", "notes", "--in-place")


@pytest.mark.long
def test_the_store_of_an_app_follows_it(notes: RunningLab) -> None:
    """An app with backups is well after an upgrade, and goes on to the next; what was deployed since is not taken back."""
    text = spec(notes).read_text()
    spec(notes).write_text(text + "backup: {to: s1}\n")
    try:
        notes.run("deploy", "notes")
        before = releases(notes)
        done = document(notes, "upgrade", "notes", "--soak", "1s", "--to", "2.0", "--again")
        assert (done["state"], done["detail"]) == ("done", "")
        releases(notes)
        assert "store@s1  unchanged" in notes.run("deploy", "notes", "--plan").stdout, "it is at the version too"
        assert document(notes, "upgrade", "notes", "--soak", "1s", "--to", "3.0", "--again")["state"] == "done"
        older = document(notes, "upgrade", "notes", "--soak", "1s", "--to", "1.0", "--again", check=6)["error"]
        assert (older["what"], "needs a restore" in older["why"]) == ("1.0 is older", True), older
        spec(notes).write_text(spec(notes).read_text().replace('"3.0"', '"1.0"'))
        notes.run("deploy", "notes", "--in-place")
        assert releases(notes) == before
        refused = document(notes, "rollback", "notes", check=6)
        assert "was deployed at 1.0 since" in refused["error"]["why"]
    finally:
        notes.run("remove", "notes/store@s1", "--backups", "--yes", check=None)
        spec(notes).write_text(text)
        notes.run("deploy", "notes", "--in-place")


@pytest.mark.long
@pytest.mark.parametrize("version", ["3.0", "4.0"])
def test_what_may_not_go_back_waits_for_a_human(notes: RunningLab, version: str) -> None:
    """Without a backup (`needs-restore`), and where it is `forbidden`, nothing is taken back by itself: a human is called, once."""
    before, text = releases(notes), spec(notes).read_text()
    spec(notes).write_text(text.replace("fails: never", "fails: to-serve"))
    pages = notes.workspace / "pages.jsonl"
    called = pages.read_text().count("upgrade-failed") if pages.exists() else 0
    try:
        done = document(notes, *UPGRADE, "--to", version, check=7)
        assert done["state"] == "frozen", done
        assert pages.read_text().count("upgrade-failed") == called + 1
        assert "version 1.0" in served(notes)[1], "what is healthy serves on"
        document(notes, *UPGRADE, "--to", "2.0", check=6)
        document(notes, "rollback", "notes", check=6)
    finally:
        spec(notes).write_text(text)
    assert document(notes, *UPGRADE, "--to", version)["state"] == "done", "mended, the same command goes on"
    spec(notes).write_text(text)
    document(notes, "deploy", "notes", "--in-place")
    assert releases(notes) == before


@pytest.mark.long
@pytest.mark.parametrize("at", ["upgrades, put", "journal, set_deployed", "unit:", "notes/web@s3  from", "specs, put"])
def test_an_upgrade_that_is_killed_is_gone_on_with_or_taken_back(notes: RunningLab, at: str) -> None:
    """Killed in the midst of it, the same command finishes it; `rollback` takes back what is there."""
    before = releases(notes)
    dying = replace(notes, around=(*notes.around, f"TFHEAL_FAILPOINT={at}"))
    assert "failpoint: " in dying.run(*UPGRADE, "--to", "2.0", "--again", check=-9).stderr
    if at not in {"upgrades, put", "journal, set_deployed"}:  # by then something was changed
        assert "did not come to its end" in document(notes, "deploy", "notes", check=6)["apps"][0]["refused"]
    if at == "unit:":
        notes.run("pause", "notes", "--for", "1h", "--why", "inventory")
        assert "is paused" in document(notes, *UPGRADE, "--to", "2.0", "--again", check=6)["error"]["what"]
        notes.run("resume", "notes")
    done = document(notes, *UPGRADE, "--to", "2.0", "--again")
    assert done["state"] in {"done", "unchanged"}
    assert all("version 2.0" in one for one in served(notes))
    document(notes, "rollback", "notes")
    assert releases(notes) == before
