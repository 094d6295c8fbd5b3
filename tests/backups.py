"""Backups of the example as tests of what goes wrong with them want them: on s3, by rules that keep the floor alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from documents import document
from running_lab import RunningLab

from tfheal.edge.vault import AgeVault

STORE = "/srv/tfheal/files/store/s1"
OWN_HEAL = "heal: {reflex: off}\n"
BACKUP = "backup: {to: s3, every: 1h, grace: 0s, keep: {hourly: 0, daily: 0, weekly: 0, monthly: 0}}\n"
# The word is read from a file: a process that has it among its arguments would find itself.
WATCH = """\
systemd-run -q --collect --unit=tfheal-test-watch sh -c '
while :; do
  grep -laF RESTIC_PASSWORD_FILE /proc/[0-9]*/environ >>/root/looked
  grep -laF -f /root/word /proc/[0-9]*/environ /proc/[0-9]*/cmdline >>/root/seen
done 2>/dev/null'
"""
WATCHED = "systemctl stop tfheal-test-watch; wc -l </root/looked; cat /root/seen; rm /root/looked /root/seen /root/word"


def secret(lab: RunningLab, name: str, app: str = "files") -> str:
    """Return a secret of an app, from the vault."""
    key = next(word.partition("=")[2] for word in lab.around if "AGE_KEY" in word)
    vault = AgeVault(lab.workspace, Path(key))
    return vault.get(app, name, vault.latest(app, name)).reveal()


def written(lab: RunningLab, slice_name: str, word: str, places: str = "/run /etc /var /root /tmp") -> str:
    """Return in which files of a slice a word is, and how many lines of its journal have it."""
    return lab.on(slice_name, f"grep -rlF '{word}' {places} 2>/dev/null; journalctl -b | grep -cF '{word}'", check=None)


@contextmanager
def unseen(lab: RunningLab, slice_name: str, word: str) -> Iterator[None]:
    """Demand that no process of a slice has a word in its environment or arguments while restic runs in the context."""
    lab.on(slice_name, f"umask 077; echo '{word}' >/root/word")
    lab.on(slice_name, WATCH)
    yield
    looks, *seen = lab.on(slice_name, WATCHED).splitlines()
    assert int(looks) > 0, "restic was seen at work"
    assert seen == []


@contextmanager
def kept(lab: RunningLab, more: str = "") -> Iterator[RunningLab]:
    """Have the example's backups go to s3 while the context lasts, `more` being said of them; then take all of it away."""
    spec = lab.workspace / "apps" / "files.yaml"
    before = spec.read_text()
    spec.write_text(f"{before.replace(OWN_HEAL, '')}{BACKUP.replace('every', f'{more}every')}{OWN_HEAL}")
    try:
        lab.run("deploy", "files")
        yield lab
    finally:
        lab.run("remove", "files/store@s3", "--backups", "--yes")
        spec.write_text(before)
        lab.run("deploy", "files")


def taken(lab: RunningLab, state: str = "good", check: int | None = 0) -> dict[str, object]:
    """Make a backup, demand what it is, and return it."""
    (made,) = document(lab, "backup", "run", "files", check=check)["backups"]
    assert made["state"] == state, made
    return dict(made)


def pruned(lab: RunningLab, check: int | None = 0) -> dict[str, object]:
    """Delete what may go, and return what became of it."""
    (app,) = document(lab, "backup", "prune", "files", "--yes", check=check)["apps"]
    return dict(app)


def stored(lab: RunningLab) -> set[str]:
    """Return the files of the repository."""
    return set(lab.on("s3", f"cd {STORE} && find . -type f ! -path './locks/*'").split())
