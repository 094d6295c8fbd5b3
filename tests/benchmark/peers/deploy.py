"""The state that tfheal makes of the copyparty example, as a pyinfra deploy. What is in it comes from wanted.json."""

import io
import json
from pathlib import Path

from pyinfra.operations import apt, files, server, systemd

WANTED = json.loads(Path("wanted.json").read_text())
VENV, USER, UNIT = WANTED["venv"], WANTED["user"], WANTED["unit"]
RELEASE = f"{VENV['home']}/releases/{VENV['id']}"
PIP = "-I -m pip install --quiet --no-input --disable-pip-version-check --no-cache-dir --require-hashes --only-binary :all:"


def missing(path: str, commands: list[str]) -> str:
    """Return a command that runs others unless a file is there: pyinfra has no such guard of its own."""
    return f"test -e {path} || {{ {' && '.join(commands)}; }}"


apt.packages(
    name="packages", packages=WANTED["packages"], update=True, cache_time=86400, no_recommends=True, present=True
)
server.user(  # noqa: S604 - not that kind of shell
    name="user", user=USER["name"], system=True, home=USER["home"], create_home=False, shell="/usr/sbin/nologin"
)
for each in WANTED["directories"]:
    files.directory(
        name=each["path"], path=each["path"], mode=each["mode"].lstrip("0"), user=each["owner"], group=each["group"]
    )
server.shell(name="mark of the data folder", commands=[f"{WANTED['mark']['done']} || {{ {WANTED['mark']['run']}; }}"])
files.directory(name="release folder", path=RELEASE, mode="755", user="root", group="root")
files.put(name="lock file of the release", src=io.StringIO(VENV["lock"]), dest=f"{RELEASE}/lock.txt", mode="644")
build = [
    f"python3 -I -m venv {RELEASE}",
    f"{RELEASE}/bin/python {PIP} -r {RELEASE}/lock.txt",
    f"touch {RELEASE}/.complete",
]
server.shell(name="environment of exact versions and hashes", commands=[missing(f"{RELEASE}/.complete", build)])
changes = [files.link(name="the release that runs", path=f"{VENV['home']}/current", target=f"releases/{VENV['id']}")]
changes += [
    files.put(
        name=each["path"],
        src=io.StringIO(each["content"]),
        dest=each["path"],
        mode=each["mode"].lstrip("0"),
        user=each["owner"],
        group=each["group"],
    )
    for each in WANTED["files"]
]
changes += [
    files.put(name="unit", src=io.StringIO(UNIT["content"]), dest=f"/etc/systemd/system/{UNIT['name']}", mode="644")
]
systemd.service(name="service", service=UNIT["name"], running=True, enabled=True)
systemd.service(
    name="restart",
    service=UNIT["name"],
    restarted=True,
    daemon_reload=True,
    _if=lambda: any(change.did_change() for change in changes),
)
codes = "|".join(str(code) for code in WANTED["well"])
answers = f"curl -s -o /dev/null --noproxy '*' --retry 10 --retry-connrefused -w '%{{http_code}}' {WANTED['alive']}"
server.shell(name="it answers", commands=[f"{answers} | grep -qxE '{codes}'"])
