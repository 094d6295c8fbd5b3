"""A dead-man switch for tests: a real HTTP server on loopback that keeps what it hears."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def a_switch(status: int = 200) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Serve a switch that answers with a status; yield its URL, and each path with its body as it comes."""
    heard: list[tuple[str, str]] = []

    class Switch(BaseHTTPRequestHandler):
        """Keeps what was posted."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            heard.append((self.path.removeprefix("/ping/T0KEN"), body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Switch) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/ping/T0KEN", heard
        server.shutdown()
        thread.join()
