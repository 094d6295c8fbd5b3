"""A page on two slices of a lab behind a gateway on the third, and who asks for it one time after another."""

import contextlib
import http.client
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from running_lab import RunningLab
from visiting import Visiting

# It serves /up at once, and the rest only once it is warm: what only asks whether it is there takes it for ready too soon.
PLAYBOOK = """\
playbook: page
title: A page
versions: {"1": locks/any.txt, "2": locks/any.txt}
upgrade: {soak: 1s, rollback: safe}
settings: {warm: {type: number, default: 0, minimum: 0, maximum: 60, description: seconds until it is ready}}
components:
  web:
    packages: [curl, python3]
    resources:
      - {kind: file, path: "{{ config }}/server.py", template: server.py.j2}
      - {kind: file, path: "{{ config }}/version", content: "{{ version }}\\n"}
    service: {exec: "/usr/bin/python3 -B {{ config }}/server.py", stop_timeout: 1s, start_timeout: 10s}
    checks:
      - {name: answers, kind: alive, tcp: 8091}
      - {name: serves, kind: ready, http: {url: "http://127.0.0.1:8091/"}}
    route: {port: 8091, health: /up}
    url: "http://{{ hostname }}:8091/"
"""
SERVER = """\
import http.server, json, socket, time

BEGUN = time.monotonic()


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        warm = time.monotonic() - BEGUN >= {{ settings.warm }}
        if self.path == "/slow":
            time.sleep(20)
        said = {name: self.headers.get_all(f"X-Forwarded-{name}", []) for name in ("For", "Proto", "Host")}
        text = json.dumps(said) if self.path == "/said" else "a page\\n"
        self.answer(200 if warm or self.path == "/up" else 500, text if warm else "not yet\\n")

    def do_POST(self):
        self.answer(200, f"{len(self.rfile.read(int(self.headers['Content-Length'])))} bytes\\n")

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


Server(("::", 8091), Page).serve_forever()
"""
NAME = "page.example"
NAMES = '[names.file]\nvia = "hosts"\nslices = ["s2"]\n'
EDGE = 'app: edge\nowner: lab\nplaybook: gateway\nversion: "debian"\nplace: {gateway: [s3]}\nheal: {reflex: off}\n'
PAGE = f"""\
app: page
owner: lab
playbook: page
version: "1"
hostname: {NAME}
names: file
route: {{gateway: edge}}
place: {{web: [s1, s2]}}
heal: {{reflex: off}}
"""
CLIENTS = 4


@contextmanager
def paged(fleet: RunningLab) -> Iterator[RunningLab]:
    """Have the app on s1 and s2, and the gateway that leads to it on s3; taken away afterwards."""
    root = fleet.workspace
    made = {"playbooks/page/playbook.yaml": PLAYBOOK, "playbooks/page/locks/any.txt": "# nothing\n"}
    made |= {"playbooks/page/server.py.j2": SERVER}
    made |= {"apps/edge.yaml": EDGE, "apps/page.yaml": PAGE}
    for name, text in made.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    settings = (root / "tfheal.toml").read_text()
    (root / "tfheal.toml").write_text(settings + NAMES)
    try:
        fleet.run("deploy", "page", "edge")
        yield fleet
    finally:
        (root / "apps/edge.yaml").write_text(EDGE)
        fleet.run("remove", "page", "edge", "--data", "--yes", check=None)
        for name in ("apps/edge.yaml", "apps/page.yaml"):
            (root / name).unlink()
        shutil.rmtree(root / "playbooks/page")
        (root / "tfheal.toml").write_text(settings)


class Visitor:
    """Asks for the page of a name; keeps its connection, or makes one for each request."""

    def __init__(self, address: str, *, keeps: bool = True) -> None:
        """Keep whom to ask."""
        self._connection, self._keeps = http.client.HTTPConnection(address, 80, timeout=10), keeps

    def said(self, host: str = NAME) -> tuple[int, str, str]:
        """Return the status, what was answered, and when to come back."""
        try:
            self._connection.request("GET", "/?visit", headers={"Host": host})
            answer = self._connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers.get("Retry-After", "")
        finally:
            if not self._keeps:
                self._connection.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Load(Visiting):
    """Visitors who ask one after another until they are told to stop: every second one with a connection for each request."""

    def __init__(self, address: str) -> None:
        """Keep whom to ask."""
        self.answered, self.failed = 0, list[str]()
        visitors = [Visitor(address, keeps=number % 2 == 0) for number in range(CLIENTS)]
        super().__init__(partial(self._visit, visitor) for visitor in visitors)

    def _visit(self, visitor: Visitor) -> None:
        with contextlib.closing(visitor):
            while not self._over.wait(0.02):
                try:
                    said: object = visitor.said()
                except (OSError, http.client.HTTPException) as error:
                    said = error
                    visitor.close()
                if said == (200, "a page\n", ""):
                    self.answered += 1
                else:
                    self.failed.append(repr(said))
