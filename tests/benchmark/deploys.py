"""The copyparty example, deployed by three tools onto fresh slices of their own, and deployed again with nothing to do.

Whoever comes after tfheal gets the very texts that tfheal rendered, so that all three make the same state; that they
did is compared slice by slice before a figure counts.
"""

import json
import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from contenders import (
    ROOT,
    TOGETHER,
    Bench,
    Host,
    ansible_environment,
    ansible_inventory,
    program,
    pyinfra_inventory,
    ssh,
)
from spent import Command, end_all, spent

from tfheal.cli import wiring
from tfheal.core.resources.venv import release_id
from tfheal.flows.releases import wanted
from tfheal.model.release import SECRET_TOKEN, Release
from tfheal.model.resources import Command as Mark
from tfheal.model.resources import Directory, File, Packages, Unit, User, Venv

_APP: Final = "files"
_HERE: Final = Path(__file__).parent
_WELL: Final = [200, 401, 403]
_UNCHANGED: Final = 2  # runs with nothing to do; the better one counts
_SLOW: Final = 20.0  # seconds: a run with nothing to do that took longer is not repeated
_ALIVE: Final = "http://127.0.0.1:3923/"
_PASSWORD: Final = "a-password-for-the-benchmark"  # noqa: S105 - opens slices that are thrown away


def deployed(bench: Bench, lab: Path, thirds: Sequence[Sequence[Host]]) -> dict[str, Any]:
    """Given a lab's workspace and three groups of fresh slices, return what each tool's deploys on its group cost."""
    place_app(lab, thirds[0])
    found = {"tfheal deploy": _both(_tfheal(lab))}
    state = _wanted(lab)
    for name, make, which in (("pyinfra", _pyinfra, thirds[1]), ("ansible-playbook", _ansible, thirds[2])):
        found[name] = _both(make(bench, state, which))
    _compare(bench, state, [third[-1] for third in thirds])
    return {"slices": len(thirds[0]), "tools": found}


def place_app(lab: Path, which: Sequence[Host]) -> None:
    """Write the example's app into the workspace, placed on some slices."""
    example = (ROOT / f"examples/copyparty/apps/{_APP}.yaml").read_text()
    (lab / "apps").mkdir(exist_ok=True)
    places = ", ".join(host.name for host in which)
    (lab / f"apps/{_APP}.yaml").write_text(re.sub(r"(?m)^place: .*$", f"place: {{web: [{places}]}}", example))


def _both(command: Command) -> dict[str, Any]:
    first = spent(command)
    end_all()
    again = [spent(command).figures]
    while len(again) < _UNCHANGED and again[0]["wall"] < _SLOW:
        again.append(spent(command).figures)
    end_all()
    return {"first": first.figures, "unchanged": min(again, key=lambda figures: figures["cpu"])}


def _tfheal(lab: Path) -> Command:
    return program(lab, "deploy", _APP, "--json")


def _ansible(bench: Bench, state: dict[str, Any], which: Sequence[Host]) -> Command:
    folder = ansible_inventory(bench, which, bench.of("ansible-deploy"))
    shutil.copy(_HERE / "peers/playbook.yml", folder)
    (folder / "wanted.json").write_text(json.dumps(state))
    argv = (str(bench.programs / "ansible-playbook"), "playbook.yml")
    return Command(argv, folder, ansible_environment(bench, folder))


def _pyinfra(bench: Bench, state: dict[str, Any], which: Sequence[Host]) -> Command:
    folder = pyinfra_inventory(bench, which, bench.of("pyinfra-deploy"))
    shutil.copy(_HERE / "peers/deploy.py", folder)
    (folder / "wanted.json").write_text(json.dumps(state))
    words = (str(bench.programs / "pyinfra"), "-y", "--parallel", str(TOGETHER), "inventory.py", "deploy.py")
    return Command(words, folder, {})


def _wanted(lab: Path) -> dict[str, Any]:
    """Return what tfheal's release holds, its secrets replaced, as data for the other tools."""
    with wiring.wired(str(lab), quiet=True) as hands:
        release = wanted(hands.workspace, _APP, hands.ports)[0]
    venv = _only(release, Venv)
    mark = _only(release, Mark)
    return {
        "packages": _only(release, Packages).names,
        "user": {"name": _only(release, User).name, "home": _only(release, User).home},
        "directories": [_attributes(one) for one in release.resources if isinstance(one, Directory)],
        "mark": {"run": mark.run, "done": mark.done},
        "venv": {"home": venv.home, "id": release_id(venv), "lock": venv.lock},
        "files": [
            {**_attributes(one), "content": SECRET_TOKEN.sub(_PASSWORD, one.content or "")}
            for one in release.resources
            if isinstance(one, File)
        ],
        "unit": {"name": _only(release, Unit).name, "content": _only(release, Unit).content},
        "alive": _ALIVE,
        "well": _WELL,
    }


def _only(release: Release, kind: type[Any]) -> Any:  # noqa: ANN401 - whatever kind is asked for
    (found,) = (one for one in release.resources if isinstance(one, kind))
    return found


def _attributes(one: Directory | File) -> dict[str, str]:
    return {"path": one.path, "mode": one.mode, "owner": one.owner, "group": one.group}


def _compare(bench: Bench, state: dict[str, Any], samples: Sequence[Host]) -> None:
    """Raise RuntimeError unless a slice of each tool has the same state."""
    paths = [one["path"] for one in (*state["directories"], *state["files"])]
    unit = state["unit"]["name"]
    home = shlex.quote(state["venv"]["home"])
    hashed = [f"/etc/systemd/system/{unit}", *(one["path"] for one in state["files"][:-1])]
    script = (
        f"stat -c '%n %a %U:%G' {' '.join(paths)}; sha256sum {' '.join(hashed)}; readlink {home}/current; "
        f"getent passwd {state['user']['name']} | cut -d : -f 1,6,7; {home}/current/bin/python -m pip freeze; "
        f"systemctl is-enabled {unit}; systemctl is-active {unit}; "
        f"curl -s -o /dev/null --noproxy '*' -w '%{{http_code}}' {_ALIVE}"
    )
    said = [ssh(bench, host, script).stdout for host in samples]
    if len(set(said)) != 1:
        msg = "the three tools made different states:\n" + "\n--\n".join(said)
        raise RuntimeError(msg)
