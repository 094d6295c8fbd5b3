"""What is lost while a service behind a gateway is worked on: by tfheal, and by what else restarts it, under one and the same load."""

import argparse
import json
import shutil
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import authority
from contenders import Bench, ansible_environment, ansible_inventory, hosts
from figures import between, machine, markdown, today
from running_lab import RunningLab, new_workspace
from spent import Command, spent
from visitors import Counts, Visitors

_HERE: Final = Path(__file__).resolve().parent
_README: Final = _HERE.parents[1] / "README.md"
_MARKERS: Final = ("<!-- gateway: written by tests/benchmark/gateway -->\n", "<!-- end of gateway -->\n")
_LAB: Final = "gateway"
_HOST: Final = "talk.example"
_RATE: Final = 200  # requests a second
_AFTER: Final = 3.0  # seconds that the load goes on for
_EDGE: Final = (
    "app: edge\nowner: lab\nplaybook: gateway\nversion: debian\nplace: {gateway: [s3]}\nheal: {reflex: off}\n"
)
_TALK: Final = f"""\
app: talk
owner: lab
playbook: talk
version: "1"
hostname: {_HOST}
route: {{gateway: edge}}
place: {{web: [s1, s2]}}
"""
_RENEWAL: Final = "certificate renewed (pebble, HTTP-01) three times, all of it over TLS"
_UNIT: Final = "tfheal-talk-web"
_SERIAL: Final = f"""\
- hosts: all
  serial: 1
  gather_facts: false
  tasks:
    - systemd: {{name: {_UNIT}, state: restarted}}
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """Where it is done: the lab, and Ansible on two of its slices."""

    lab: RunningLab
    bench: Bench

    def ansible(self) -> None:
        """Restart the service on both slices by Ansible, one after the other."""
        which = [host for host in hosts(self.lab.workspace) if host.name in {"s1", "s2"}]
        folder = ansible_inventory(self.bench, which, self.bench.of("serial"))
        (folder / "serial.yml").write_text(_SERIAL)
        argv = (str(self.bench.programs / "ansible-playbook"), "serial.yml")
        spent(Command(argv, folder, ansible_environment(self.bench, folder)))


def main() -> None:
    """Measure each scene, and write down what came out."""
    parser = argparse.ArgumentParser(prog="bash tests/benchmark/gateway", description=__doc__)
    parser.add_argument("--folder", default="/var/tmp/tfheal-benchmark", help="where everything is written")
    parser.add_argument("--peers", required=True, help="the programs of the peers; the script fills it in")
    asked = parser.parse_args()
    folder = Path(asked.folder).resolve() / "gateway"
    lab = RunningLab(_LAB, folder / "workspace", ("env", f"TFHEAL_AGE_KEY_FILE={folder / 'age.key'}"))
    begun = time.monotonic()
    try:
        _prepared(lab, folder)
        found = [_measured(Ground(lab, Bench(folder, Path(asked.peers), lab.key)), name) for name in _SCENES]
    finally:
        lab.run("lab", "down", "--name", _LAB)
    figures = {"date": today(), "machine": machine(), "seconds": round(time.monotonic() - begun), "found": found}
    (folder / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    sys.stdout.write(written(figures))
    _README.write_text(between(_README.read_text(), _MARKERS, written(figures)))


def _prepared(lab: RunningLab, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    workspace = new_workspace(lab.workspace)
    shutil.copytree(_HERE / "talk", workspace / "playbooks/talk")
    (workspace / "apps").mkdir(exist_ok=True)
    (workspace / "apps/edge.yaml").write_text(_EDGE)
    (workspace / "apps/talk.yaml").write_text(_TALK)
    lab.run("lab", "down", "--name", _LAB)  # what a run that was killed left behind
    lab.run("lab", "up", "--slices", "4", "--name", _LAB, "--yes")
    lab.run("deploy", "talk", "edge")


def _measured(ground: Ground, name: str) -> dict[str, Any]:
    """Return what was lost in a scene, once both instances were well before it."""
    sys.stderr.write(f"tests/benchmark/gateway: {name}\n")
    _well(ground.lab)
    over = _tls(ground) if name == _RENEWAL else None
    begun = time.monotonic()
    with Visitors(ground.lab.address("s3"), _HOST, _RATE, over) as visitors:
        time.sleep(_AFTER)
        _SCENES[name](ground)
        time.sleep(_AFTER)
    found = _figures(name, visitors.counts, time.monotonic() - begun)
    sys.stderr.write(f"  {json.dumps(found)}\n")
    return found


def _figures(name: str, counts: Counts, seconds: float) -> dict[str, Any]:
    return {
        "scene": name,
        "seconds": round(seconds, 1),
        "requests": counts.answered + counts.failed.total(),
        "failed": dict(counts.failed),
        "uploads": counts.uploads + counts.uploads_failed.total(),
        "uploads_failed": dict(counts.uploads_failed),
        "sockets_closed": counts.sockets_closed,
    }


def _tls(ground: Ground) -> ssl.SSLContext:
    """Have the gateway end TLS with a certificate of pebble's, and return what a visitor needs who trusts that."""
    lab = ground.lab
    settings = authority.begun(lab, "s4", "s3")
    (lab.workspace / "apps/edge.yaml").write_text(f"{_EDGE}settings: {{{settings}}}\n")
    lab.run("deploy", "edge")
    lab.run("gateway", "certificates", "--renew")
    _well(lab)
    return ssl.create_default_context(cadata=lab.on("s4", "curl -sk https://127.0.0.1:15000/roots/0"))


