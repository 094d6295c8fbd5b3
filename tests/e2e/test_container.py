"""The shipped website in a container: deployed, read, killed, robbed of its image and its unit, healed, and then idle."""

import base64
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents import actions, document, findings
from running_lab import RunningLab, name_of_ours

pytestmark = pytest.mark.lab
EXAMPLE = Path(__file__).parents[2] / "examples" / "website"
# Small numbers, so that a test waits for seconds where an operator waits for minutes; the rules are the same.
IMPATIENT = """\
name = "Test"
[heal]
ask_every = "300ms"
backoff = "500ms"
budget = 20
budget_window = "60s"
healthy_for = "1s"
chronic = 1000
"""
UNIT = "tfheal-site-web"
QUADLET = f"/etc/containers/systemd/{UNIT}.container"
PAGES = "/srv/tfheal/site/web/pages"
TINY = """\
playbook: tiny
title: Tiny
versions: {"1": VERSION}
components:
  web:
    packages: [busybox-static, crun, podman]
    resources:
      - {kind: container, binary: image.tar, exec: "/busybox httpd -f -p 8081", stop_timeout: 1s}
    checks:
      - {name: answers, kind: alive, tcp: 8081}
"""
INSECURE = "printf '[[registry]]\\nlocation=\"localhost:5000\"\\ninsecure=true\\n' >/etc/containers/registries.conf.d/ours.conf"
REGISTRY = """\
import http.server, pathlib
class Registry(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        kind, _, name = self.path.rpartition("/sha256:")
        file = pathlib.Path("/root/v2") / ("manifest.json" if kind.endswith("manifests") else name if kind else "version")
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
        self.send_header("Content-Length", str(file.stat().st_size))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(file.read_bytes())
    do_HEAD = do_GET
http.server.ThreadingHTTPServer(("127.0.0.1", 5000), Registry).serve_forever()
"""


@pytest.fixture(scope="module")
def site(lab_ground: Path) -> Iterator[RunningLab]:
    """Have the example on one slice that may run containers, with a page of the owner's."""
    folder = lab_ground / "site"
    shutil.copytree(EXAMPLE, folder)
    (folder / "tfheal.toml").write_text(IMPATIENT)
    spec = folder / "apps/site.yaml"
    spec.write_text(f"{spec.read_text()}heal: {{reflex: off}}\n")  # what is broken waits for our own heal
    running = RunningLab(name_of_ours("site"), folder, ("env", f"TFHEAL_AGE_KEY_FILE={lab_ground / 'site.key'}"))
    try:
        running.run("lab", "up", "--slices", "1", "--name", running.name, "--containers", "--yes")
        running.run("deploy", "site")
        running.on("s1", f"echo 'a page of the owner' >{PAGES}/kept.html")
        yield running
    finally:
        running.run("lab", "down", "--name", running.name)


def read(site: RunningLab, path: str = "", port: int = 8080) -> bytes:
    """Read a page as a visitor does."""
    address = site.slices()["s1"]["address"]
    with urllib.request.urlopen(f"http://[{address}]:{port}/{path}", timeout=10) as answer:
        return bytes(answer.read())


def is_healed(site: RunningLab, damage: str, cause: str, rung: str) -> None:
    """Damage something on the slice, and demand that it is called so, is healed by that rung, and is idle then."""
    site.on("s1", f"{damage}; sleep 1")
    assert cause in findings(document(site, "status", check=3))
    assert actions(document(site, "heal", "--auto")) == [(rung, "done")]
    assert b"of the owner" in read(site, "kept.html")
    assert actions(document(site, "heal", "--auto")) == []


def test_a_container_serves_and_is_healed(site: RunningLab) -> None:
    """A second deploy changes nothing; killed it is restarted, and without its image redeployed."""
    assert b"<h1>site</h1>" in read(site)
    again = document(site, "deploy", "site")
    assert (again["round_trips"], again["apps"][0]["instances"][0]["outcome"]) == (1, "unchanged")
    site.do("break", "s1", "kill-service", "--app", "site")
    is_healed(site, ":", "unit-failed", "restart")
    site.do("mend", "s1")
    is_healed(site, "podman rmi --force --all", "drift", "redeploy")


