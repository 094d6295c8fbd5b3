"""Checks by a real shell against real servers: what passes, what fails and says why, and what could not be asked."""

import http.server
import socket
import threading
from collections.abc import Iterator

import pytest
from shells import ran

from tfheal.core.probe import checks
from tfheal.core.probe.script import Answer
from tfheal.model.playbook import Check

PAGE = b'<p>it\'s "here" $(id) \\c 100%\n'


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the status that the path says, or without an end."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200 if self.path == "/endless" else int(self.path.lstrip("/") or 200))
        self.end_headers()
        try:
            self.wfile.write(PAGE)
            while self.path == "/endless":
                self.wfile.write(b"x" * (1 << 20))
        except OSError:
            return

    def log_message(self, *_: object) -> None:  # type: ignore[override]
        """Say nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Run a web server on loopback."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def asked(check: dict[str, object], *, secrets: dict[tuple[str, int], str] | None = None) -> tuple[int, str]:
    """Ask a check here, and return its status and what it said."""
    made = Check.model_validate({"name": "it", "kind": "alive", "timeout": "3s"} | check)
    done = ran(checks.script(made, secrets or {}))
    assert done.stderr == b""
    return done.returncode, done.stdout.decode()


@pytest.mark.parametrize(
    ("path", "wanted", "answer"),
    [
        ("", {}, (0, "HTTP 200\n")),
        ("404", {"status": 404}, (0, "HTTP 404\n")),
        ("", {"contains": '"here" $(id) \\c 100%'}, (0, "HTTP 200\n")),
        ("", {"contains": "it's"}, (0, "HTTP 200\n")),
        ("", {"contains": "*"}, (1, "the answer does not contain: *\n")),
        ("", {"contains": "$(id)x'"}, (1, "the answer does not contain: $(id)x'\n")),
    ],
)
def test_a_page_is_asked_for(port: int, path: str, wanted: dict[str, object], answer: tuple[int, str]) -> None:
    """Its status and what it must hold, in whatever characters."""
    assert asked({"http": {"url": f"http://127.0.0.1:{port}/{path}"} | wanted}) == answer


def test_a_page_that_is_wrong_is_shown(port: int) -> None:
    """The status that came, the one that was wanted, and how the page begins."""
    status, said = asked({"http": {"url": f"http://127.0.0.1:{port}/500"}})
    assert (status, said.startswith("HTTP 500, wanted 200\n<p>it's")) == (1, True)


def test_a_page_without_an_end_costs_a_bounded_memory(port: int) -> None:
    """It is cut where no page of an application goes on."""
    made = Check.model_validate(
        {"name": "it", "kind": "alive", "timeout": "2s", "http": {"url": f"http://127.0.0.1:{port}/endless"}}
    )
    done = ran(f"ulimit -v 200000\n{checks.script(made, {})}")
    assert (done.returncode, done.stdout) == (1, b"the answer is longer than 8 MiB\n")


def test_a_server_that_is_not_there_is_told() -> None:
    """In the words of curl."""
    status, said = asked({"http": {"url": "http://127.0.0.1:1/"}})
    assert (status, "curl: (7)" in said) == (1, True)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_an_open_port_passes(family: int) -> None:
    """Of either family, though nobody there says a word."""
    with socket.socket(family) as server:
        server.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        server.listen()
        number = server.getsockname()[1]
        assert asked({"tcp": number}) == (0, f"port {number} is open\n")


def test_a_closed_port_fails() -> None:
    """Nobody listens; and a port that is more than a number is still only a word."""
    assert asked({"tcp": 1}) == (1, "nobody listens on port 1\n")
    assert asked({"tcp": "1; echo owned"}) == (1, "nobody listens on port 1; echo owned\n")


def test_a_port_that_accepts_nobody_fails() -> None:
    """A server that hangs with a full queue is not alive, though its port is bound."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        try:
            for one in waiting:
                one.setblocking(False)  # noqa: FBT003 (the library's signature)
                one.connect_ex(server.getsockname())
            assert asked({"tcp": server.getsockname()[1]})[0] == 1
        finally:
            for one in waiting:
                one.close()


def test_what_should_ask_is_missing() -> None:
    """Without curl nothing is known: that is neither alive nor dead."""
    for question in ({"http": {"url": "http://127.0.0.1:1/"}}, {"tcp": 1}):
        made = Check.model_validate({"name": "it", "kind": "alive"} | question)
        assert ran(f"curl() {{ return 127; }}\n{checks.script(made, {})}").returncode == 127


def test_a_command_gets_its_secrets() -> None:
    """The text of the playbook, with the secrets filled in."""
    assert asked({"command": 'printf %s "⟦secret:admin:2⟧"; exit 3'}, secrets={("admin", 2): "hush"}) == (3, "hush")


@pytest.mark.parametrize(
    ("answer", "verdict", "detail"),
    [
        (None, "unknown", "no time was left to ask"),
        (Answer(0, b"fine\n", 0.2), "pass", "fine"),
        (Answer(0, b"", 0.2), "pass", ""),
        (Answer(1, b"bad\x1b[31m\nworse", 0.2), "fail", "bad\\x1b[31m worse"),
        (Answer(7, b"", 0.2), "fail", "exit 7"),
        (Answer(1, b"key hush", 0.2), "fail", "key ***"),
        (Answer(124, b"half", 5.0), "fail", "no answer within 5 s"),
        (Answer(137, b"", 6.0), "fail", "no answer within 5 s"),
        (Answer(125, b"", 0.0), "unknown", "exit 125"),
        (Answer(126, b"denied", 0.0), "unknown", "denied"),
        (Answer(127, b"curl: not found", 0.0), "unknown", "curl: not found"),
    ],
)
def test_an_answer_is_a_verdict(answer: Answer | None, verdict: str, detail: str) -> None:
    """Not asked and not askable are unknown; what could be asked passed or failed, and says how."""
    made = Check.model_validate({"name": "it", "kind": "ready", "command": "true"})
    fact = checks.fact(made, ["hush"], answer)
    assert (fact.check, fact.kind, fact.verdict, fact.detail) == ("it", "ready", verdict, detail)
    assert fact.seconds == (answer.seconds if answer else 0.0)