def _renewed(ground: Ground) -> None:
    """Have the certificate renewed three times, each as if it were due."""
    for _ in range(3):
        ground.lab.on("s3", f"rm /opt/tfheal/edge/gateway/certificates/{_HOST}.from")
        ground.lab.run("gateway", "certificates", "--renew")


def _well(lab: RunningLab) -> None:
    """Wait until the gateway sees both as well."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        seen = json.loads(lab.run("gateway", "status", "--json").stdout)["gateways"][0]["backends"]
        if all(one["state"] == "UP" for one in seen) and len(seen) == 2:
            return
        time.sleep(0.5)
    raise AssertionError(seen)


def _upgraded(ground: Ground) -> None:
    ground.lab.run("upgrade", "talk", "--to", "2", "--no-backup")
    ground.lab.run("rollback", "talk")


def _healed(ground: Ground) -> None:
    ground.lab.run("gateway", "drain", "talk/web@s1")
    ground.lab.on("s1", f"systemctl stop {_UNIT}")
    ground.lab.run("heal", "--auto", "talk", check=None)
    ground.lab.run("gateway", "undrain", "talk/web@s1")


def _configured(ground: Ground) -> None:
    spec = ground.lab.workspace / "apps/edge.yaml"
    for patience in (50, 60):
        spec.write_text(f"{_EDGE}settings: {{patience: {patience}}}\n")
        ground.lab.run("deploy", "edge")


def _killed(ground: Ground) -> None:
    ground.lab.on("s1", f"systemctl kill --signal=KILL {_UNIT}")
    time.sleep(8)


def _restarted(ground: Ground) -> None:
    for name in ("s1", "s2"):
        ground.lab.on(name, f"systemctl restart {_UNIT}")


_SCENES: Final[Mapping[str, Callable[[Ground], None]]] = {
    "nothing": lambda _: time.sleep(10),
    "`tfheal upgrade`, then `tfheal rollback`": _upgraded,
    "`tfheal gateway drain`, stopped by hand, `tfheal heal`, `undrain`": _healed,
    "`tfheal deploy` of the gateway with other settings, twice": _configured,
    "one instance killed (`kill -9`), systemd starts it again": _killed,
    "Ansible, `serial: 1`, state `restarted`": Ground.ansible,
    "`systemctl restart` on one, then on the other": _restarted,
    _RENEWAL: _renewed,  # the last: from then on the gateway leads to TLS whoever comes without
}


def written(figures: Mapping[str, Any]) -> str:
    """Given figures, return them in words and a table."""
    head = ["", "seconds", "requests", "failed", "uploads", "cut", "WebSocket closed"]
    rows = [
        [
            one["scene"],
            f"{one['seconds']:.0f}",
            f"{one['requests']:,}",
            _lost(one["failed"]),
            str(one["uploads"]),
            _lost(one["uploads_failed"]),
            str(one["sockets_closed"]),
        ]
        for one in figures["found"]
    ]
    return (
        f"`bash tests/benchmark/gateway`, {figures['date']}, {figures['machine']}; {figures['seconds'] / 60:.0f} minutes.\n\n"
        f"{_RATE} requests a second through the gateway to two instances, half of them on connections of their own; one WebSocket with five words\n"
        "a second, one upload of ten seconds after another. The service ends what is under way before it stops.\n"
        "What is under way in the end is waited for, an upload too, while nothing else is asked.\n\n"
        f"{markdown(head, rows)}"
    )


def _lost(found: Mapping[str, int]) -> str:
    told = ", ".join(f"{count} {what}" for what, count in found.items())
    return f"{sum(found.values())} ({told})" if found else "0"


if __name__ == "__main__":
    main()