@pytest.mark.long
def test_a_container_whose_unit_is_in_disorder_is_healed(site: RunningLab) -> None:
    """Changed, deleted, masked, shadowed by another unit, or its image's name given to another image: put back."""
    is_healed(site, f"echo 'Exec=/caddy version' >>{QUADLET}", "drift", "redeploy")
    is_healed(site, f"rm {QUADLET}", "drift", "redeploy")
    is_healed(site, f"systemctl stop {UNIT}; systemctl mask {UNIT}", "drift", "redeploy")
    shadow = f"printf '[Service]\\nExecStart=/bin/sleep 900\\n' >/etc/systemd/system/{UNIT}.service"
    is_healed(site, f"{shadow}; systemctl daemon-reload; systemctl restart {UNIT}", "drift", "redeploy")
    named = f"podman images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | grep -F {UNIT}"
    other = f"was=$({named}); tar -c -C /etc hostname | podman import --quiet - other && podman tag other $was"
    is_healed(site, other, "drift", "redeploy")
    site.on("s1", "podman rmi other")


@pytest.mark.long
def test_a_damaged_image_is_made_anew(site: RunningLab) -> None:
    """Its program is damaged on the disk, where no check looks: neither a restart nor a redeploy helps, a rebuild does."""
    program = "/var/lib/containers/storage/overlay/*/diff/caddy"
    site.on(
        "s1", f"systemctl stop {UNIT}; for file in {program}; do : >$file; done; systemctl start {UNIT}", check=None
    )
    taken: list[tuple[str, str]] = []
    while ("rebuild", "done") not in taken and len(taken) < 8:
        taken += actions(document(site, "heal", "--auto", check=None))
    assert list(dict.fromkeys(taken)) == [("restart", "failed"), ("redeploy", "failed"), ("rebuild", "done")]
    assert b"of the owner" in read(site, "kept.html")


@pytest.mark.long
def test_another_version_leaves_no_image_behind_and_a_removal_only_the_data(site: RunningLab) -> None:
    """The image of the older version stays while it may be gone back to; what is removed leaves the pages alone."""
    spec = site.workspace / "apps/site.yaml"
    spec.write_text(spec.read_text().replace("2.11.7", "2.11.4"))
    assert document(site, "deploy", "site")["apps"][0]["instances"][0]["outcome"] == "changed"
    assert b"2.11.4" in site.on("s1", f"podman exec {UNIT} /caddy version").encode()
    assert len(site.on("s1", f"podman images --quiet localhost/{UNIT}").split()) == 1, (
        "the older one had not proven itself"
    )
    site.run("remove", "site", "--yes")
    left = (
        "podman ps --all --quiet; podman images --all --quiet; ls /etc/containers/systemd /var/lib/tfheal | grep site"
    )
    assert site.on("s1", f"{left}; ls {PAGES}").split() == ["index.html", "kept.html"]


@pytest.mark.long
def test_an_image_comes_from_a_file_or_from_a_registry(site: RunningLab) -> None:
    """What `podman save` wrote is loaded, what is named by its digest is fetched; again when it is gone; and no other stays."""
    packed = "cp /bin/busybox /root/busybox; tar -c -C /root busybox | podman import --quiet - tiny; podman save --quiet tiny"
    site.on("s1", f"apt-get install -qq -y busybox-static >/dev/null 2>&1; ({packed}) >/dev/null 2>&1; podman images")
    site.on("s1", "podman save --quiet --format docker-dir --output /root/v2 tiny")
    saved = site.on("s1", "podman save --quiet tiny | base64; podman rmi tiny >/dev/null")
    folder = site.workspace / "playbooks/tiny"
    folder.mkdir(parents=True)
    (folder / "playbook.yaml").write_text(TINY)
    (folder / "VERSION").write_text("1\n")
    (folder / "image.tar").write_bytes(base64.b64decode(saved))
    spec = 'app: tiny\nowner: lab\nplaybook: tiny\nversion: "1"\nplace: {web: [s1]}\nheal: {reflex: off}\n'
    (site.workspace / "apps/tiny.yaml").write_text(spec)
    document(site, "deploy", "tiny")
    assert site.on("s1", "podman images --format '{{.Repository}}'").split().count("localhost/tfheal-tiny-web") == 1
    site.on("s1", "podman rmi --force --all")
    assert actions(document(site, "heal", "--auto", "tiny")) == [("redeploy", "done")]
    assert actions(document(site, "heal", "--auto", "tiny")) == []

    digest = site.on("s1", "sha256sum </root/v2/manifest.json").split()[0]
    site.on(
        "s1",
        f"{INSECURE}; cat >/root/registry.py <<'END'\n{REGISTRY}END\nsystemd-run --quiet python3 /root/registry.py",
    )
    text = TINY.replace("binary: image.tar", f'image: "localhost:5000/tiny@sha256:{digest}"')
    (folder / "playbook.yaml").write_text(text)
    assert document(site, "deploy", "tiny")["apps"][0]["instances"][0]["outcome"] == "changed"
    site.on("s1", "podman rmi --force --all")
    assert actions(document(site, "heal", "--auto", "tiny")) == [("redeploy", "done")]
    assert actions(document(site, "heal", "--auto", "tiny")) == []
    site.run("remove", "tiny", "--yes")
    assert site.on("s1", "podman images --all --quiet") == ""


