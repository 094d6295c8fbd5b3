"""An index of Python packages for tests: a real HTTP server on loopback with one page, whatever it is asked for."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(slots=True)
class Pages:
    """Where the index is, what it answers, and what it was asked for: each path, and the form."""

    url: str
    said: bytes
    asked: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def an_index(files: Sequence[Mapping[str, object]]) -> Iterator[Pages]:
    """Serve an index with these files."""

    class Handler(BaseHTTPRequestHandler):
        """Answers with the page."""

        def do_GET(self) -> None:
            pages.asked.append((self.path, self.headers["Accept"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(pages.said)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        pages = Pages(f"http://127.0.0.1:{server.server_port}/simple/", json.dumps({"files": files}).encode())
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield pages
        server.shutdown()
        thread.join()
