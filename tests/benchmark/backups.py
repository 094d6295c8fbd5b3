"""Backup and restore through tfheal against bare restic over the same way: by turns, on one slice, to one repository.

Before each backup the repository is put back to a copy that holds nothing yet, and the caches of both are gone, so that
either does all of it. What is measured begins and ends on the controller: for tfheal the whole command, for restic an SSH
session that runs it on the slice. Both read again what they restored (`--verify`).
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import recovered
from figures import between, machine, markdown, today
from running_lab import RunningLab, new_workspace
from spent import Command, spent

from tfheal.core.stores import key_name, password_name
from tfheal.edge.vault import AgeVault

_LAB: Final = "backups"
_HERE: Final = Path(__file__).parent
_README: Final = _HERE.parents[1] / "README.md"
_MARKERS: Final = ("<!-- backups: written by tests/benchmark/backups -->\n", "<!-- end of backups -->\n")
_MIB: Final = 1 << 20
_STEPS: Final = ("backup", "again", "restore")
_SHARE, _SECONDS = 0.05, 1.0  # what is aimed for: within so much of restic, and so many seconds
_SPEC: Final = """\
app: {app}
owner: lab
playbook: heap
version: "1"
place: {{heap: [s1]}}
backup: {{to: s2}}
"""
_LARGE: Final = 'for file in $(seq {files}); do head -c 16777216 /dev/urandom >"$file"; done'
_SMALL: Final = """\
for folder in $(seq {files}); do
  mkdir "$folder" && head -c 1024000 /dev/urandom | (cd "$folder" && split -b 2048 -a 3 - file)
