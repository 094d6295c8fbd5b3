"""Archives and npm's packages on a real slice: fetched, compared, unpacked, put back; and what must not be unpacked."""

import base64
import hashlib
import io
import ipaddress
import json
import socket
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from on_slice import Answer, OnSlice
from releases import the_step
from running_lab import RunningLab

from tfheal.core.resources import Step

pytestmark = pytest.mark.lab
HOME = "/opt/tfheal/notes/web"
CURRENT = f"{HOME}/current"


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing of it."""

    def log_message(self, *_words: Any) -> None:  # noqa: ANN401 (as the library has it)
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """On the lab's own network."""

    address_family = socket.AF_INET6


@dataclass(frozen=True, slots=True)
class Shelf:
    """A folder of archives that the slice can fetch."""

    folder: Path
    url: str

    def tar(self, name: str, members: dict[str, bytes | tarfile.TarInfo]) -> None:
        """Make a tar, compressed as its name says."""
        mode = {"gz": "w:gz", "xz": "w:xz", "bz2": "w:bz2", "tar": "w"}[name.rpartition(".")[2]]
        with tarfile.open(self.folder / name, mode) as made:  # type: ignore[call-overload]
            for path, content in members.items():
                if isinstance(content, tarfile.TarInfo):
                    made.addfile(content)
                    continue
                info = tarfile.TarInfo(path)
                info.size, info.mode, info.uid = len(content), 0o6777, 12345
                made.addfile(info, io.BytesIO(content))

    def zip(self, name: str, members: dict[str, bytes]) -> None:
        """Make a zip."""
        with zipfile.ZipFile(self.folder / name, "w") as made:
            for path, content in members.items():
                made.writestr(path, content)

    def part(self, name: str, **fields: object) -> dict[str, object]:
        """Return a part with the archive's true hash."""
        digest = hashlib.sha256((self.folder / name).read_bytes()).hexdigest()
        return {"url": self.url + name, "sha256": digest} | fields

    def step(self, *parts: dict[str, object], home: str = HOME, keep: int = 3) -> Step:
        """Return the step of these parts."""
        return the_step({"kind": "archive", "home": home, "keep": keep, "parts": list(parts)})


