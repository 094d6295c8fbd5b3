"""The small real app `talk`, of requests, WebSockets and uploads, on two slices of a lab behind a gateway on the third."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from running_lab import RunningLab

_PLAYBOOK = Path(__file__).parent / "benchmark/talk"
EDGE = "app: edge\nowner: lab\nplaybook: gateway\nversion: debian\nplace: {gateway: [s3]}\nheal: {reflex: off}\n"


def spec(host: str, more: str = "") -> str:
    """Given its host name, return the spec of the app at version 1."""
    where = f"hostname: {host}\n{more}route: {{gateway: edge}}\nplace: {{web: [s1, s2]}}\n"
    return f'app: talk\nowner: lab\nplaybook: talk\nversion: "1"\n{where}heal: {{reflex: off}}\n'


@contextmanager
def talking(fleet: RunningLab, talk: str, edge: str = EDGE) -> Iterator[RunningLab]:
    """Given the specs of the app and of its gateway, have both deployed; taken away afterwards."""
    root = fleet.workspace
    shutil.copytree(_PLAYBOOK, root / "playbooks/talk")
    (root / "apps").mkdir(exist_ok=True)
    (root / "apps/edge.yaml").write_text(edge)
    (root / "apps/talk.yaml").write_text(talk)
    try:
        fleet.run("deploy", "talk", "edge")
        yield fleet
    finally:
        fleet.run("remove", "talk", "edge", "--data", "--yes", check=None)
        for name in ("apps/edge.yaml", "apps/talk.yaml"):
            (root / name).unlink()
        shutil.rmtree(root / "playbooks/talk")