STAGES = """\
playbook: stages
title: Stages
versions: {"1": VERSION}
components:
  web:
    packages: [busybox-static, crun, podman]
    resources:
      - {kind: file, path: "{{ config }}/page", content: "in stages\\n"}
      - kind: container
        context: "{{ config }}"
        content: |
          FROM localhost/base AS made
          COPY page /page
          RUN ["/busybox", "sh", "-c", "/busybox tr a-z A-Z </page >/index.html"]
          FROM scratch
          COPY --from=made /busybox /index.html /
        exec: "/busybox httpd -f -p 8082"
        stop_timeout: 1s
    checks:
      - {name: answers, kind: alive, tcp: 8082}
"""


@pytest.mark.long
def test_an_image_is_built_in_stages_and_by_commands(site: RunningLab) -> None:
    """What ran while it was built is in it, the stage before is nobody's any more, and a second deploy changes nothing."""
    base = "cp /bin/busybox /root/busybox; tar -c -C /root busybox | podman import --quiet - localhost/base"
    site.on("s1", f"apt-get install -qq -y podman crun busybox-static >/dev/null 2>&1; ({base}) 2>&1")
    folder = site.workspace / "playbooks/stages"
    folder.mkdir(parents=True)
    (folder / "playbook.yaml").write_text(STAGES)
    (folder / "VERSION").write_text("1\n")
    spec = 'app: stages\nowner: lab\nplaybook: stages\nversion: "1"\nplace: {web: [s1]}\nheal: {reflex: off}\n'
    (site.workspace / "apps/stages.yaml").write_text(spec)
    before = site.on("s1", "podman images --all --quiet").split()
    document(site, "deploy", "stages")
    assert read(site, port=8082) == b"IN STAGES\n"
    assert len(site.on("s1", "podman images --all --quiet").split()) == len(before) + 1
    assert document(site, "deploy", "stages")["round_trips"] == 1
    site.run("remove", "stages", "--yes")
    site.on("s1", "podman rmi base")
    (site.workspace / "apps/stages.yaml").unlink()


@pytest.mark.long
def test_faults_of_a_container_s_unit_land_and_are_healed(site: RunningLab) -> None:
    """Its unit is made by a generator, from a file elsewhere: that one is masked, spoiled and deleted; to disable is nothing."""
    site.run("deploy", "site")
    site.on("s1", f"echo 'a page of the owner' >{PAGES}/kept.html")
    assert "not enabled" in site.do("break", "s1", "disable-service", "--app", "site", check=5)["error"]["why"]
    for fault in ("mask-service", "corrupt-unit", "delete-unit"):
        assert UNIT in site.do("break", "s1", fault, "--app", "site")["detail"]
        is_healed(site, ":", "drift", "redeploy")
        site.do("mend", "s1")
        assert document(site, "status")["health"] == "healthy"
        site.do("break", "s1", fault, "--app", "site")
        site.do("mend", "s1")
        assert document(site, "status")["health"] == "healthy"


@pytest.mark.long
def test_a_full_disk_is_freed_of_images_that_nobody_needs(site: RunningLab) -> None:
    """An older one that no release goes back to; the one that runs, and what a stranger keeps, with and without a name, stay."""
    site.run("deploy", "site")
    site.on("s1", f"echo 'a page of the owner' >{PAGES}/kept.html")
    running = site.on("s1", f"podman images --quiet --no-trunc localhost/{UNIT}")
    made = "tar -c -C /etc {} | podman import --quiet -"
    records = f"/var/lib/tfheal/site/web/images/{UNIT}"
    site.on("s1", f"{made.format('hostname')} localhost/{UNIT}:old >{records}/old")
    site.on("s1", f"{made.format('hosts')}; {made.format('passwd')} localhost/stranger")
    assert len(site.on("s1", "podman images --all --quiet").split()) == 4
    site.do("break", "s1", "fill-disk")
    assert actions(document(site, "heal", "--auto")) == [("free-disk", "done")]
    site.do("mend", "s1")
    assert site.on("s1", f"podman images --quiet --no-trunc localhost/{UNIT}") == running
    assert len(site.on("s1", "podman images --all --quiet").split()) == 3
    site.on("s1", "podman rmi stranger; podman image prune --force")
    assert actions(document(site, "heal", "--auto")) == []