done
"""
# restic as it is, with the key and the password of the app, and a cache of its own.
_BARE: Final = """\
umask 077; mkdir -p /root/bare
printf %s '{password}' >/root/bare/{app}.password
cat >/root/bare/{app}.key <<'END'
{key}END
echo 'store {pin}' >/root/bare/{app}.known
cat >/root/bare/{app} <<'END'
#!/bin/sh
export RESTIC_PASSWORD_FILE=/root/bare/{app}.password RESTIC_CACHE_DIR=/root/bare/cache
way="ssh -F /dev/null -T -i /root/bare/{app}.key -o UserKnownHostsFile=/root/bare/{app}.known -o HostKeyAlias=store"
exec restic -r rclone: -o "rclone.program=$way -o BatchMode=yes tf-{app}-store@{address}" "$@"
END
chmod +x /root/bare/{app}
/root/bare/{app} init >/dev/null
"""


@dataclass(frozen=True, slots=True)
class Heap:
    """One amount of data: the app that it is of, how it is called, and how it is made."""

    app: str
    called: str
    filled: str

    @property
    def folder(self) -> str:
        """Return where it lies."""
        return f"/srv/tfheal/{self.app}/heap"

    @property
    def repository(self) -> str:
        """Return where its backups lie, on the store."""
        return f"/srv/tfheal/{self.app}/store/s1"


@dataclass(frozen=True, slots=True)
class Field:
    """Where it is done."""

    lab: RunningLab
    heap: Heap
    scratch: Path

    def cleared(self) -> None:
        """Leave of earlier backups and restores nothing but a repository without any, and let the disks come to rest."""
        app, folder = self.heap.app, self.heap.folder
        self.lab.on("s1", f"rm -rf /var/cache/tfheal/{app} /root/bare/cache /root/restored {folder}.before-*")
        there = self.heap.repository
        self.lab.on("s2", f"find {there} -mindepth 1 -delete; cp -a /root/empty-{app}/. {there}/")
        os.sync()

    def tfheal(self, *words: str) -> dict[str, float]:
        """Return what a command of tfheal costs."""
        return spent(Command(self.lab.command(*words), self.scratch, {})).figures

    def bare(self, *words: str) -> dict[str, float]:
        """Return what a command of restic on the slice costs."""
        argv = (*self.lab.ssh("s1"), "--", f"/root/bare/{self.heap.app}", *words)
        return spent(Command(argv, self.scratch, {})).figures


def main() -> None:
    """Measure both amounts, and write down what came out."""
    asked = _asked()
    files, folders, pairs = (4, 4, 2) if asked.quick else (64, 100, asked.pairs)
    heaps = (
        Heap("large", f"{files * 16:,} MiB in {files} files", _LARGE.format(files=files)),
        Heap("small", f"{folders * 500:,} files of 2 KiB", _SMALL.format(files=folders)),
    )
    folder = Path(asked.folder).resolve() / "backups"
    lab = RunningLab(_LAB, folder / "workspace", ("env", f"TFHEAL_AGE_KEY_FILE={folder / 'age.key'}"))
    begun = time.monotonic()
    try:
        _prepared(lab, folder, heaps)
        found = {heap.called: _measured(Field(lab, heap, folder), pairs) for heap in heaps}
    finally:
        lab.run("lab", "down", "--name", _LAB)
    figures = {"date": today(), "machine": machine(), "seconds": round(time.monotonic() - begun), "pairs": pairs}
    figures["found"] = found
    if not asked.quick:
        _say("losing a slice of each example")
        figures["recovered"] = recovered.measured(folder)
    (folder / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    sys.stdout.write(written(figures))
    if not asked.quick:
        _README.write_text(between(_README.read_text(), _MARKERS, written(figures)))


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bash tests/benchmark/backups", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="64 MiB and 2,000 files, two pairs; writes no table")
    parser.add_argument("--pairs", type=int, default=5, help="how often each is measured")
    parser.add_argument("--folder", default="/var/tmp/tfheal-benchmark", help="where everything is written")
    return parser.parse_args()


def _prepared(lab: RunningLab, folder: Path, heaps: Sequence[Heap]) -> None:
    """Boot two slices with room for the data twice, deploy to them, fill them, and give restic what tfheal has."""
    shutil.rmtree(folder, ignore_errors=True)
    workspace = new_workspace(lab.workspace)
    lab.run("lab", "down", "--name", _LAB)  # what a run that was killed left behind
    _say("booting two slices")
    lab.run("lab", "up", "--slices", "2", "--disk", "5G", "--name", _LAB, "--yes")
    shutil.copytree(_HERE / "heap", workspace / "playbooks/heap")
    (workspace / "apps").mkdir(exist_ok=True)
    for heap in heaps:
        (workspace / f"apps/{heap.app}.yaml").write_text(_SPEC.format(app=heap.app))
    lab.run("deploy", *(heap.app for heap in heaps))
    pins = (lab.workspace / "known_hosts").read_text().splitlines()
    pin = next(line.split(" ", 1)[1] for line in pins if line.startswith("s2 "))
    vault = AgeVault(workspace, folder / "age.key")
    for heap in heaps:
        _say(f"making {heap.called}")
        lab.on("s1", f"cd {heap.folder} && {heap.filled}")
        key, password = (_secret(vault, heap.app, name("s1")) for name in (key_name, password_name))
        values = {"app": heap.app, "key": key, "password": password, "pin": pin, "address": lab.address("s2")}
        lab.on("s1", _BARE.format(**values))
        lab.on("s2", f"cp -a {heap.repository} /root/empty-{heap.app}")


def _secret(vault: AgeVault, app: str, name: str) -> str:
    return vault.get(app, name, vault.latest(app, name)).reveal()


def _measured(field: Field, pairs: int) -> dict[str, dict[str, list[dict[str, float]]]]:
    """Return what each step cost both, in each pair; who is first takes turns."""
    found: dict[str, dict[str, list[dict[str, float]]]] = {who: {step: [] for step in _STEPS} for who in _WAYS}
    for pair in range(pairs):
        _say(f"{field.heap.called}: pair {pair + 1} of {pairs}")
        for who in sorted(_WAYS, reverse=bool(pair % 2)):
            field.cleared()
            for step, figures in zip(_STEPS, _WAYS[who](field), strict=True):
                found[who][step].append(figures)
    field.cleared()
    return found


def _by_tfheal(field: Field) -> Sequence[dict[str, float]]:
    app = field.heap.app
    backup = ("backup", "run", app, "--quiet")
    return field.tfheal(*backup), field.tfheal(*backup), field.tfheal("restore", app, "--yes")


def _by_restic(field: Field) -> Sequence[dict[str, float]]:
    backup = ("backup", "--quiet", "--host", "s1", field.heap.folder)
    restore = ("restore", "latest", "--quiet", "--verify", "--target", "/root/restored")
    return field.bare(*backup), field.bare(*backup), field.bare(*restore)


_WAYS: Final = {"restic": _by_restic, "tfheal": _by_tfheal}


def written(figures: Mapping[str, Any]) -> str:
    """Given figures, return them in words and a table."""
    head = ["", "restic", "tfheal", "more", "aimed for", "memory of the controller"]
    rows = [
        _row(f"{_CALLED[step]}, {called}", *(ways[who][step] for who in ("restic", "tfheal")))
        for called, ways in figures["found"].items()
        for step in _STEPS
    ]
    return (
        f"`bash tests/benchmark/backups`, {figures['date']}, {figures['machine']}; {figures['seconds'] / 60:.0f} minutes.\n\n"
        f"Seconds, the median of {figures['pairs']} pairs by turns, the least and the most; aimed for is restic's median, a twentieth and a\n"
        f"second. Slice and store share the cores of the machine that measures.\n\n{markdown(head, rows)}"
        + (f"\n{recovered.written(figures['recovered'])}" if "recovered" in figures else "")
    )


_CALLED: Final = {"backup": "first backup", "again": "another backup, nothing is new", "restore": "restore"}


def _row(what: str, restic: Sequence[Mapping[str, float]], tfheal: Sequence[Mapping[str, float]]) -> list[str]:
    theirs, ours = (statistics.median(one["wall"] for one in runs) for runs in (restic, tfheal))
    met = "met" if ours <= theirs * (1 + _SHARE) + _SECONDS else "missed"
    more = f"{ours - theirs:+.1f} s, {100 * (ours / theirs - 1):+.0f} %"
    peak = max(one["peak"] for one in tfheal) / _MIB
    return [what, _spread(restic), _spread(tfheal), more, met, f"{peak:.0f} MiB"]


def _spread(runs: Sequence[Mapping[str, float]]) -> str:
    walls = [one["wall"] for one in runs]
    return f"{statistics.median(walls):.1f} ({min(walls):.1f} to {max(walls):.1f})"


def _say(words: str) -> None:
    sys.stderr.write(f"benchmark: {words}\n")


if __name__ == "__main__":
    main()