@pytest.fixture(scope="module")
def shelf(lab: RunningLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """Serve a folder on this machine's own address in the lab."""
    folder = tmp_path_factory.mktemp("shelf")
    gateway = str(ipaddress.ip_interface(f"{lab.slices()['s1']['address']}/64").network.network_address + 1)
    server = Server((gateway, 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Shelf(folder, f"http://[{gateway}]:{server.server_port}/")
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _clean(machine: OnSlice) -> Iterator[None]:
    yield
    machine.do("rm -rf /opt/tfheal /root/outside")


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    """Return a member that is a link, or another thing without content."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_archives_become_one_folder(machine: OnSlice, shelf: Shelf) -> None:
    """Stripped, in part, each in its place; root's, without odd rights; a damage is put back, another release stands beside."""
    shelf.tar(
        "app-1.tar.gz", {"app-1/run": b"#!/bin/sh\necho one\n", "app-1/page": b"1", "app-1/x": link("app-1/x", "run")}
    )
    shelf.tar("lib.tar", {"package/dist/lib.js": b"js", "package/src/secret.js": b"no"})
    shelf.zip("words.zip", {"words/en.txt": b"word", "words/de/de.txt": b"Wort"})
    parts = [
        shelf.part("app-1.tar.gz", strip=1),
        shelf.part("lib.tar", folder="package/dist", into="lib/js"),
    ]
    step = shelf.step(*parts)
    machine.differs(step, "is missing")
    machine.done(step)
    assert machine.do(f"cd {CURRENT}; find . -type f ! -name .complete | sort; ./x; stat -c %a:%U run") == (
        "./lib/js/lib.js\n./page\n./run\none\n755:root\n"
    )
    machine.heals(step, f"echo 2 >{CURRENT}/page", "files changed: 1 (./page)")
    machine.heals(step, f"rm {CURRENT}/lib/js/lib.js", "files changed: 1 (./lib/js/lib.js)")
    other = shelf.step(parts[0])
    machine.done(other)
    assert machine.do(f"ls {HOME}/releases | wc -l; {CURRENT}/run") == "2\none\n"
    machine.is_ok(other)
    machine.differs(step, "current is releases/")
    assert machine.remove(other) == Answer(0, "")
    assert machine.do("ls -A /opt") == ""


def test_what_unpacks_it_is_named_until_it_is_there(machine: OnSlice, shelf: Shelf) -> None:
    """A zip needs unzip, and a tar of xz needs xz; with them, both are unpacked."""
    shelf.zip("words.zip", {"words/en.txt": b"word", "words/de/de.txt": b"Wort"})
    shelf.zip("hostile.zip", {"../../../../../root/outside": b"x"})
    shelf.tar("page.tar.xz", {"page": b"1"})
    zipped, squeezed = shelf.step(shelf.part("words.zip", strip=1)), shelf.step(shelf.part("page.tar.xz"))
    machine.refuses(zipped, "unzip is missing, for ")
    machine.refuses(squeezed, "the playbook's packages name xz-utils")
    tools = the_step({"kind": "packages", "names": ["unzip", "xz-utils"]})
    machine.done(tools)
    try:
        machine.done(zipped)
        assert machine.do(f"cat {CURRENT}/en.txt {CURRENT}/de/de.txt") == "wordWort"
        machine.done(squeezed)
        assert machine.do(f"cat {CURRENT}/page") == "1"
        machine.refuses(shelf.step(shelf.part("hostile.zip")), "holds a name that leads out of it")
    finally:
        machine.do("apt-get -q -y purge unzip xz-utils; ! ls /root/outside 2>/dev/null")


def test_what_is_not_pinned_or_leads_out_is_not_unpacked(machine: OnSlice, shelf: Shelf) -> None:
    """Nothing of it is on the slice, and what was there before runs on."""
    good = {"a": b"good"}
    shelf.tar("good.tar.gz", good)
    machine.done(shelf.step(shelf.part("good.tar.gz")))
    before = machine.do(f"ls -AR {HOME}")
    hostile: dict[str, dict[str, bytes | tarfile.TarInfo]] = {
        "up.tar.gz": {"../../../../root/outside": b"x"},
        "absolute.tar.gz": {"/root/outside": b"x"},
        "through.tar.gz": {"x": link("x", "/root"), "x/outside": b"x"},
        "link.tar.gz": {"x": link("x", "../../../../../../root")},
        "hard.tar.gz": {"x": link("x", "/etc/shadow", tarfile.LNKTYPE)},
        "device.tar.gz": {"x": link("x", "", tarfile.FIFOTYPE)},
    }
    refusals = {}
    for name, members in hostile.items():
        shelf.tar(name, members)
        answer = machine.apply(shelf.step(shelf.part("good.tar.gz"), shelf.part(name, into="deep/er")))
        assert answer.status == 1, (name, answer)
        refusals[name] = answer.said
    assert all("leads out of it" in refusals[name] for name in ("up.tar.gz", "absolute.tar.gz", "link.tar.gz"))
    assert "special file: ./x" in refusals["device.tar.gz"]
    machine.refuses(
        shelf.step(shelf.part("good.tar.gz", sha256="0" * 64)), "is another than the pinned one: its sha256 is "
    )
    machine.refuses(shelf.step(shelf.part("good.tar.gz", url=f"{shelf.url}nothing.tgz")), "404")
    machine.refuses(shelf.step(shelf.part("good.tar.gz", folder="b")), "holds no folder b")
    machine.refuses(shelf.step(shelf.part("good.tar.gz", strip=1)), "nothing is left to take")
    (shelf.folder / "text").write_text("no archive")
    machine.refuses(shelf.step(shelf.part("text")), "is not an archive that can be read")
    assert machine.do(f"ls -AR {HOME}; ls /root/outside 2>/dev/null || true") == before


def test_npm_packages_are_there_without_npm(machine: OnSlice, shelf: Shelf) -> None:
    """Each in its place, programs with a link to them; nothing of a package was run."""
    shelf.tar("tool-1.0.0.tar.gz", {"package/cli.js": b"#!/bin/sh\necho tool\n", "package/package.json": b"{}"})
    shelf.tar("inner-2.0.0.tar.gz", {"other-name/index.js": b"inner"})
    packages: dict[str, object] = {"": {"name": "app", "dependencies": {"tool": "^1"}}}
    for place, name in (("tool", "tool-1.0.0"), ("tool/node_modules/@a/inner", "inner-2.0.0")):
        file = shelf.folder / f"{name}.tar.gz"
        digest = base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode()
        url = "https://registry.npmjs.org/"  # which the slice is set to have another one for
        packages[f"node_modules/{place}"] = {"resolved": url + file.name, "integrity": f"sha512-{digest}"}
    packages["node_modules/tool"] |= {"bin": {"tool": "cli.js"}, "hasInstallScript": True}  # type: ignore[operator]
    step = the_step({"kind": "npm", "home": HOME, "lock": json.dumps({"lockfileVersion": 3, "packages": packages})})
    machine.do(f"cp /root/.npmrc /root/npmrc 2>/dev/null || :; echo 'registry = {shelf.url}' >/root/.npmrc")
    machine.done(step)
    assert machine.do(f"cd {CURRENT}/node_modules; .bin/tool; cat tool/node_modules/@a/inner/index.js") == "tool\ninner"
    machine.heals(step, f"rm {CURRENT}/node_modules/.bin/tool", "files changed")
    (shelf.folder / "tool-1.0.0.tar.gz").write_bytes(b"something else")
    machine.heals(step, f"ln -sfn nowhere {CURRENT}", "current is nowhere")
    machine.do(f"rm -r {HOME}/releases")
    machine.refuses(step, "is another than the pinned one: its sha512 is ")
    machine.do("rm /root/.npmrc; mv /root/npmrc /root/.npmrc 2>/dev/null || :")


def test_archives_killed_on_the_way_are_finished_by_the_next_run(machine: OnSlice, shelf: Shelf) -> None:
    """At moments of the build, the swap and the switch; the old one works on."""
    shelf.tar("old.tar.gz", {"a": b"old"})
    shelf.tar("new.tar.gz", {"a": b"new"})
    old, new = (shelf.step(shelf.part(f"{name}.tar.gz")) for name in ("old", "new"))
    machine.done(old)
    back = machine.do(f"readlink {CURRENT}").strip()
    before = (
        f"cd {HOME}; ln -sfn {back} current; find releases -mindepth 1 -maxdepth 1 ! -path {back} -exec rm -r {{}} +"
    )
    for first in (5, 9, 13):
        machine.killed_everywhere(new, before, f"test -s {CURRENT}/a", first=first, every=100)
