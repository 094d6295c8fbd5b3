"""Remedies by a real shell: what is freed of a full disk and what never is, and what a restart does."""

import fcntl
from pathlib import Path

import pytest
from releases import a_release
from shells import ran

from tfheal.core import remedies
from tfheal.model import paths

COUNT = '#!/bin/sh\necho "${0##*/} $*" >>COUNTED\n'


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the remedies a place of their own, and programs of this machine that only count how they are called."""
    monkeypatch.setattr(paths, "RUN", str(tmp_path / "run"))
    monkeypatch.setattr(paths, "STATE", str(tmp_path / "state"))
    (tmp_path / "run").mkdir()
    (tmp_path / "bin").mkdir()
    for name in ("apt-get", "journalctl", "systemctl"):
        program = tmp_path / "bin" / name
        program.write_text(COUNT.replace("COUNTED", str(tmp_path / "counted")))
        program.chmod(0o755)
    return tmp_path


def freed(machine: Path, app: str = "notes") -> str:
    """Free the disk, in a place of its own, and return which programs were called."""
    (step,) = remedies.free_disk(app, 0.95)
    script = step.apply.replace("/opt/tfheal/", f"{machine}/opt/").replace("PATH=/usr", f"PATH={machine}/bin:/usr")
    script = script.replace("/etc/containers/systemd", f"{machine}/units")
    assert ran(f"PATH={machine}/bin:$PATH\n{script}").returncode == 0
    return (machine / "counted").read_text()


def full(df: str, share: float = 0.95) -> tuple[int, str]:
    """Ask whether a disk is full, with what df says, for bytes and for inodes."""
    (step,) = remedies.free_disk("notes", share)
    done = ran(f"df() {{ case $* in *iused*) echo ' IUsed IFree'; echo ' 10 90';; *) {df};; esac; }}\n{step.check}")
    return done.returncode, done.stdout.decode().strip()


def a_home(machine: Path, name: str, *releases: str, current: str | None) -> Path:
    """Make the folder of an instance with its releases, and the link to the one that runs."""
    home = machine / "opt" / name
    for release in releases:
        (home / "releases" / release / "bin").mkdir(parents=True)
    if current:
        (home / "current").symlink_to(home / "releases" / current)
    return home / "releases"


def test_old_releases_go_and_the_one_that_runs_stays(machine: Path) -> None:
    """Of every app on the machine; caches and old journals go too, and nothing else is called."""
    ours = a_home(machine, "notes/web", "old", "older", "now", current="now")
    others = a_home(machine, "wiki/web", "old", "now", current="now")
    assert freed(machine).splitlines() == ["apt-get clean", "journalctl --rotate --vacuum-size=16M"]
    assert [path.name for path in ours.iterdir()] == ["now"]
    assert [path.name for path in others.iterdir()] == ["now"]
    assert (ours / "now/bin").is_dir()


def test_the_newest_that_is_known_good_stays(machine: Path) -> None:
    """While what runs has not proven itself it is the only way back; older ones that were good once go."""
    ours = a_home(machine, "notes/web", "bad", "good", "older", "now", current="now")
    (machine / "state/notes/web").mkdir(parents=True)
    (machine / "state/notes/web/good").write_text("good\nolder\n")
    freed(machine)
    assert sorted(path.name for path in ours.iterdir()) == ["good", "now"]


def test_images_that_no_unit_names_and_no_release_goes_back_to_are_removed(machine: Path) -> None:
    """Of those that we made: another app's while its lock is held, and a stranger's, are left alone."""
    records = machine / "state/site/web/images/tfheal-site-web"
    records.mkdir(parents=True)
    for tag in ("now", "good", "older", "old"):
        (records / tag).write_text("sha256:1\n")
    (machine / "state/site/web/good").write_text("tree good\nolder\n")
    (machine / "units").mkdir()
    (machine / "units/tfheal-site-web.container").write_text("[Container]\nImage=localhost/tfheal-site-web:now\n")
    podman = machine / "bin/podman"
    podman.write_text(f'#!/bin/sh\necho "podman $*" >>{machine}/counted\n')
    podman.chmod(0o755)
    with (machine / "run/site.lock").open("w") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        freed(machine)
        assert sorted(path.name for path in records.iterdir()) == ["good", "now", "old", "older"]
    freed(machine)
    assert sorted(path.name for path in records.iterdir()) == ["good", "now"]
    removed = [
        line for line in (machine / "counted").read_text().splitlines() if line.startswith("podman rmi localhost")
    ]
    assert removed == ["podman rmi localhost/tfheal-site-web:old", "podman rmi localhost/tfheal-site-web:older"]


def test_what_a_run_is_just_putting_there_stays(machine: Path) -> None:
    """While another app's lock is held, a release of it that does not run yet may be about to; ours is our own lock."""
    ours = a_home(machine, "notes/web", "old", "now", current="now")
    others = a_home(machine, "wiki/web", "new", "now", current="now")
    with (machine / "run/wiki.lock").open("w") as theirs, (machine / "run/notes.lock").open("w") as own:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        fcntl.flock(own, fcntl.LOCK_EX)
        freed(machine)
    assert [path.name for path in ours.iterdir()] == ["now"]
    assert sorted(path.name for path in others.iterdir()) == ["new", "now"]


