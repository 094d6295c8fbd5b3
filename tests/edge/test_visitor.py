"""What a visitor meets, over real sockets of this machine: a name resolved, one request, and redirects as far as they are its own."""

import http.server
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tfheal.edge.visitor import SECONDS, HttpVisitor
from tfheal.model.visit import Visit

AWAY = "http://elsewhere.invalid/"


class _Page(http.server.BaseHTTPRequestHandler):
    """Says 200 at /up, leads on from /moved and /away, and knows nothing else."""

    def do_GET(self) -> None:
        """Answer."""
        led = {"/moved": "/up", "/away": AWAY, "/round": "/round", "/odd": "gopher://localhost/"}.get(self.path)
        self.send_response(302 if led else 200 if self.path == "/up" else 404)
        if led:
            self.send_header("Location", led)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def page() -> Iterator[str]:
    """Have a server on the loopback, and return its URL without a path."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "status", "at"),
    [
        ("/up", 200, "/up"),
        ("/none", 404, "/none"),
        ("/moved", 200, "/up"),
        ("/away", 302, "/away"),
        ("/round", 302, "/round"),
        ("/odd", 302, "/odd"),
    ],
)
def test_what_answers(page: str, path: str, status: int, at: str) -> None:
    """A redirect to the same name is gone after, for some hops; one that leads away is the answer."""
    met = HttpVisitor().visited({"localhost": [page + path]})()["localhost"]
    assert (met.status, met.url, met.refused) == (status, page + at, False)
    assert "127.0.0.1" in met.addresses


def test_the_first_url_that_is_well_counts(page: str) -> None:
    """Else the one that tells most: an answer more than a refusal, a refusal more than silence."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = f"http://localhost:{listener.getsockname()[1]}/"
    ask = HttpVisitor().visited

    def met(*urls: str) -> Visit:
        return ask({"localhost": urls})()["localhost"]

    assert met(closed, f"{page}/none", f"{page}/up").url == f"{page}/up"
    assert met(closed, f"{page}/none").status == 404
    refused = met(closed, "http://localhost:99999/", "http://localhost/\x00")
    assert (refused.status, refused.refused, refused.url) == (0, True, closed)
    assert met(page.replace("http:", "https:")).refused, "what speaks no TLS"


def test_nobody_is_waited_for_long() -> None:
    """A name that nobody has, and a server that says nothing, have their own words; all are asked at once."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        names = {
            name: [f"http://{name}:{silent.getsockname()[1]}/"] for name in ("nobody.invalid", "localhost", "x" * 80)
        }
        found = HttpVisitor().visited(names)()
    assert time.monotonic() - begun < SECONDS + 1
    assert (found["nobody.invalid"].addresses, found["nobody.invalid"].why != "") == ((), True)
    assert found["x" * 80].addresses == ()
    assert (found["localhost"].status, found["localhost"].refused, "timed out" in found["localhost"].why) == (
        0,
        False,
        True,
    )
    assert HttpVisitor().visited({})() == {}
