"""A page reaches the provider's own program or web hook, or the run says why it did not."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tfheal.base.errors import ActionFailed
from tfheal.edge import notify
from tfheal.edge.notify import OwnerNotices, PageNotifier
from tfheal.model.workspace import NoticeRoute, PageRoute

MESSAGE = {"schema": "tfheal/page/1", "incident": "i1", "detail": "größer ⟦x⟧"}


@contextmanager
def a_web_hook(status: int, location: str = "") -> Iterator[tuple[str, list[object]]]:
    """Serve a web hook that answers with a status; yield its URL and the messages it got."""
    got: list[object] = []

    class Hook(BaseHTTPRequestHandler):
        """Keeps what was posted."""

        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            if status:
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                self.end_headers()

        def do_GET(self) -> None:
            got.append("GET")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/T0KEN", got
        server.shutdown()
        thread.join()


def page(route: PageRoute | None, root: Path = Path("/")) -> None:
    """Send the message by a route."""
    PageNotifier(route, root).page(MESSAGE)


def test_a_command_gets_the_message_on_stdin(tmp_path: Path) -> None:
    """The document is on stdin and nothing of it in the argument list; a relative program is the workspace's."""
    program = tmp_path / "page.sh"
    program.write_text('#!/bin/sh\ncat > "$1"\nprintf %s "$#" > "$1.count"\n')
    program.chmod(0o755)
    page(PageRoute(command=("./page.sh", str(tmp_path / "got"))), tmp_path)
    assert json.loads((tmp_path / "got").read_text()) == MESSAGE
    assert (tmp_path / "got.count").read_text() == "1"
    page(PageRoute(command=("true",)))


def test_a_command_that_fails_is_quoted_safely() -> None:
    """Its status and last words are in the message, without control characters."""
    with pytest.raises(ActionFailed, match="did not get out") as caught:
        page(PageRoute(command=("sh", "-c", r"printf 'no \033[31mroute\n' >&2; exit 3")))
    assert caught.value.why == "it ended with status 3: no \\x1b[31mroute"


def test_a_command_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pager that never ends holds healing up for a limited time only."""
    monkeypatch.setattr(notify, "COMMAND_SECONDS", 0.2)
    with pytest.raises(ActionFailed, match="time-out"):
        page(PageRoute(command=("sleep", "60")))


@pytest.mark.parametrize("command", [("/no/such/pager",), ("no-such-pager",), ("/etc/passwd",)])
def test_a_command_that_cannot_start_is_told(command: tuple[str, ...]) -> None:
    """What is not there or not a program is one of our errors."""
    with pytest.raises(ActionFailed, match="cannot be started"):
        page(PageRoute(command=command))


def test_a_web_hook_gets_the_message() -> None:
    """The document is posted as JSON, and every 2xx is a yes."""
    for status in (200, 204):
        with a_web_hook(status) as (url, got):
            page(PageRoute(url=url))
        assert got == [MESSAGE]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 400, 404, 500])
def test_any_other_answer_is_a_failure_and_no_redirect_is_followed(status: int) -> None:
    """A redirect to a file or to another host is not followed, and the secret path of the hook is not shown."""
    for location in ("file:///etc/passwd", "/T0KEN/elsewhere"):
        with a_web_hook(status, location) as (url, got), pytest.raises(ActionFailed) as caught:
            page(PageRoute(url=url))
        assert got == [MESSAGE]
        assert str(status) in caught.value.why
        assert "T0KEN" not in repr(caught.value.args) + str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/T0KEN", "http://no-such-host.invalid/T0KEN", "http://[::1/T0KEN", "http://u:T0KEN@127.0.0.1/"],
)
def test_an_address_that_does_not_answer_is_told_without_its_path(url: str) -> None:
    """No connection, no name, no valid URL: each is ours, with the host alone, also in the chain of causes."""
    with pytest.raises(ActionFailed) as caught:
        page(PageRoute(url=url))
    assert "T0KEN" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_a_web_hook_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that closes without an answer fails at once, a silent one after the time-out."""
    with a_web_hook(0) as (url, _), pytest.raises(ActionFailed, match="did not get out"):
        page(PageRoute(url=url))
    monkeypatch.setattr(notify, "URL_SECONDS", 0.2)
    with _a_silent_port() as port, pytest.raises(ActionFailed) as caught:
        page(PageRoute(url=f"http://127.0.0.1:{port}/"))
    assert "timed out" in caught.value.why


def test_without_a_route_the_message_says_what_to_write() -> None:
    """Nobody to page is a failure, not a silence."""
    with pytest.raises(ActionFailed, match="nobody can be paged") as caught:
        page(None)
    assert "[page] command" in caught.value.hint


@contextmanager
def _a_silent_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_an_owner_is_told_by_a_route_of_its_own(tmp_path: Path) -> None:
    """The program gets the message; one that fails is an error that names it, and a route is one of both."""
    (tmp_path / "tell").write_text('#!/bin/sh\ncat >"$1"\n')
    (tmp_path / "tell").chmod(0o755)
    OwnerNotices(NoticeRoute(command=("./tell", str(tmp_path / "got"))), tmp_path).tell(MESSAGE)
    assert json.loads((tmp_path / "got").read_text()) == MESSAGE
    with pytest.raises(ActionFailed, match="the notice did not get out"):
        OwnerNotices(NoticeRoute(command=("false",)), tmp_path).tell(MESSAGE)
    with pytest.raises(ValueError, match=r"\[notices\] has either"):
        NoticeRoute()