def test_without_a_release_that_runs_none_is_old(machine: Path) -> None:
    """A link that is missing or leads nowhere says nothing about which release may go."""
    missing = a_home(machine, "notes/web", "a", "b", current=None)
    nowhere = a_home(machine, "notes/db", "a", "b", current="gone")
    freed(machine)
    assert sorted(path.name for path in missing.iterdir()) == ["a", "b"]
    assert sorted(path.name for path in nowhere.iterdir()) == ["a", "b"]


def test_a_link_among_the_releases_is_not_followed(machine: Path) -> None:
    """What it leads to is not a release."""
    releases = a_home(machine, "notes/web", "now", current="now")
    (machine / "srv/data").mkdir(parents=True)
    (releases / "trap").symlink_to(machine / "srv/data")
    (machine / "srv/data/kept").touch()
    freed(machine)
    assert (machine / "srv/data/kept").exists()


@pytest.mark.parametrize(
    ("df", "answer"),
    [
        ("echo '  Used Avail'; echo ' 949 51'", (0, "")),
        ("echo '  Used Avail'; echo '950000 50000'", (1, "a disk is full: 48 MiB free")),
        ("echo '100 900'; echo '99 1'", (1, "a disk is full: 0 MiB free")),
        ("echo '- -'; echo 'df: error'", (0, "")),
        ("false", (0, "")),
    ],
)
def test_a_disk_is_full_as_the_judge_says(df: str, answer: tuple[int, str]) -> None:
    """By the share of what can be used, on whichever disk; what df does not tell is no full disk."""
    assert full(df) == answer


def test_inodes_count_too() -> None:
    """A disk on which nothing more can be named is full."""
    assert full("echo '1 9'", share=0.05) == (1, "a disk is full: 0 MiB free")
    (step,) = remedies.free_disk("notes", 0.95)
    inodes = "df() { case $* in *iused*) echo ' 0 0'; echo ' 99 1';; *) echo ' 1 9';; esac; }"
    done = ran(f"{inodes}\n{step.check}")
    assert (done.returncode, done.stdout) == (1, b"a disk is full: 1 inodes free\n")


def test_this_machine_can_be_asked() -> None:
    """The real df understands the question: the answer is yes or no, and never an error."""
    (step,) = remedies.free_disk("notes", 0.95)
    done = ran(step.check)
    assert done.returncode in {0, 1}
    assert done.stderr == b""


def test_a_restart_clears_the_failure_and_waits(machine: Path) -> None:
    """It is made to fail no more before it is started, and its last lines are told if it does not come up."""
    release = a_release(start_timeout=0.0, checks=[{"name": "up", "kind": "alive", "command": "echo dead; exit 1"}])
    (step,) = remedies.restart(release, {})
    done = ran(f"PATH={machine}/bin:$PATH\n{step.apply}")
    unit = release.unit
    assert done.returncode == 1
    assert done.stdout.decode().startswith("not alive, and systemd has given it up: up: dead")
    called = (machine / "counted").read_text().splitlines()
    assert called[:2] == [f"systemctl reset-failed -- {unit}", f"systemctl restart -- {unit}"]
    assert called[-1].startswith(f"journalctl -u {unit} -n 15")
    assert remedies.restart(a_release(unit=None), {}) == ()
