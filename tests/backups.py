"""Backups of the example as tests of what goes wrong with them want them: on s3, by rules that keep the floor alone."""

from collections.abc import Iterator
from contextlib import contextmanager

from documents import document
from running_lab import RunningLab

STORE = "/srv/tfheal/files/store/s1"
OWN_HEAL = "heal: {reflex: off}\n"
BACKUP = "backup: {to: s3, every: 1h, grace: 0s, keep: {hourly: 0, daily: 0, weekly: 0, monthly: 0}}\n"


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
